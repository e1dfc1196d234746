// The page begins: the verifier is fetched and compared with its hash, then the parts are woken.
//
// Decides: which hash the verifier has to have: the one in the page's own address (`?module=`) where somebody gave one, else the one published beside it. Nothing of the page works without the
// verifier, but for the words about trust. Trusts: see step 8 of the page.

import { Keeping, RingwallError, load } from "../ringwall.mjs";
import { cause } from "../fault.mjs";
import * as card from "./card.mjs";
import * as chain from "./chain.mjs";
import { as_error, by, part, said, show, tell } from "./dom.mjs";
import { here } from "./here.mjs";
import * as memory from "./memory.mjs";
import * as notes from "./notes.mjs";
import * as offline from "./offline.mjs";
import * as phrase from "./phrase.mjs";
import * as sign from "./sign.mjs";
import * as trust from "./trust.mjs";

const PUBLISHED_BYTES = 4_096;
const base = new URL("../", document.baseURI);

async function small(name) {
    const response = await fetch(new URL(name, base), { credentials: "omit" });
    if (!response.ok) return null;
    const text = await response.text();
    return text.length > PUBLISHED_BYTES ? null : JSON.parse(text);
}

async function published() {
    try {
        const { file, sha256 } = (await small("published.json"))?.module ?? {};
        if (typeof file === "string" && typeof sha256 === "string" && /^[a-z0-9.-]{1,64}\.wasm$/.test(file)) return { file, sha256 };
    } catch (thrown) {
        throw new RingwallError("RW-C-MODULE-MISSING", `Which verifier is the published one cannot be read: ${cause(thrown)}.`, "Load the page again; if it stays so, whoever serves it has to mend it.");
    }
    throw new RingwallError("RW-C-MODULE-MISSING", "The server does not say which verifier is the published one.", "Whoever serves this page has to mend it.");
}

// What a demonstration offers; other servers offer none.
async function demo() {
    if (!navigator.onLine) return {};
    try {
        const { card: name, rewind } = (await small("demo.json")) ?? {};
        return { card: typeof name === "string" && /^[a-z0-9.-]{1,64}$/.test(name) ? name : null, rewind: rewind === true };
    } catch {
        return {};
    }
}

async function keeping() {
    try {
        here.keeping = await Keeping.open();
    } catch (thrown) {
        here.unkept = as_error(thrown);
    }
}

async function verifier() {
    const { file, sha256 } = await published();
    const given = new URLSearchParams(location.search).get("module");
    return await load({ url: new URL(file, base), sha256: given ?? sha256 });
}

async function resumed() {
    if (await card.from_address()) return;
    const kept = await here.keeping?.card().catch(() => undefined);
    if (kept) await card.use(kept);
}

async function started() {
    [card, chain, sign, notes, phrase, memory, offline].forEach((each) => each.begin());
    void trust.begin();
    try {
        here.module = await verifier();
    } catch (thrown) {
        const error = tell("page-error", thrown);
        trust.refused(error);
        void trust.shown(null);
        part("body", "broken", error.code);
        for (const id of ["card", "chain", "sign", "notes", "phrase", "memory", "offline"]) by(id).inert = true;
        return said("The verifier was not started.");
    }
    void trust.shown(here.module);
    await keeping();
    here.demo = await demo();
    show("card-offer", Boolean(here.demo.card));
    await resumed();
    part("body", "ready");
    for (const id of ["card-read", "chain-start"]) by(id).disabled = false;
    by("card-read").disabled = by("card-text").value.trim() === "";
    said("The verifier is ready.");
}

void started().catch((thrown) => part("body", "broken", tell("page-error", thrown).code));
