// Whose turn it is: one tab holds a cluster's memory of one device, by the browser's locks.
//
// Decides: that a second tab is told so, and that one which takes over makes the first give up. Trusts: the browser's locks; `keeping.mjs` looks for itself at each save whether it still
// holds what it writes.

import { cause, keeping as faults, platform } from "./fault.mjs";

// Gives `{release, taken}`: `taken` is resolved with an error once another tab takes over.
export function take(name, { takeOver = false, locks = globalThis.navigator?.locks } = {}) {
    if (!locks) throw platform("locks between tabs");
    return new Promise((resolve, reject) => {
        let release;
        let lost;
        const held = new Promise((done) => (release = done));
        const taken = new Promise((done) => (lost = done));
        const granted = (lock) => {
            if (!lock) return reject(faults.otherTab());
            resolve({ release, taken });
            return held;
        };
        locks.request(name, takeOver ? { steal: true } : { ifAvailable: true }, granted).catch((thrown) => {
            if (thrown?.name === "AbortError") lost(faults.takenOver());
            else reject(platform(`locks between tabs (${cause(thrown)})`));
        });
    });
}
