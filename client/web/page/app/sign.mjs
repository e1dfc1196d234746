// Step 4: the device's key opens a client. One tab holds it; another one is told, and may take over.
//
// Decides: what a client's end means for the page, and when a person has to say yes to something (taking over, beginning without a memory that was there). Trusts: the module for who is
// believed; the browser for the key. Out of scope: where keys live (`../device.mjs`).

import { Keeping, browserDevice, open, passkeyDevice } from "../ringwall.mjs";
import { believed } from "./chain.mjs";
import { as_error, at, by, go, groups, part, said, show, tell, turn, untell, when } from "./dom.mjs";
import { here, on, set } from "./here.mjs";
import { refused } from "./memory.mjs";

export const NAMESPACE = "notes";
export const SET_BACK = ["RW-C-ROLLBACK-DETECTED", "RW-C-FORK-DETECTED"];

// What only forgetting the cluster mends.
const STUCK = ["RW-C-MEMORY-DAMAGED", "RW-C-MEMORY-OTHER", "RW-C-DEVICE-UNREADABLE"];

const KEPT = {
    key: "in this browser; it cannot be taken out, only used here",
    "wrapped-seed": "in this browser, wrapped under a key that cannot be taken out; this browser cannot sign by itself, so the page unwraps it while you are signed in",
    passkey: "in your passkey; nothing of it is kept here",
};

function out(state, error) {
    set("client", null);
    part("sign", state, error?.code);
    if (error) tell("sign-error", error);
    show("sign-in");
    show("sign-out", false);
    show("sign-kind");
    show("sign-facts", false);
    show("sign-take", state === "elsewhere");
    show("sign-anew", error?.code === "RW-C-KEEPING-WIPED");
}

function failed(thrown) {
    const error = as_error(thrown);
    out(["RW-C-OTHER-TAB", "RW-C-TAKEN-OVER"].includes(error.code) ? "elsewhere" : "refused", error);
    if (SET_BACK.includes(error.code)) refused(error);
    if (STUCK.includes(error.code)) turn("memory", true);
}

// The client has ended by itself, or was closed.
function over(client, error) {
    if (here.client !== client) return;
    if (error.code === "RW-C-CLOSED") return out("out");
    failed(error);
    said("Signed out: the connection was given up.");
}

// What a client of another card still says is nobody's any more.
const hooks = (card) => ({
    believed: (what) => here.card === card && void believed(what).then(() => here.client && at("notes") === "lost" && part("notes", "open")),
    disbelieved: ({ error }) => here.card === card && error && SET_BACK.includes(error.code) && refused(error),
    lost: (address) => here.card === card && here.client && address === by("chain-node").dataset.address && part("notes", "lost"),
});

async function signed_in({ takeOver = false, anew = false } = {}) {
    if (here.client) return;
    untell("sign-error");
    part("sign", "signing");
    const { card } = here;
    let client;
    try {
        if (!here.keeping) throw here.unkept;
        if (here.keeping.gone) set("keeping", await Keeping.open());
        const { cluster } = card.facts;
        const passkey = by("sign-passkey").checked;
        const device = passkey ? await passkeyDevice(here.keeping, cluster, { existing: by("sign-existing").checked }) : await browserDevice(here.keeping, cluster);
        if (here.card !== card) return out("out");
        set("device", device);
        client = await open({ card: card.bytes, module: here.module, keeping: here.keeping, device, takeOver, anew, on: hooks(card) });
        if (client.remembered.detected) refused();
        // The first question shows that the user is accepted.
        await Promise.race([client.enter(NAMESPACE), client.ended.then((error) => Promise.reject(error))]);
        if (here.card !== card) {
            await client.close();
            return out("out");
        }
        groups("sign-user", client.user);
        by("sign-user").dataset.user = client.user;
        by("sign-kept").textContent = KEPT[device.kind];
        by("sign-kept").dataset.kept = device.kind;
    } catch (thrown) {
        await client?.close().catch(() => {});
        if (here.card !== card) return out("out");
        failed(thrown);
        return;
    }
    show("sign-in", false);
    show("sign-take", false);
    show("sign-anew", false);
    show("sign-kind", false);
    show("sign-facts");
    show("sign-out");
    part("sign", "in");
    set("client", client);
    client.ended.then((error) => over(client, error));
    said("Signed in.");
    go("notes");
}

export async function sign_out() {
    const { client } = here;
    set("client", null);
    await client?.close();
    // With it goes what a page has of the key: the seed of a passkey, or of a wrapped key.
    set("device", null);
    out("out");
}

export function begin() {
    on("judged", (judged) => turn("sign", judged !== null || here.client !== null));
    on("card", () => {
        if (here.client) void sign_out();
        turn("sign", here.judged !== null);
    });
    when("sign-in", "click", "sign-error", () => signed_in());
    when("sign-take", "click", "sign-error", () => signed_in({ takeOver: true }));
    when("sign-anew", "click", "sign-error", () => signed_in({ anew: true }));
    when("sign-out", "click", "sign-error", async () => {
        await sign_out();
        said("Signed out.");
        by("sign-in").focus();
    });
}
