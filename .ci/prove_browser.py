"""The driver's own rules, each seen to bite on a page that breaks it and to be silent on one that does not.

Decides: nothing about the product. Trusts: Chromium. Out of scope: everything but `browser.py`.
"""
import http.server
import pathlib
import tempfile
import threading

from browser import Browser, Failed, is_local

GOOD = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>good</title><style>body { margin: 0 } #far { margin-top: 3000px }</style>
<h1>One</h1><h2>Two</h2><h3>Three</h3><h2>Two</h2><button id="b">press</button> <a href="#x" id="a">go</a><label>name <input id="i"></label><label>file <input type="file" id="f"></label>
<button id="far">far</button><button id="off" disabled>off</button><button id="under">under</button><div id="over"></div><p id="said"></p>
<script>for (const id of ["b", "far", "under"]) document.getElementById(id).onclick = (e) => (document.getElementById("said").textContent += id + e.isTrusted + ";");
document.getElementById("i").onkeydown = (e) => void (e.key === "Enter" && (document.title = "entered")); localStorage.kept ??= 0; localStorage.kept++;</script></html>"""
COVER = "document.getElementById('over').style = 'position:fixed;inset:0;z-index:9;background:#fff'"
PAUSE = 0.5


class Served(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = GOOD.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def bites(what, act, *words):
    """An act that has to fail, with these words in what is said."""
    try:
        act()
    except Failed as fault:
        assert all(word in str(fault) for word in words), f"{what}: {fault}"
        return 1
    raise AssertionError(f"nobody noticed: {what}")


def names():
    """Which addresses are this machine's."""
    for url, local in (
        ("http://127.0.0.1:8000/a", True), ("https://localhost/", True), ("ws://[::1]:1/", True), ("data:text/plain,x", True), ("blob:http://127.0.0.1/x", True),
        ("http://127.0.0.1.evil.example/", False), ("https://example.com/127.0.0.1", False), ("http://127.0.0.1@evil.example/", False), ("ftp://127.0.0.1/", False), ("http://10.0.0.1/", False),
    ):
        assert is_local(url) == local, url
    return 1


def hands(page):
    """Clicks, keys and files are a person's, and need what a person needs."""
    for name in ("b", "far"):
        page.click(f"#{name}")
    assert page.read("#said") == "btrue;fartrue;", page.read("#said")
    page.fill("#i", "héllo")
    page.fill("#i", "hello there")
    assert page.read("#i", "value") == "hello there", "a field is emptied first"
    page.press("Enter")
    assert page.read("title") == "entered"
    page.press("Tab", 8)
    assert page.focused() == "a", page.focused()
    page.attach("#f", __file__)
    assert page.evaluate("document.getElementById('f').files[0].name") == "prove_browser.py"
    found = bites("a click on what is not there", lambda: page.click("#none", 0.3), "#none", "not there")
    found += bites("a click on what is disabled", lambda: page.click("#off", 0.3), "disabled")
    page.evaluate(COVER)
    found += bites("a click on what is covered", lambda: page.click("#under", 0.3), "covered by DIV#over")
    found += bites("a wait for what never comes", lambda: page.wait("false", "godot", 0.2), "godot")
    return found + 5


def looks(page):
    """What is not accessible, or too wide, is seen."""
    def spoiled(what, change, look, *words):
        page.reload()
        look()
        page.evaluate(change)
        return bites(what, look, *words)

    found = spoiled("a button without a name", "document.getElementById('b').textContent = ''", page.accessible, "a button without a name", "id=b")
    found += spoiled("a field without a name", "document.querySelector('label').replaceWith(document.getElementById('i'))", page.accessible, "textbox")
    found += spoiled("a heading that skips a level", "document.querySelector('h2').outerHTML = '<h4>four</h4>'", page.accessible, "level 4")
    found += spoiled("two headings of level 1", "document.querySelector('h2').outerHTML = '<h1>another</h1>'", page.accessible, "level 1")
    found += spoiled("a page without a language", "document.documentElement.removeAttribute('lang')", page.accessible, "language")
    page.size(360, 700)
    return found + spoiled("what is too wide", "document.getElementById('said').style = 'width:500px;height:9px'", page.no_sideways, "said")


def ears(running, page):
    """What a page throws, writes and asks for is heard."""
    def heard(what, act, rule, *words):
        page.reload()
        running.rest(PAUSE)
        running.errors.clear(), running.requests.clear()
        running.no_errors(), running.local_only()
        page.evaluate(act)
        running.rest(PAUSE)
        return bites(what, rule, *words)

    found = heard("an exception", "void setTimeout(() => { throw new Error('thrown') })", running.no_errors, "thrown")
    running.no_errors(["thrown"])
    found += heard("a rejection nobody handles", "void Promise.reject(new Error('rejected'))", running.no_errors, "rejected")
    found += heard("an error in the console", "console.error('written')", running.no_errors, "written")
    found += heard("a request to elsewhere", "fetch('http://example.com/x').catch(() => {})", running.local_only, "example.com")
    found += heard("a socket to elsewhere", "new WebSocket('ws://example.com/s'), 0", running.local_only, "ws://example.com/s")
    found += heard("WebTransport to elsewhere", "new WebTransport('https://example.com:9/t').closed.catch(() => {}), 0", running.local_only, "https://example.com:9/t")
    worker = "new Worker(URL.createObjectURL(new Blob([`fetch('http://example.com/w').catch(() => {}); setTimeout(() => { throw new Error('in the worker') })`]))), 0"
    found += heard("a worker's request", worker, running.local_only, "example.com/w")
    return found + bites("a worker's exception", running.no_errors, "in the worker")


def memories(running, page, url):
    """A profile is fresh, keeps what it is given, and is wiped; what runs first runs first."""
    assert page.evaluate("location.href.startsWith('http') && Number(localStorage.kept)") > 1, "what is kept is there after a reload"
    page.wiped(url.rstrip("/"))
    page.reload()
    assert page.evaluate("localStorage.kept") == "1", "nothing of it was left"
    page.first("window.early = typeof document.body")
    page.reload()
    assert page.evaluate("early") == "object" and page.evaluate("document.body !== null"), "it ran before there was a body"
    page.offline(True)
    failed = page.evaluate("fetch('/again').then(() => 'answered', () => 'no network')")
    page.offline(False)
    assert failed == "no network", failed
    other = running.page()
    other.goto(url)
    assert other.evaluate("localStorage.kept") == "3", "tabs share what is kept"
    other.close()
    return 5


def prove():
    """How many rules were seen to bite."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Served)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    try:
        with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as folder:
            with Browser(pathlib.Path(folder) / "profile") as running:
                page = running.page()
                page.goto(url)
                found = names() + hands(page) + looks(page) + ears(running, page) + memories(running, page, url)
                image = pathlib.Path(folder) / "shot.png"
                page.screenshot(image)
                assert image.read_bytes().startswith(b"\x89PNG")
                running.running.kill()
                return found + bites("a browser that ended", lambda: running.rest(1), "the browser ended")
    finally:
        server.shutdown()
