// Frames of the module's calls: a head of JSON and bytes behind it (docs/core.md, "Frames").
//
// Decides: how a frame is laid out, and that an answer whose lengths do not add up is refused whole. Trusts: nothing in an answer; the module is of the same release, and may
// still be asked by a page of another. Out of scope: what heads say.

import { module as faults } from "./fault.mjs";

const NOTHING = new Uint8Array();

// Bytes one after the other.
export function joined(...parts) {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
        whole.set(part, at);
        at += part.length;
    }
    return whole;
}

const word = (number) => new Uint8Array([number, number >>> 8, number >>> 16, number >>> 24].map((byte) => byte & 0xff));
const number = (bytes, at) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

export function framed(head, payload = NOTHING) {
    const text = new TextEncoder().encode(JSON.stringify(head));
    return joined(word(text.length), text, payload);
}

function cut(bytes, at, what) {
    if (bytes.length - at < 4) throw faults.answer(`${what} is cut off`);
    const length = number(bytes, at);
    if (length > bytes.length - at - 4) throw faults.answer(`${what} is longer than what there is`);
    return bytes.subarray(at + 4, at + 4 + length);
}

function unframed(frame) {
    const text = cut(frame, 0, "a head");
    let head;
    try {
        head = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
    } catch {
        throw faults.answer("a head is no JSON");
    }
    if (typeof head !== "object" || head === null || typeof head.is !== "string") throw faults.answer("a head does not say what it is");
    // A copy: the memory it lies in is used again.
    return { ...head, payload: frame.slice(4 + text.length) };
}

// The frames of an answer, each as its head with `payload` beside.
export function answers(bytes) {
    const frames = [];
    for (let at = 0; at < bytes.length; ) {
        const frame = cut(bytes, at, "a frame");
        frames.push(unframed(frame));
        at += 4 + frame.length;
    }
    return frames;
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function unhex(text) {
    if (typeof text !== "string" || text.length % 2 || /[^0-9a-f]/.test(text)) throw faults.answer("hex digits are missing");
    return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
