// Effects in order, keep before send, what is done when keeping fails, and everything a module could say that makes no sense.

import assert from "node:assert/strict";
import test from "node:test";
import { Session } from "../session.mjs";
import { Scripted, fake_clock, gate, refusal, settled } from "./fakes.mjs";

const bytes = (...list) => Uint8Array.from(list);

// A session whose transports only write down what they are told; `ways[dial]` has the callbacks of each.
function made(play, more = {}) {
    const did = [];
    const ways = [];
    const core = new Scripted(play);
    const open = (where, to) => {
        did.push(`dial ${where.address}`);
        ways.push(to);
        return { send: (part) => did.push(`send ${[...part]}`), end: (well) => did.push(`end ${well}`) };
    };
    const clock = fake_clock();
    const means = { core, client: 7, clock, random: (n) => new Uint8Array(n).fill(9), transports: { webtransport: open }, keep: async (part) => void did.push(`keep ${[...part]}`), ...more };
    const told = [];
    const hooks = Object.fromEntries(["believed", "disbelieved", "unreached", "lost", "ended"].map((name) => [name, (...what) => told.push([name, ...what])]));
    return { session: new Session(means, hooks), core, did, ways, told, clock };
}

const DIAL = { is: "dial", dial: 1, address: "a:1", over: "webtransport", certificates: [] };
const send = (...list) => ({ is: "send", dial: 1, payload: bytes(...list) });
const keep = (...list) => ({ is: "keep", payload: bytes(...list) });

test("effects are carried out in their order, and a call has times and randomness", async () => {
    const { session, core, did, ways } = made((event) => (event.is === "reached" ? [send(1), keep(2), send(3)] : []));
    session.begin([DIAL, { is: "wake", at_ms: null }]);
    await settled();
    ways[0].reached({ certificate: "aa" });
    await settled();
    assert.deepEqual(did, ["dial a:1", "send 1", "keep 2", "send 3"]);
    const { head } = core.calls[0];
    assert.deepEqual([head.client, head.now_ms, head.now_s, head.fresh], [7, 1_000, 1_790_000_000, "09".repeat(32)]);
    assert.deepEqual(head.event, { is: "reached", dial: 1, over: "webtransport", certificate: "aa" });
});

test("nothing behind a keep is done before it is kept, in its answer or a later one", async () => {
    const kept = gate();
    const log = [];
    const { session, did, ways } = made((event) => (event.is === "reached" ? [keep(1), send(2)] : event.is === "arrived" ? [send(3)] : []), {
        keep: async () => {
            log.push("asked");
            await kept.passed;
            log.push("kept");
        },
    });
    session.begin([DIAL]);
    await settled();
    ways[0].reached({});
    const read = ways[0].arrived(bytes(5));
    let read_on = false;
    void read.then(() => (read_on = true));
    await settled();
    assert.deepEqual([log, did, read_on], [["asked"], ["dial a:1"], false], "the transport is not read meanwhile");
    kept.open();
    await read;
    assert.deepEqual(did, ["dial a:1", "send 2", "send 3"]);
});

test("what could not be kept ends the client: nothing behind it is done, and who waits is told why", async () => {
    const full = refusal("RW-C-KEEPING-FULL");
    const { session, core, did, ways, told } = made(
        (event) => {
            if (event.is === "reached") return [keep(1), send(2)];
            if (event.is === "tick") return [send(4)];
            if (event.is === "unkept") return [{ is: "answer", ticket: 1, error: { code: "RW-C-MEMORY-UNKEPT", words: "not kept" } }, send(3), { is: "ended" }];
            return [];
        },
        {
            keep: async () => {
                await settled();
                throw full;
            },
        },
    );
    session.begin([DIAL]);
    const [first, second] = [session.ask({ is: "status" }), session.ask({ is: "status" })];
    const outcomes = Promise.allSettled([first, second]);
    await settled();
    ways[0].reached({});
    ways[0].written(0);
    const [one, two] = await outcomes;
    assert.equal(one.reason.code, "RW-C-MEMORY-UNKEPT");
    assert.equal(two.reason, full);
    assert.deepEqual(did, ["dial a:1", "end false"]);
    assert.equal(core.events("unkept").length, 1);
    assert.deepEqual(told, [["ended", full]]);
    assert.equal(await session.over, full);
    await assert.rejects(session.ask({ is: "status" }), { code: "RW-C-CLOSED" });
});

test("an effect that reports an event itself does not overtake the rest of its answer", async () => {
    const { session, did } = made((event) => (event.is === "unreached" ? [{ ...DIAL, dial: 2, address: "b:2" }] : []));
    // Nobody speaks this: it is answered at once, while effects wait.
    session.begin([{ ...DIAL, over: "pigeon" }, keep(1)]);
    await settled();
    assert.deepEqual(did, ["keep 1", "dial b:2"]);
});

test("answers find their tickets; a question the module refuses is its asker's matter alone", async () => {
    const { session, told } = made((event) => {
        if (event.op?.is === "bad") throw refusal("RW-C-CALL-HEAD");
        if (event.op?.is === "get") return [{ is: "answer", ticket: event.ticket, answer: { found: true, version: 4 }, payload: bytes(1, 2) }];
        return [{ is: "answer", ticket: event.ticket, error: { code: "RW-C-CONFLICT", words: "no", current: 5 }, payload: bytes() }];
    });
    assert.deepEqual(await session.ask({ is: "get" }), { found: true, version: 4, payload: bytes(1, 2) });
    await assert.rejects(session.ask({ is: "put" }), { code: "RW-C-CONFLICT", current: 5 });
    await assert.rejects(session.ask({ is: "bad" }), { code: "RW-C-CALL-HEAD" });
    assert.deepEqual(told, []);
});

test("a module that stops ends its session: ways, questions and watches", async () => {
    const { session, did, ways } = made((event) => {
        if (event.is === "arrived") throw refusal("RW-C-MODULE-TRAPPED");
        return [];
    });
    session.begin([DIAL]);
    await settled();
    const asked = session.ask({ is: "get" });
    const watching = session.watch({ namespace: "n", after: 0 });
    const read = watching.next();
    void ways[0].arrived(bytes(1));
    await assert.rejects(asked, { code: "RW-C-MODULE-TRAPPED" });
    await assert.rejects(read, { code: "RW-C-MODULE-TRAPPED" });
    assert.equal((await watching.next()).done, true);
    assert.deepEqual(did, ["dial a:1", "end false"]);
});

for (const [what, effect] of [["an effect nobody knows", { is: "format_disk" }], ["a time that is none", { is: "wake", at_ms: "soon" }], ["changes that do not add up", { is: "events", ticket: 1, through: 1, changes: [{ key: "a", bytes: 9 }], payload: new Uint8Array() }]]) {
    test(`${what} ends the session`, async () => {
        const { session } = made(() => []);
        const watching = session.watch({ namespace: "n", after: 0 });
        session.begin([effect]);
        assert.equal((await session.over).code, "RW-C-MODULE-ANSWER");
        await assert.rejects(watching.next(), { code: "RW-C-MODULE-ANSWER" });
    });
}

test("it wakes when it is asked to, once, and the newest wish counts", async () => {
    const { session, core, clock } = made(() => []);
    session.begin([{ is: "wake", at_ms: 1_500 }, { is: "wake", at_ms: 1_200 }]);
    await settled();
    assert.equal(clock.timers(), 1);
    clock.pass(250);
    assert.equal(core.events("tick").length, 1);
    session.begin([{ is: "wake", at_ms: 9_000 }, { is: "wake", at_ms: null }]);
    await settled();
    clock.pass(60_000);
    assert.equal(core.events("tick").length, 1);
});

test("signatures are made elsewhere; one that is not made is told", async () => {
    const sign = async (words) => {
        if (words[0] === 0) throw new Error("the key is gone");
        return bytes(...words, 64);
    };
    const { session, core } = made(() => [], { sign });
    session.begin([DIAL, { is: "sign", dial: 1, payload: bytes(7) }, { is: "sign", dial: 1, payload: bytes(0) }]);
    await settled();
    assert.deepEqual(core.events("signed"), [{ is: "signed", dial: 1, payload: bytes(7, 64) }]);
    assert.equal(core.events("unsigned")[0].why, "the key is gone");
});

test("what arrives is cut, and after hang_up nothing of that way is told", async () => {
    const { session, core, did, ways, told } = made((event) => (event.is === "written" ? [{ is: "hang_up", dial: 1, well: true }] : []));
    session.begin([DIAL]);
    await settled();
    await ways[0].arrived(new Uint8Array(2 * 1024 * 1024 + 1));
    assert.deepEqual(core.events("arrived").map(({ payload }) => payload.length), [1_048_576, 1_048_576, 1]);
    ways[0].written(0);
    await settled();
    ways[0].lost("late");
    await ways[0].arrived(bytes(1));
    assert.deepEqual([core.events("lost").length, core.events("arrived").length, told], [0, 3, []]);
    assert.deepEqual(did, ["dial a:1", "end true"]);
});

test("a watch tells the module what was worked off, ends with its loop, and with its signal", async () => {
    const change = (at) => ({ is: "events", ticket: 1, through: at, changes: [{ key: "a", revision: at, bytes: 1 }, { key_hex: "ff", revision: at, removed: true }], payload: bytes(at) });
    const { session, core } = made((event) => (event.is === "watch" ? [change(1), change(2)] : []));
    const watching = session.watch({ namespace: "n", after: 0 });
    const { value } = await watching.next();
    assert.deepEqual(value, { through: 1, changes: [{ key: "a", revision: 1, bytes: 1, value: bytes(1) }, { key: bytes(255), revision: 1, removed: true }] });
    assert.equal(core.events("read_on").length, 0, "the first is being worked on");
    for await (const { through } of watching) {
        assert.equal(through, 2);
        break;
    }
    assert.equal(core.events("read_on").length, 1);
    assert.equal(core.events("forget").length, 1);
    assert.equal((await watching.next()).done, true);
    const stop = new AbortController();
    const other = session.watch({ namespace: "n", after: 0 }, stop.signal);
    stop.abort();
    assert.equal((await other.next()).done, true);
});

test("a close is in order; a session that was abandoned does nothing more", async () => {
    const { session, did } = made((event) => (event.is === "close" ? [{ is: "hang_up", dial: 1, well: true }, { is: "ended" }] : []));
    session.begin([DIAL]);
    await settled();
    await session.close();
    assert.deepEqual(did, ["dial a:1", "end true"]);
    const other = made(() => []);
    other.session.begin([DIAL, send(1), send(2)]);
    other.session.abandon();
    await settled();
    assert.deepEqual(other.did, []);
});
