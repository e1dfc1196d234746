// Entries of the module's answers, each with its own bytes.
//
// Decides: that the lengths in a head are those of the payload behind it. Trusts: nothing.

import { module as faults } from "./fault.mjs";
import { unhex } from "./frame.mjs";

// A key as the module told it: text where it is text, bytes otherwise.
const key = (entry) => (entry.key === undefined ? unhex(entry.key_hex) : entry.key);

// The entries with `key`, and `value` where they have `bytes`; a payload that is empty although entries name bytes holds no values (a list without them).
export function split(entries, payload, values = true) {
    if (!Array.isArray(entries)) throw faults.answer("its entries are no list");
    let at = 0;
    const list = entries.map(({ bytes, key_hex: _, ...entry }) => {
        const one = { ...entry, key: key({ ...entry, key_hex: _ }) };
        if (bytes === undefined) return one;
        if (!Number.isSafeInteger(bytes) || bytes < 0) throw faults.answer("an entry's length is no length");
        one.bytes = bytes;
        if (!values) return one;
        if (at + bytes > payload.length) throw faults.answer("an entry is longer than what there is");
        one.value = payload.slice(at, at + bytes);
        at += bytes;
        return one;
    });
    if (at !== payload.length) throw faults.answer("there is more than its entries");
    return list;
}
