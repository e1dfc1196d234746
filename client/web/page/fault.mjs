// What fails outside the module, as one type: a stable code, what happened, and what to do.
//
// Decides: the codes of this folder and their words (README.md, "Codes"). What the module refuses keeps the module's code and words. Trusts: nothing; words of others (a browser's, a
// node's) are shortened and stripped before they are shown. Out of scope: how an error is laid out (`app/dom.mjs`).

export class RingwallError extends Error {
    // `code`: stable; `message`: what happened; `fix`: what to do, or empty where the message says it.
    constructor(code, message, fix = "", more = {}) {
        super(message);
        this.name = "RingwallError";
        this.code = code;
        this.fix = fix;
        Object.assign(this, more);
    }

    // An error as the module tells it, with whatever stands beside code and words (`current` of a conflict).
    static told({ code, words, ...more }) {
        return new RingwallError(String(code), String(words), "", more);
    }
}

const WORDS = 300;

// Somebody else's words, fit to be shown: one line, bounded, without what a terminal or a page could take for more than letters.
export function shown(words) {
    const line = String(words).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
    return line.length > WORDS ? `${line.slice(0, WORDS)}...` : line;
}

// What a browser threw, in words.
export const cause = (thrown) => (thrown instanceof RingwallError ? thrown.message : shown(thrown?.message || thrown?.name || thrown)).replace(/\.+$/, "");

export const usage = (message) => new RingwallError("RW-C-USAGE", message, "Call it as `ringwall.d.ts` says.");

export const closed = () => new RingwallError("RW-C-CLOSED", "This client was closed.", "Open a new one.");

export const platform = (lacks) =>
    new RingwallError("RW-C-PAGE-PLATFORM", `This browser does not offer ${lacks} here.`, "Use a current browser, over https or on this machine's own address.");

export const module = {
    hash: (given) =>
        new RingwallError("RW-C-MODULE-HASH", `"${shown(given).slice(0, 80)}" is no SHA-256: the hash the verifier has to have is 64 hex digits.`, "Take the hash from the release, letter by letter."),
    missing: (why) => new RingwallError("RW-C-MODULE-MISSING", `The verifier could not be fetched: ${why}.`, "Load the page again; if it stays so, whoever serves it has to mend it."),
    large: (most) => new RingwallError("RW-C-MODULE-MISSING", `What is served as the verifier has more than ${most} bytes, and no release is so large.`, "Do not use this server. Get the page from somebody else."),
    tampered: (expected, found) =>
        new RingwallError(
            "RW-C-MODULE-TAMPERED",
            `The verifier that was served is not the published one. Its SHA-256 should be ${expected} and is ${found}. It was not run.`,
            "Do not use this server: it, or somebody on the way, changed the program that checks. Get the page from somebody else, and tell whoever runs this one.",
            { expected, found },
        ),
    broken: (why) => new RingwallError("RW-C-MODULE-BROKEN", `The verifier has the published hash, and this browser cannot start it: ${why}.`, "Use a current browser."),
    trapped: (why) => new RingwallError("RW-C-MODULE-TRAPPED", `The verifier stopped on a fault of its own: ${why}. Nothing was accepted.`, "Load the page again, and report what you did."),
    answer: (why) => new RingwallError("RW-C-MODULE-ANSWER", `The verifier's answer makes no sense: ${why}.`, "Page and verifier are of different releases: load the page again."),
};

export const keeping = {
    refused: (why) =>
        new RingwallError(
            "RW-C-KEEPING-REFUSED",
            `This browser keeps nothing for this page: ${why}.`,
            "Leave the private window, or allow this site to store data. Without a memory a rollback would go unnoticed, so nothing is written.",
        ),
    full: () => new RingwallError("RW-C-KEEPING-FULL", "This browser has no room left for what this page remembers. Nothing was sent after that.", "Free some space on this device, then open the page again."),
    wiped: () =>
        new RingwallError(
            "RW-C-KEEPING-WIPED",
            "What this page remembered of the cluster is gone: the browser, or somebody, removed it.",
            "If you cleared the browser's data yourself, begin anew. Until then nothing is opened, since a cluster that was set back in the meantime would go unnoticed.",
        ),
    otherTab: () =>
        new RingwallError("RW-C-OTHER-TAB", "Another tab of this browser has this cluster open for you.", "Go on there, or take it over here: the other tab is closed then, and loses nothing that was confirmed."),
    takenOver: () => new RingwallError("RW-C-TAKEN-OVER", "Another tab took this over. This one is closed.", "Go on in the other tab, or take it back here."),
};

export const device = {
    none: (why) => new RingwallError("RW-C-DEVICE-KEY", `This browser cannot make or keep a device key: ${why}.`, "Use a current browser, outside of a private window."),
    unreadable: () =>
        new RingwallError("RW-C-DEVICE-UNREADABLE", "The device key this browser keeps cannot be used any more.", "Sign in with another device of yours, or with the recovery phrase; then remove the key here."),
    refused: (why) => new RingwallError("RW-C-PASSKEY-REFUSED", `The passkey was not used: ${why}.`, "Try again, or use a key of this browser. A page at a bare number like 127.0.0.1 cannot have passkeys: open it as localhost."),
    noPrf: () => new RingwallError("RW-C-PASSKEY-NO-PRF", "This passkey cannot derive secrets (its `prf` extension is missing).", "Use another passkey, or a key of this browser."),
};
