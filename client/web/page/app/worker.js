// Keeps a copy of the page: each file compared with its hash, then served from the copy alone, with a network or without.
//
// Decides: that a copy in which one file is not what the list says is not kept at all, and that a new copy waits until the person takes it, or until no tab of this page is open. Trusts: whoever served this file; the list's own
// hash stands here. Demonstrations and cards are never kept. Out of scope: what the files do.

// Written by pin.mjs.
const PINS = "3b34fc0215bf7a514a025fa04eee7697f5b25be13cc8c9e42e7f177f2d2f0120";

const CACHE = `ringwall ${PINS}`;
const BASE = new URL("../", self.location.href);
const LIST_BYTES = 64 * 1024;
const FILE_BYTES = 32 * 1024 * 1024;

async function hash(bytes) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function fetched(path, most, expected) {
    const response = await fetch(new URL(path, BASE), { cache: "no-cache", credentials: "omit", redirect: "error" });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    const bytes = await response.arrayBuffer();
    if (bytes.byteLength > most) throw new Error(`${path} is too long`);
    if (expected !== undefined && (await hash(bytes)) !== expected) throw new Error(`${path} is not what the list says`);
    return { bytes, response: new Response(bytes, { headers: response.headers }) };
}

async function kept() {
    const list = await fetched("app/pins.json", LIST_BYTES, PINS);
    const { files } = JSON.parse(new TextDecoder().decode(list.bytes));
    const published = await fetched("published.json", LIST_BYTES);
    const { module } = JSON.parse(new TextDecoder().decode(published.bytes));
    // Not pinned: it names a verifier, and takes no pinned file's place.
    if (!/^[a-z0-9.-]{1,64}\.wasm$/.test(module?.file) || !/^[0-9a-f]{64}$/.test(module.sha256) || module.file in files) throw new Error("published.json names no verifier");
    const whole = [["app/pins.json", list], ["published.json", published]];
    for (const [path, expected] of [...Object.entries(files), [module.file, module.sha256]]) whole.push([path, await fetched(path, FILE_BYTES, expected)]);
    const cache = await caches.open(CACHE);
    for (const [path, { response }] of whole) await cache.put(new URL(path, BASE), response);
}

self.addEventListener("install", (event) => event.waitUntil(kept()));
self.addEventListener("message", ({ data }) => data === "take" && self.skipWaiting());
self.addEventListener("activate", (event) =>
    event.waitUntil(
        (async () => {
            for (const name of await caches.keys()) if (name.startsWith("ringwall ") && name !== CACHE) await caches.delete(name);
            await self.clients.claim();
        })(),
    ),
);

async function served(request) {
    const url = new URL(request.url);
    url.hash = "";
    url.search = "";
    if (url.pathname.endsWith("/app/")) url.pathname += "index.html";
    const cache = await caches.open(CACHE);
    const found = await cache.match(url);
    if (found) return found;
    // What is never kept: the demonstration. Nothing else of this place is asked for.
    const path = url.href.slice(BASE.href.length);
    if (path === "app/worker.js" || !/\.(?:mjs|js|css|html|wasm)$/.test(path)) return await fetch(request).catch(() => new Response("no network", { status: 504, headers: { "content-type": "text/plain" } }));
    return new Response("not part of the copy", { status: 404, headers: { "content-type": "text/plain" } });
}

self.addEventListener("fetch", (event) => {
    const { request } = event;
    if (request.method === "GET" && request.url.startsWith(BASE.href)) event.respondWith(served(request));
});
