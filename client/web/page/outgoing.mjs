// Bytes on their way into a stream of the browser's, which says when it can take more.
//
// Decides: that at most one part is with the browser at a time, and that the module hears what still waits. Trusts: nothing. Out of scope: how much the module lets wait.

import { cause } from "./fault.mjs";

const PART_BYTES = 64 * 1024;

export class Outgoing {
    #writer;
    #written;
    #parts = [];
    #waiting = 0;
    #running = null;
    #break;

    constructor(writable, written) {
        this.#writer = writable.getWriter();
        this.#written = written;
        this.broken = new Promise((resolve) => (this.#break = resolve));
        this.#writer.closed?.catch(() => {});
    }

    push(bytes) {
        for (let at = 0; at < bytes.length; at += PART_BYTES) this.#parts.push(bytes.subarray(at, at + PART_BYTES));
        this.#waiting += bytes.length;
        this.#running ??= this.#run();
    }

    async #run() {
        await null;
        try {
            while (this.#parts.length > 0) {
                const part = this.#parts.shift();
                await this.#writer.ready;
                await this.#writer.write(part);
                this.#waiting -= part.length;
                this.#written(this.#waiting);
            }
        } catch (thrown) {
            this.#parts = [];
            this.#break(cause(thrown));
        } finally {
            this.#running = null;
        }
    }

    // Everything was taken, and the stream's end was told.
    async flushed() {
        await this.#running;
        await this.#writer.close().catch(() => {});
    }
}
