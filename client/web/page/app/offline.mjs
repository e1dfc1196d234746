// Step 9: what a node showed earlier is judged again, with nothing but files.
//
// Decides: which card is used. Trusts: the person for both files. Out of scope: judging (the module). docs/explain.md, "Without a network".

import { verify } from "../ringwall.mjs";
import { by, el, file_bytes, part, said, tell, untell, when } from "./dom.mjs";
import { here, on } from "./here.mjs";
import { refusal_error } from "./chain.mjs";
import { clear, lay_out } from "./questions.mjs";
import { date } from "./when.mjs";

const CARD_BYTES = 17_039_360; // docs/core.md
const EXCHANGE_BYTES = 24 * 1024 * 1024; // docs/limits.md: `EXCHANGE_ROW_BYTES`, and room

const STATES = { accepted: "accepted", refused: "refused", "cannot-tell": "cannot-tell" };

// How often the files were changed.
let changes = 0;

function changed() {
    changes += 1;
    untell("offline-error");
    clear("offline");
    part("offline", "idle");
}

async function judged() {
    const mine = changes;
    clear("offline");
    part("offline", "judging");
    const [card] = by("offline-card").files;
    const [exchange] = by("offline-exchange").files;
    try {
        const bytes = card ? await file_bytes(card, CARD_BYTES) : here.card?.bytes;
        const told = await verify(bytes, await file_bytes(exchange, EXCHANGE_BYTES), { module: here.module });
        if (changes !== mine || !(await lay_out("offline", told))) return;
        const by_whom = told.pinned_by === "card" ? "the card" : "the file itself, so it says nothing about which cluster you mean";
        by("offline-verdict").append(el("small", { class: "quiet" }, ` As of ${date(told.at_s)}. The cluster was named by ${by_whom}.`));
        if (told.error) tell("offline-error", refusal_error(told));
        part("offline", STATES[told.verdict] ?? "failed", told.error?.code);
        said("Judged without a network.");
    } catch (thrown) {
        if (changes !== mine) return;
        const { code } = tell("offline-error", thrown);
        part("offline", "failed", code);
    }
}

export function begin() {
    by("offline-exchange").addEventListener("change", ({ target }) => {
        by("offline-verify").disabled = target.files.length === 0 || !here.module;
    });
    // A verdict stands beside the files it is about, and no others; where no card was chosen, beside the card of the first step.
    for (const id of ["offline-card", "offline-exchange"]) by(id).addEventListener("change", changed);
    on("card", () => by("offline-card").files.length === 0 && changed());
    when("offline-verify", "click", "offline-error", judged);
}
