// A way to a node over WebTransport: one stream in both directions, a certificate known by its hash.
//
// Decides: which certificate the node showed (each is tried alone, since a browser does not say), how much is handed to the browser at once, and that nothing is read before
// what was read is worked off. Trusts: the browser for TLS; the node is not trusted for anything here, its bytes are the module's to judge.
// Out of scope: what the bytes are. docs/core.md, "Effects".

import { cause } from "./fault.mjs";
import { unhex } from "./frame.mjs";
import { Outgoing } from "./outgoing.mjs";
import { door } from "./target.mjs";

const FLUSH_MS = 2_000; // a way that ends well is given so long for its last bytes

const CLOSED = (told) => (told?.reason ? `the node said "${told.reason}" (${told.closeCode})` : "the node ended it");

class Way {
    #to;
    #ended = false;
    #transport = null;
    #out = null;

    constructor({ address, certificates }, to, make) {
        this.#to = to;
        this.#begin(address, certificates, make).catch((thrown) => this.#gone(to.unreached, cause(thrown)));
    }

    async #begin(address, certificates, make) {
        const url = door(address);
        if (!certificates?.length) throw new Error("the card names no certificate of its door for pages");
        let last;
        for (const certificate of certificates) {
            if (this.#ended) return;
            try {
                await this.#opened(url, certificate, make);
            } catch (thrown) {
                last = thrown;
                this.#close();
                this.#transport = null;
                continue;
            }
            return;
        }
        throw last;
    }

    async #opened(url, certificate, make) {
        const transport = make(url, { serverCertificateHashes: [{ algorithm: "sha-256", value: unhex(certificate) }], allowPooling: false });
        this.#transport = transport;
        // Looked at below; without this a browser reports it as nobody's.
        transport.closed.catch(() => {});
        await transport.ready;
        const { readable, writable } = await transport.createBidirectionalStream();
        if (this.#ended) return transport.close();
        this.#out = new Outgoing(writable, (waiting) => this.#ended || this.#to.written(waiting));
        this.#to.reached({ certificate });
        transport.closed.then((told) => this.#gone(this.#to.lost, CLOSED(told)), (thrown) => this.#gone(this.#to.lost, cause(thrown)));
        this.#out.broken.then((why) => this.#gone(this.#to.lost, why));
        this.#read(readable.getReader()).catch((thrown) => this.#gone(this.#to.lost, cause(thrown)));
    }

    async #read(reader) {
        for (;;) {
            const { value, done } = await reader.read();
            if (this.#ended) return;
            if (done) return this.#gone(this.#to.lost, "the node ended its stream");
            await this.#to.arrived(value);
        }
    }

    // Told once.
    #gone(tell, why) {
        if (this.#ended) return;
        this.#ended = true;
        tell(why);
        this.#close();
    }

    #close() {
        try {
            this.#transport?.close({ closeCode: 0, reason: "" });
        } catch {
            // It was closed already.
        }
    }

    send(bytes) {
        this.#out?.push(bytes);
    }

    end(well) {
        if (this.#ended) return;
        this.#ended = true;
        if (!well || !this.#out) return this.#close();
        Promise.race([this.#out.flushed(), new Promise((resolve) => setTimeout(resolve, FLUSH_MS))]).finally(() => this.#close());
    }
}

// `make` gives a WebTransport; none where the browser has none.
export function webtransport(make = globalThis.WebTransport && ((url, options) => new WebTransport(url, options))) {
    return make && ((where, to) => new Way(where, to, make));
}
