// The device's key: what a node knows this browser's user by.
//
// Decides: where the key lives. Best a pair of the browser's own that cannot be taken out of it (the module has signatures made); where it has no Ed25519, a seed that the browser
// keeps wrapped under a key which cannot be taken out, and unwraps for the module; or a passkey, from whose `prf` secret the seed is derived and nothing is kept. Trusts: the browser
// and its authenticator; whatever script runs in this page can use the key while the page is open. Out of scope: the user's record (docs/protocol.md, "9.").

import { cause, device as faults, platform } from "./fault.mjs";
import { hex, joined, unhex } from "./frame.mjs";

const text = (words) => new TextEncoder().encode(words);
const fresh = (bytes) => crypto.getRandomValues(new Uint8Array(bytes));

// Labels of what is derived from a passkey's secret: README.md, "Passkeys".
const SALT = "ringwall passkey ";
const SEED = "ringwall device seed";
const USER_KEY = "ringwall user key";

// Bytes under a key of the browser's that cannot be taken out.
async function wrapped(bytes, subtle) {
    const key = await subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    const iv = fresh(12);
    const sealed = new Uint8Array(await subtle.encrypt({ name: "AES-GCM", iv }, key, bytes));
    return { key, iv, sealed };
}

async function unwrapped({ key, iv, sealed }, subtle) {
    return new Uint8Array(await subtle.decrypt({ name: "AES-GCM", iv }, key, sealed));
}

async function made(subtle) {
    const who = hex(fresh(16));
    const user_key = await wrapped(fresh(32), subtle);
    try {
        const pair = await subtle.generateKey("Ed25519", false, ["sign", "verify"]);
        const spelled = new Uint8Array(await subtle.exportKey("raw", pair.publicKey));
        return { kind: "key", who, pair, public: hex(spelled), user_key };
    } catch (thrown) {
        if (thrown?.name !== "NotSupportedError") throw thrown;
    }
    return { kind: "wrapped-seed", who, seed: await wrapped(fresh(32), subtle), user_key };
}

async function opened(record, subtle) {
    const user_key = hex(await unwrapped(record.user_key, subtle));
    if (record.kind === "wrapped-seed") return { kind: record.kind, slot: "browser", who: record.who, head: { seed: hex(await unwrapped(record.seed, subtle)) }, user_key };
    const sign = async (words) => new Uint8Array(await subtle.sign("Ed25519", record.pair.privateKey, words));
    // A key that was damaged or exchanged is noticed here, not by a node.
    const proof = text("ringwall: is this key of use?");
    if (!(await subtle.verify("Ed25519", record.pair.publicKey, await sign(proof), proof))) throw new Error("its halves do not belong together");
    return { kind: record.kind, slot: "browser", who: record.who, head: { public: record.public }, sign, user_key };
}

// The browser's key for a cluster; makes one at the first visit.
export async function browser_device(keeping, cluster, subtle = globalThis.crypto?.subtle) {
    if (!subtle) throw platform("cryptography");
    let record = await keeping.device(cluster, "browser");
    if (!record) {
        try {
            record = await made(subtle);
        } catch (thrown) {
            throw faults.none(cause(thrown));
        }
        record = await keeping.first_device(cluster, "browser", record);
    }
    try {
        return await opened(record, subtle);
    } catch {
        throw faults.unreadable();
    }
}

const prf = (credential) => credential.getClientExtensionResults().prf ?? {};

async function asked(salt, credentials, known) {
    const allowCredentials = known ? [{ type: "public-key", id: known }] : [];
    const publicKey = { challenge: fresh(32), allowCredentials, userVerification: "required", extensions: { prf: { eval: { first: salt } } } };
    return await credentials.get({ publicKey });
}

async function created(cluster, salt, credentials) {
    const name = `Ringwall ${cluster.slice(0, 8)}`;
    const credential = await credentials.create({
        publicKey: {
            rp: { name: "Ringwall" },
            user: { id: fresh(16), name, displayName: name },
            challenge: fresh(32),
            pubKeyCredParams: [-8, -7, -257].map((alg) => ({ type: "public-key", alg })),
            authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
            extensions: { prf: { eval: { first: salt } } },
        },
    });
    if (!prf(credential).enabled) throw faults.noPrf();
    // Not every authenticator derives while it makes.
    return prf(credential).results ? credential : await asked(salt, credentials, new Uint8Array(credential.rawId));
}

async function derived(secret, cluster, label, subtle) {
    const key = await subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
    return hex(new Uint8Array(await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: unhex(cluster), info: text(label) }, key, 256)));
}

// The key a passkey stands for. `existing`: it was made before, perhaps on another device; otherwise one is made where this browser knows of none.
export async function passkey_device(keeping, cluster, { existing = false, credentials = globalThis.navigator?.credentials, subtle = globalThis.crypto?.subtle } = {}) {
    if (!credentials?.create || !subtle) throw platform("passkeys");
    const known = await keeping.device(cluster, "passkey");
    const salt = new Uint8Array(await subtle.digest("SHA-256", joined(text(SALT), unhex(cluster))));
    let credential;
    try {
        credential = known || existing ? await asked(salt, credentials, known?.credential) : await created(cluster, salt, credentials);
    } catch (thrown) {
        throw thrown?.code?.startsWith?.("RW-C-") ? thrown : faults.refused(cause(thrown));
    }
    const secret = prf(credential).results?.first;
    if (!secret) throw faults.noPrf();
    const id = new Uint8Array(credential.rawId);
    const who = hex(new Uint8Array(await subtle.digest("SHA-256", id))).slice(0, 32);
    // Which passkey, and no secret. A record of another one would say that a memory is gone which is not this one's.
    if (known?.who !== who) await keeping.keep_device(cluster, "passkey", { who, credential: id });
    return { kind: "passkey", slot: "passkey", who, head: { seed: await derived(secret, cluster, SEED, subtle) }, user_key: await derived(secret, cluster, USER_KEY, subtle) };
}

// A key for one look at a cluster: made now, kept nowhere, and no node is told of it.
export const passing_device = () => ({ kind: "passing", who: "passing", head: { seed: hex(fresh(32)) } });
