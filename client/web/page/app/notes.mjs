// Step 5: notes. The list is read once and then follows what happens, from here or anywhere else.
//
// Decides: that a note is overwritten only in the version this page has shown. Trusts: the module. Out of scope: sealing (nodes, and the module).

import { RingwallError } from "../ringwall.mjs";
import { by, el, part, said, show, tell, turn, untell, when } from "./dom.mjs";
import { here, on } from "./here.mjs";
import { NAMESPACE } from "./sign.mjs";

const SHOWN = 1_000; // notes in the list
const PAGE = 200;
const AGAIN_MS = [500, 1_000, 2_000, 4_000, 8_000];
const TRIES = 40;

const versions = new Map(); // name -> the newest version
const seen = new Map(); // name -> the version whose text was shown or written here
let following = null; // an AbortController

const name_of = (key) => (typeof key === "string" ? key : `(${key.length} bytes that are no text)`);

function listed() {
    const names = [...versions.keys()].sort();
    by("notes-list").replaceChildren(
        ...names.map((name) => {
            const buttons = ["read", "delete"].map((what) => {
                const button = el("button", { type: "button", class: `note-${what}`, "aria-label": `${what === "read" ? "Read" : "Delete"} ${name}` }, what === "read" ? "Read" : "Delete");
                button.addEventListener("click", () => acted(what === "read" ? () => read(name) : () => remove(name)));
                return button;
            });
            return el("li", { "data-name": name, "data-version": versions.get(name) }, el("span", { class: "name" }, name), el("span", { class: "version" }, `version ${versions.get(name)}`), ...buttons);
        }),
    );
    show("notes-none", names.length === 0);
}

async function acted(work) {
    untell("notes-error");
    try {
        await work();
    } catch (thrown) {
        tell("notes-error", thrown);
    }
}

async function read(name) {
    const found = await here.client.get(NAMESPACE, name);
    if (!found) {
        versions.delete(name);
        listed();
        throw new RingwallError("RW-C-NOTE-GONE", `${name} is not there any more.`, "It was deleted, here or elsewhere.");
    }
    by("note-shown").dataset.name = name;
    by("note-shown-name").textContent = name;
    const text = new TextDecoder().decode(found.value);
    by("note-shown-text").textContent = text;
    by("note-name").value = name;
    by("note-text").value = text;
    versions.set(name, found.version);
    seen.set(name, found.version);
    listed();
    show("note-shown");
    by("note-shown-name").focus();
}

async function remove(name) {
    await here.client.delete(NAMESPACE, name, { expect: { version: versions.get(name) } });
    if (by("note-shown").dataset.name === name) show("note-shown", false);
    said(`${name} is deleted.`);
}

async function write() {
    const name = by("note-name").value.trim();
    if (name === "") throw new RingwallError("RW-C-USAGE", "A note needs a name.", "Give it one.");
    const expect = seen.has(name) ? { version: seen.get(name) } : "absent";
    by("note-write").disabled = true;
    try {
        const version = await here.client.put(NAMESPACE, name, by("note-text").value, { expect });
        versions.set(name, version);
        seen.set(name, version);
        listed();
        by("note-name").value = "";
        by("note-text").value = "";
        said(`${name} is stored, on a majority of the nodes.`);
    } finally {
        by("note-write").disabled = false;
    }
}

async function read_all(client) {
    const found = new Map();
    let after;
    let revision;
    do {
        const page = await client.list(NAMESPACE, { limit: PAGE, ...(after === undefined ? {} : { after }) });
        page.entries.forEach(({ key, version }) => found.set(name_of(key), version));
        revision ??= page.revision;
        after = page.more && found.size < SHOWN ? page.entries.at(-1).key : undefined;
    } while (after !== undefined);
    versions.clear();
    found.forEach((version, name) => versions.set(name, version));
    listed();
    return revision;
}

function live(state) {
    by("notes-live").dataset.state = state;
    by("notes-live").textContent = { off: "not listening", watching: "live", broken: "not live: trying again" }[state];
}

// Reads the list and follows it; begins again when the watch breaks.
async function follow(client, signal) {
    for (let tries = 0; tries < TRIES && !signal.aborted; tries++) {
        try {
            const after = await read_all(client);
            live("watching");
            for await (const { changes } of client.watch(NAMESPACE, { after, signal })) {
                tries = 0;
                for (const { key, revision, removed } of changes) {
                    if (removed) [versions, seen].forEach((known) => known.delete(name_of(key)));
                    else versions.set(name_of(key), revision);
                }
                listed();
            }
        } catch (thrown) {
            if (signal.aborted || thrown.code === "RW-C-CLOSED") break;
            tell("notes-error", thrown);
        }
        live(signal.aborted ? "off" : "broken");
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)]));
    }
    live("off");
}

export function begin() {
    on("client", (client) => {
        following?.abort();
        turn("notes", client !== null);
        part("notes", client ? "open" : "closed");
        show("note-shown", false);
        versions.clear();
        seen.clear();
        listed();
        if (!client) return;
        following = new AbortController();
        void follow(client, following.signal);
    });
    when("note-form", "submit", "notes-error", write);
}
