// Writes the numbers by which the page's files are known: `node pin.mjs`. `node pin.mjs --look` writes nothing and says what is not as it would be written.
//
// Decides: which files make up the page: `app/` and what its scripts import. Each script and the style sheet stand in `app/index.html` with their SHA-256, every file but the last two in
// `app/pins.json`, and that list's own SHA-256 in `app/worker.js`. Trusts: the files. Out of scope: the module, whose number is made where it is built.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { posix } from "node:path";

const ROOT = new URL("./", import.meta.url);
const INDEX = "app/index.html";
const LIST = "app/pins.json";
const WORKER = "app/worker.js";
const START = "app/app.mjs";
const STYLE = "app/style.css";

const text = (path) => readFileSync(new URL(path, ROOT), "utf8");
const digest = (content, how) => createHash("sha256").update(content).digest(how);

// A script and everything it imports, each once, in the order a browser needs them.
function scripts(path, found = new Set()) {
    for (const [, from] of text(path).matchAll(/^(?:import|export)\b[^"]*?from "(\.[^"]+)";/gm)) scripts(posix.join(posix.dirname(path), from), found);
    found.add(path);
    return found;
}

const seen_from_app = (path) => posix.relative("app", path);
const integrity = (path) => `integrity="sha256-${digest(text(path), "base64")}"`;

function tags() {
    const modules = [...scripts(START)].filter((path) => path !== START);
    return [
        `<link rel="stylesheet" href="${seen_from_app(STYLE)}" ${integrity(STYLE)}>`,
        ...modules.map((path) => `<link rel="modulepreload" href="${seen_from_app(path)}" ${integrity(path)}>`),
        `<script type="module" src="${seen_from_app(START)}" ${integrity(START)}></script>`,
    ].join("\n");
}

// {path: what it should hold} of the three files with numbers in them.
export function written() {
    const index = text(INDEX).replace(/(<!-- pins:[^\n]*-->\n)[^]*?(<!-- \/pins -->)/, (_, before, after) => `${before}${tags()}\n${after}`);
    const others = readdirSync(new URL("app/", ROOT)).map((name) => `app/${name}`).filter((path) => ![LIST, WORKER, INDEX].includes(path) && !path.endsWith(".test.mjs"));
    const files = [...new Set([...scripts(START), ...others])].sort();
    const rows = { [INDEX]: digest(index, "hex"), ...Object.fromEntries(files.map((path) => [path, digest(text(path), "hex")])) };
    const list = `${JSON.stringify({ files: rows }, null, 2)}\n`;
    const worker = text(WORKER).replace(/^const PINS = "[^"]*";$/m, `const PINS = "${digest(list, "hex")}";`);
    return { [INDEX]: index, [LIST]: list, [WORKER]: worker };
}

function held(path) {
    try {
        return text(path);
    } catch {
        return null;
    }
}

// Paths that are not as they would be written.
export const stale = () => Object.entries(written()).filter(([path, content]) => held(path) !== content).map(([path]) => path);

if (process.argv[1] && import.meta.url === new URL(`file://${process.argv[1]}`).href) {
    const old = stale();
    if (process.argv.includes("--look")) {
        if (old.length > 0) console.error(`not as pin.mjs writes them: ${old.join(", ")}`);
        process.exitCode = old.length > 0 ? 1 : 0;
    } else {
        for (const [path, content] of Object.entries(written())) writeFileSync(new URL(path, ROOT), content);
    }
}
