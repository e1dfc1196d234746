// Step 1: which cluster is meant. A card is pasted, opened, scanned, or given in the page's own address.
//
// Decides: which of these is read, and that nothing longer than a card is given to the verifier. Trusts: the person for where the card comes from. Out of scope: reading a card and a code
// (the module).

import { RingwallError, readCard } from "../ringwall.mjs";
import { at, by, el, file_bytes, go, groups, number, part, said, show, tell, untell, when } from "./dom.mjs";
import { here, set } from "./here.mjs";
import { camera, picture_text } from "./scan.mjs";

const CARD_BYTES = 17_039_360; // docs/core.md
const TEXT_BYTES = 24 * 1024 * 1024; // the same as text
const PICTURE_BYTES = 32 * 1024 * 1024;

const DOMAINS = { production: "processors of AMD and Intel", simulated: "SIMULATED processors: a demonstration, which protects nothing" };

const unknown = "not in a link: the first node shows it, with every change since the founding";

function shown({ facts }) {
    groups("card-cluster", facts.cluster);
    by("card-cluster").dataset.cluster = facts.cluster;
    by("card-name").textContent = facts.name ?? unknown;
    by("card-domain").textContent = DOMAINS[facts.trust_domain] ?? unknown;
    const changes = facts.policy_changes ? `, after ${number(facts.policy_changes)} changes since the founding` : ", as founded";
    by("card-policy").textContent = facts.policy_version === null ? unknown : `version ${facts.policy_version}${changes}`;
    const doors = [...facts.web.map(({ address }) => `${address} (WebTransport)`), ...facts.sockets.map((address) => `${address} (WebSocket)`)];
    const none = "nowhere: this card names no door for pages; ask for a newer one";
    by("card-addresses").replaceChildren(...(doors.length > 0 ? doors : [none]).map((words) => el("li", {}, words)));
    show("card-ask", false);
    show("card-facts");
}

// Reads a card; what is wrong with it is told in place.
export async function use(source) {
    untell("card-error");
    part("card", "reading");
    try {
        const bytes = typeof source === "string" ? new TextEncoder().encode(source.trim()) : source;
        if (bytes.length > TEXT_BYTES) throw new RingwallError("RW-C-CARD-TOO-LARGE", "", "");
        const card = { bytes, facts: await readCard(bytes, here) };
        await here.keeping?.keep_card(bytes).catch(() => {}); // convenience alone
        shown(card);
        part("card", "read");
        set("card", card);
        said("The card was read.");
        return card;
    } catch (thrown) {
        const { code } = tell("card-error", thrown);
        part("card", "refused", code);
        return null;
    }
}

async function chosen(source) {
    if (await use(source)) go("chain");
}

async function scanned() {
    part("card", "scanning");
    show("card-camera");
    by("card-scan-stop").focus();
    try {
        const text = await camera(by("card-video"), by("card-scan-stop"), here.module);
        show("card-camera", false);
        if (text === null) return part("card", "empty");
        await chosen(text);
    } catch (thrown) {
        const { code } = tell("card-error", thrown);
        part("card", "refused", code);
    } finally {
        show("card-camera", false);
    }
}

// What stands behind the `#` of the page's address, where it is a card.
export async function from_address() {
    const fragment = location.hash.slice(1);
    if (!fragment.startsWith("ringwall:") && !fragment.startsWith("ringwall-card:")) return false;
    let text = fragment;
    try {
        text = decodeURIComponent(fragment);
    } catch {
        // As it is: the verifier says what is wrong with it.
    }
    await use(text);
    return true;
}

async function demo_card() {
    const response = await fetch(new URL(here.demo.card, new URL("../", document.baseURI)), { credentials: "omit" });
    if (!response.ok) throw new RingwallError("RW-C-DEMO", `The demonstration gave no card: ${response.status}.`, "Is it still running?");
    await chosen(new Uint8Array(await response.arrayBuffer()));
}

export function changed() {
    by("card-text").value = "";
    by("card-read").disabled = true;
    show("card-facts", false);
    show("card-ask");
    part("card", "empty");
    set("card", null);
}

export function begin() {
    by("card-text").addEventListener("input", () => (by("card-read").disabled = by("card-text").value.trim() === ""));
    when("card-read", "click", "card-error", () => chosen(by("card-text").value));
    when("card-file", "change", "card-error", async ({ target }) => {
        const [file] = target.files;
        if (!file) return;
        try {
            await chosen(await file_bytes(file, CARD_BYTES));
        } catch (thrown) {
            part("card", "refused", tell("card-error", thrown).code);
        }
        target.value = "";
    });
    when("card-picture", "change", "card-error", async ({ target }) => {
        const [file] = target.files;
        if (!file) return;
        try {
            if (file.size > PICTURE_BYTES) throw new RingwallError("RW-C-FILE-TOO-LARGE", `${file.name} has ${file.size} bytes; at most ${PICTURE_BYTES} are possible here.`, "Take a smaller picture.");
            await chosen(await picture_text(file, here.module));
        } catch (thrown) {
            part("card", "refused", tell("card-error", thrown).code);
        }
        target.value = "";
    });
    when("card-scan", "click", "card-error", scanned);
    when("card-demo", "click", "card-error", demo_card);
    when("card-change", "click", "card-error", async () => {
        await here.keeping?.forget_card().catch(() => {});
        changed();
        by("card-text").focus();
    });
    addEventListener("hashchange", () => at("card") !== "read" && from_address());
}
