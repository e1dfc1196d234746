// The chain of reasons as a list: each question, how it was answered, and why.
//
// Decides: how a judgement is laid out, and that marks appear one after the other in the order they were asked (at once for whoever wants nothing to move). Trusts: nothing: everything is
// text. Out of scope: judging (the module). docs/explain.md.

import { by, el } from "./dom.mjs";

const MARKS = {
    ok: ["\u2713", "established"],
    failed: ["\u2715", "failed"],
    "cannot-tell": ["?", "cannot tell"],
    "in-part": ["\u2026", "in part"],
    "not-reached": ["\u2013", "not reached"],
    waiting: ["", "waiting"],
};
const VERDICTS = {
    accepted: "Genuine: every question was answered.",
    refused: "Refused: something contradicts what the cluster demands.",
    "cannot-tell": "Not used: nobody can tell whether it is genuine.",
};
const STEP_MS = 55;

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function marked(item, mark) {
    const [sign, words] = MARKS[mark] ?? MARKS.waiting;
    item.dataset.mark = mark;
    item.querySelector(".sign").textContent = sign;
    item.querySelector(".mark-word").textContent = words;
}

// Expected and found of the question that refused.
function refusal_rows({ message, expected, found, to_do }) {
    const rows = [["What happened", message], ["Expected", expected], ["Found", found], ["What to do", to_do]].filter(([, words]) => words);
    return [el("dl", {}, ...rows.flatMap(([name, words]) => [el("dt", {}, name), el("dd", {}, words)]))];
}

function item({ stage, title, asks, steps = [], because }, refusal) {
    const why = [
        el("p", {}, asks),
        ...(steps.length > 0 ? [el("ul", {}, ...steps.map((step) => el("li", {}, step)))] : []),
        ...(because ? [el("p", { class: "quiet" }, `Not finished: ${because}.`)] : []),
        ...(refusal?.stage === stage ? refusal_rows(refusal) : []),
    ];
    const summary = el(
        "summary",
        {},
        el("span", { class: "sign", "aria-hidden": "true" }),
        el("span", { class: "title" }, title),
        el("span", { class: "mark-word" }),
        el("span", { class: "why", "aria-hidden": "true" }, "why"),
    );
    return el("li", { "data-stage": stage, "data-mark": "waiting" }, el("details", {}, summary, el("div", {}, ...why)));
}

// Judgements that were laid out, of each part.
const laid = {};

// Lays a judgement out in the list and the line of one part: the verdict after its last question. False where another one took its place meanwhile.
export async function lay_out(part, { verdict, stages, refusal }) {
    const mine = (laid[part] = (laid[part] ?? 0) + 1);
    const line = by(`${part}-verdict`);
    line.hidden = true;
    const list = by(`${part}-questions`);
    const items = stages.map((stage) => [item(stage, refusal), stage.mark]);
    list.replaceChildren(...items.map(([element]) => element));
    for (const [element, mark] of items) {
        marked(element, "waiting");
        if (!calm()) await new Promise((resolve) => setTimeout(resolve, STEP_MS));
        if (laid[part] !== mine) return false;
        marked(element, mark);
        if (refusal && element.dataset.stage === refusal.stage) element.querySelector("details").open = true;
    }
    line.dataset.verdict = verdict;
    line.textContent = VERDICTS[verdict] ?? verdict;
    line.hidden = false;
    return true;
}

export function clear(part) {
    laid[part] = (laid[part] ?? 0) + 1;
    by(`${part}-questions`).replaceChildren();
    by(`${part}-verdict`).hidden = true;
}
