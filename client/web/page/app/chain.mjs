// Step 2: a node is asked for evidence, and the reasons are shown one by one. The times are the verifier's own work and the whole way from the dial.
//
// Decides: which of several refusals is shown: a bad node before one nobody can tell about, that before one out of reach. Trusts: the module for every mark. Out of scope: judging.

import { RingwallError, look } from "../ringwall.mjs";
import { by, download, el, go, groups, part, said, show, tell, turn, untell, when } from "./dom.mjs";
import { here, on, set } from "./here.mjs";
import { clear, lay_out } from "./questions.mjs";

const WAYS = { webtransport: "WebTransport", websocket: "WebSocket" };
let exchange = null;

// What of a refusal an error in place needs.
export function refusal_error({ error, refusal, address }) {
    const { code = "RW-C-CANNOT-TELL", words = "" } = error ?? {};
    return new RingwallError(code, words || `${address} was refused.`, refusal?.to_do ?? "", { advice: refusal?.advice });
}

function facts({ address, times, vendor, chip, measurement, svn, trust_domain }) {
    const over = times?.over;
    by("chain-node").textContent = `${address}${over ? `, over ${WAYS[over]}` : ""}`;
    by("chain-node").dataset.address = address;
    if (over) by("chain-node").dataset.over = over;
    const simulated = /simulated/i.test(trust_domain ?? "");
    by("chain-machine").textContent = [simulated ? "SIMULATED" : null, vendor, chip].filter(Boolean).join(", ");
    groups("chain-measurement", measurement);
    show("chain-measurement", Boolean(measurement));
    by("chain-ms").textContent = "";
    if (times) {
        const [judging, total] = [times.judging_ms, times.total_ms].map((ms) => (ms < 10 ? ms.toFixed(1) : Math.round(ms)));
        by("chain-ms").textContent = `judged in ${judging} ms on this device; ${total} ms from the dial to the verdict`;
        by("chain-ms").dataset.ms = times.judging_ms.toFixed(3);
        by("chain-ms").dataset.totalMs = times.total_ms.toFixed(3);
    }
    by("chain-measurement").title = svn === undefined ? "" : `security version ${svn}`;
    show("chain-facts");
    show("sight-simulated", simulated || here.card?.facts.trust_domain === "simulated");
}

function offered(bytes) {
    exchange = bytes?.length > 0 ? bytes : null;
    show("chain-save", exchange !== null);
}

// A node was believed, here or by the client of a later step.
export async function believed(what) {
    untell("chain-error");
    facts(what);
    offered(what.exchange);
    part("chain", "judging");
    if (!(await lay_out("chain", what))) return;
    part("chain", "believed");
    set("judged", what);
}

// Bad before nobody can tell, that before out of reach.
const AWAY = ["RW-C-UNAVAILABLE", "RW-C-DIAL-UNREACHABLE", "RW-C-DIAL-REFUSED"];

function rank({ verdict, error }) {
    if (verdict === "cannot-tell" || error?.code === "RW-C-CANNOT-TELL") return 1;
    return AWAY.includes(error?.code) ? 2 : 0;
}
const STATES = ["refused", "cannot-tell", "unreachable"];

export async function disbelieved(refused) {
    const worst = [...refused].sort((a, b) => rank(a) - rank(b))[0];
    if (!worst) throw new RingwallError("RW-C-UNAVAILABLE", "No node answered.", "");
    if (worst.stages) {
        show("chain-facts", false);
        offered(worst.exchange);
        if (!(await lay_out("chain", worst))) return;
    }
    const { code } = tell("chain-error", refusal_error(worst));
    part("chain", STATES[rank(worst)], code);
    if (refused.length > 1) by("chain-error").append(el("p", { class: "quiet" }, `${refused.length} nodes were asked.`));
    said("The check ended without a node that can be used.");
}

// Nothing is shown under another card than the one that was asked about: whoever changed it meanwhile is not told of the old one.
async function started(card) {
    if (card.facts.web.length + card.facts.sockets.length === 0) {
        throw new RingwallError("RW-C-NO-ADDRESS", "This card names no door for pages.", "Ask whoever runs the cluster for a newer card.");
    }
    clear("chain");
    show("chain-facts", false);
    offered(null);
    part("chain", "asking");
    said("Asking a node for its evidence.");
    const { believed: good, refused } = await look({ card: card.bytes, module: here.module });
    if (here.card !== card) return;
    if (!good) return await disbelieved(refused);
    await believed(good);
    if (here.card !== card) return;
    said(`Genuine. Judged in ${Math.round(good.times?.judging_ms ?? 0)} milliseconds.`);
    go("chain");
}

export function begin() {
    on("card", (card) => {
        turn("chain", card !== null);
        clear("chain");
        untell("chain-error");
        show("chain-facts", false);
        show("sight-simulated", card?.facts.trust_domain === "simulated");
        offered(null);
        part("chain", "idle");
        set("judged", null);
    });
    when("chain-start", "click", "chain-error", async () => {
        by("chain-start").disabled = true;
        const { card } = here;
        try {
            await started(card);
        } catch (thrown) {
            if (here.card !== card) return;
            part("chain", "unreachable", thrown.code);
            throw thrown;
        } finally {
            by("chain-start").disabled = false;
            by("chain-start").textContent = "Check again";
        }
    });
    when("chain-save", "click", "chain-error", () => download(exchange, `shown-by-${by("chain-node").dataset.address?.replace(/[^A-Za-z0-9.-]/g, "-") ?? "node"}.exchange`));
}
