// Step 6: the recovery phrase. Made here, shown once, confirmed from paper, and only then told to the cluster (which gets no word of it).
//
// Decides: that nobody has a phrase who has not shown that it was written down. The words are in this page's memory until then. Trusts: the module for making it; this page and whatever else
// runs in this browser see the words. Out of scope: restoring (`ringwall restore`). docs/recovery.md.

import { RingwallError } from "../ringwall.mjs";
import { by, download, el, part, said, show, turn, untell, when } from "./dom.mjs";
import { here, on } from "./here.mjs";

const WORDS = 24;
const ASKED = 3;
const DEVICE_NAME = "browser";

let phrase = null;
let escrow = null;

const words = () => phrase.trim().split(/\s+/);

// Three different places, as the generator has it.
function places() {
    const found = new Set();
    while (found.size < ASKED) found.add((crypto.getRandomValues(new Uint32Array(1))[0] % WORDS) + 1);
    return [...found].sort((a, b) => a - b);
}

function forget() {
    phrase = null;
    by("phrase-words").replaceChildren();
    for (let at = 1; at <= ASKED; at++) by(`phrase-word-${at}`).value = "";
    show("phrase-sheet", false);
    show("phrase-form", false);
}

function shown() {
    by("phrase-user").textContent = here.client.user;
    by("phrase-cluster").textContent = here.client.cluster;
    by("phrase-words").replaceChildren(...words().map((word) => el("li", {}, word)));
    show("phrase-form", false);
    show("phrase-sheet");
    part("phrase", "shown");
}

async function made() {
    phrase = await here.client.newPhrase();
    if (words().length !== WORDS) throw new RingwallError("RW-C-MODULE-ANSWER", "The verifier gave no phrase of 24 words.", "Load the page again.");
    show("phrase-done", false);
    shown();
    said("The words are shown. Write them down.");
}

function asked() {
    by("phrase-words").replaceChildren();
    show("phrase-sheet", false);
    places().forEach((place, index) => {
        const input = by(`phrase-word-${index + 1}`);
        input.value = "";
        input.dataset.place = place;
        document.querySelector(`label[for="${input.id}"]`).textContent = `Word ${place}`;
    });
    show("phrase-form");
    by("phrase-word-1").focus();
}

async function confirmed() {
    for (let at = 1; at <= ASKED; at++) {
        const { value, dataset } = by(`phrase-word-${at}`);
        if (value.trim().toLowerCase() !== words()[dataset.place - 1]) {
            by(`phrase-word-${at}`).focus();
            throw new RingwallError("RW-C-PHRASE-WORD", `Word ${dataset.place} is another one.`, "Compare with your paper. If it is wrong there, have the words shown once more.");
        }
    }
    await here.client.enrol(DEVICE_NAME);
    escrow = await here.client.escrow(phrase);
    await here.client.setRecovery(phrase);
    forget();
    show("phrase-done");
    show("phrase-escrow", escrow.length > 0);
    part("phrase", "confirmed");
    said("The words are yours from now on.");
}

export function begin() {
    on("client", (client) => {
        forget();
        escrow = null;
        untell("phrase-error");
        show("phrase-done", false);
        turn("phrase", client !== null);
        part("phrase", client ? "none" : "closed");
    });
    when("phrase-make", "click", "phrase-error", made);
    when("phrase-copy", "click", "phrase-error", async () => {
        try {
            await navigator.clipboard.writeText(phrase);
        } catch {
            throw new RingwallError("RW-C-CLIPBOARD", "This browser does not let the page copy.", "Write the words down, or print them.");
        }
        said("Copied. Copy something else when you are done.");
    });
    when("phrase-print", "click", "phrase-error", () => print());
    when("phrase-check", "click", "phrase-error", asked);
    when("phrase-again", "click", "phrase-error", shown);
    when("phrase-form", "submit", "phrase-error", confirmed);
    when("phrase-escrow", "click", "phrase-error", () => download(escrow, `ringwall-${here.client?.user.slice(0, 8) ?? "user"}.escrow`));
}
