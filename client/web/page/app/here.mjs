// What the parts of the page know of each other: the verifier, the card, what the browser keeps, the client.
//
// Decides: nothing. Parts read these fields and listen to `changed`; each field has one part that sets it. Trusts: nothing.

export const here = {
    module: null, // app.mjs
    keeping: null, // app.mjs; null where the browser keeps nothing, with `unkept` saying why
    unkept: null,
    demo: {}, // app.mjs: what this server's demonstration offers
    card: null, // card.mjs: {bytes, facts}
    judged: null, // chain.mjs: what was believed last
    client: null, // sign.mjs
    device: null, // sign.mjs
};

const listeners = [];

// Calls back whenever the named field was set.
export const on = (field, work) => listeners.push({ field, work });

export function set(field, value) {
    here[field] = value;
    for (const listener of listeners) if (listener.field === field) listener.work(value);
}
