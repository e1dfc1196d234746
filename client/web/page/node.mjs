// Runs the module of conformance under node: `node node.mjs MODULE SET RESULT`. Writes what it said as JSON, with the module's size as it is and compressed.

import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { conformance } from "./conformance.mjs";

const [module, set, result] = process.argv.slice(2);
const bytes = readFileSync(module);
const said = await conformance(bytes, readFileSync(set));
const size = { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes).length };
writeFileSync(result, JSON.stringify({ ...said, size, machine: `node ${process.version}` }));
