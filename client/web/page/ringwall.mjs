// The interface for programs in a page: `load` the verifier, `readCard`, `verify` without a network, `open` a client. Types and units: `ringwall.d.ts`.
//
// Decides: which parts make up a client, and that one tab holds a memory at a time. Every rule about nodes, evidence, receipts and users is the module's. Trusts: the hash it is given for
// the module; the browser for time, randomness and what it keeps; whoever serves these files serves the verifier (docs/limits.md, "The page"). Out of scope: showing anything (`app/`).

import { clock as the_clock, random as the_random } from "./clock.mjs";
import { passing_device } from "./device.mjs";
import { RingwallError, usage } from "./fault.mjs";
import { hex, joined } from "./frame.mjs";
import { take } from "./locks.mjs";
import { Module } from "./module.mjs";
import { Session, named } from "./session.mjs";
import { split } from "./values.mjs";
import { websocket } from "./websocket.mjs";
import { webtransport } from "./webtransport.mjs";

export { browser_device as browserDevice, passkey_device as passkeyDevice } from "./device.mjs";
export { RingwallError } from "./fault.mjs";
export { Keeping, persistent } from "./keeping.mjs";
export { load } from "./module.mjs";

const bytes_of = (value, what) => {
    if (typeof value === "string") return new TextEncoder().encode(value);
    if (value instanceof Uint8Array) return value;
    throw usage(`${what} is neither text nor bytes`);
};

const core_of = (module) => {
    if (!(module instanceof Module)) throw usage("`module` is what `load` gives");
    return module.core();
};

// What a card says, without its bytes being of any use yet.
export async function readCard(card, { module }) {
    const { is: _, payload: __, ...told } = (await core_of(module)).told("card", "card", {}, bytes_of(card, "a card"));
    return told;
}

// Judges a saved exchange, with no network. Without a card the file itself says which cluster was meant.
export async function verify(card, exchange, { module, at_s, now_s = the_clock.now_s() }) {
    const cut = card === undefined ? new Uint8Array() : bytes_of(card, "a card");
    const head = { now_s, card_bytes: cut.length, ...(at_s === undefined ? {} : { at_s }) };
    const { is: _, payload: __, ...told } = (await core_of(module)).told("verify", "verified", head, joined(cut, bytes_of(exchange, "an exchange")));
    return told;
}

// Text in a picture: one byte for each pixel, row by row, 0 is black.
export async function readCode({ width, height, pixels }, { module }) {
    return (await core_of(module)).told("qr", "text", { width, height }, pixels).text;
}

const transports_of = (given) => given ?? { webtransport: webtransport(), websocket: websocket() };

// A session that is begun with what `open` of the module gave.
async function begun(options, device, memory, keep, hooks) {
    const { module, clock = the_clock, random = the_random, user, min_policy_version, timeouts } = options;
    const core = await core_of(module);
    const card = bytes_of(options.card, "a card");
    const transports = transports_of(options.transports);
    const over = ["webtransport", "websocket"].filter((way) => transports[way]);
    const more = Object.entries({ user, user_key: device.user_key, min_policy_version, timeouts }).filter(([, value]) => value !== undefined);
    const head = { now_ms: clock.now_ms(), now_s: clock.now_s(), fresh: hex(random(32)), card_bytes: card.length, device: device.head, over, ...Object.fromEntries(more) };
    const [opened, ...effects] = core.call("open", head, joined(card, memory));
    if (opened?.is !== "opened") throw new RingwallError("RW-C-MODULE-ANSWER", "The verifier opened nothing.", "Load the page again.");
    const session = new Session({ core, client: opened.client, clock, random, transports, keep, sign: device.sign }, hooks);
    return { opened, effects, session };
}

// A client: one user's device, one cluster, one memory. Made by `open`.
export class Client {
    #session;
    #release;
    #verified = null;
    #opened;

    // For `open` alone.
    constructor(opened, release) {
        this.#opened = opened;
        this.#release = release;
        this.cluster = opened.cluster;
        this.user = opened.user;
        // What was remembered when it was opened.
        this.remembered = opened.anchor;
    }

    // For `open` alone.
    begin(session, effects) {
        this.#session = session;
        this.ended = session.over.then((error) => {
            this.#release();
            return error;
        });
        session.begin(effects);
    }

    // For `open` alone.
    believed(verified) {
        this.#verified = verified;
    }

    // What was verified of the node that was believed last; null before the first.
    verified() {
        return this.#verified;
    }

    async enter(namespace, { mode = "cluster", make = true } = {}) {
        await this.#session.ask({ is: "enter", namespace, mode, make });
    }

    async put(namespace, key, value, { ttl_s, expect } = {}) {
        const op = { is: "put", namespace, ...named("key", key), ...(ttl_s === undefined ? {} : { ttl_s }), ...(expect === undefined ? {} : { expect }) };
        return (await this.#session.ask(op, bytes_of(value, "a value"))).version;
    }

    async delete(namespace, key, { expect } = {}) {
        return (await this.#session.ask({ is: "delete", namespace, ...named("key", key), ...(expect === undefined ? {} : { expect }) })).version;
    }

    // `{version, value}`, or null.
    async get(namespace, key) {
        const { found, version, payload } = await this.#session.ask({ is: "get", namespace, ...named("key", key) });
        return found ? { version, value: payload } : null;
    }

    // One page: `{entries, more, revision}`.
    async list(namespace, { prefix, after, limit, values = false } = {}) {
        const names = { ...(prefix === undefined ? {} : named("prefix", prefix)), ...(after === undefined ? {} : named("after", after)) };
        const { entries, more, revision, payload } = await this.#session.ask({ is: "list", namespace, ...names, ...(limit === undefined ? {} : { limit }), values });
        return { entries: split(entries, payload, values), more, revision };
    }

    // Changes after a revision, as an asynchronous iterator of `{through, changes}`. Ends with the loop, or with `signal`.
    watch(namespace, { prefix, after = 0, signal } = {}) {
        return this.#session.watch({ namespace, ...(prefix === undefined ? {} : named("prefix", prefix)), after }, signal);
    }

    // What is remembered of the cluster: by this a rollback is noticed.
    async anchor() {
        return without_bytes(await this.#session.ask({ is: "anchor" }));
    }

    // Proof of a rollback or fork that was noticed: `{what, proof}`, or null.
    async evidence() {
        const { what, payload } = await this.#session.ask({ is: "evidence" });
        return payload.length === 0 ? null : { what, proof: payload };
    }

    async status() {
        return without_bytes(await this.#session.ask({ is: "status" }));
    }

    async governance() {
        return without_bytes(await this.#session.ask({ is: "governance" }));
    }

    async userRecord() {
        return without_bytes(await this.#session.ask({ is: "user" }));
    }

    async enrol(name) {
        return without_bytes(await this.#session.ask({ is: "enrol", name }));
    }

    // A phrase of 24 words that nobody was told of yet.
    async newPhrase() {
        return new TextDecoder().decode((await this.#session.ask({ is: "phrase" })).payload);
    }

    // The user's own key, sealed by a phrase: a file to keep, made before the phrase counts.
    async escrow(phrase) {
        return (await this.#session.ask({ is: "escrow" }, bytes_of(phrase, "a phrase"))).payload;
    }

    // Makes a phrase the one that restores this user.
    async setRecovery(phrase, { cool_down_s } = {}) {
        const op = { is: "recovery", ...(cool_down_s === undefined ? {} : { cool_down_s }) };
        return without_bytes(await this.#session.ask(op, bytes_of(phrase, "a phrase")));
    }

    async close() {
        await this.#session.close();
        await this.ended;
    }
}

function without_bytes({ payload: _, ...fields }) {
    return fields;
}

// Opens a client. Nothing is sent before a node is believed; questions may be asked at once.
export async function open(options) {
    const { keeping, device, takeOver = false, anew = false, locks, on = {} } = options;
    const { cluster } = await readCard(options.card, options);
    const turn = await take(`ringwall/${cluster}/${device.who}`, { takeOver, locks });
    try {
        const memory = await keeping.hold(cluster, device, { anew });
        let client = null;
        const hooks = {
            ...on,
            believed: (told, times) => {
                const what = { ...without_bytes(told), exchange: told.payload, times };
                client.believed(what);
                on.believed?.(what);
            },
            disbelieved: (told, times) => on.disbelieved?.({ ...without_bytes(told), exchange: told.payload, times }),
            unusable: ({ address, error }) => on.unusable?.({ address, error }),
        };
        const { opened, effects, session } = await begun(options, device, memory.bytes, memory.save, hooks);
        client = new Client(opened, turn.release);
        turn.taken.then((error) => session.abandon(error));
        client.begin(session, effects);
        return client;
    } catch (error) {
        turn.release();
        throw error;
    }
}

const LOOK_MS = 20_000;

// Looks whether a node of the cluster is what it has to be, and tells no node who asks: ends with the first that is believed, or when each was asked, or after `patience_ms`.
export async function look(options) {
    const { clock = the_clock, patience_ms = LOOK_MS, on = {} } = options;
    const { web, sockets = [] } = await readCard(options.card, options);
    const refused = new Map();
    let session;
    let settle;
    const settled = new Promise((resolve) => (settle = resolve));
    const gave_up = (address, entry) => {
        // A refusal of evidence says more than that a door did not open.
        const before = refused.get(address);
        if (!before || entry.stages || (!before.stages && before.error.code === "RW-C-UNAVAILABLE")) refused.set(address, entry);
        if (refused.size >= web.length + sockets.length) settle(null);
    };
    const hooks = {
        believed: (told, times) => {
            settle({ ...without_bytes(told), exchange: told.payload, times });
            session.abandon();
        },
        disbelieved: (told, times) => {
            const what = { ...without_bytes(told), exchange: told.payload, times };
            on.disbelieved?.(what);
            gave_up(told.address, what);
        },
        unusable: ({ address, error }) => gave_up(address, { address, error }),
        unreached: (address, why) => gave_up(address, { address, error: { code: "RW-C-UNAVAILABLE", words: `${address} is not reached: ${why}` } }),
        ended: () => settle(null),
    };
    const begin = await begun(options, passing_device(), new Uint8Array(), async () => {}, hooks);
    session = begin.session;
    const cancel = clock.in(patience_ms, () => settle(null));
    session.begin(begin.effects);
    const believed = await settled;
    cancel();
    session.abandon();
    return { believed, refused: [...refused.values()] };
}
