// A module is compiled only with the hash it has to have, and whatever it answers is measured before it is used.

import assert from "node:assert/strict";
import test from "node:test";
import { answers, framed, joined } from "../frame.mjs";
import { MODULE_BYTES, load, sha256 } from "../module.mjs";

const EMPTY = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
const serving = (body, status = 200) => async () => new Response(body, { status });
const u32 = (number) => Uint8Array.from([number, number >>> 8, number >>> 16, number >>> 24].map((byte) => byte & 255));
const text = (words) => new TextEncoder().encode(words);

// A module with one page of memory in which `answer` lies at 1024: `said` answers it, `trap` traps.
function speaking(answer) {
    const section = (id, body) => [id, ...leb(body.length), ...body];
    const leb = (number) => (number < 128 ? [number] : [(number & 127) | 128, ...leb(number >>> 7)]);
    const sleb = (number) => (number < 64 ? [number] : [(number & 127) | 128, ...sleb(number >>> 7)]);
    const name = (words) => [words.length, ...text(words)];
    const body = (...code) => [code.length + 2, 0, ...code, 0x0b];
    const number = (value) => [0x41, ...sleb(value)];
    return Uint8Array.from([
        ...EMPTY,
        ...section(1, [2, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f]),
        ...section(3, [4, 1, 0, 0, 0]),
        ...section(5, [1, 0, 1]),
        ...section(7, [5, ...name("memory"), 2, 0, ...name("room"), 0, 0, ...name("answered"), 0, 1, ...name("said"), 0, 2, ...name("trap"), 0, 3]),
        ...section(10, [4, ...body(...number(32768)), ...body(...number(1024)), ...body(...number(answer.length)), ...body(0)]),
        ...section(11, [1, 0, ...number(1024), 0x0b, ...leb(answer.length), ...answer]),
    ]);
}

async function core_that_says(answer) {
    const bytes = speaking(answer);
    return await (await load({ bytes, sha256: await sha256(bytes) })).core();
}

test("a module with another hash is refused before it is compiled, and both hashes are told", async () => {
    const wanted = await sha256(EMPTY);
    // These bytes are no module at all: a compiler would say so.
    const other = text("not a module");
    await assert.rejects(load({ url: "x", sha256: wanted, fetch: serving(other) }), (error) => {
        assert.equal(error.code, "RW-C-MODULE-TAMPERED");
        assert.equal(error.expected, wanted);
        return error.message.includes(wanted) && error.message.includes(error.found) && error.fix !== "";
    });
    const flipped = EMPTY.slice();
    flipped[7] ^= 1;
    const found = await sha256(flipped);
    await assert.rejects(load({ bytes: flipped, sha256: wanted }), { code: "RW-C-MODULE-TAMPERED", found });
    assert.equal((await load({ url: "x", sha256: wanted, fetch: serving(EMPTY) })).sha256, wanted);
});

test("a hash that is none, a server that has nothing, a body without end", async () => {
    for (const bad of [undefined, "", "ab", "AB".repeat(32), `${"ab".repeat(32)}\n`]) await assert.rejects(load({ bytes: EMPTY, sha256: bad }), { code: "RW-C-MODULE-HASH" });
    const good = await sha256(EMPTY);
    await assert.rejects(load({ url: "x", sha256: good, fetch: serving("", 404) }), { code: "RW-C-MODULE-MISSING" });
    await assert.rejects(load({ url: "x", sha256: good, fetch: async () => Promise.reject(new TypeError("no network")) }), { code: "RW-C-MODULE-MISSING" });
    let given = 0;
    const endless = new ReadableStream({
        pull: (controller) => {
            given += 1_048_576;
            controller.enqueue(new Uint8Array(1_048_576));
        },
    });
    await assert.rejects(load({ url: "x", sha256: good, fetch: serving(endless) }), { code: "RW-C-MODULE-MISSING" });
    assert.ok(given < MODULE_BYTES + 8 * 1_048_576, "it is not read to its end");
    const imports = Uint8Array.from([...EMPTY, 1, 4, 1, 0x60, 0, 0, 2, 7, 1, 1, 0x61, 1, 0x62, 0, 0]);
    await assert.rejects(load({ bytes: imports, sha256: await sha256(imports) }), { code: "RW-C-MODULE-BROKEN", message: /a\.b/ });
});

test("frames are what docs/core.md says", () => {
    const frame = framed({ is: "x" }, Uint8Array.from([9]));
    assert.deepEqual([...frame], [10, 0, 0, 0, ...text('{"is":"x"}'), 9]);
    assert.deepEqual(answers(joined(u32(frame.length), frame, u32(frame.length), frame)), [
        { is: "x", payload: Uint8Array.from([9]) },
        { is: "x", payload: Uint8Array.from([9]) },
    ]);
    assert.deepEqual(answers(new Uint8Array()), []);
});

const garbage = {
    "half a length": Uint8Array.from([1, 0]),
    "a frame that is longer than what there is": joined(u32(100), u32(1)),
    "a length of four billion": joined(Uint8Array.from([255, 255, 255, 255]), new Uint8Array(8)),
    "a head that is longer than its frame": joined(u32(6), u32(9), text("{}")),
    "a head that is no JSON": joined(u32(7), u32(3), text("{x}")),
    "a head that is no text": joined(u32(6), u32(2), Uint8Array.from([0xff, 0xfe])),
    "a head that is no object": joined(u32(8), u32(4), text("null")),
    "a head that does not say what it is": joined(u32(6), u32(2), text("{}")),
};
for (const [what, bytes] of Object.entries(garbage)) {
    test(`${what} is refused`, async () => {
        assert.throws(() => answers(bytes), { code: "RW-C-MODULE-ANSWER" });
        const core = await core_that_says(bytes);
        assert.throws(() => core.call("said", {}), { code: "RW-C-MODULE-ANSWER" });
    });
}

const answered = (head) => {
    const frame = framed(head);
    return joined(u32(frame.length), frame);
};

test("errors of the module are thrown with their code; another kind of answer is refused", async () => {
    const core = await core_that_says(answered({ is: "error", error: { code: "RW-C-CARD-LINK", words: "no link" } }));
    assert.throws(() => core.call("said", {}), { code: "RW-C-CARD-LINK", message: "no link" });
    const vague = await core_that_says(answered({ is: "error", error: "bad" }));
    assert.throws(() => vague.call("said", {}), { code: "RW-C-MODULE-ANSWER" });
    const card = await core_that_says(answered({ is: "card" }));
    assert.equal(card.told("said", "card", {}).is, "card");
    assert.throws(() => card.told("said", "verified", {}), { code: "RW-C-MODULE-ANSWER" });
    assert.throws(() => card.call("nothing", {}), { code: "RW-C-MODULE-ANSWER" });
    assert.throws(() => card.call("said", {}, new Uint8Array(1 << 20)), { code: "RW-C-MODULE-ANSWER" }, "its room is not there");
});

test("an instance that trapped is not asked again; another one of the same module is", async () => {
    const bytes = speaking(answered({ is: "fine" }));
    const module = await load({ bytes, sha256: await sha256(bytes) });
    const [core, other] = [await module.core(), await module.core()];
    assert.throws(() => core.call("trap", {}), { code: "RW-C-MODULE-TRAPPED" });
    assert.throws(() => core.call("said", {}), { code: "RW-C-MODULE-TRAPPED" });
    assert.equal(other.call("said", {})[0].is, "fine");
});
