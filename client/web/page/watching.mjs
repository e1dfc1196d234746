// Changes of a namespace as an asynchronous iterator: `for await (const { through, changes } of watching)`.
//
// Decides: that the module is told to read on when a reader has worked one off, so that a slow reader slows its own watch and nothing else. Trusts: the module to tell at most a few before
// that; more than `MOST` ends the watch. Out of scope: what changes are.

import { closed, module as faults } from "./fault.mjs";
import { split } from "./values.mjs";

const MOST = 64; // told and not read; docs/core.md has 8

export class Watching {
    #told = [];
    #readers = [];
    #end = null; // {error} once it is over
    #worked_on = 0; // given to readers, not told to the module yet
    #to;

    constructor(to, signal) {
        this.#to = to;
        if (signal?.aborted) queueMicrotask(() => this.return());
        signal?.addEventListener("abort", () => this.return(), { once: true });
    }

    [Symbol.asyncIterator]() {
        return this;
    }

    next() {
        for (; this.#worked_on > 0; this.#worked_on--) this.#to.read_on();
        return new Promise((resolve, reject) => {
            this.#readers.push({ resolve, reject });
            this.#serve();
        });
    }

    // Whoever leaves the loop ends the watch.
    async return() {
        if (!this.#end) {
            this.#to.forget();
            this.#told = [];
            this.resolve();
        }
        return { done: true, value: undefined };
    }

    // An `events` of the module.
    push({ through, changes, payload }) {
        if (this.#end) return;
        if (this.#told.length >= MOST) throw faults.answer("it tells more changes than were asked for");
        this.#told.push({ through, changes: split(changes, payload) });
        this.#serve();
    }

    resolve() {
        this.#end ??= {};
        this.#serve();
    }

    reject(error = closed()) {
        this.#end ??= { error };
        this.#serve();
    }

    #serve() {
        while (this.#readers.length > 0) {
            if (this.#told.length > 0) {
                this.#worked_on++;
                this.#readers.shift().resolve({ done: false, value: this.#told.shift() });
            } else if (this.#end) {
                const { error } = this.#end;
                this.#end = {};
                const reader = this.#readers.shift();
                if (error) reader.reject(error);
                else reader.resolve({ done: true, value: undefined });
            } else {
                return;
            }
        }
    }
}
