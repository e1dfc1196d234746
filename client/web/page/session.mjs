// One client: events go into the module one at a time, effects are carried out in the order they are given (docs/core.md).
//
// Decides: that nothing behind a `keep` is done before its bytes are kept, and that nothing is done at all once one could not be; that what arrives waits until earlier effects are
// done. Trusts: the module for what to do, the transports for nothing but bytes. Out of scope: where things are kept (`keeping.mjs`), how bytes travel (`webtransport.mjs`,
// `websocket.mjs`), what people call (`ringwall.mjs`).

import { RingwallError, cause, closed, module as faults, shown, usage } from "./fault.mjs";
import { hex } from "./frame.mjs";
import { Watching } from "./watching.mjs";

const ARRIVED_BYTES = 1024 * 1024; // docs/core.md: of one call

export class Session {
    // `means`: core, client (its number), clock, random, transports {webtransport, websocket}, keep(bytes), sign(words).
    // `hooks`: believed(what, times), disbelieved(what, times), unusable(what), unreached(address, why), lost(address, why), ended(error), each may be missing.
    constructor(means, hooks = {}) {
        this.#means = means;
        this.#hooks = hooks;
        this.over = new Promise((resolve) => (this.#resolve_over = resolve));
    }

    #means;
    #hooks;
    #resolve_over;
    #over = false;
    #batches = [];
    #pumping = null;
    #ways = new Map(); // dial -> {way, address, over, began_ms, judging_ms}
    #waiting = new Map(); // ticket -> {resolve, reject} or Watching
    #ticket = 0;
    #cancel_wake = null;

    // The effects `open` gave.
    begin(effects) {
        this.#take(effects);
    }

    // One question; its answer's fields with `payload`.
    ask(op, payload) {
        return new Promise((resolve, reject) => {
            if (this.#over) return reject(closed());
            const ticket = ++this.#ticket;
            this.#waiting.set(ticket, { resolve, reject });
            this.#asked(ticket, { is: "ask", ticket, op }, payload);
        });
    }

    // Changes of a namespace, as an asynchronous iterator.
    watch(fields, signal) {
        if (this.#over) throw closed();
        const ticket = ++this.#ticket;
        const told = (is) => !this.#over && this.#waiting.has(ticket) && this.#event({ is, ticket });
        const watching = new Watching({ read_on: () => told("read_on"), forget: () => told("forget") && this.#waiting.delete(ticket) }, signal);
        this.#waiting.set(ticket, watching);
        this.#asked(ticket, { is: "watch", ticket, ...fields });
        return watching;
    }

    // Ends in order; done when everything is.
    async close() {
        if (!this.#over) this.#event({ is: "close" });
        await this.over;
    }

    // Ends at once, and does nothing that is still to be done. Whoever waits is told `error`.
    abandon(error = closed()) {
        if (this.#over) return;
        this.#over = true;
        this.#batches = [];
        this.#cancel_wake?.();
        for (const { way } of this.#ways.values()) way.end(false);
        this.#ways.clear();
        for (const waiting of this.#waiting.values()) waiting.reject(error);
        this.#waiting.clear();
        this.#resolve_over(error);
        this.#hooks.ended?.(error);
    }

    // A question the module refuses to take is its asker's matter; anything else that fails is everybody's.
    #asked(ticket, event, payload) {
        try {
            this.#take(this.#called(event, payload));
        } catch (error) {
            const waiting = this.#waiting.get(ticket);
            this.#waiting.delete(ticket);
            waiting?.reject(error);
            if (error.code.startsWith("RW-C-MODULE-")) this.abandon(error);
        }
    }

    #event(event, payload) {
        if (this.#over) return false;
        try {
            this.#take(this.#called(event, payload));
            return true;
        } catch (error) {
            this.abandon(error);
            return false;
        }
    }

    #called(event, payload) {
        const { core, client, clock, random } = this.#means;
        const began = performance.now();
        const effects = core.call("handle", { client, now_ms: clock.now_ms(), now_s: clock.now_s(), fresh: hex(random(32)), event }, payload);
        const dialled = this.#ways.get(event.dial);
        if (dialled) dialled.judging_ms += performance.now() - began;
        return effects;
    }

    #take(effects) {
        if (effects.length === 0) return;
        this.#batches.push(effects);
        this.#pumping ??= this.#pump();
    }

    async #pump() {
        // Whoever reported the event is done first: an effect that reports one itself finds a pump that runs.
        await null;
        try {
            while (this.#batches.length > 0) await this.#batch(this.#batches.shift());
        } finally {
            this.#pumping = null;
        }
    }

    async #batch(effects) {
        for (const effect of effects) {
            if (this.#over) return;
            try {
                await this.#carry_out(effect);
            } catch (fault) {
                return this.#failed(effect, fault);
            }
        }
    }

    // What stands behind a memory that could not be kept is never done. The module is told, and ends the client: who waits hears it, and the ways are ended.
    #failed(effect, fault) {
        const error = fault instanceof RingwallError ? fault : faults.answer(cause(fault));
        if (effect.is === "keep" && !this.#over) {
            this.#batches = [];
            this.#last_words(error);
        }
        this.abandon(error);
    }

    #last_words(error) {
        try {
            const told = this.#called({ is: "unkept", why: shown(error.message) });
            for (const effect of told.filter(({ is }) => is === "answer" || is === "over")) this.#tell(effect);
        } catch {
            // It ends all the same, with the reason it began with.
        }
    }

    // Only `keep` is waited for.
    async #carry_out(effect) {
        switch (effect.is) {
            case "dial":
                return this.#dial(effect);
            case "send":
                return this.#ways.get(effect.dial)?.way.send(effect.payload);
            case "sign":
                return void this.#sign(effect);
            case "keep":
                return await this.#means.keep(effect.payload);
            case "hang_up":
                return this.#hang_up(effect);
            case "believed":
                return this.#hooks.believed?.(effect, this.#times(effect.dial));
            case "disbelieved":
                return this.#hooks.disbelieved?.(effect, this.#times(effect.dial));
            case "unusable":
                return this.#hooks.unusable?.(effect);
            case "answer":
            case "over":
                return this.#tell(effect);
            case "events":
                return this.#waiting.get(effect.ticket)?.push?.(effect);
            case "wake":
                return this.#wake(effect.at_ms);
            case "ended":
                return this.abandon(effect.error ? RingwallError.told(effect.error) : closed());
            default:
                throw faults.answer(`it asks for "${shown(effect.is)}", which this page cannot do`);
        }
    }

    #dial({ dial, address, over, certificates }) {
        const open = this.#means.transports[over];
        const entry = { address, over, began_ms: performance.now(), judging_ms: 0, way: { send() {}, end() {} } };
        this.#ways.set(dial, entry);
        const known = () => this.#ways.get(dial) === entry;
        const gone = (is, tell) => (why) => {
            if (!known()) return;
            this.#event({ is, dial, why: shown(why) });
            this.#ways.delete(dial);
            tell?.(address, shown(why));
        };
        const unreached = gone("unreached", this.#hooks.unreached);
        if (!open) return unreached(`this page cannot speak ${shown(over)}`);
        entry.way = open(
            { address, certificates },
            {
                reached: (facts) => known() && this.#event({ is: "reached", dial, over, ...facts }),
                unreached,
                arrived: (bytes) => this.#arrived(dial, bytes, known),
                written: (waiting) => known() && this.#event({ is: "written", dial, waiting }),
                lost: gone("lost", this.#hooks.lost),
            },
        );
    }

    // The transport reads no further before this is done: whatever the module has to do about these bytes, keeping included, comes first.
    async #arrived(dial, bytes, known) {
        for (let at = 0; at < bytes.length && known(); at += ARRIVED_BYTES) {
            this.#event({ is: "arrived", dial }, bytes.subarray(at, at + ARRIVED_BYTES));
            await this.#pumping;
        }
    }

    #hang_up({ dial, well }) {
        const entry = this.#ways.get(dial);
        this.#ways.delete(dial);
        entry?.way.end(well);
    }

    async #sign({ dial, payload }) {
        try {
            const signature = await this.#means.sign(payload);
            this.#event({ is: "signed", dial }, signature);
        } catch (thrown) {
            this.#event({ is: "unsigned", dial, why: cause(thrown) });
        }
    }

    // Milliseconds the module worked on what this node sent, and milliseconds since it was dialled.
    #times(dial) {
        const entry = this.#ways.get(dial);
        return entry && { over: entry.over, judging_ms: entry.judging_ms, total_ms: performance.now() - entry.began_ms };
    }

    // An answer, or a watch's end: nobody waits under that ticket any more.
    #tell({ ticket, answer, error, payload }) {
        const waiting = this.#waiting.get(ticket);
        this.#waiting.delete(ticket);
        if (error) waiting?.reject(RingwallError.told(error));
        else waiting?.resolve({ ...answer, payload });
    }

    #wake(at_ms) {
        this.#cancel_wake?.();
        this.#cancel_wake = null;
        if (at_ms === null) return;
        if (!Number.isSafeInteger(at_ms)) throw faults.answer("a time to wake is no time");
        this.#cancel_wake = this.#means.clock.in(at_ms - this.#means.clock.now_ms(), () => this.#event({ is: "tick" }));
    }
}

// A name or prefix as the module wants it: text, or bytes in hex.
export function named(field, name) {
    if (typeof name === "string") return { [field]: name };
    if (name instanceof Uint8Array) return { [`${field}_hex`]: hex(name) };
    throw usage(`${field} is neither text nor bytes`);
}
