// Bytes in both directions: nobody is given more than they take, certificates are tried one by one, and a card cannot have the page dial another place.

import assert from "node:assert/strict";
import test from "node:test";
import { door, socket } from "../target.mjs";
import { websocket } from "../websocket.mjs";
import { webtransport } from "../webtransport.mjs";
import { fake_transport, gate, settled } from "./fakes.mjs";

const A = "aa".repeat(32);
const B = "bb".repeat(32);

// What a transport tells, as a list; `arrived` waits for `reading`, where a test has set one.
function listener() {
    const told = [];
    const to = { told, reading: null };
    for (const name of ["reached", "unreached", "written", "lost"]) to[name] = (what) => told.push([name, what]);
    to.arrived = async (bytes) => {
        told.push(["arrived", [...bytes]]);
        await to.reading?.passed;
    };
    return to;
}

test("each certificate is tried alone, and the one that opened is named", async () => {
    const tried = [];
    const [first, second] = [fake_transport({ refuse: "another certificate" }), fake_transport()];
    const open = webtransport((url, { serverCertificateHashes: [one], ...more }) => {
        tried.push([url, one.algorithm, one.value[0], more]);
        return (tried.length === 1 ? first : second).made;
    });
    const to = listener();
    open({ address: "[::1]:4401", certificates: [A, B] }, to);
    await settled();
    assert.deepEqual(tried, [["https://[::1]:4401/ringwall", "sha-256", 0xaa, { allowPooling: false }], ["https://[::1]:4401/ringwall", "sha-256", 0xbb, { allowPooling: false }]]);
    assert.deepEqual(to.told, [["reached", { certificate: B }]]);
    assert.notEqual(first.closed_with, null);
});

test("a node that no certificate opens is not reached, and a card without one neither", async () => {
    const to = listener();
    webtransport(() => fake_transport({ refuse: "no" }).made)({ address: "a:1", certificates: [A] }, to);
    webtransport(() => assert.fail("dialled"))({ address: "a:1", certificates: [] }, to);
    webtransport(() => assert.fail("dialled"))({ address: "a:1/../x?y#", certificates: [A] }, to);
    await settled();
    assert.deepEqual(to.told.map(([what]) => what), ["unreached", "unreached", "unreached"]);
    assert.ok(to.told.some(([, why]) => why === "no"));
});

async function opened() {
    const fake = fake_transport();
    const to = listener();
    const way = webtransport(() => fake.made)({ address: "a:1", certificates: [A] }, to);
    await settled();
    to.told.length = 0;
    return { fake, to, way };
}

test("the browser is given one part at a time, and what waits is told", async () => {
    const { fake, to, way } = await opened();
    fake.room.wait = gate();
    way.send(new Uint8Array(150_000).fill(1));
    await settled();
    assert.deepEqual([to.told, fake.written.length], [[], 0]);
    way.send(new Uint8Array(10));
    fake.room.wait.open();
    await settled();
    assert.deepEqual(fake.written.map(({ length }) => length), [65_536, 65_536, 18_928, 10]);
    assert.deepEqual(to.told, [["written", 84_474], ["written", 18_938], ["written", 10], ["written", 0]]);
});

test("nothing is read before what was read is worked off", async () => {
    const { fake, to } = await opened();
    to.reading = gate();
    fake.says([1]);
    fake.says([2]);
    await settled();
    assert.deepEqual(to.told, [["arrived", [1]]]);
    assert.ok(fake.wants() <= 0, "the network is told to wait");
    to.reading.open();
    await settled();
    assert.deepEqual(to.told, [["arrived", [1]], ["arrived", [2]]]);
});

test("why a way ended is told, once, whoever ended it", async () => {
    for (const [end, why] of [
        [(fake) => fake.breaks({ closeCode: 4, reason: "full\n\u202Eup" }), 'the node said "full\n\u202Eup" (4)'],
        [(fake) => fake.breaks({ closeCode: 0, reason: "" }), "the node ended it"],
        [(fake) => fake.drops("Connection lost."), "Connection lost"],
        [(fake) => fake.ends(), "the node ended its stream"],
    ]) {
        const { fake, to, way } = await opened();
        end(fake);
        await settled();
        fake.breaks({});
        way.send(new Uint8Array(1));
        way.end(true);
        await settled();
        assert.deepEqual(to.told.filter(([what]) => what === "lost"), [["lost", why]]);
    }
});

test("a way that ends well gives away what it was given; one that does not ends at once", async () => {
    const well = await opened();
    well.fake.room.wait = gate();
    well.way.send(Uint8Array.from([1, 2]));
    well.way.end(true);
    await settled();
    assert.equal(well.fake.closed_with, null);
    well.fake.room.wait.open();
    await settled();
    assert.deepEqual([[...well.fake.written[0]], well.fake.closed_with], [[1, 2], { closeCode: 0, reason: "" }]);
    const ill = await opened();
    ill.way.end(false);
    assert.notEqual(ill.fake.closed_with, null);
    assert.deepEqual([...well.to.told, ...ill.to.told], []);
});

// A WebSocket whose buffer a test empties.
function fake_socket(url) {
    const fake = { url, bufferedAmount: 0, sent: [], closed: false };
    fake.send = (part) => {
        fake.sent.push(part.length);
        fake.bufferedAmount += part.length;
    };
    fake.close = () => (fake.closed = true);
    return fake;
}

function dialled() {
    let fake;
    const to = listener();
    const way = websocket((url) => (fake = fake_socket(url)))({ address: "ws://127.0.0.1:4402/ringwall" }, to);
    return { fake, to, way };
}

test("a socket is given only so much ahead, and what waits is told as it falls", async () => {
    const { fake, to, way } = dialled();
    fake.onopen();
    way.send(new Uint8Array(1_000_000));
    const ahead = fake.sent.reduce((sum, part) => sum + part, 0);
    assert.ok(ahead >= 256 * 1024 && ahead < 400 * 1024, `${ahead} bytes are with the browser`);
    assert.deepEqual(to.told, [["reached", {}]]);
    fake.bufferedAmount = 0;
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(to.told[1][0], "written");
    assert.ok(to.told[1][1] <= 1_000_000 - ahead + 400 * 1024, "what is with the browser counts as waiting");
    for (let turn = 0; turn < 20 && to.told.at(-1)[1] !== 0; turn++) {
        fake.bufferedAmount = 0;
        await new Promise((resolve) => setTimeout(resolve, 30));
    }
    assert.deepEqual(to.told.at(-1), ["written", 0]);
    assert.equal(fake.sent.reduce((sum, part) => sum + part, 0), 1_000_000);
    way.end(true);
    assert.equal(fake.closed, true);
});

test("a node that sends faster than the page works is cut off; one that sends text too", async () => {
    const { fake, to } = dialled();
    fake.onopen();
    to.reading = gate();
    for (let part = 0; part < 20; part++) fake.onmessage({ data: new ArrayBuffer(1_048_576) });
    assert.equal(to.told.at(-1)[0], "lost");
    assert.equal(fake.closed, true);
    const other = dialled();
    other.fake.onopen();
    other.fake.onmessage({ data: "hello" });
    other.fake.onclose({ code: 1000, reason: "late" });
    assert.deepEqual(other.to.told.map(([what]) => what), ["reached", "lost"]);
});

test("a socket that never opened was not reached, and its reason is told", () => {
    const { fake, to } = dialled();
    fake.onclose({ code: 1006, reason: "" });
    assert.deepEqual(to.told, [["unreached", "the connection ended (1006)"]]);
});

test("an address is dialled as what it says, or not at all", () => {
    assert.equal(door("node-1.example.org:4401"), "https://node-1.example.org:4401/ringwall");
    assert.equal(door("127.0.0.1:443"), "https://127.0.0.1/ringwall");
    assert.equal(socket("wss://example.org/ringwall"), "wss://example.org/ringwall");
    const bad = ["", "host", "a:b@c:1", "evil.org:1/x", "evil.org:1#", "evil.org:1?q", "evil.org:999999", "evil.org:1\n", " a:1", "a\\b:1", "user@evil.org:1", "[::1:1", null, 7];
    for (const address of bad) assert.throws(() => door(address), /is none/, String(address));
    for (const address of ["https://a:1", "ws://a:1/../x", "ws://u@a:1/", "ws://a:1/?q", "ws://a:1/#x", "javascript:alert(1)", "ws://a:1/%2e%2e/", "", null]) assert.throws(() => socket(address), /is none/, String(address));
});
