// What stands in for a browser and for the module: scripted, small, and strict where the real ones are.
//
// Decides: nothing. `Scripted` plays the module from a table; `fake_database` is as much of IndexedDB as `keeping.mjs` uses, with faults on demand; `fake_locks` is the browser's lock
// manager for any number of tabs; `fake_transport` is a WebTransport whose two ends a test holds.

import { RingwallError } from "../fault.mjs";

// The module as a script: `play(event, payload, name)` gives effects, or throws.
export class Scripted {
    constructor(play) {
        this.play = play;
        this.calls = [];
    }

    call(name, head, payload) {
        this.calls.push({ name, head, payload });
        return this.play(head.event, payload, name, head) ?? [];
    }

    events(is) {
        return this.calls.filter(({ head }) => head.event?.is === is).map(({ head, payload }) => ({ ...head.event, payload }));
    }
}

export const refusal = (code) => new RingwallError(code, code);

// A clock that moves when it is told to.
export function fake_clock() {
    let now = 1_000;
    let timers = [];
    return {
        now_ms: () => now,
        now_s: () => 1_790_000_000,
        in: (ms, work) => {
            const timer = { at: now + ms, work };
            timers.push(timer);
            return () => (timers = timers.filter((other) => other !== timer));
        },
        pass: (ms) => {
            now += ms;
            const due = timers.filter(({ at }) => at <= now);
            timers = timers.filter(({ at }) => at > now);
            due.forEach(({ work }) => work());
        },
        timers: () => timers.length,
    };
}

// Lets everything that can happen now happen.
export const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

// A promise that is resolved from outside.
export function gate() {
    const made = {};
    made.passed = new Promise((resolve, reject) => Object.assign(made, { open: resolve, shut: reject }));
    return made;
}

const named = (name) => Object.assign(new Error(name), { name });

// A database in memory. `faults.open`, `faults.commit`: names of errors to throw there; `clear()` is the browser removing everything.
export function fake_database(faults = {}) {
    const stores = new Map();
    const connections = new Set();
    const later = (work) => setTimeout(work, 0);
    // Transactions follow each other, as those of the real one do where one of them writes.
    let last = Promise.resolve();

    function request(work, transaction, begun) {
        const made = {};
        const answered = () => {
            try {
                if (transaction.over) throw named("AbortError");
                made.result = work();
                made.onsuccess?.();
            } catch (thrown) {
                made.error = thrown;
                made.onerror?.();
            }
        };
        begun.then(() => later(answered));
        return made;
    }

    function transaction(mode, options) {
        const made = { mode, options, error: null, over: false };
        const begun = last;
        let undo = new Map();
        let idle;
        let ends;
        last = begun.then(() => new Promise((resolve) => (made.over ? resolve() : (ends = resolve))));
        const over = () => {
            made.over = true;
            clearTimeout(idle);
            ends?.();
        };
        // A transaction ends when nothing was asked of it for a while, as the real one does with its last request.
        const touched = () => {
            clearTimeout(idle);
            if (made.over) return;
            idle = setTimeout(() => {
                over();
                if (faults.commit) {
                    undo.forEach((rows, name) => stores.set(name, rows));
                    made.error = named(faults.commit);
                    return made.onabort?.();
                }
                made.oncomplete?.();
            }, 3);
        };
        const asked = (work) => {
            if (made.over) throw named("TransactionInactiveError");
            const one = request(work, made, begun);
            begun.then(() => (touched(), later(touched)));
            return one;
        };
        made.abort = () => {
            if (made.over) throw named("InvalidStateError");
            over();
            undo.forEach((rows, name) => stores.set(name, rows));
            later(() => made.onabort?.());
        };
        const write = (work) => {
            if (mode !== "readwrite") throw named("ReadOnlyError");
            return asked(work);
        };
        made.objectStore = (name) => ({
            get: (key) => asked(() => structuredClone(stores.get(name).get(key))),
            put: (value, key) => write(() => void stores.get(name).set(key, structuredClone(value))),
            delete: (key) => write(() => void stores.get(name).delete(key)),
        });
        begun.then(() => {
            undo = new Map([...stores].map(([name, rows]) => [name, new Map(rows)]));
            touched();
        });
        return made;
    }

    return {
        stores,
        open: () => {
            if (faults.open === "throws") throw named("SecurityError");
            const made = {};
            later(() => {
                if (faults.open) {
                    made.error = named(faults.open);
                    return made.onerror();
                }
                const connection = { transaction: (_, mode, options) => transaction(mode, options), createObjectStore: (name) => stores.set(name, new Map()), close: () => connections.delete(connection) };
                connections.add(connection);
                made.result = connection;
                if (stores.size === 0) made.onupgradeneeded();
                made.onsuccess();
            });
            return made;
        },
        // What a browser does with "clear data" while a page is open.
        clear: () => {
            stores.forEach((rows) => rows.clear());
            connections.forEach((connection) => connection.onclose?.());
        },
    };
}

// The lock manager all tabs of a browser share.
export function fake_locks() {
    const held = new Map();
    return {
        held,
        request: (name, { ifAvailable, steal }, granted) =>
            new Promise((resolve, reject) => {
                if (held.has(name) && ifAvailable && !steal) return resolve(granted(null));
                if (steal) held.get(name)?.(named("AbortError"));
                held.set(name, reject);
                Promise.resolve(granted({ name })).then((value) => {
                    if (held.get(name) === reject) held.delete(name);
                    resolve(value);
                });
            }),
    };
}

// A WebTransport: `made` is what a page holds, the rest is the network's.
export function fake_transport({ refuse = null } = {}) {
    const closed = gate();
    const written = [];
    const room = { wait: null };
    let from_node;
    const stream = {
        readable: new ReadableStream({ start: (controller) => (from_node = controller) }, { highWaterMark: 0 }),
        writable: new WritableStream({
            write: async (part) => {
                await room.wait?.passed;
                written.push(part.slice());
            },
        }),
    };
    const fake = {
        written,
        room,
        closed_with: null,
        says: (bytes) => from_node.enqueue(Uint8Array.from(bytes)),
        wants: () => from_node.desiredSize,
        ends: () => from_node.close(),
        breaks: (told) => closed.open(told),
        drops: (why) => closed.shut(new Error(why)),
        made: {
            ready: refuse ? Promise.reject(new Error(refuse)) : Promise.resolve(),
            closed: closed.passed,
            createBidirectionalStream: async () => stream,
            close: (told) => {
                fake.closed_with ??= told ?? {};
                closed.open(told ?? {});
            },
        },
    };
    fake.made.ready.catch(() => {});
    return fake;
}
