// The parts of the app on a document that is played: what waited belongs to the card, the file, the note and the key it was begun with.

import assert from "node:assert/strict";
import test from "node:test";
import { begin as begin_chain } from "../app/chain.mjs";
import { here, set } from "../app/here.mjs";
import { begin as begin_memory } from "../app/memory.mjs";
import { begin as begin_notes } from "../app/notes.mjs";
import { begin as begin_offline } from "../app/offline.mjs";
import { begin as begin_sign } from "../app/sign.mjs";
import { Keeping } from "../keeping.mjs";
import { Module } from "../module.mjs";
import { document } from "./document.mjs";
import { Scripted, fake_database, fake_locks, gate, refusal, settled } from "./fakes.mjs";

const page = document();
const { by } = page;
begin_chain();
begin_sign();
begin_memory();
begin_notes();
begin_offline();

const ONE = "ab".repeat(32);
const OTHER = "cd".repeat(32);
const bytes = (...list) => Uint8Array.from(list);
const card = (cluster) => ({ bytes: bytes(1), facts: { cluster, trust_domain: "simulated", web: [{ address: "a:1", certificates: [] }], sockets: [] } });
const questions = [{ stage: "root", title: "A root", asks: "Whose is it?", mark: "ok" }, { stage: "report", title: "A report", asks: "Is it signed?", mark: "failed" }];
const told = { dial: 1, address: "a:1", stages: questions, at_s: 5, payload: bytes(8) };
const believed = { ...told, is: "believed", verdict: "accepted" };
const disbelieved = { ...told, is: "disbelieved", verdict: "refused", refusal: { stage: "report" }, error: { code: "RW-C-OTHER-CLUSTER", words: "Another cluster." } };

// A module whose answers wait at a gate; `effects` come of opening.
function waiting({ effects = [], calls = {}, asks } = {}) {
    const { passed, open, shut } = gate();
    const core = new Scripted((event, _, name) => {
        if (calls[name]) return calls[name]();
        if (name === "card") return [{ is: "card", ...card(ONE).facts }];
        if (name === "open") return [{ is: "opened", client: 1, cluster: ONE, user: "ee", anchor: { known: false, detected: null } }, ...effects];
        if (event.is === "ask" && asks) return asks(event);
        return event.is === "close" ? [{ is: "ended" }] : [];
    });
    core.told = (name, kind) => core.call(name, {}).find(({ is }) => is === kind);
    passed.catch(() => {});
    return { module: Object.create(Module.prototype, { core: { value: () => passed } }), core, answers: () => open(core), fails: shut };
}

// A chain that was asked for one card; `meanwhile` is what happens before the module answers.
async function asked(given, meanwhile = () => {}) {
    const one = waiting(given);
    here.module = one.module;
    set("card", card(ONE));
    const done = by("chain-start").happens("click");
    await settled();
    assert.equal(by("chain").dataset.state, "asking");
    await meanwhile(one);
    return { ...one, done };
}

const shown = (part) => ({ state: by(part).dataset.state, code: by(part).dataset.code, error: by(`${part}-error`).dataset.code, questions: by(`${part}-questions`).children.length, verdict: !by(`${part}-verdict`).hidden });
const nothing = { state: "idle", code: undefined, error: undefined, questions: 0, verdict: false };

test("a node is asked for a card, and what is shown is of it", async () => {
    const one = await asked({ effects: [believed] });
    one.answers();
    await one.done;
    assert.deepEqual(shown("chain"), { state: "believed", code: undefined, error: undefined, questions: 2, verdict: true });
    const other = await asked({ effects: [disbelieved] });
    other.answers();
    await other.done;
    assert.deepEqual(shown("chain"), { state: "refused", code: "RW-C-OTHER-CLUSTER", error: "RW-C-OTHER-CLUSTER", questions: 2, verdict: true });
});

for (const [what, effects] of [
    ["believed", [believed]],
    ["refused", [disbelieved]],
]) {
    test(`a node that is ${what} after the card was changed is not shown under the other card`, async () => {
        const one = await asked({ effects }, () => set("card", card(OTHER)));
        one.answers();
        await one.done;
        assert.deepEqual([shown("chain"), here.judged], [nothing, null]);
        assert.equal(by("chain-start").disabled, false, "the other card can be asked about");
    });

    test(`a card that is changed while questions turn one by one ends them: ${what}`, async () => {
        const one = await asked({ effects });
        one.answers();
        for (let turn = 0; turn < 100 && shown("chain").questions === 0; turn++) await settled();
        set("card", card(OTHER));
        await one.done;
        assert.deepEqual([shown("chain"), here.judged], [nothing, null]);
        assert.equal(by("said").textContent, "Asking a node for its evidence.", "nothing is said of it");
    });
}

test("a node that cannot be asked is told of the card it was asked for, and of no other", async () => {
    const one = await asked({});
    one.fails(refusal("RW-C-UNAVAILABLE"));
    await one.done;
    assert.deepEqual([by("chain").dataset.state, by("chain-error").dataset.code], ["unreachable", "RW-C-UNAVAILABLE"]);
    const other = await asked({}, () => set("card", card(OTHER)));
    other.fails(refusal("RW-C-UNAVAILABLE"));
    await other.done;
    assert.deepEqual(shown("chain"), nothing);
});

const client = (more = {}) => ({
    ended: new Promise(() => {}),
    remembered: { known: true },
    anchor: async () => ({ known: false }),
    close: async () => {},
    list: async () => ({ entries: [], more: false, revision: 1 }),
    watch: async function* () {},
    ...more,
});

test("signing in stays at the cluster it was begun with, and ends where the card was changed", async () => {
    const database = fake_database();
    here.keeping = await Keeping.open(database);
    const one = waiting({});
    here.module = one.module;
    set("card", card(ONE));
    const done = by("sign-in").happens("click");
    for (let turn = 0; turn < 100 && here.device === null; turn++) await settled();
    assert.equal(by("sign").dataset.state, "signing");
    set("card", card(OTHER));
    one.fails(refusal("RW-C-ROLLBACK-DETECTED"));
    await done;
    assert.deepEqual([by("sign").dataset.state, by("sign-error").dataset.code, here.client], ["out", undefined, null]);
    assert.notEqual(by("memory").dataset.state, "refused", "what was found of one cluster is not said of another");
    assert.deepEqual([...database.stores.get("devices").keys()], [`${ONE}/browser`]);
});

test("a card that is changed while the key is fetched opens no client", async () => {
    const database = fake_database();
    here.keeping = await Keeping.open(database);
    const one = waiting({});
    here.module = one.module;
    here.device = null;
    set("card", card(ONE));
    const done = by("sign-in").happens("click");
    set("card", card(OTHER));
    one.answers();
    await done;
    assert.deepEqual([by("sign").dataset.state, here.client, here.device, one.core.calls.length], ["out", null, null, 0]);
});

test("a card that is changed while the user is asked for ends the client of the first", async () => {
    const locks = fake_locks();
    Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true, writable: true });
    here.keeping = await Keeping.open(fake_database());
    const entered = async (meanwhile) => {
        const asks = ({ ticket }) => {
            meanwhile?.();
            meanwhile = null; // once: the notes ask too
            return [{ is: "answer", ticket, answer: {}, payload: bytes() }];
        };
        const one = waiting({ asks });
        here.module = one.module;
        set("card", card(ONE));
        one.answers();
        await by("sign-in").happens("click");
        return one;
    };
    const one = await entered(() => set("card", card(OTHER)));
    assert.deepEqual([by("sign").dataset.state, here.client, one.core.events("close").length, locks.held.size], ["out", null, 1, 0]);
    await entered();
    assert.deepEqual([by("sign").dataset.state, here.client?.cluster], ["in", ONE]);
    await by("sign-out").happens("click");
});

test("with signing out goes what the page has of the key", async () => {
    let closed = 0;
    here.device = { slot: "passkey", who: "me", head: { seed: "11".repeat(32) } };
    set("client", client({ close: async () => closed++ }));
    await by("sign-out").happens("click");
    assert.deepEqual([here.client, here.device, closed], [null, null, 1]);
});

test("another card signs out, and takes the key along", async () => {
    here.device = { slot: "browser", who: "me", head: { seed: "11".repeat(32) } };
    set("client", client());
    set("card", card(OTHER));
    await settled();
    assert.deepEqual([here.client, here.device], [null, null]);
});

// What is kept of one cluster in both slots, each with a memory.
async function kept() {
    const database = fake_database();
    here.keeping = await Keeping.open(database);
    for (const slot of ["browser", "passkey"]) {
        await here.keeping.keep_device(ONE, slot, { who: `of the ${slot}` });
        await (await here.keeping.hold(ONE, { slot, who: `of the ${slot}` })).save(bytes(1));
    }
    set("card", card(ONE));
    return database;
}

const rows = (database) => ["devices", "memories"].map((store) => [...database.stores.get(store).keys()]);

test("a cluster is forgotten by whom its record names, also where the key cannot be used", async () => {
    const database = await kept();
    set("client", null);
    here.device = null;
    by("sign-passkey").checked = false;
    const before = page.reloads;
    await by("memory-forget-yes").happens("click");
    assert.deepEqual(rows(database), [[`${ONE}/passkey`], [`${ONE}/of the passkey`]]);
    assert.equal(by("memory-error").dataset.code, undefined);
    assert.equal(page.reloads, before + 1);
});

test("whoever is signed in is forgotten, whatever is ticked", async () => {
    const database = await kept();
    here.device = { slot: "passkey", who: "of the passkey" };
    set("client", client());
    by("sign-passkey").checked = false;
    await by("memory-forget-yes").happens("click");
    assert.deepEqual(rows(database), [[`${ONE}/browser`], [`${ONE}/of the browser`]]);
});

test("where nothing is kept, forgetting is no fault", async () => {
    here.keeping = await Keeping.open(fake_database());
    set("client", null);
    await by("memory-forget-yes").happens("click");
    assert.equal(by("memory-error").dataset.code, undefined);
});

// The notes over a node that keeps one, "shared", in version 5; `arrives` is what a watch tells of it.
async function writing() {
    const puts = [];
    const { passed, open: arrives } = gate();
    const node = client({
        list: async () => ({ entries: [{ key: "shared", version: 5 }], more: false, revision: 5 }),
        get: async () => ({ version: 5, value: new TextEncoder().encode("as it was") }),
        put: async (_, name, text, { expect }) => {
            puts.push(expect);
            if (expect.version !== 5) throw refusal("RW-C-CONFLICT");
            return 6;
        },
        watch: async function* (_, { signal }) {
            yield { changes: [await passed] };
            await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        },
    });
    set("client", node);
    await settled();
    const listed = () => by("notes-list").children.map(({ dataset }) => [dataset.name, dataset.version]);
    const shown_text = async () => {
        await by("notes-list").children[0].children.find((child) => child.class === "note-read").happens("click");
        await settled();
        return by("note-shown-text").textContent;
    };
    const write = async (text) => {
        Object.assign(by("note-name"), { value: "shared" });
        Object.assign(by("note-text"), { value: text });
        await by("note-form").happens("submit");
        return by("notes-error").dataset.code;
    };
    const told = async (change) => {
        arrives({ key: "shared", ...change });
        await settled();
    };
    return { puts, listed, shown_text, write, told };
}

test("a note that was not shown is not overwritten, and what was typed is still there", async (t) => {
    t.after(() => set("client", null));
    const { puts, listed, write } = await writing();
    assert.deepEqual(listed(), [["shared", 5]]);
    assert.equal(await write("typed without looking"), "RW-C-CONFLICT");
    assert.deepEqual([puts, by("note-text").value], [["absent"], "typed without looking"]);
});

test("a note that was shown is overwritten in the version that was shown or written here, not in one that came meanwhile", async (t) => {
    t.after(() => set("client", null));
    const { puts, listed, shown_text, write, told } = await writing();
    assert.equal(await shown_text(), "as it was");
    await told({ revision: 7, removed: false });
    assert.deepEqual(listed(), [["shared", 7]]);
    assert.equal(await write("anew"), undefined);
    await write("once more");
    assert.deepEqual(puts, [{ version: 5 }, { version: 6 }]);
});

test("a note that was removed elsewhere, or was shown to whoever signed in before, counts as not shown", async (t) => {
    t.after(() => set("client", null));
    const one = await writing();
    await one.shown_text();
    await one.told({ revision: 7, removed: true });
    await one.write("anew");
    const two = await writing();
    await two.shown_text();
    const three = await writing();
    await three.write("of another");
    assert.deepEqual([one.puts, three.puts], [["absent"], ["absent"]]);
});

test("a verdict goes with the file it was of", async () => {
    const verified = { is: "verified", ...told, verdict: "refused", pinned_by: "card", refusal: { stage: "report" }, error: { code: "RW-C-OTHER-CLUSTER", words: "Another cluster." } };
    const file = { size: 1, arrayBuffer: async () => bytes(1).buffer };
    const judge = async (meanwhile, fault) => {
        const one = waiting({ calls: { verify: () => [verified] } });
        here.module = one.module;
        by("offline-exchange").files = [file];
        const done = by("offline-verify").happens("click");
        await settled();
        assert.equal(by("offline").dataset.state, "judging");
        await meanwhile?.();
        if (fault) one.fails(fault);
        else one.answers();
        await done;
    };
    set("card", card(ONE));
    for (const change of [() => by("offline-exchange").happens("change"), () => by("offline-card").happens("change"), () => set("card", card(OTHER))]) {
        await judge();
        assert.deepEqual(shown("offline"), { state: "refused", code: "RW-C-OTHER-CLUSTER", error: "RW-C-OTHER-CLUSTER", questions: 2, verdict: true });
        await change();
        assert.deepEqual(shown("offline"), nothing);
        await judge(change);
        assert.deepEqual(shown("offline"), nothing, "one that comes after the change");
        await judge(change, refusal("RW-C-EXCHANGE"));
        assert.deepEqual(shown("offline"), nothing, "a fault that comes after the change");
    }
    by("offline-card").files = [file];
    await judge();
    set("card", card(ONE));
    assert.equal(by("offline").dataset.state, "refused", "a card that was chosen beside it stays");
});
