"""The scenarios: what a person meets who uses the page, and what is done to them.

Decides: what the page has to show in each. Each has a browser of its own with a fresh profile. After every one of them: no exception, no error in the console but those that belong to what was
done (`expected`), no request to anywhere but this machine. Trusts: the demo's host to do what he is told. Out of scope: how it is clicked (`web_steps.py`).
"""
import dataclasses
import json
import struct
import time
import zlib

import web_meanwhile
import web_scan
from browser import Failed
from web_steps import *  # pylint: disable=wildcard-import,unused-wildcard-import  # steps are this file's vocabulary

ALL = []
AIM_MS = 300  # judging one node in a browser
DEAD = ("ERR_CONNECTION", "ERR_QUIC", "WebTransport", "WebSocket connection")  # what a browser writes of a node that is not there
UNPLUGGED = ("ERR_INTERNET_DISCONNECTED", *DEAD)
REWIND_SECONDS = 240
DAY_MS = 86_400_000


@dataclasses.dataclass
class Scenario:
    name: str
    words: str
    play: object
    expected: tuple = ()
    first: tuple = ()
    flags: tuple = ()
    width: int = 1000
    disturbs: bool = False


def scenario(words, **more):
    def named(play):
        ALL.append(Scenario(play.__name__.replace("_", "-"), words, play, **more))
        return play

    return named


def clock(days):
    """A device whose clock is wrong."""
    return """(() => { const shift = %d; const Real = Date; globalThis.Date = class extends Real { constructor(...given) { given.length ? super(...given) : super(Real.now() + shift); }
        static now() { return Real.now() + shift; } }; })()""" % (days * DAY_MS)


# What a page compiles is counted before any script of its own runs.
COUNTED = """(() => { globalThis.compiled = 0; for (const name of ["compile", "compileStreaming", "instantiate", "instantiateStreaming"]) { const real = WebAssembly[name];
    WebAssembly[name] = (...given) => { globalThis.compiled++; return real.apply(WebAssembly, given); }; }
    WebAssembly.Module = new Proxy(WebAssembly.Module, { construct: (of, given) => { globalThis.compiled++; return Reflect.construct(of, given); } }); })()"""


@scenario("card, every question answered, signed in, a note written and read, a phrase made; the same after a reload")
def happy(stage):
    page = opened(stage)
    cluster = card(page)
    if cluster != stage.demo.told["cluster"]:
        raise Failed(f"the page shows cluster {cluster}")
    stage.shot("card")
    checked(page)
    all_ok(page)
    stage.shot("chain")
    address, over = place(page)
    if over != "webtransport":
        raise Failed(f"the session is over {over}, not webtransport")
    judging, whole = times(page)
    stage.note(f"a node was judged in {judging:.1f} ms, {whole:.0f} ms from the dial; the aim is {AIM_MS}: {'met' if judging < AIM_MS else 'NOT MET'} ({address}, {over})")
    user = signed_in(page)
    wrote(page, "today", "water the plants")
    wrote(page, "tomorrow", "Grüße, 再见, 🌱 <b>not bold</b>")
    has(page, "today", "water the plants")
    has(page, "tomorrow", "Grüße, 再见, 🌱 <b>not bold</b>")
    wrote(page, "today", "the plants are watered")
    if page.count("#notes-list > li") != 2:
        raise Failed("two notes are not two lines of the list")
    words = phrase(page)
    if len(words) != 24:
        raise Failed(f"a phrase of {len(words)} words")
    if any(word in page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }])") for word in (" ".join(words[:2]), " ".join(words))):
        raise Failed("the phrase is kept in the browser")
    before = remembered(page)
    stage.shot("notes")
    controls, headings = page.accessible()
    stage.note(f"{controls} controls have names, {headings} headings are in order")
    page.reload()
    comes_to(page, "body", "ready", JUDGING_SECONDS)
    card(page)
    checked(page)
    again = signed_in(page)
    if again != user:
        raise Failed(f"after a reload the user is {again}, was {user}")
    has(page, "today", "the plants are watered")
    if remembered(page) < before or page.evaluate("document.querySelector('#memory-first').checkVisibility()"):
        raise Failed("after a reload the page has forgotten what was confirmed")
    stage.shot("again")


@scenario("a card of another cluster, with the addresses of this one: refused, and nobody is told who asks")
def wrong_cluster(stage):
    page = opened(stage)
    if card_file(page, stage.demo.papers / "other.card") != "read":
        raise Failed(f"the card was not read: {told(page, 'card')}")
    checked(page, "refused")
    _, words = refused_by(page, "chain", "RW-C-OTHER-CLUSTER")
    stage.shot("refused")
    if "another cluster" not in words or page.evaluate("document.querySelector('#sign-in').checkVisibility()"):
        raise Failed(f"it does not say what is wrong, or lets one sign in: {words}")


def out_of_time(stage, *codes):
    page = opened(stage)
    card(page)
    checked(page, "cannot-tell")
    _, words = refused_by(page, "chain", *codes)
    stage.shot("clock")
    if "clock" not in words and "time" not in words or "cannot-tell" not in marks(page, "chain").values():
        raise Failed(f"it does not say that the clock may be wrong: {words}")


@scenario("the device's clock is sixty days fast: nobody can tell, and the clock is named", first=(clock(60),))
def clock_fast(stage):
    out_of_time(stage, "RW-C-CANNOT-TELL")


@scenario("the device's clock is sixty days slow", first=(clock(-60),))
def clock_slow(stage):
    out_of_time(stage, "RW-C-CANNOT-TELL")


@scenario("a saved exchange whose endorsements are out of date")
def outdated(stage):
    page = opened(stage)
    judged_offline(page, stage.demo.papers / "outdated.card", stage.demo.papers / "outdated.exchange")
    comes_to(page, "offline", "cannot-tell", 5)
    refused_by(page, "offline", "RW-C-CANNOT-TELL")
    stage.shot("outdated")


@scenario("a proof of release with one witness where two are demanded, in a saved exchange: an honest node hands none out")
def witness(stage):
    page = opened(stage)
    came = judged_offline(page, stage.demo.papers / "unwitnessed.card", stage.demo.papers / "unwitnessed.exchange")
    stage.shot("witness")
    if came not in ("refused", "cannot-tell") or marks(page, "offline")["release"] not in ("failed", "cannot-tell") or "witness" not in page.read("#offline", "textContent"):
        raise Failed(f"a witness is missing, and it came to {came}: {marks(page, 'offline')}")
    refused_by(page, "offline")


@scenario("the server changes one bit of the module: refused by its published hash, before anything is compiled", first=(COUNTED,), disturbs=True)
def tampered(stage):
    page = opened(stage)
    if page.evaluate("compiled") == 0:
        raise Failed("an honest module is not seen to be compiled: nothing would be counted")
    stage.demo.order("bend")
    page.reload()
    comes_to(page, "body", "broken", 30)
    _, words = refused_by_page(page, "RW-C-MODULE-TAMPERED")
    stage.shot("tampered")
    if page.evaluate("compiled") != 0:
        raise Failed("the changed module was compiled")
    expected, found = (page.read("#trust-module", f"data-{name}") for name in ("expected", "found"))
    if expected != stage.demo.told["module"] or found == expected or found[:16] not in words:
        raise Failed(f"it does not show what was expected and found: {expected} {found} {words}")
    if not page.evaluate("document.querySelector('#card-read').disabled"):
        raise Failed("the page goes on without its verifier")


def refused_by_page(page, wanted):
    found, words = code(page, "body"), told(page, "page")
    if found != wanted:
        raise Failed(f"the page has code {found}, not {wanted}: {words}")
    plain(found, words)
    return found, words


@scenario("the node of the session is killed while notes are written: another takes over, nothing that was confirmed is lost", expected=DEAD, disturbs=True)
def killed(stage):
    page, _ = entered(stage)
    for number in range(3):
        wrote(page, f"before {number}", f"text {number}")
    address, over = place(page)
    stage.note(stage.demo.order("kill", address=address))
    begun = time.monotonic()
    for number in range(6):
        wrote(page, f"after {number}", f"text {number}")
        if number == 0:
            stage.note(f"the first write after it was confirmed after {time.monotonic() - begun:.1f} s")
    comes_to(page, "notes", "open", 60)
    page.wait(f"document.querySelector('#chain-node').dataset.address !== {json.dumps(address)}", "the page to name the node that took over", 20)
    stage.shot("another")
    for name, count in (("before", 3), ("after", 6)):
        for number in range(count):
            has(page, f"{name} {number}", f"text {number}")
    stage.note(f"{address} ({over}) was left for {' over '.join(place(page))}")


@scenario("WebTransport is not there: the same by WebSocket", first=("delete globalThis.WebTransport",))
def websocket(stage):
    page, _ = entered(stage)
    all_ok(page)
    if place(page)[1] != "websocket":
        raise Failed(f"the session is over {place(page)[1]}")
    wrote(page, "by socket", "x" * 5000)
    has(page, "by socket", "x" * 5000)
    stage.note(f"a node was judged in {times(page)[0]:.1f} ms, {times(page)[1]:.0f} ms from the dial (WebSocket)")


@scenario("signed in by a passkey: the same user with the same notes in a browser that kept nothing else")
def passkey(stage):
    page = stage.page
    page.call("WebAuthn.enable")
    kind = {"protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "hasPrf": True, "isUserVerified": True}
    authenticator = page.call("WebAuthn.addVirtualAuthenticator", {"options": kind | {"automaticPresenceSimulation": True}})["authenticatorId"]
    # Browsers make passkeys for a name, and for no number.
    home = f"{stage.demo.url.replace('127.0.0.1', 'localhost', 1)}app/"
    page.goto(home)
    comes_to(page, "body", "ready", JUDGING_SECONDS)
    card(page)
    checked(page)
    page.click("#sign-passkey")
    user = signed_in(page)
    wrote(page, "by passkey", "no password, no account")
    stage.shot("passkey")
    # All that is left is the passkey.
    page.call("Storage.clearDataForOrigin", {"origin": home.removesuffix("/app/"), "storageTypes": "all"})
    page.goto(home)
    comes_to(page, "body", "ready", JUDGING_SECONDS)
    card(page)
    checked(page)
    page.click("#sign-passkey")
    page.click("#sign-existing")
    if signed_in(page) != user:
        raise Failed("the same passkey gave another user")
    has(page, "by passkey", "no password, no account")
    page.call("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": authenticator})


@scenario("two tabs at once: the second is told, takes over, and loses nothing")
def tabs(stage):
    page, user = entered(stage)
    wrote(page, "shared", "from the first")
    second = beside(stage)
    refused_by(second, "sign", "RW-C-OTHER-TAB")
    stage.shot("elsewhere", second)
    taken(second)
    comes_to(page, "sign", "elsewhere", 30)
    refused_by(page, "sign", "RW-C-TAKEN-OVER")
    if second.read("#sign-user", "data-user") != user:
        raise Failed("the second tab is another user")
    has(second, "shared", "from the first")
    wrote(second, "shared", "from the second")
    page.front()
    taken(page)
    has(page, "shared", "from the second")


@scenario("the browser throws away what it kept, while the page is open and before a reload", expected=())
def wiped(stage):
    page, user = entered(stage)
    wrote(page, "kept", "for now")
    page.wiped(stage.demo.url.rstrip("/"))
    # What is confirmed now cannot be kept: the page has to say so and may not go on as if nothing were.
    page.fill("#note-name", "after")
    page.fill("#note-text", "the wipe")
    page.click("#note-write")
    comes_to(page, "sign", ("refused", "elsewhere"), 60)
    refused_by(page, "sign")
    stage.shot("wiped")
    page.reload()
    comes_to(page, "body", "ready", JUDGING_SECONDS)
    card(page)
    checked(page)
    if signed_in(page) == user or page.count("#notes-list > li"):
        raise Failed("the key was kept although everything was wiped")
    if not page.evaluate("document.querySelector('#memory-first').checkVisibility()"):
        raise Failed("it does not say that nothing before this visit can be noticed")


def image(width, height, pixel):
    """A PNG in grey."""
    rows = b"".join(b"\0" + bytes(pixel(x, y) for x in range(width)) for y in range(height))
    part = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


@scenario("cards that are none: garbage, cut off, changed, huge; pictures that are none")
def garbage(stage):
    page = opened(stage)
    good = (stage.demo.papers / "cluster.card").read_bytes()
    papers = stage.demo.folder / "garbage"
    papers.mkdir(exist_ok=True)
    link = f"ringwall:{stage.demo.told['cluster']}"
    for text in ("hello", "<img src=x onerror=alert(1)>", "ringwall:", "ringwall:00", link[:-1], f"{link}?x=1", f"{link}?w=127.0.0.1:1,AAAA", link + "?" + "&".join(["n=a:1"] * 40), "A" * 200_000, "\u0000\ud83d\ufffe", "%%%"):
        page.fill("#card-text", "x")
        page.evaluate(f"((e, v) => {{ e.value = v; e.dispatchEvent(new Event('input', {{ bubbles: true }})); }})(document.querySelector('#card-text'), {json.dumps(text)})")
        forget(page, "card")
        page.click("#card-read")
        comes_to(page, "card", "refused", 20)
        refused_by(page, "card")
    stage.shot("garbage")
    files = {"empty": b"", "cut": good[: len(good) // 2], "zeros": bytes(4096), "tail": good + b"\0", "huge": bytes(24 << 20), "noise": bytes((at * 167 + at // 7) & 255 for at in range(9000))}
    files["bent"] = good[:200] + bytes([good[200] ^ 1]) + good[201:]
    for name, body in files.items():
        (papers / name).write_bytes(body)
        if card_file(page, papers / name) != "refused":
            # A changed hint or name may still be a card: of another cluster, which no node belongs to.
            if name != "bent" or page.read("#card-cluster", "data-cluster") == stage.demo.told["cluster"]:
                raise Failed(f"a card that is {name} was read")
            anew(page)
            continue
        refused_by(page, "card")
    pictures = {"noise.png": image(300, 300, lambda x, y: (x * 7919 ^ y * 104729) >> 3 & 255), "blank.png": image(64, 64, lambda *_: 255), "none.png": b"no picture", "wide.png": image(9000, 2, lambda *_: 0), "cut.png": image(80, 80, lambda *_: 9)[:-40]}
    for name, body in pictures.items():
        (papers / name).write_bytes(body)
        forget(page, "card")
        page.attach("#card-picture", papers / name)
        comes_to(page, "card", "refused", 30)
        refused_by(page, "card")
    # After all of it a good card is read.
    card(page)
    checked(page)
    all_ok(page)


@scenario("parameters in the page's address that somebody else wrote")
def parameters(stage):
    for fragment in ("#ringwall:zz", "#ringwall-card:%00%ff", "#ringwall:" + "f" * 64 + "?w=evil.example:1," + "A" * 43, "#<script>", "#" + "ringwall:" * 3000):
        page = opened(stage, stage.tab(), fragment)
        found = state(page, "card")
        if found == "refused":
            refused_by(page, "card")
        elif found not in ("empty", "read"):
            raise Failed(f"{fragment[:60]}: the card is {found}")
        # Reading a card asks nobody.
        page.browser.local_only()
        page.close()


@scenario("without a network, from a copy of the page: what a node showed earlier is judged again", expected=UNPLUGGED)
def offline(stage):
    page = opened(stage)
    card(page)
    checked(page)
    saved = stage.demo.folder / "downloads"
    stage.browser.call("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(saved)})
    page.click("#chain-save")
    until = time.monotonic() + 20
    while not (found := [file for file in saved.glob("*.exchange")] if saved.is_dir() else []):
        if time.monotonic() > until:
            raise Failed("what was shown was not saved")
        stage.browser.rest(0.1)
    page.click("#trust-install")
    page.wait("document.querySelector('#trust-offline').dataset.state === 'ready'", f"a copy of the page: {told(page, 'trust')}", 30)
    page.reload()
    comes_to(page, "body", "ready", JUDGING_SECONDS)
    page.offline(True)
    try:
        page.reload()
        comes_to(page, "body", "ready", JUDGING_SECONDS)
        came = judged_offline(page, stage.demo.papers / "cluster.card", found[0])
        stage.shot("offline")
        if came != "accepted":
            raise Failed(f"it came to {came}: {told(page, 'offline')}")
        all_ok(page, "offline")
        came = judged_offline(page, stage.demo.papers / "other.card", found[0])
        if came == "accepted":
            raise Failed("an exchange of this cluster was accepted for the card of another")
        refused_by(page, "offline")
        page.attach("#offline-exchange", stage.demo.papers / "cluster.card")
        page.click("#offline-verify")
        comes_to(page, "offline", "failed", 30)
        refused_by(page, "offline")
    finally:
        page.offline(False)
    exchange = stage.demo.papers / "honest.exchange"
    if judged_offline(page, stage.demo.papers / "cluster.card", exchange) != "accepted":
        raise Failed(f"what the native client saved is not accepted: {told(page, 'offline')}")


def tab_to(page, name, most=90):
    """Goes to a control with the Tab key alone."""
    for _ in range(most):
        if page.focused() == name:
            return
        page.press("Tab")
    raise Failed(f"#{name} is not reached with the Tab key; the focus is at {page.focused()}")


@scenario("the whole way with the keyboard alone")
def keyboard(stage):
    page = opened(stage)
    tab_to(page, "card-demo")
    if page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "none" and page.evaluate("getComputedStyle(document.activeElement).boxShadow") == "none":
        raise Failed("the focus is not seen")
    page.press("Enter")
    comes_to(page, "card", "read", 20)
    tab_to(page, "chain-start")
    page.press("Enter")
    comes_to(page, "chain", "believed", JUDGING_SECONDS)
    page.wait("document.querySelectorAll('#chain-questions > li[data-mark=ok]').length === 10", "all marks", 20)
    tab_to(page, "sign-in")
    page.press("Enter")
    comes_to(page, "sign", "in", SIGNING_SECONDS)
    comes_to(page, "notes", "open", 30)
    tab_to(page, "note-name")
    page.keys("by hand")
    tab_to(page, "note-text")
    page.keys("no mouse was used")
    tab_to(page, "note-write")
    page.press("Space")
    page.wait("document.querySelector('#notes-list li[data-name=\"by hand\"]') !== null", "the note to be stored", WRITING_SECONDS)
    tab_to(page, "note-read")
    page.press("Enter")
    page.wait("document.querySelector('#note-shown-text').textContent === 'no mouse was used'", "the note to be shown", WRITING_SECONDS)
    tab_to(page, "phrase-make")
    page.press("Enter")
    comes_to(page, "phrase", "shown", 20)
    stage.shot("keyboard")


@scenario("a phone: nothing is wider than 360 pixels, at any step", width=360)
def narrow(stage):
    page = opened(stage)
    page.no_sideways()
    card(page)
    page.no_sideways()
    checked(page)
    page.evaluate("document.querySelectorAll('details').forEach((e) => (e.open = true))")
    page.no_sideways()
    stage.shot("chain")
    signed_in(page)
    wrote(page, "w" * 60, "no-space-" * 40)
    page.no_sideways()
    page.click("#phrase-make")
    comes_to(page, "phrase", "shown", 20)
    remembered(page)
    page.no_sideways()
    stage.shot("whole")
    page.accessible()


scenario("the card is changed while a node is asked: what is shown is of the card that stands there, or nothing", first=(web_meanwhile.HELD,))(web_meanwhile.card_changed)
scenario("the card is changed while signing in: it stays at the cluster it was begun with, and ends", first=(web_meanwhile.HELD,))(web_meanwhile.signing_changed)
scenario("a note that another tab wrote is not overwritten unseen: nothing of either is lost")(web_meanwhile.overwritten)
scenario("a network that swallows UDP: WebTransport has its share of the time, then the same by WebSocket", expected=DEAD)(web_meanwhile.silent)


@scenario("a card by its code: before the camera, and in a picture", flags=web_scan.CAMERA)
def scan(stage):
    web_scan.scan(stage, image)


# The last: afterwards this cluster's users know that it was set back.
@scenario("the host puts every disk back and recovers the cluster: refused, with the proof; after a reload as well", expected=DEAD, disturbs=True)
def rollback(stage):
    page, _ = entered(stage)
    for number in range(5):
        wrote(page, f"confirmed {number}", "this was confirmed")
    remembered(page)
    page.click("#rewind")
    page.wait("document.querySelector('#memory').dataset.state === 'refused' || document.querySelector('#memory-error').dataset.code", "the page to notice", REWIND_SECONDS)
    comes_to(page, "memory", "refused", 30)
    refused_by(page, "memory", "RW-C-ROLLBACK-DETECTED")
    page.wait("document.querySelector('#memory-evidence').checkVisibility()", "the proof to be offered", 30)
    stage.shot("refused")
    saved = stage.demo.folder / "evidence"
    stage.browser.call("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(saved)})
    page.click("#memory-evidence")
    until = time.monotonic() + 20
    while not saved.is_dir() or not any(file.suffix == ".evidence" and file.stat().st_size > 200 for file in saved.iterdir()):
        if time.monotonic() > until:
            raise Failed("the proof was not saved")
        stage.browser.rest(0.1)
    page.reload()
    comes_to(page, "body", "ready", JUDGING_SECONDS)
    card(page)
    checked(page)
    page.click("#sign-in")
    page.wait("['refused', 'in'].includes(document.querySelector('#sign').dataset.state)", "the second attempt", SIGNING_SECONDS)
    if state(page, "sign") == "in" or state(page, "memory") != "refused":
        raise Failed("after a reload the page goes on in the older world")
    # Whoever was never there before sees nothing wrong, which is what the page says of first visits.
    stage.shot("again")
