// What a browser keeps, and everything that may happen to it: a private window, a full disk, cleared data, two tabs.

import assert from "node:assert/strict";
import test from "node:test";
import { browser_device, passkey_device } from "../device.mjs";
import { unhex } from "../frame.mjs";
import { Keeping, persistent } from "../keeping.mjs";
import { take } from "../locks.mjs";
import { fake_database, fake_locks, settled } from "./fakes.mjs";

const CLUSTER = "ab".repeat(32);
const bytes = (...list) => Uint8Array.from(list);
const open = (database) => Keeping.open(database);
const DEVICE = { slot: "browser", who: "me" };

async function with_device(database) {
    const keeping = await open(database);
    await keeping.keep_device(CLUSTER, "browser", { who: "me" });
    return keeping;
}

test("a memory is there again, whole, and a save is on stable storage when it is done", async () => {
    const database = fake_database();
    const keeping = await with_device(database);
    const held = await keeping.hold(CLUSTER, DEVICE);
    assert.deepEqual(held.bytes, bytes());
    await held.save(bytes(1, 2));
    await held.save(bytes(3));
    const again = await (await open(database)).hold(CLUSTER, DEVICE);
    assert.deepEqual(again.bytes, bytes(3));
});

test("a browser that keeps nothing says so, in whichever way it does", async () => {
    await assert.rejects(Keeping.open(null), { code: "RW-C-PAGE-PLATFORM" });
    await assert.rejects(open(fake_database({ open: "throws" })), { code: "RW-C-KEEPING-REFUSED" });
    await assert.rejects(open(fake_database({ open: "InvalidStateError" })), { code: "RW-C-KEEPING-REFUSED" });
});

test("a full disk is told, and what was kept before is still there", async () => {
    const faults = {};
    const database = fake_database(faults);
    const keeping = await with_device(database);
    const held = await keeping.hold(CLUSTER, DEVICE);
    await held.save(bytes(1));
    faults.commit = "QuotaExceededError";
    await assert.rejects(held.save(bytes(2)), { code: "RW-C-KEEPING-FULL" });
    faults.commit = "UnknownError";
    await assert.rejects(held.save(bytes(2)), { code: "RW-C-KEEPING-REFUSED" });
    faults.commit = null;
    assert.deepEqual((await keeping.hold(CLUSTER, DEVICE)).bytes, bytes(1));
});

test("cleared data is noticed by an open page, at its next save", async () => {
    const database = fake_database();
    const keeping = await with_device(database);
    const held = await keeping.hold(CLUSTER, DEVICE);
    await held.save(bytes(1));
    assert.equal(keeping.gone, false);
    database.clear();
    await assert.rejects(held.save(bytes(2)), { code: "RW-C-KEEPING-WIPED" });
    assert.equal(keeping.gone, true);
});

test("a memory that was there and is gone is no first visit, unless a person says so", async () => {
    const database = fake_database();
    const keeping = await with_device(database);
    await (await keeping.hold(CLUSTER, DEVICE)).save(bytes(1));
    database.stores.get("memories").clear();
    await assert.rejects(keeping.hold(CLUSTER, DEVICE), { code: "RW-C-KEEPING-WIPED" });
    assert.deepEqual((await keeping.hold(CLUSTER, DEVICE, { anew: true })).bytes, bytes());
    await keeping.forget(CLUSTER, DEVICE);
    await with_device(database);
    assert.deepEqual((await keeping.hold(CLUSTER, DEVICE)).bytes, bytes(), "forgotten on purpose");
});

test("a tab that was taken over from cannot save, even if nobody told it", async () => {
    const database = fake_database();
    const [first, second] = [await with_device(database), await open(database)];
    const one = await first.hold(CLUSTER, DEVICE);
    await one.save(bytes(1));
    const two = await second.hold(CLUSTER, DEVICE);
    await assert.rejects(one.save(bytes(9)), { code: "RW-C-TAKEN-OVER" });
    await two.save(bytes(2));
    assert.deepEqual((await first.hold(CLUSTER, DEVICE)).bytes, bytes(2));
});

test("one tab at a time; another one takes over when it is told to", async () => {
    const locks = fake_locks();
    const first = await take("a", { locks });
    await assert.rejects(take("a", { locks }), { code: "RW-C-OTHER-TAB" });
    const other = await take("b", { locks });
    const second = await take("a", { locks, takeOver: true });
    assert.equal((await first.taken).code, "RW-C-TAKEN-OVER");
    second.release();
    other.release();
    await settled();
    assert.equal(locks.held.size, 0);
    await take("a", { locks });
    assert.throws(() => take("a", { locks: null }), { code: "RW-C-PAGE-PLATFORM" });
});

// WebCrypto without Ed25519, as some browsers have it.
const lacking = new Proxy(crypto.subtle, {
    get: (subtle, name) =>
        name === "generateKey"
            ? async (how, ...more) => {
                  if (how === "Ed25519") throw new DOMException("no such algorithm", "NotSupportedError");
                  return await subtle.generateKey(how, ...more);
              }
            : subtle[name].bind(subtle),
});

test("a key of the browser's own signs, is the same at the next visit, and cannot be taken out", async () => {
    const keeping = await open(fake_database());
    const device = await browser_device(keeping, CLUSTER);
    assert.deepEqual([device.kind, Object.keys(device.head)], ["key", ["public"]]);
    const words = bytes(1, 2, 3);
    const key = await crypto.subtle.importKey("raw", unhex(device.head.public), "Ed25519", true, ["verify"]);
    assert.ok(await crypto.subtle.verify("Ed25519", key, await device.sign(words), words));
    const again = await browser_device(keeping, CLUSTER);
    assert.deepEqual([again.head, again.who, again.user_key], [device.head, device.who, device.user_key]);
    const { pair } = await keeping.device(CLUSTER, "browser");
    await assert.rejects(crypto.subtle.exportKey("pkcs8", pair.privateKey));
    const other = await browser_device(keeping, "cd".repeat(32));
    assert.notEqual(other.head.public, device.head.public, "two clusters cannot tell that it is one browser");
});

test("two first visits at once make one key", async () => {
    const database = fake_database();
    const tabs = [await open(database), await open(database)];
    const [one, two] = await Promise.all(tabs.map((keeping) => browser_device(keeping, CLUSTER)));
    assert.deepEqual([two.head, two.who, two.user_key], [one.head, one.who, one.user_key]);
    assert.deepEqual((await browser_device(await open(database), CLUSTER)).head, one.head);
    assert.equal(database.stores.get("devices").size, 1);
});

test("of two records of a first visit the first one stays", async () => {
    const keeping = await open(fake_database());
    const both = await Promise.all([keeping.first_device(CLUSTER, "browser", { who: "one" }), keeping.first_device(CLUSTER, "browser", { who: "two" })]);
    assert.deepEqual(both, [{ who: "one" }, { who: "one" }]);
    assert.deepEqual(await keeping.device(CLUSTER, "browser"), { who: "one" });
    assert.deepEqual(await keeping.first_device("cd".repeat(32), "browser", { who: "two" }), { who: "two" }, "another cluster has its own");
});

test("where a browser cannot sign, a seed is kept wrapped", async () => {
    const database = fake_database();
    const keeping = await open(database);
    const device = await browser_device(keeping, CLUSTER, lacking);
    assert.equal(device.kind, "wrapped-seed");
    assert.match(device.head.seed, /^[0-9a-f]{64}$/);
    assert.deepEqual((await browser_device(keeping, CLUSTER, lacking)).head, device.head);
    const record = await keeping.device(CLUSTER, "browser");
    assert.ok(!Buffer.from(record.seed.sealed).includes(Buffer.from(unhex(device.head.seed))));
    await assert.rejects(crypto.subtle.exportKey("raw", record.seed.key));
    record.seed.sealed[0] ^= 1;
    await keeping.keep_device(CLUSTER, "browser", record);
    await assert.rejects(browser_device(keeping, CLUSTER, lacking), { code: "RW-C-DEVICE-UNREADABLE" });
});

test("keys whose halves do not belong together are noticed", async () => {
    const keeping = await open(fake_database());
    await browser_device(keeping, CLUSTER);
    const record = await keeping.device(CLUSTER, "browser");
    const stranger = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    await keeping.keep_device(CLUSTER, "browser", { ...record, pair: { publicKey: record.pair.publicKey, privateKey: stranger.privateKey } });
    await assert.rejects(browser_device(keeping, CLUSTER), { code: "RW-C-DEVICE-UNREADABLE" });
});

// An authenticator with one passkey.
function authenticator({ enabled = true, refuse = null } = {}) {
    const asked = [];
    const credential = (results) => ({ rawId: bytes(5, 5).buffer, getClientExtensionResults: () => ({ prf: { enabled, ...(results ? { results: { first: bytes(...Array(32).fill(7)).buffer } } : {}) } }) });
    const act = (kind, results) => async ({ publicKey }) => {
        asked.push([kind, publicKey]);
        if (refuse) throw new DOMException("the person said no", refuse);
        return credential(results);
    };
    return { asked, create: act("create", false), get: act("get", enabled) };
}

test("a passkey gives the same key each time, and nothing secret is kept of it", async () => {
    const database = fake_database();
    const keeping = await open(database);
    const credentials = authenticator();
    const device = await passkey_device(keeping, CLUSTER, { credentials });
    const again = await passkey_device(keeping, CLUSTER, { credentials });
    assert.deepEqual(again, device);
    assert.deepEqual(credentials.asked.map(([kind]) => kind), ["create", "get", "get"]);
    assert.deepEqual([...credentials.asked[2][1].allowCredentials[0].id], [5, 5]);
    assert.equal(credentials.asked[1][1].userVerification, "required");
    assert.notEqual(device.head.seed, device.user_key);
    assert.deepEqual(Object.keys(await keeping.device(CLUSTER, "passkey")).sort(), ["credential", "who"]);
    const elsewhere = await passkey_device(await open(fake_database()), CLUSTER, { credentials, existing: true });
    assert.deepEqual(elsewhere, device, "on another device it is the same user");
    assert.notEqual((await passkey_device(keeping, "cd".repeat(32), { credentials })).head.seed, device.head.seed);
});

test("a passkey that was not given, one that cannot derive, and a browser without any", async () => {
    const keeping = await open(fake_database());
    await assert.rejects(passkey_device(keeping, CLUSTER, { credentials: authenticator({ refuse: "NotAllowedError" }) }), { code: "RW-C-PASSKEY-REFUSED" });
    await assert.rejects(passkey_device(keeping, CLUSTER, { credentials: authenticator({ enabled: false }) }), { code: "RW-C-PASSKEY-NO-PRF" });
    await assert.rejects(passkey_device(keeping, CLUSTER, { credentials: authenticator({ enabled: false }), existing: true }), { code: "RW-C-PASSKEY-NO-PRF" });
    await assert.rejects(passkey_device(keeping, CLUSTER, { credentials: null }), { code: "RW-C-PAGE-PLATFORM" });
    assert.equal(await keeping.device(CLUSTER, "passkey"), undefined);
});

test("whether the browser promises to keep it", async () => {
    assert.equal(await persistent({ persisted: async () => false, persist: async () => true }), true);
    assert.equal(await persistent({ persisted: async () => false, persist: async () => false }), false);
    assert.equal(await persistent(undefined), false);
});
