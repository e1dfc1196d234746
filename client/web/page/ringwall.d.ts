// Types of `ringwall.mjs`: Ringwall in a page. Bytes are `Uint8Array`; `_s` are Unix seconds or seconds, `_ms` milliseconds; versions and revisions are whole numbers below 2^53.

/** Everything that fails is one of these. Codes are stable (docs/core.md, README.md). */
export class RingwallError extends Error {
    /** `RW-C-...`. */
    readonly code: string;
    /** What to do; empty where `message` says it. */
    readonly fix: string;
    /** `RW-C-CONFLICT`: the version the key has, 0 for none. */
    readonly current?: number;
    /** `RW-C-MODULE-TAMPERED`: the SHA-256 that was wanted, and the one that was served. */
    readonly expected?: string;
    readonly found?: string;
}

/** A verifier whose hash was compared before it was compiled. */
export interface Module {
    readonly sha256: string;
    readonly bytes: number;
}

/** Fetches `url`, or takes `bytes`; refuses what has another SHA-256 (64 lower-case hex digits) than the one given, before it is compiled. */
export function load(options: { url: string | URL; sha256: string; fetch?: typeof fetch } | { bytes: Uint8Array; sha256: string }): Promise<Module>;

/** A card: the file's bytes, its text, or a link. */
export type CardSource = Uint8Array | string;

export interface Card {
    readonly form: "file" | "text" | "link";
    /** The cluster's id: what the card pins. */
    readonly cluster: string;
    readonly name: string | null;
    readonly trust_domain: "production" | "simulated" | null;
    readonly policy_version: number | null;
    readonly policy_changes: number | null;
    readonly addresses: readonly string[];
    readonly web: readonly { readonly address: string; readonly certificates: readonly string[] }[];
    readonly sockets: readonly string[];
    readonly link: string | null;
}

export function readCard(card: CardSource, options: { module: Module }): Promise<Card>;

/** Text of a QR code in a picture: one byte for each pixel, row by row, 0 is black; at most 4,194,304 pixels. */
export function readCode(picture: { width: number; height: number; pixels: Uint8Array }, options: { module: Module }): Promise<string>;

/** One question about a node, how it was answered, and why. docs/explain.md. */
export interface Stage {
    readonly stage: string;
    readonly title: string;
    readonly asks: string;
    readonly mark: "ok" | "failed" | "cannot-tell" | "in-part" | "not-reached";
    readonly steps: readonly string[];
    readonly because?: string;
}

export interface Refusal {
    readonly stage: string;
    readonly finding: "bad" | "cannot-tell";
    readonly message: string;
    readonly expected: string;
    readonly found: string;
    readonly advice: string;
    readonly to_do: string;
}

/** A judgement; the fields beside these are those of `ringwall verify --json` (docs/explain.md). */
export interface Judgement {
    readonly verdict: "accepted" | "refused" | "cannot-tell";
    readonly at_s: number;
    readonly stages: readonly Stage[];
    readonly refusal?: Refusal;
    readonly error?: { readonly code: string; readonly words: string };
    readonly [more: string]: unknown;
}

/** Judges a saved exchange without a network, as of `at_s`, else of when it was made. A refusal is an answer. */
export function verify(
    card: CardSource | undefined,
    exchange: Uint8Array,
    options: { module: Module; at_s?: number; now_s?: number },
): Promise<Judgement & { readonly pinned_by: "card" | "file" }>;

/** A judgement of a node that was asked. */
export interface Judged extends Judgement {
    readonly address: string;
    /** Saved exchange: give it to `verify`. Empty where nothing was judged. */
    readonly exchange: Uint8Array;
    /** Milliseconds the verifier worked on what the node sent, and milliseconds since it was dialled. */
    readonly times?: { readonly over: "webtransport" | "websocket"; readonly judging_ms: number; readonly total_ms: number };
}

export interface Hooks {
    believed?(what: Judged): void;
    disbelieved?(what: Partial<Judged> & { address: string }): void;
    /** A node that was out of reach, or did not do what a node does, or would not serve this device. */
    unusable?(what: { address: string; error: { code: string; words: string } }): void;
    /** A door that did not open, or closed. */
    unreached?(address: string, why: string): void;
    lost?(address: string, why: string): void;
}

interface Ways {
    card: CardSource;
    module: Module;
    timeouts?: { dial_ms?: number; answer_ms?: number; deadline_ms?: number };
    min_policy_version?: number;
    on?: Hooks;
}

/** Looks whether a node is what it has to be; no node is told who asks, nothing is remembered. */
export function look(options: Ways & { patience_ms?: number }): Promise<{ believed: Judged | null; refused: readonly (Partial<Judged> & { address: string })[] }>;

/** What the browser keeps (IndexedDB). Throws `RW-C-KEEPING-REFUSED` where it keeps nothing. */
export class Keeping {
    static open(): Promise<Keeping>;
    /** Whether the browser's data was removed while this was open: only a new one is of use then. */
    readonly gone: boolean;
    card(): Promise<Uint8Array | undefined>;
    keep_card(card: Uint8Array): Promise<void>;
    forget_card(): Promise<void>;
    /** Removes a device's key and its memory: what was written in user mode is lost with it unless another device or a phrase has the user key. */
    forget(cluster: string, device: Device): Promise<void>;
    close(): void;
}

/** Asks the browser not to remove what it keeps by itself; whether it promises that. */
export function persistent(): Promise<boolean>;

export interface Device {
    /** Where the key is: the browser's own, which cannot be taken out; a seed wrapped under such a key; a passkey. */
    readonly kind: "key" | "wrapped-seed" | "passkey";
    readonly slot: string;
    readonly who: string;
}

/** The browser's device for a cluster; makes one at the first visit. */
export function browserDevice(keeping: Keeping, cluster: string): Promise<Device>;

/** A device derived from a passkey (`prf`). `existing`: use one that was made before. */
export function passkeyDevice(keeping: Keeping, cluster: string, options?: { existing?: boolean }): Promise<Device>;

/** What is remembered of a cluster. docs/core.md, "Operations". */
export interface Anchor {
    readonly known: boolean;
    readonly epoch?: number;
    readonly entries?: number;
    readonly index?: number;
    readonly head?: string;
    readonly incarnation?: string;
    readonly receipts?: number;
    readonly policy_version: number | null;
    readonly policy_changes: number | null;
    readonly log_head: { readonly origin: string; readonly size: number } | null;
    readonly detected: "rollback" | "fork" | null;
    readonly unkept_receipts: boolean;
}

export type Key = string | Uint8Array;
export type Expect = "any" | "absent" | "present" | { version: number };

export interface Entry {
    readonly key: Key;
    readonly version: number;
    readonly bytes: number;
    readonly value?: Uint8Array;
}

export interface Change {
    readonly key: Key;
    readonly revision: number;
    /** Missing where the key was removed. */
    readonly value?: Uint8Array;
    readonly removed?: true;
}

export class Client {
    private constructor();
    readonly cluster: string;
    readonly user: string;
    readonly remembered: Anchor;
    /** Done when the client has ended, with why: `RW-C-CLOSED` where it was closed. Never rejected. */
    readonly ended: Promise<RingwallError>;
    verified(): Judged | null;
    /** Wait for it: a client whose device has a user key asks nothing of a namespace before (`RW-C-NAMESPACE-NOT-ENTERED`). Every device here has one. */
    enter(namespace: string, options?: { mode?: "cluster" | "dual" | "user"; make?: boolean }): Promise<void>;
    /** The key's new version. */
    put(namespace: string, key: Key, value: Uint8Array | string, options?: { ttl_s?: number; expect?: Expect }): Promise<number>;
    delete(namespace: string, key: Key, options?: { expect?: Expect }): Promise<number>;
    get(namespace: string, key: Key): Promise<{ version: number; value: Uint8Array } | null>;
    list(
        namespace: string,
        options?: { prefix?: Key; after?: Key; limit?: number; values?: boolean },
    ): Promise<{ entries: readonly Entry[]; more: boolean; revision: number }>;
    watch(
        namespace: string,
        options?: { prefix?: Key; after?: number; signal?: AbortSignal },
    ): AsyncIterableIterator<{ through: number; changes: readonly Change[] }>;
    anchor(): Promise<Anchor>;
    /** Proof of a rollback or fork that was noticed, for `ringwall receipt verify`. */
    evidence(): Promise<{ what: string; proof: Uint8Array } | null>;
    status(): Promise<Record<string, unknown>>;
    governance(): Promise<Record<string, unknown>>;
    userRecord(): Promise<Record<string, unknown>>;
    enrol(name: string): Promise<Record<string, unknown>>;
    /** 24 words that nobody was told of yet. */
    newPhrase(): Promise<string>;
    /** The user's own key, sealed by the phrase: with it the phrase restores what only the user can read. Make it before `setRecovery`, and keep it. */
    escrow(phrase: string): Promise<Uint8Array>;
    /** Makes a phrase the one that restores this user; a restored device waits `cool_down_s` (a day) before it counts. */
    setRecovery(phrase: string, options?: { cool_down_s?: number }): Promise<Record<string, unknown>>;
    close(): Promise<void>;
}

/**
 * Opens a client. One tab at a time holds a cluster's memory of one device (`RW-C-OTHER-TAB`); `takeOver` takes it from the other. `anew` accepts that a memory which was there is
 * gone (`RW-C-KEEPING-WIPED`): a rollback before this moment is not noticed.
 */
export function open(options: Ways & { keeping: Keeping; device: Device; takeOver?: boolean; anew?: boolean; user?: string }): Promise<Client>;
