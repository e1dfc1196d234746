// The module: fetched, compared with the hash it has to have, and only then compiled; then asked in frames.
//
// Decides: that bytes with another hash are refused before a compiler sees them, and that a module asks for nothing (`door.mjs`). Each `Core` is an instance of its own: one that
// traps takes nobody along. Trusts: whoever gave the hash. Out of scope: where the hash comes from; what is asked (`session.mjs`).

import { Door } from "./door.mjs";
import { RingwallError, cause, module as faults } from "./fault.mjs";
import { answers, framed, hex } from "./frame.mjs";

// Bytes of a module: several times what one has uncompressed.
export const MODULE_BYTES = 32 * 1024 * 1024;

// A body of at most so many bytes; what is longer is not read to its end.
async function bounded(response, most) {
    const reader = response.body.getReader();
    const parts = [];
    let bytes = 0;
    for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        bytes += value.length;
        if (bytes > most) {
            reader.cancel().catch(() => {});
            throw faults.large(most);
        }
        parts.push(value);
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function fetched(url, fetch) {
    try {
        const response = await fetch(url, { credentials: "omit", cache: "no-cache" });
        if (!response.ok) throw faults.missing(`the server answered ${response.status}`);
        return await bounded(response, MODULE_BYTES);
    } catch (thrown) {
        throw thrown instanceof RingwallError ? thrown : faults.missing(cause(thrown));
    }
}

export async function sha256(bytes) {
    return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

// One instance of the module.
export class Core {
    #door;
    #trapped = null;

    constructor(door) {
        this.#door = door;
    }

    // The frames of an answer. A call the module refuses throws its error; so does one that ends the instance.
    call(name, head, payload) {
        if (this.#trapped) throw this.#trapped;
        let frames;
        try {
            frames = answers(this.#door.ask(name, framed(head, payload)));
        } catch (thrown) {
            if (thrown instanceof RingwallError) throw thrown;
            if (!(thrown instanceof WebAssembly.RuntimeError)) throw faults.answer(cause(thrown));
            this.#trapped = faults.trapped(cause(thrown));
            throw this.#trapped;
        }
        if (frames[0]?.is === "error") {
            if (typeof frames[0].error?.code !== "string") throw faults.answer("an error has no code");
            throw RingwallError.told(frames[0].error);
        }
        return frames;
    }

    // The one frame of an answer that has to be of this kind.
    told(name, kind, head, payload) {
        const [frame] = this.call(name, head, payload);
        if (frame?.is !== kind) throw faults.answer(`${name} gave ${frame?.is ?? "nothing"} in place of ${kind}`);
        return frame;
    }
}

// A module whose hash was compared. `core()` makes an instance.
export class Module {
    constructor(door, facts) {
        this.sha256 = facts.sha256;
        this.bytes = facts.bytes;
        this.core = async () => new Core(await door.another());
        Object.freeze(this);
    }
}

// Fetches `url` (or takes `bytes`), compares, compiles.
export async function load({ url, bytes, sha256: wanted, fetch = globalThis.fetch.bind(globalThis) }) {
    if (typeof wanted !== "string" || !/^[0-9a-f]{64}$/.test(wanted)) throw faults.hash(wanted);
    // A copy: nobody exchanges what was compared before it is compiled.
    const held = bytes === undefined ? await fetched(url, fetch) : Uint8Array.from(bytes);
    const found = await sha256(held);
    if (found !== wanted) throw faults.tampered(wanted, found);
    let door;
    try {
        door = await Door.of(held);
    } catch (thrown) {
        throw faults.broken(cause(thrown));
    }
    return new Module(door, { sha256: found, bytes: held.length });
}
