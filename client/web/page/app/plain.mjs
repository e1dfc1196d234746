// Plain words for the codes people meet in the page: what it means for them, and what to do.
//
// Decides: words alone. The module's own sentence stays: it is shown where nothing plainer is known, and beside the questions always. Trusts: nothing. Codes: docs/core.md and the
// native client's; advice: docs/explain.md.

import { date } from "./when.mjs";

const CARD = "Paste it again, whole, or ask for it once more.";

const WORDS = {
    "RW-C-CARD-LINK": ["This is no cluster link.", `A link begins with "ringwall:" and the cluster's 64 digits. ${CARD}`],
    "RW-C-CARD-MALFORMED": ["This is no cluster card, or it is cut off.", CARD],
    "RW-C-CARD-TOO-LARGE": ["This is far larger than any cluster card.", "Is it another file?"],
    "RW-C-CARD-CONTRADICTION": ["The parts of this card contradict each other: somebody changed it.", "Do not use it. Ask the founders of the cluster for a good one."],
    "RW-C-CARD-POLICY": ["The changes of the policy in this card do not follow from one another.", "Do not use it. Ask whoever runs the cluster for a good one."],
    "RW-C-QR-NONE": ["No code was found in the picture.", "Take it closer, sharper, and whole."],
    "RW-C-QR-IMAGE": ["The picture cannot be read.", "Take another one."],
    "RW-C-OTHER-CLUSTER": ["The node belongs to another cluster than the card's. Nothing was sent to it.", "Compare the card with the one you were given."],
    "RW-C-EVIDENCE": ["A node's evidence was refused. Nothing was sent to it.", "Open the question that failed to see why. Do not use this node."],
    "RW-C-CANNOT-TELL": ["Nobody can tell whether the node is genuine, so it is not used. Nothing was sent to it.", "Open the question that could not be answered to see what is missing."],
    "RW-C-UNAVAILABLE": ["No node could be reached.", "Look whether this device has a network; if so, whoever runs the cluster has to look."],
    "RW-C-DIAL-UNREACHABLE": ["A node could not be reached.", "Look whether this device has a network; if so, whoever runs the cluster has to look."],
    "RW-C-DIAL-REFUSED": ["A node would not serve now.", "Try again in a while."],
    "RW-C-DIAL-BREACH": ["A node did not speak as nodes do. Nothing was sent to it.", "Do not use it. The card's addresses may lead to something else."],
    "RW-C-DIAL-HANDSHAKE": ["What answered has not the keys it should have. Nothing was sent to it.", "Do not use it. Somebody may stand between this device and the node."],
    "RW-C-DIAL-SIGNATURE": ["A node's signature does not fit. Nothing was sent to it.", "Do not use it."],
    "RW-C-DIAL-ORDER": ["A node did not speak as nodes do. Nothing was sent to it.", "Do not use it; node and page may be of different releases."],
    "RW-C-ROLLBACK-DETECTED": [
        "The cluster was set back to an older state. What it had confirmed to this device is gone, so it is refused, and nothing is written.",
        "Save the proof: anybody can verify it with `ringwall receipt verify`. Tell whoever runs the cluster, and its other users.",
    ],
    "RW-C-FORK-DETECTED": [
        "The cluster shows two histories that contradict each other. It is refused, and nothing is written.",
        "Save the proof: anybody can verify it with `ringwall receipt verify`. Tell whoever runs the cluster, and its other users.",
    ],
    "RW-C-WENT-BACK": ["A node answered from an older state than was confirmed before.", "Try again; if it stays so, tell whoever runs the cluster, and its other users."],
    "RW-C-POLICY-WENT-BACK": ["A node goes by an older policy than this device has seen. Nothing was sent to it.", "If it has only not caught up, try again. If it stays so, the cluster was set back: tell its governors."],
    "RW-C-EPOCH-UNPROVEN": ["The cluster was recovered since your last visit, and nothing proves what became of what it had confirmed.", "Ask whoever runs it, and its custodians."],
    "RW-C-DEVICE-REVOKED": ["This device was revoked by another one of the same user.", "Use another device. If nobody of you did that, look at `ringwall user audit` there."],
    "RW-C-NOT-AUTHORIZED": ["The cluster does not accept this device.", "Sign in with the device the notes were written with."],
    "RW-C-MEMORY-DAMAGED": ["What this browser remembered of the cluster is damaged.", "Nothing is opened with it. Forget this cluster to begin anew; a rollback before that cannot be noticed then."],
    "RW-C-MEMORY-OTHER": ["What this browser remembered belongs to another user or cluster.", "Forget this cluster to begin anew."],
    "RW-C-CONFLICT": ["Somebody, perhaps you in another place, changed this note meanwhile. Nothing was overwritten.", "Read it again and decide anew."],
    "RW-C-OUTCOME-UNKNOWN": ["The connection broke after the note was sent: whether it is stored is not known.", "Look at the list, then store it again if it is not there."],
};

// Where nobody can tell, or something is bad, the advice says what kind of thing to do.
const ADVICE = {
    "compare-clocks": () => `This device's clock says ${date(Date.now() / 1000)}. If that is wrong, set it right and check again; if it is right, the node's evidence is of another time.`,
    "refresh-endorsements": () => `What the processor maker says about this machine has run out as of ${date(Date.now() / 1000)}, this device's time. If that time is right, whoever runs the node has to fetch it anew.`,
    "refresh-proof": () => `The release log's newest word is old as of ${date(Date.now() / 1000)}, this device's time. If that time is right, whoever runs the node has to fetch it anew.`,
};

// The module's own words as a sentence: a capital at its beginning, a full stop at its end.
const sentence = (words) => `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;

// What to show for an error: the plain words, or the module's own sentence where there are none.
export function plain({ code, message, fix, advice }) {
    const [what, more] = WORDS[code] ?? [sentence(message), fix];
    return { what, fix: ADVICE[advice]?.() ?? more };
}
