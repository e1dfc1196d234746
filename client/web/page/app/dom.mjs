// What the parts of the page share: finding elements, saying how far a part is, telling errors in place, files in and out.
//
// Decides: how an error is laid out (what, what to do, code), and that only text is ever put into the page. Trusts: nothing it is given to show. Out of scope: what the words are
// (`plain.mjs`, `../fault.mjs`, the module).

import { RingwallError, cause } from "../fault.mjs";
import { plain } from "./plain.mjs";

export const by = (id) => document.getElementById(id);

// An element with text or children; attributes by name.
export function el(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== undefined && value !== null) made.setAttribute(key, value);
    made.append(...children);
    return made;
}

export const show = (id, visible = true) => (by(id).hidden = !visible);

// A number of many digits in groups of four, read and compared by people; the whole of it in `data-value`.
export function groups(id, digits) {
    by(id).textContent = (digits ?? "").replace(/(.{4})(?=.)/g, "$1 ");
    by(id).dataset.value = digits ?? "";
}

// The last thing that happened, for ears too.
export const said = (words) => (by("said").textContent = words);

const KINDS = {
    good: ["read", "believed", "in", "open", "confirmed", "kept", "accepted"],
    bad: ["refused", "failed", "broken"],
    care: ["cannot-tell", "unreachable", "elsewhere", "lost"],
};

// How far a part is.
export function part(id, value, code) {
    const section = id === "body" ? document.body : by(id);
    const kind = Object.keys(KINDS).find((kind) => KINDS[kind].includes(value));
    for (const marked of [section, document.querySelector(`nav li[data-part="${id}"]`)].filter(Boolean)) {
        if (kind) marked.dataset.kind = kind;
        else delete marked.dataset.kind;
    }
    section.dataset.state = value;
    if (code) section.dataset.code = code;
    else delete section.dataset.code;
}

export const at = (id) => by(id).dataset.state;

// Opens the body of a part whose turn has come, or closes it.
export function turn(id, open) {
    const section = by(id);
    section.querySelector(".body").hidden = !open;
    section.querySelector(".later").hidden = open;
}

export const as_error = (thrown) => (thrown instanceof RingwallError ? thrown : new RingwallError("RW-C-PAGE-FAULT", `This page has a fault: ${cause(thrown)}.`, "Load it again, and report what you did."));

// Words with what stands between backquotes set as a command.
const worded = (words) => String(words).split("`").map((piece, at) => (at % 2 ? el("code", {}, piece) : piece));

// Tells an error in place: what happened, what to do, its code.
export function tell(id, thrown) {
    const error = as_error(thrown);
    const { what, fix } = plain(error);
    const place = by(id);
    place.dataset.code = error.code;
    place.replaceChildren(el("p", { class: "what" }, ...worded(what)), ...(fix ? [el("p", { class: "fix" }, ...worded(fix))] : []), el("p", { class: "code" }, error.code));
    place.hidden = false;
    return error;
}

export function untell(id) {
    const place = by(id);
    delete place.dataset.code;
    place.replaceChildren();
    place.hidden = true;
}

// Runs what a button does: no second run beside it, errors told in place.
export function when(id, event, place, work) {
    let running = false;
    by(id).addEventListener(event, async (happened) => {
        happened.preventDefault?.();
        if (running) return;
        running = true;
        untell(place);
        by(id).setAttribute("aria-busy", "true");
        try {
            await work(happened);
        } catch (thrown) {
            tell(place, thrown);
        } finally {
            running = false;
            by(id).removeAttribute("aria-busy");
        }
    });
}

// The eyes and the keyboard go to a heading.
export function go(id) {
    by(`${id}-title`).focus({ preventScroll: true });
    by(id).scrollIntoView({ block: "start" });
}

// A chosen file's bytes; one that is larger is not read.
export async function file_bytes(file, most) {
    if (file.size > most) throw new RingwallError("RW-C-FILE-TOO-LARGE", `${file.name} has ${file.size} bytes; at most ${most} are possible here.`, "Is it another file?");
    try {
        return new Uint8Array(await file.arrayBuffer());
    } catch (thrown) {
        throw new RingwallError("RW-C-FILE-UNREADABLE", `${file.name} cannot be read: ${cause(thrown)}.`, "Choose it again.");
    }
}

// Gives bytes to the person as a file.
export function download(bytes, name) {
    const href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
    el("a", { href, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

export const number = (value) => (value === undefined || value === null ? "none" : value.toLocaleString("en"));

