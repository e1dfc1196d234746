// The loader against modules made here byte by byte: `node --test door.test.mjs`.

import assert from "node:assert/strict";
import test from "node:test";
import { Door } from "./door.mjs";

const section = (id, ...bytes) => [id, bytes.length, ...bytes];
const name = (text) => [text.length, ...new TextEncoder().encode(text)];
const body = (...code) => [code.length + 2, 0, ...code, 0x0b];
const module = (...sections) => new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...sections.flat()]);
const exported = (text, kind, at) => [...name(text), kind, at];

// Room for four bytes at 16; `echo` answers three of them, `trap` traps.
const ECHO = module(
    section(1, 2, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f),
    section(3, 4, 1, 0, 0, 0),
    section(5, 1, 0, 1),
    section(7, 5, ...exported("memory", 2, 0), ...exported("room", 0, 0), ...exported("answered", 0, 1), ...exported("echo", 0, 2), ...exported("trap", 0, 3)),
    section(10, 4, ...body(0x20, 0, 0x41, 4, 0x4b, 0x04, 0x7f, 0x41, 0, 0x05, 0x41, 16, 0x0b), ...body(0x41, 16), ...body(0x41, 3), ...body(0)),
);

test("a module that imports anything is refused", async () => {
    const asking = module(section(1, 1, 0x60, 0, 0), section(2, 1, ...name("page"), ...name("now"), 0, 0));
    await assert.rejects(Door.of(asking), /page\.now: it may ask for nothing/);
});

test("a question is answered, one that is too long is not asked", async () => {
    const door = await Door.of(ECHO);
    assert.deepEqual([...door.ask("echo", new Uint8Array([7, 8, 9, 10]))], [7, 8, 9]);
    assert.throws(() => door.ask("echo", new Uint8Array(5)), /5 bytes is too long/);
});

test("after a trap there is a fresh instance, with a memory of its own", async () => {
    const door = await Door.of(ECHO);
    door.ask("echo", new Uint8Array([7, 8, 9]));
    assert.throws(() => door.ask("trap", new Uint8Array()), WebAssembly.RuntimeError);
    await door.fresh();
    assert.deepEqual([...door.ask("echo", new Uint8Array())], [0, 0, 0]);
});
