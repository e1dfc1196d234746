// The copy of the page: kept whole or not at all, served from itself alone. And the words of the page's errors.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";
import vm from "node:vm";
import { plain } from "../app/plain.mjs";
import { RingwallError, cause, shown } from "../fault.mjs";

const ROOT = new URL("../", import.meta.url);
const WORKER = readFileSync(new URL("app/worker.js", ROOT), "utf8");
const LIST = readFileSync(new URL("app/pins.json", ROOT));
const MODULE = Buffer.from("a module");
const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");

// The worker with a network and a cache of its own; `change(path, bytes)` is a server that is dishonest. `list` is what it is pinned to, `more` are files beside the page's.
function worker(change = (_, bytes) => bytes, { list = LIST, more = {} } = {}) {
    const listeners = {};
    let skipped = 0;
    const stores = new Map();
    const asked = [];
    let online = true;
    const held = (path) => {
        if (path === "ringwall.wasm") return MODULE;
        if (more[path]) return more[path];
        if (path === "published.json") return Buffer.from(JSON.stringify({ module: { file: "ringwall.wasm", sha256: hash(MODULE) } }));
        if (path === "demo.json") return Buffer.from("{}");
        return readFileSync(new URL(path, ROOT));
    };
    const self = { location: { href: "https://x.test/page/app/worker.js" }, addEventListener: (name, work) => (listeners[name] = work), clients: { claim: async () => {} }, skipWaiting: () => skipped++ };
    const caches = {
        open: async (name) => {
            if (!stores.has(name)) stores.set(name, new Map());
            const rows = stores.get(name);
            return { put: async (url, response) => void rows.set(String(url), response), match: async (url) => rows.get(String(url))?.clone() };
        },
        keys: async () => [...stores.keys()],
        delete: async (name) => stores.delete(name),
    };
    const fetch = async (wanted) => {
        const path = String(wanted.url ?? wanted).slice("https://x.test/page/".length);
        asked.push(path);
        if (!online) throw new TypeError("no network");
        return new Response(change(path, held(path)), { headers: { "content-security-policy": "default-src 'none'" } });
    };
    vm.runInNewContext(WORKER.replace(hash(LIST), hash(list)), { self, caches, fetch, crypto, URL, Response, Uint8Array, Array, TextDecoder, JSON, Error });
    const installed = async () => {
        let done;
        listeners.install({ waitUntil: (work) => (done = work) });
        await done;
    };
    const get = async (path) => {
        let answer;
        listeners.fetch({ request: { method: "GET", url: `https://x.test/page/${path}` }, respondWith: (work) => (answer = work) });
        return await answer;
    };
    return { installed, get, asked, stores, skipped: () => skipped, cut: () => (online = false), listeners };
}

test("what was kept is served from the copy, with the page's policy and no network", async () => {
    const one = worker();
    await one.installed();
    one.cut();
    one.asked.length = 0;
    for (const path of ["app/", "app/?module=x", "app/app.mjs", "ringwall.mjs", "ringwall.wasm", "published.json", "app/pins.json"]) {
        const answer = await one.get(path);
        assert.equal(answer.status, 200, path);
        assert.equal(answer.headers.get("content-security-policy"), "default-src 'none'");
    }
    assert.deepEqual(one.asked, []);
    assert.equal(hash(Buffer.from(await (await one.get("app/")).arrayBuffer())), JSON.parse(LIST).files["app/index.html"]);
    assert.equal((await one.get("evil.mjs")).status, 404, "what is not in the list is no part of the page");
    assert.deepEqual(one.asked, []);
    assert.equal((await one.get("demo.json")).status, 504);
});

for (const bent of ["app/pins.json", "app/index.html", "session.mjs", "app/style.css", "ringwall.wasm"]) {
    test(`a copy in which ${bent} is another is not kept`, async () => {
        const one = worker((path, bytes) => (path === bent ? Buffer.concat([bytes, Buffer.from(" ")]) : bytes));
        await assert.rejects(one.installed());
        assert.equal([...one.stores.values()].reduce((sum, rows) => sum + rows.size, 0), 0);
    });
}

for (const [what, published] of [
    ["a pinned file in place of a verifier", { module: { file: "app/style.css", sha256: hash(readFileSync(new URL("app/style.css", ROOT))) } }],
    ["a pinned file that ends like one", { module: { file: "pinned.wasm", sha256: hash(MODULE) } }],
    ["a file outside of the page", { module: { file: "../evil.wasm", sha256: hash(MODULE) } }],
    ["another place", { module: { file: "https://evil.test/a.wasm", sha256: hash(MODULE) } }],
    ["no hash", { module: { file: "ringwall.wasm", sha256: "" } }],
    ["nothing", {}],
]) {
    test(`a copy whose published.json names ${what} is not kept`, async () => {
        // A list that pins a file of a verifier's name: the worker is told its hash, as pin.mjs does.
        const list = Buffer.from(JSON.stringify({ files: { "app/style.css": JSON.parse(LIST).files["app/style.css"], "pinned.wasm": hash(MODULE) } }));
        const served = { "published.json": Buffer.from(JSON.stringify(published)), "app/pins.json": list };
        const one = worker((path, bytes) => served[path] ?? bytes, { list, more: { "pinned.wasm": MODULE } });
        await assert.rejects(one.installed(), /published.json names no verifier/);
        assert.equal(one.stores.size, 0);
        // The same list with a verifier of its own is kept.
        served["published.json"] = Buffer.from(JSON.stringify({ module: { file: "ringwall.wasm", sha256: hash(MODULE) } }));
        await one.installed();
        assert.equal([...one.stores.values()][0].size, 5);
    });
}

test("a copy that was installed is used when no tab is open, or at once where a person takes it", async () => {
    const one = worker();
    await one.installed();
    assert.equal(one.skipped(), 0, "by itself it passes nobody over");
    one.listeners.message({ data: "something else" });
    assert.equal(one.skipped(), 0);
    one.listeners.message({ data: "take" });
    assert.equal(one.skipped(), 1);
});

test("a copy that comes into use takes the older ones away, and nothing of others", async () => {
    const one = worker();
    await one.installed();
    one.stores.set("ringwall old", new Map());
    one.stores.set("of others", new Map());
    let done;
    one.listeners.activate({ waitUntil: (work) => (done = work) });
    await done;
    assert.deepEqual([...one.stores.keys()].map((name) => name.replace(/[0-9a-f]{64}/, "PINS")).sort(), ["of others", "ringwall PINS"]);
});

test("errors have plain words, and a code nobody knows keeps the module's own", () => {
    const { what, fix } = plain(new RingwallError("RW-C-ROLLBACK-DETECTED", "ROLLBACK_DETECTED: long"));
    assert.match(what, /set back/);
    assert.match(fix, /ringwall receipt/);
    assert.deepEqual(plain(new RingwallError("RW-C-NEW", "what", "do")), { what: "What.", fix: "do" });
    const clock = plain(new RingwallError("RW-C-CANNOT-TELL", "x", "", { advice: "compare-clocks" }));
    assert.match(clock.fix, /clock says \d{4}-\d\d-\d\d/);
});

test("every code this folder makes stands in README.md", () => {
    const readme = readFileSync(new URL("README.md", ROOT), "utf8");
    const scripts = ["", "app/"].flatMap((folder) => readdirSync(new URL(folder || ".", ROOT)).filter((name) => name.endsWith(".mjs")).map((name) => folder + name));
    const made = scripts.flatMap((path) => [...readFileSync(new URL(path, ROOT), "utf8").matchAll(/new RingwallError\(\s*"(RW-C-[A-Z-]+)"/g)].map(([, code]) => code));
    assert.ok(made.length > 20);
    // The module's own, told here where it was not asked.
    const modules = ["RW-C-CARD-TOO-LARGE", "RW-C-NO-ADDRESS", "RW-C-ROLLBACK-DETECTED", "RW-C-QR-IMAGE"];
    assert.deepEqual([...new Set(made)].filter((code) => !modules.includes(code) && !readme.includes(`\`${code}\``)), []);
});

test("words of others are one line, bounded, and cannot turn a line around", () => {
    assert.equal(shown("a\n\u202Eb\u0000c\u2028d"), "a b c d");
    assert.equal(shown("x".repeat(1_000)).length, 303);
    assert.equal(cause({ name: "QuotaExceededError" }), "QuotaExceededError");
    assert.equal(cause(new Error("It failed.")), "It failed");
    assert.equal(cause(undefined), "undefined");
});
