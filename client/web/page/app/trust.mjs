// Step 8: how far this page can be trusted, in numbers that can be compared, and a copy of it on this device.
//
// Decides: nothing about trust. Shows the hashes of verifier and page, and whether the copy that is kept is the one that was served. Trusts: whoever served this page, which is what it says.
// Out of scope: keeping the copy (`worker.js`).

import { RingwallError } from "../ringwall.mjs";
import { cause } from "../fault.mjs";
import { sha256 } from "../module.mjs";
import { by, groups, show, tell, untell, when } from "./dom.mjs";

const WORDS = {
    none: "No copy is kept.",
    fetching: "Fetching, and comparing each file.",
    ready: "A copy is kept here, and served from here: it works without a network.",
    waiting: "The server offers another version of this page. The copy that is kept here goes on until you take the new one, or close every tab of this page; compare its number with a release first.",
    refused: "The copy was refused: what was served is not what its list says.",
};

function copy(state) {
    by("trust-offline").dataset.state = state;
    by("trust-offline").textContent = WORDS[state];
    show("trust-install", state === "none" || state === "refused");
    show("trust-remove", state === "ready" || state === "waiting");
    show("trust-take", state === "waiting");
}

// The page is known by its list, which has the hash of every file.
async function page_hash() {
    const response = await fetch(new URL("pins.json", document.baseURI), { credentials: "omit" });
    if (!response.ok) throw new Error(`the list of its files is not served (${response.status})`);
    return await sha256(new Uint8Array(await response.arrayBuffer()));
}

export async function shown(module, page = page_hash) {
    if (module) {
        groups("trust-module", module.sha256);
        by("trust-module").dataset.expected = module.sha256;
        by("trust-module").dataset.found = module.sha256;
    }
    try {
        const digest = await page();
        groups("trust-page", digest);
        by("trust-page").dataset.sha256 = digest;
    } catch (thrown) {
        by("trust-page").textContent = `not known: ${cause(thrown)}`;
    }
}

function tampered({ expected, found }) {
    groups("trust-module", expected);
    by("trust-module").dataset.expected = expected;
    by("trust-module").dataset.found = found;
}

export const refused = (error) => error.code === "RW-C-MODULE-TAMPERED" && tampered(error);

const workers = () => navigator.serviceWorker;

// The one address of a script that this page makes; every other one stands in its text. A policy of that name can be made once.
const make = { createScriptURL: () => new URL("worker.js", document.baseURI).href };
const addresses = globalThis.trustedTypes?.createPolicy("ringwall-worker", make) ?? make;

function followed(registration) {
    const look = () => {
        if (registration.waiting && registration.active) copy("waiting");
        else if (registration.active) copy("ready");
    };
    registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", look));
    look();
}

async function installed() {
    if (!workers()) throw new RingwallError("RW-C-PAGE-PLATFORM", "This browser keeps no copies of pages here.", "Use a current browser, outside of a private window.");
    copy("fetching");
    const registration = await workers().register(addresses.createScriptURL(""), { scope: "./", updateViaCache: "none" });
    const worker = registration.installing ?? registration.waiting ?? registration.active;
    await new Promise((resolve, reject) => {
        const look = () => {
            if (worker.state === "activated" || worker.state === "installed") resolve();
            if (worker.state === "redundant") reject(new RingwallError("RW-C-PAGE-PINS", "A file of this page is not what its list says, so no copy was kept.", "Do not trust this server before that is explained."));
        };
        worker.addEventListener("statechange", look);
        look();
    });
    followed(registration);
    copy("ready");
}

export async function begin() {
    when("trust-install", "click", "trust-error", async () => {
        try {
            await installed();
        } catch (thrown) {
            copy("refused");
            throw thrown instanceof RingwallError ? thrown : new RingwallError("RW-C-PAGE-PINS", `No copy was kept: ${cause(thrown)}.`, "Load the page again.");
        }
    });
    when("trust-take", "click", "trust-error", async () => {
        const registration = await workers().getRegistration("./");
        workers().addEventListener("controllerchange", () => location.reload(), { once: true });
        registration?.waiting?.postMessage("take");
    });
    when("trust-remove", "click", "trust-error", async () => {
        const registration = await workers().getRegistration("./");
        await registration?.unregister();
        for (const name of await caches.keys()) if (name.startsWith("ringwall ")) await caches.delete(name);
        untell("trust-error");
        copy("none");
    });
    copy("none");
    try {
        const registration = await workers()?.getRegistration("./");
        if (registration) followed(registration);
    } catch (thrown) {
        tell("trust-error", thrown);
    }
}
