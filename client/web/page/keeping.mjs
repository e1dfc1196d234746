// What a browser keeps for this page: for each cluster the device's key, the memory that only the module reads, and the card.
//
// Decides: that a memory is on stable storage before a save is done; that one which was there and is gone is told, never taken for a first visit; that a save by a tab another one took
// over from is refused. Trusts: the browser's IndexedDB. Whoever can change it can remove a memory as a whole, which looks like a new browser; docs/limits.md.
// Out of scope: what a memory says (docs/core.md), what a device's record holds (`device.mjs`).

import { RingwallError, cause, keeping as faults, platform } from "./fault.mjs";
import { hex } from "./frame.mjs";

const DATABASE = "ringwall";
const STORES = ["memories", "devices", "cards"];

const fault = (thrown) => {
    if (thrown instanceof RingwallError) return thrown;
    return thrown?.name === "QuotaExceededError" ? faults.full() : faults.refused(cause(thrown ?? "it gave no reason"));
};

const done = (request) =>
    new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(fault(request.error));
    });

export class Keeping {
    #database;
    #gone = null;

    static async open(factory = globalThis.indexedDB, name = DATABASE) {
        if (!factory) throw platform("a database");
        let request;
        try {
            request = factory.open(name, 1);
        } catch (thrown) {
            throw fault(thrown);
        }
        request.onupgradeneeded = () => STORES.forEach((store) => request.result.createObjectStore(store));
        return new Keeping(await done(request));
    }

    constructor(database) {
        this.#database = database;
        // The browser's data was removed while this page is open; or another page asks for the database to be deleted.
        database.onclose = () => (this.#gone ??= faults.wiped());
        database.onversionchange = () => {
            this.#gone ??= faults.wiped();
            database.close();
        };
    }

    // Whether the browser's data was removed while this was open: only a new one is of use then.
    get gone() {
        return this.#gone !== null;
    }

    // Work within one transaction, done when it is on stable storage. `work` is given the stores, and may throw to undo everything.
    #within(mode, work) {
        if (this.#gone) return Promise.reject(this.#gone);
        return new Promise((resolve, reject) => {
            let thrown;
            let result;
            const transaction = this.#database.transaction(STORES, mode, { durability: "strict" });
            transaction.oncomplete = () => resolve(result);
            transaction.onabort = () => reject(thrown ?? this.#gone ?? fault(transaction.error));
            const [memories, devices, cards] = STORES.map((store) => transaction.objectStore(store));
            const undo = (why) => {
                thrown ??= fault(why);
                try {
                    transaction.abort();
                } catch {
                    // It was aborted already, and says so.
                }
            };
            work({ memories, devices, cards }).then((value) => (result = value), undo);
        }).catch((why) => {
            throw this.#gone ?? fault(why);
        });
    }

    // The device of a cluster that is kept under this name (`browser`, `passkey`), if there is one.
    device(cluster, slot) {
        return this.#within("readonly", ({ devices }) => done(devices.get(`${cluster}/${slot}`)));
    }

    // The record of a first visit: of two tabs at once, the first one's counts for both.
    first_device(cluster, slot, record) {
        return this.#within("readwrite", async ({ devices }) => (await done(devices.get(`${cluster}/${slot}`))) ?? (await done(devices.put(record, `${cluster}/${slot}`)), record));
    }

    keep_device(cluster, slot, record) {
        return this.#within("readwrite", ({ devices }) => done(devices.put(record, `${cluster}/${slot}`)));
    }

    // The card that was used last: what the page opens with.
    card() {
        return this.#within("readonly", ({ cards }) => done(cards.get("last")));
    }

    keep_card(bytes) {
        return this.#within("readwrite", ({ cards }) => done(cards.put(bytes, "last")));
    }

    forget_card() {
        return this.#within("readwrite", ({ cards }) => done(cards.delete("last")));
    }

    // Takes hold of a device's memory: gives its bytes (none at a first visit) and how to replace them. `anew` accepts that one is gone.
    async hold(cluster, { slot, who }, { anew = false } = {}) {
        const stamp = hex(crypto.getRandomValues(new Uint8Array(16)));
        const bytes = await this.#within("readwrite", async ({ memories, devices }) => {
            const device = await done(devices.get(`${cluster}/${slot}`));
            const had = (await done(memories.get(`${cluster}/${who}`)))?.bytes ?? new Uint8Array();
            if (had.length === 0 && device?.remembered && !anew) throw faults.wiped();
            await done(memories.put({ bytes: had, stamp }, `${cluster}/${who}`));
            return had;
        });
        return { bytes, save: (next) => this.#save(cluster, { slot, who }, stamp, next) };
    }

    #save(cluster, { slot, who }, stamp, bytes) {
        return this.#within("readwrite", async ({ memories, devices }) => {
            const held = await done(memories.get(`${cluster}/${who}`));
            if (!held) throw faults.wiped();
            if (held.stamp !== stamp) throw faults.takenOver();
            await done(memories.put({ bytes, stamp }, `${cluster}/${who}`));
            // From now on a memory that is missing was removed.
            const device = await done(devices.get(`${cluster}/${slot}`));
            if (device && !device.remembered) await done(devices.put({ ...device, remembered: true }, `${cluster}/${slot}`));
        });
    }

    // Removes a device and its memory.
    forget(cluster, { slot, who }) {
        return this.#within("readwrite", async ({ memories, devices }) => {
            await done(memories.delete(`${cluster}/${who}`));
            await done(devices.delete(`${cluster}/${slot}`));
        });
    }

    close() {
        this.#database.close();
    }
}

// Whether the browser promises not to remove it by itself. Asks for that promise where it was not given.
export async function persistent(storage = globalThis.navigator?.storage) {
    try {
        return (await storage.persisted()) || (await storage.persist());
    } catch {
        return false;
    }
}
