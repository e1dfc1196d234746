// Step 7: what this browser remembers of the cluster, and what happens when the cluster was set back.
//
// Decides: nothing: that a rollback is refused is the module's rule. Here it is shown, with the proof to be taken away. The demonstration's button asks this page's own server, and is there only
// where that server offers it. Trusts: nothing of that server. Out of scope: how it is noticed (docs/protocol.md, 5.2).

import { RingwallError, open, persistent } from "../ringwall.mjs";
import { as_error, by, download, el, go, groups, number, part, said, show, tell, turn, untell, when } from "./dom.mjs";
import { here, on, set } from "./here.mjs";

const LOOK_MS = 2_000;
const REWIND_MS = 120_000;
// A way for what needs no node.
const nowhere = (_, to) => {
    queueMicrotask(() => to.unreached("no node is asked"));
    return { send() {}, end() {} };
};

let proof = null;
let timer = null;

function value(id, what) {
    by(id).textContent = number(what);
    by(id).dataset.value = what ?? "";
}

async function looked(client) {
    const anchor = await client.anchor();
    if (here.client !== client) return;
    value("memory-epoch", anchor.epoch);
    value("memory-size", anchor.entries);
    value("memory-revision", anchor.revision ?? anchor.index);
    groups("memory-head", anchor.head);
    if (anchor.known && by("memory").dataset.state !== "refused") part("memory", "kept");
}

// Proof of what was noticed: from the client while it lives, else from one that is opened with the same memory for this question alone.
async function proven() {
    const again = here.client ?? (await open({ card: here.card.bytes, module: here.module, keeping: here.keeping, device: here.device, transports: { websocket: nowhere } }));
    try {
        return await again.evidence();
    } finally {
        if (again !== here.client) await again.close();
    }
}

// The cluster contradicts what is remembered. Called once for what may be told several times.
let telling = null;
export function refused(error) {
    telling ??= told(error).finally(() => (telling = null));
}

async function told(error) {
    const refusal = error?.code ? error : { code: "RW-C-ROLLBACK-DETECTED", words: "" };
    const shown = new RingwallError(refusal.code, refusal.words ?? refusal.message, refusal.fix ?? "");
    turn("memory", true);
    tell("memory-error", shown);
    const sentence = refusal.words || (refusal.message !== "" && refusal.message);
    if (sentence) by("memory-error").append(el("details", {}, el("summary", {}, "What exactly"), el("p", {}, sentence)));
    part("memory", "refused", shown.code);
    said("The cluster was refused: it contradicts what this browser remembers.");
    go("memory");
    try {
        proof = await proven();
        show("memory-evidence", proof !== null);
    } catch {
        // Without the proof the refusal stands all the same; it can be had by signing in again.
    }
}

async function rewound() {
    by("rewind").disabled = true;
    show("rewind-said");
    by("rewind-said").textContent = "The demonstration’s host is at work. This takes some seconds.";
    try {
        const response = await fetch(new URL("demo/rewind", new URL("../", document.baseURI)), {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: "{}",
            credentials: "omit",
            signal: AbortSignal.timeout(REWIND_MS),
        });
        const { done, words } = await response.json();
        if (!done) throw new RingwallError("RW-C-DEMO", `The demonstration did not do it: ${String(words).slice(0, 300)}.`, "Look at where it runs.");
        by("rewind-said").textContent = "Done: the nodes serve an older state. Nothing tells this page so but the nodes’ own answers.";
        by("rewind-said").dataset.state = "done";
    } catch (thrown) {
        show("rewind-said", false);
        throw thrown instanceof RingwallError ? thrown : new RingwallError("RW-C-DEMO", `The demonstration does not answer: ${as_error(thrown).message}`, "Is it still running?");
    } finally {
        by("rewind").disabled = false;
    }
}

async function forgotten() {
    const { client, card } = here;
    const slot = client ? here.device.slot : by("sign-passkey").checked ? "passkey" : "browser";
    set("client", null);
    await client?.close();
    await here.keeping.forget_card();
    // Whose memory it is stands in the key's record, also where the key cannot be used.
    const { cluster } = card.facts;
    const { who } = (await here.keeping.device(cluster, slot)) ?? { who: "none" };
    await here.keeping.forget(cluster, { slot, who });
    show("memory-forget-yes", false);
    proof = null;
    untell("memory-error");
    show("memory-evidence", false);
    part("memory", "none");
    turn("memory", false);
    part("sign", "out");
    said("This browser has forgotten the cluster: its key and what it remembered are removed.");
    location.reload();
}

export function begin() {
    on("client", (client) => {
        clearInterval(timer);
        if (!client) return;
        proof = null;
        turn("memory", true);
        untell("memory-error");
        show("memory-evidence", false);
        part("memory", "none");
        show("memory-first", !client.remembered.known);
        show("memory-demo", Boolean(here.demo.rewind));
        persistent().then((kept) => {
            by("memory-persistent").dataset.value = kept ? "yes" : "no";
            by("memory-persistent").textContent = kept ? "yes: the browser does not remove it by itself" : "no: the browser may remove it when this device runs out of room";
        });
        const look = () => looked(client).catch(() => {});
        void look();
        timer = setInterval(look, LOOK_MS);
    });
    when("rewind", "click", "memory-error", rewound);
    when("memory-evidence", "click", "memory-error", () => download(proof.proof, `ringwall-${proof.what}.evidence`));
    when("memory-forget", "click", "memory-error", () => {
        show("memory-forget-yes");
        by("memory-forget-yes").focus();
    });
    when("memory-forget-yes", "click", "memory-error", forgotten);
}
