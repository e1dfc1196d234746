"""Scenarios of what happens while something waits: another card, another tab's note, silence.

Decides: what the page may show afterwards: what is of the card that stands there, or nothing; never the other's. Trusts: the page's own sockets to be held back by `HELD` alone, which runs before
the page does. Out of scope: in which order scenarios run (`web_scenarios.py`), how it is clicked (`web_steps.py`).
"""
import json
import socket

from browser import Failed
from web_steps import *  # pylint: disable=wildcard-import,unused-wildcard-import  # steps are this file's vocabulary

WAITING_SECONDS = 20

# WebSocket alone, and what a page sends waits for as long as `holding` says so.
HELD = """(() => { delete globalThis.WebTransport; const waiting = []; const Real = WebSocket; globalThis.holding = false; globalThis.held = () => waiting.length;
    globalThis.released = () => { globalThis.holding = false; waiting.splice(0).forEach((work) => work()); };
    globalThis.WebSocket = class extends Real { send(bytes) { const given = bytes.slice(); if (globalThis.holding) waiting.push(() => super.send(given)); else super.send(given); } }; })()"""


def hold(page):
    page.evaluate("globalThis.holding = true")


def is_held(page):
    page.wait("held() > 0", "the page to send something", WAITING_SECONDS)


def exchanged(page, path):
    """Another card in place of the one that stands there."""
    before = page.read("#card-cluster", "data-cluster")
    anew(page)
    if card_file(page, path) != "read" or page.read("#card-cluster", "data-cluster") == before:
        raise Failed(f"the other card was not read: {told(page, 'card')}")


def nothing_is_shown(page, what):
    """No verdict, no reasons, no error, and nobody to sign in at."""
    page.browser.rest(1.5)  # an answer would be here by now, and laid out
    found = page.evaluate("""((hidden) => ({ state: chain.dataset.state, error: document.querySelector("#chain-error").dataset.code ?? "", marks: document.querySelectorAll("#chain-questions > li").length,
        seen: ["#chain-verdict", "#chain-facts", "#chain-save", "#sign-in", "#sign-facts"].filter((name) => !hidden(name)) }))((name) => !document.querySelector(name).checkVisibility())""")
    if found != {"state": "idle", "error": "", "marks": 0, "seen": []}:
        raise Failed(f"{what}, and under the card that stands there now it shows {json.dumps(found)}")


def card_changed(stage):
    page, papers = opened(stage), stage.demo.papers
    for first, second in (("cluster", "other"), ("other", "cluster")):
        if page.read("#card-cluster", "data-cluster"):
            anew(page)
        card_file(page, papers / f"{first}.card")
        hold(page)
        page.click("#chain-start")
        comes_to(page, "chain", "asking", 10)
        is_held(page)
        exchanged(page, papers / f"{second}.card")
        page.evaluate("released()")
        page.wait("!document.querySelector('#chain-start').disabled", "the first check to end", JUDGING_SECONDS)
        nothing_is_shown(page, f"a node of {first}.card was judged after the card was changed to {second}.card")
        stage.shot(second)
        # The card that stands there is asked about as if nothing had been.
        checked(page, "refused" if second == "other" else "believed")
        if second == "other":
            refused_by(page, "chain", "RW-C-OTHER-CLUSTER")


def signing_changed(stage):
    page, papers = opened(stage), stage.demo.papers
    cluster = card(page)
    checked(page)
    hold(page)
    page.click("#sign-in")
    comes_to(page, "sign", "signing", 10)
    is_held(page)
    exchanged(page, papers / "other.card")
    page.evaluate("released()")
    page.wait("document.querySelector('#sign').dataset.state === 'out'", "signing in to end", SIGNING_SECONDS)
    nothing_is_shown(page, "signing in was begun at a cluster")
    stage.shot("out")
    if state(page, "notes") != "closed" or page.read("#sign-error", "data-code") or state(page, "memory") == "refused":
        raise Failed(f"signing in at one cluster is told of another: {state(page, 'notes')}, {told(page, 'sign')}, {told(page, 'memory')}")
    keys = page.evaluate("""new Promise((resolve, reject) => { const asked = indexedDB.open("ringwall"); asked.onerror = reject; asked.onsuccess = () => {
        const found = asked.result.transaction("devices").objectStore("devices").getAllKeys(); found.onerror = reject; found.onsuccess = () => (asked.result.close(), resolve(found.result)); }; })""")
    if keys != [f"{cluster}/browser"]:
        raise Failed(f"the browser has keys of {keys}, and signing in was at {cluster} alone")
    # The tab holds nothing that would keep it out.
    anew(page)
    card(page)
    checked(page)
    signed_in(page)
    wrote(page, "afterwards", "the first cluster")
    has(page, "afterwards", "the first cluster")


def overwritten(stage):
    """Two tabs are the same user; the first has text in its box that was written over an older note."""
    page, _ = entered(stage)
    wrote(page, "shared", "from the first")
    has(page, "shared", "from the first")
    second = beside(stage)
    taken(second)
    has(second, "shared", "from the first")
    wrote(second, "shared", "from the second")
    page.front()
    comes_to(page, "sign", "elsewhere", 30)
    taken(page)
    # The list names the newer version; its text was never shown here.
    page.wait("document.querySelector('#notes-list li[data-name=shared]') !== null", "the list", 30)
    page.fill("#note-name", "shared")
    page.fill("#note-text", "typed over what the first had seen")
    page.click("#note-write", WRITING_SECONDS)
    page.wait("document.querySelector('#notes-error').dataset.code || !document.querySelector('#note-text').value", "an answer", WRITING_SECONDS)
    refused_by(page, "notes", "RW-C-CONFLICT")
    stage.shot("conflict")
    if page.read("#note-text", "value") != "typed over what the first had seen":
        raise Failed("what was typed is gone")
    has(page, "shared", "from the second")
    wrote(page, "shared", "both, after reading")
    has(page, "shared", "both, after reading")


def silent(stage):
    """A network that swallows UDP: the dials go to a socket of ours that reads nothing, all else is the browser's own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", 0))
        # The demonstration's page may go to its own nodes alone.
        stage.page.call("Page.setBypassCSP", {"enabled": True})
        page = opened(stage)
        page.evaluate("""((port) => { const Real = WebTransport; globalThis.dialled = 0; globalThis.WebTransport = function (url, options) {
            const elsewhere = new URL(url); elsewhere.port = port; globalThis.dialled++; return new Real(elsewhere.href, options); }; })(%d)""" % hole.getsockname()[1])
        card(page)
        checked(page)
        if place(page)[1] != "websocket" or not page.evaluate("dialled"):
            raise Failed(f"the session is over {place(page)[1]} after {page.evaluate('dialled')} dials of WebTransport")
        took_ms = times(page)[1]
        hole.setblocking(False)
        if not hole.recv(2048):
            raise Failed("the browser sent nothing by UDP")
        signed_in(page)
        wrote(page, "by another way", "UDP is swallowed here")
        has(page, "by another way", "UDP is swallowed here")
        stage.note(f"WebSocket in its place; {took_ms:.0f} ms from its dial to the verdict")
