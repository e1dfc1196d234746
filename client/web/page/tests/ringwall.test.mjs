// The interface whole, over a module that is played: opening, two tabs, looking without being known, what people ask for.

import assert from "node:assert/strict";
import test from "node:test";
import { Keeping, look, open, readCard, verify } from "../ringwall.mjs";
import { Module } from "../module.mjs";
import { stale } from "../pin.mjs";
import { Scripted, fake_clock, fake_database, fake_locks, refusal, settled } from "./fakes.mjs";

const CLUSTER = "ab".repeat(32);
const USER = "cd".repeat(20);
const DEVICE = { kind: "key", slot: "browser", who: "me", head: { public: "ee".repeat(32) }, user_key: "ff".repeat(32), sign: async (words) => words };
const CARD = "ringwall:x";
const bytes = (...list) => Uint8Array.from(list);
const card = { is: "card", cluster: CLUSTER, web: [{ address: "a:1", certificates: [] }, { address: "b:1", certificates: [] }], sockets: [], payload: bytes() };
const believed = { is: "believed", dial: 1, address: "a:1", verdict: "accepted", stages: [], at_s: 5, payload: bytes(8) };

// Plays the module: calls by name, events by kind.
function playing(calls, events = {}) {
    const core = new Scripted((event, payload, name, head) => {
        if (name === "card") return [card];
        if (name === "handle") return events[event.is]?.(event, payload);
        return calls[name](head, payload);
    });
    core.told = (name, kind, head, payload) => core.call(name, head, payload).find(({ is }) => is === kind);
    const module = Object.create(Module.prototype, { core: { value: async () => core } });
    return { core, module };
}

const opened = (known, ...effects) => [{ is: "opened", client: 3, cluster: CLUSTER, user: USER, anchor: { known, detected: null } }, ...effects];
const dial = (at, address = "a:1") => ({ is: "dial", dial: at, address, over: "webtransport", certificates: [] });
const ended = () => [{ is: "ended" }];

// Transports that open at once, or say why not.
function reaching(fate = {}) {
    const did = [];
    const open = ({ address }, to) => {
        did.push(`dial ${address}`);
        queueMicrotask(() => (fate[address] ? to.unreached(fate[address]) : to.reached({ certificate: "aa" })));
        return { send: (part) => did.push(`send ${[...part]}`), end: (well) => did.push(`end ${well}`) };
    };
    return { did, transports: { webtransport: open } };
}

test("a client is opened with what is kept, and what it learns is kept before it is used", async () => {
    const database = fake_database();
    const locks = fake_locks();
    const seen = [];
    const { core, module } = playing(
        {
            open: (head, payload) => {
                seen.push([head, payload.length]);
                return opened(seen.length > 1, dial(1));
            },
        },
        {
            reached: () => [believed, { is: "keep", payload: bytes(4, 4) }, { is: "send", dial: 1, payload: bytes(1) }],
            ask: ({ ticket, op }) => [{ is: "answer", ticket, answer: { version: 9 }, payload: bytes(), op }],
            close: ended,
        },
    );
    const keeping = await Keeping.open(database);
    const { did, transports } = reaching();
    const told = [];
    const options = { card: CARD, module, keeping, device: DEVICE, locks, transports, clock: fake_clock(), on: { believed: (what) => told.push(what) } };
    const client = await open(options);
    assert.equal(await client.put("notes", "a", "text", { expect: "absent" }), 9);
    for (let turn = 0; turn < 100 && did.length < 2; turn++) await settled();
    assert.deepEqual(did, ["dial a:1", "send 1"]);
    assert.deepEqual([...database.stores.get("memories").values()][0].bytes, bytes(4, 4));
    assert.deepEqual([client.user, client.remembered.known, client.verified().verdict], [USER, false, "accepted"]);
    assert.deepEqual([told[0].exchange, told[0].address, told[0].times.over], [bytes(8), "a:1", "webtransport"]);
    assert.deepEqual(core.events("ask")[0].op, { is: "put", namespace: "notes", key: "a", expect: "absent" });
    assert.deepEqual(core.events("ask")[0].payload, new TextEncoder().encode("text"));
    await client.close();
    assert.equal((await client.ended).code, "RW-C-CLOSED");
    const again = await open(options);
    assert.equal(again.remembered.known, true);
    assert.deepEqual(seen.map(([head, length]) => length - head.card_bytes), [0, 2]);
    const { now_ms, now_s, fresh, ...head } = seen[1][0];
    assert.deepEqual(head, { card_bytes: 10, device: DEVICE.head, over: ["webtransport"], user_key: DEVICE.user_key });
    assert.deepEqual([now_ms, now_s, fresh.length], [1_000, 1_790_000_000, 64]);
});

test("a second tab is told, takes over when it is told to, and the first is closed with words", async () => {
    const database = fake_database();
    const locks = fake_locks();
    const tab = async (more = {}) => {
        const { module } = playing({ open: () => opened(false) }, { close: ended });
        return await open({ card: CARD, module, keeping: await Keeping.open(database), device: DEVICE, locks, transports: reaching().transports, ...more });
    };
    const first = await tab();
    await assert.rejects(tab(), { code: "RW-C-OTHER-TAB" });
    const second = await tab({ takeOver: true });
    const error = await first.ended;
    assert.equal(error.code, "RW-C-TAKEN-OVER");
    assert.ok(error.message && error.fix);
    await assert.rejects(first.get("n", "k"), { code: "RW-C-CLOSED" });
    await second.close();
    await (await tab()).close();
});

test("an opening that fails gives the turn back", async () => {
    const locks = fake_locks();
    const keeping = await Keeping.open(fake_database());
    const { module } = playing({
        open: () => {
            throw refusal("RW-C-MEMORY-DAMAGED");
        },
    });
    await assert.rejects(open({ card: CARD, module, keeping, device: DEVICE, locks }), { code: "RW-C-MEMORY-DAMAGED" });
    await settled();
    assert.equal(locks.held.size, 0);
});

test("a look ends with the first node that is believed, and no node is told who looks", async () => {
    const { core, module } = playing({ open: () => opened(false, dial(1)) }, { reached: () => [{ is: "send", dial: 1, payload: bytes(1) }], arrived: () => [] });
    const answers = { reached: () => [believed, { is: "keep", payload: bytes(4) }, { is: "send", dial: 1, payload: bytes(66) }] };
    core.play = ((play) => (event, ...more) => (event?.is === "reached" ? answers.reached() : play(event, ...more)))(core.play);
    const { did, transports } = reaching();
    const { believed: good } = await look({ card: CARD, module, transports });
    await settled();
    assert.deepEqual([good.address, good.exchange], ["a:1", bytes(8)]);
    assert.deepEqual(did, ["dial a:1", "end false"], "what stands behind the verdict is not sent");
    const seeds = core.calls.filter(({ name }) => name === "open").map(({ head }) => head.device.seed);
    assert.match(seeds[0], /^[0-9a-f]{64}$/);
});

test("a look says of each node why it is not used, and gives up after a while", async () => {
    const { module } = playing(
        { open: () => opened(false, dial(1), dial(2, "b:1")) },
        { reached: () => [{ is: "disbelieved", dial: 1, address: "a:1", error: { code: "RW-C-EVIDENCE", words: "no" }, stages: [], payload: bytes(1) }] },
    );
    const { transports } = reaching({ "b:1": "nobody there" });
    const odd = playing({ open: () => opened(false, { is: "unusable", address: "a:1", error: { code: "RW-C-DIAL-BREACH", words: "odd" } }, dial(2, "b:1")) });
    assert.deepEqual((await look({ card: CARD, module: odd.module, transports })).refused.map(({ error }) => error.code), ["RW-C-DIAL-BREACH", "RW-C-UNAVAILABLE"]);
    const { believed: good, refused } = await look({ card: CARD, module, transports });
    assert.equal(good, null);
    assert.deepEqual(refused.map(({ address, error }) => [address, error.code]).sort(), [["a:1", "RW-C-EVIDENCE"], ["b:1", "RW-C-UNAVAILABLE"]]);
    const silent = playing({ open: () => opened(false) });
    assert.deepEqual(await look({ card: CARD, module: silent.module, transports, patience_ms: 5 }), { believed: null, refused: [] });
});

test("cards and saved exchanges are judged with no network at all", async () => {
    const { core, module } = playing({ verify: () => [{ is: "verified", verdict: "refused", stages: [], payload: bytes() }] });
    assert.equal((await readCard(CARD, { module })).cluster, CLUSTER);
    assert.equal((await verify(CARD, bytes(1, 2), { module, now_s: 7 })).verdict, "refused");
    assert.deepEqual(core.calls.at(-1).head, { now_s: 7, card_bytes: 10 });
    assert.equal(core.calls.at(-1).payload.length, 12);
    await assert.rejects(readCard(7, { module }), { code: "RW-C-USAGE" });
    await assert.rejects(readCard(CARD, { module: {} }), { code: "RW-C-USAGE" });
});

test("a list cuts its values, and names that are no text are bytes", async () => {
    const entries = [{ key: "a", version: 1, bytes: 2 }, { key_hex: "ff", version: 2, bytes: 1 }];
    const { module } = playing({ open: () => opened(false) }, { ask: ({ ticket, op }) => [{ is: "answer", ticket, answer: { entries, more: false, revision: 2 }, payload: op.values ? bytes(1, 2, 3) : bytes() }] });
    const client = await open({ card: CARD, module, keeping: await Keeping.open(fake_database()), device: DEVICE, locks: fake_locks(), transports: {} });
    const page = await client.list("n", { values: true });
    assert.deepEqual(page.entries.map(({ key, value }) => [key, value]), [["a", bytes(1, 2)], [bytes(255), bytes(3)]]);
    assert.deepEqual((await client.list("n")).entries.map(({ key, value }) => [key, value]), [["a", undefined], [bytes(255), undefined]]);
});

test("the page's numbers are those of its files", () => {
    assert.deepEqual(stale(), [], "run `node pin.mjs`");
});
