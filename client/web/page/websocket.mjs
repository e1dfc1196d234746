// A way to a node over WebSocket, where a browser or a network has no WebTransport: binary messages are a stream of bytes without borders.
//
// Decides: how much waits in the browser before more is given to it, and how much may have arrived that was not worked off: a browser cannot be told to stop reading, so a node that
// sends more than that is cut off. Trusts: nothing; the connection may be in the clear, and what is in it is sealed (docs/core.md). Out of scope: what the bytes are.

import { shown } from "./fault.mjs";
import { socket as target } from "./target.mjs";

const PART_BYTES = 64 * 1024;
const AHEAD_BYTES = 256 * 1024; // with the browser, not yet with the network
const UNREAD_BYTES = 16 * 1024 * 1024; // arrived, not worked off: several answers of the full size
const LOOK_MS = 10; // a browser does not say when its buffer falls
const MOST_LOOK_MS = 200;

class Way {
    #to;
    #socket;
    #ended = false;
    #reached = false;
    #parts = [];
    #unsent = 0;
    #last_waiting = 0;
    #look_ms = LOOK_MS;
    #timer = null;
    #arrived = [];
    #unread = 0;
    #reading = false;
    #ends_well = false;

    constructor({ address }, to, make) {
        this.#to = to;
        try {
            this.#socket = make(target(address));
        } catch (thrown) {
            queueMicrotask(() => this.#gone(to.unreached, thrown.message));
            return;
        }
        const socket = this.#socket;
        socket.binaryType = "arraybuffer";
        socket.onopen = () => {
            this.#reached = true;
            if (!this.#ended) to.reached({});
        };
        socket.onmessage = ({ data }) => this.#take(data);
        socket.onclose = ({ code, reason }) => this.#gone(this.#reached ? to.lost : to.unreached, reason ? `the node said "${shown(reason)}" (${code})` : `the connection ended (${code})`);
    }

    #take(data) {
        if (this.#ended) return;
        if (!(data instanceof ArrayBuffer)) return this.#gone(this.#to.lost, "the node sent text, and only bytes are spoken");
        this.#unread += data.byteLength;
        if (this.#unread > UNREAD_BYTES) return this.#gone(this.#to.lost, "the node sends faster than this page can work");
        this.#arrived.push(new Uint8Array(data));
        this.#read();
    }

    async #read() {
        if (this.#reading) return;
        this.#reading = true;
        while (this.#arrived.length > 0 && !this.#ended) {
            const bytes = this.#arrived.shift();
            await this.#to.arrived(bytes);
            this.#unread -= bytes.length;
        }
        this.#reading = false;
    }

    #gone(tell, why) {
        if (this.#ended) return;
        this.#ended = true;
        this.#close();
        tell(why);
    }

    #close() {
        clearTimeout(this.#timer);
        this.#arrived = [];
        this.#socket?.close();
    }

    send(bytes) {
        if (this.#ended) return;
        for (let at = 0; at < bytes.length; at += PART_BYTES) this.#parts.push(bytes.subarray(at, at + PART_BYTES));
        this.#unsent += bytes.length;
        this.#last_waiting = this.#waiting();
        this.#write();
    }

    #waiting() {
        return this.#unsent + this.#socket.bufferedAmount;
    }

    #write() {
        clearTimeout(this.#timer);
        this.#timer = null;
        while (this.#parts.length > 0 && this.#socket.bufferedAmount < AHEAD_BYTES) {
            const part = this.#parts.shift();
            this.#unsent -= part.length;
            this.#socket.send(part);
        }
        const waiting = this.#waiting();
        const moved = waiting < this.#last_waiting;
        this.#look_ms = moved ? LOOK_MS : Math.min(this.#look_ms * 2, MOST_LOOK_MS);
        this.#last_waiting = waiting;
        if (waiting > 0) this.#timer = setTimeout(() => this.#write(), this.#look_ms);
        else if (this.#ends_well) return this.#close();
        if ((moved || waiting === 0) && !this.#ended) this.#to.written(waiting);
    }

    // A browser sends what it was given before it closes; what it was not given yet is written first.
    end(well) {
        if (this.#ended) return;
        this.#ended = true;
        if (!well || !this.#reached || this.#parts.length === 0) return this.#close();
        this.#ends_well = true;
        this.#arrived = [];
        this.#write();
    }
}

export function websocket(make = globalThis.WebSocket && ((url) => new WebSocket(url))) {
    return make && ((where, to) => new Way(where, to, make));
}
