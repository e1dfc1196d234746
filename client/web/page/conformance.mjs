// Asks the module of conformance (client/web/examples/conformance.rs) about every case of a packed set, then takes times.
//
// Decides: the order of questions, what a trap is told as, and how time is taken: turns of several appraisals each, the median of the turns. It compares nothing.

import { Door } from "./door.mjs";

const CHIPS = ["genoa-1", "tdx-1"];
const TURNS = 9;
const APPRAISALS = 5; // in one turn: a browser's clock is coarse

const text = (words) => new TextEncoder().encode(words);
const number = (at) => new Uint8Array(new Uint32Array([at]).buffer);
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

// Records in the order of cases; one that traps is told, and the others are judged by a fresh instance.
async function judged(door, set) {
    const opened = door.told("open", set);
    if (opened.error) throw new Error(`the set cannot be read: ${opened.error}`);
    const cases = [];
    for (let at = 0; at < opened.cases; at++) {
        try {
            cases.push(door.told("judge", number(at)));
        } catch (trap) {
            cases.push({ at, trap: String(trap) });
            await door.fresh();
            door.told("open", set);
        }
    }
    return { ...opened, cases };
}

// Milliseconds of one appraisal of a whole answer: evidence, endorsements, proof of release, witnesses.
function timed(door, chip) {
    const sizes = door.told("mint", text(chip));
    if (sizes.error) throw new Error(`${chip}: ${sizes.error}`);
    const row = { chip, sizes };
    for (const how of ["cold", "warm"]) {
        const turns = [];
        for (let turn = 0; turn <= TURNS; turn++) {
            const started = performance.now();
            for (let one = 0; one < APPRAISALS; one++) {
                const answer = door.told("appraise", text(how));
                if (answer.error || !answer.released) throw new Error(`${chip}: not believed: ${JSON.stringify(answer)}`);
            }
            if (turn > 0) turns.push((performance.now() - started) / APPRAISALS); // the first turn compiles
        }
        row[`${how}_ms`] = median(turns);
    }
    return row;
}

export async function conformance(module, set) {
    const started = performance.now();
    const door = await Door.of(module);
    const ready_ms = performance.now() - started;
    const result = await judged(door, set);
    const judged_ms = performance.now() - started - ready_ms;
    // A set is opened by every instance that follows: its memory is not what is measured.
    await door.fresh();
    return { ready_ms, judged_ms, ...result, times: CHIPS.map((chip) => timed(door, chip)), memory_bytes: door.exports.memory.buffer.byteLength };
}
