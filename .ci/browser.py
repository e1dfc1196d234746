"""A headless Chromium that is driven as a person drives it: real clicks and keys, on what is really there, and everything it said and asked for written down.

Decides: how the browser is started and ended (a group of its own, a profile of its own, two pipes of the DevTools protocol and no port), that a click lands on what is seen
and not on what covers it, what counts as an error of the page, and which addresses are this machine's. Trusts: Chromium's word about its own page.
Out of scope: what a page should show (`web_scenarios.py`), who serves it. `prove_browser.py` shows that every rule here bites.
"""
import base64
import collections
import fcntl
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse

BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]
# Nothing of a browser's own traffic; whatever name a page asks for is not found, so a request to elsewhere is seen and goes nowhere.
CALM = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--mute-audio"]
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
ANSWER_SECONDS = 30  # for an answer of the browser; a page that works on the main thread answers later
WAIT_SECONDS = 20  # for a page to come to what is waited for
PAUSE = 0.04
MOST_BYTES = 256 << 20  # of one message: a screenshot is the largest
KEYS = {"Tab": ("Tab", 9, None), "Enter": ("Enter", 13, "\r"), "Space": ("Space", 32, " "), "Escape": ("Escape", 27, None), "Backspace": ("Backspace", 8, None), "ArrowDown": ("ArrowDown", 40, None), "ArrowUp": ("ArrowUp", 38, None)}


class Failed(Exception):
    """What is not as it has to be, in words for whoever reads the log."""


class Missing(Exception):
    """There is no browser."""


def program():
    """The browser of this machine."""
    found = next((name for name in BROWSERS if shutil.which(name)), None)
    if found is None:
        raise Missing("chromium-headless-shell IS MISSING (Debian: apt-get install chromium-headless-shell)")
    return found


def words(profile, *more):
    """Its command line."""
    name = program()
    return [name, *CALM, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else []), *(["--headless=new"] if "shell" not in name else []), *more]


def ended(running):
    """Ends a process with its whole group, and waits until nobody of it writes anywhere any more."""
    try:
        os.killpg(running.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    running.wait()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)


def is_local(url):
    """Whether an address is this machine's, or no network's at all."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme in ("data", "blob", "about", "chrome-error"):
        return True
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname in ("127.0.0.1", "localhost", "::1")


class Browser:
    """One browser with a fresh profile. A context: it ends with it."""

    def __init__(self, profile, *flags):
        self.profile = pathlib.Path(profile)
        self.flags = flags
        self.asked = 0
        self.inbox = queue.Queue()
        self.answers = {}
        self.pages = {}
        # Sessions of everything that runs in it: pages, workers, service workers; session -> (kind, url)
        self.parts = {}
        self.sessions = {}  # of targets
        self.requests, self.errors, self.log = [], [], collections.deque(maxlen=400)
        self.running = None

    def __enter__(self):
        self.profile.mkdir(parents=True, exist_ok=True)
        (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
        # The numbers 3 and 4 are the browser's; ours must not be among them when they are put there.
        high = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 20) for number in (their_in, their_out)]

        def places():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        log = (self.profile.parent / f"{self.profile.name}.log").open("wb")
        try:
            # pylint: disable-next=subprocess-popen-preexec-fn  # between fork and exec nothing but two system calls
            self.running = subprocess.Popen(words(self.profile, NOWHERE, "--remote-debugging-pipe", *self.flags, "about:blank"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=places, pass_fds=(3, 4))
        finally:
            for number in (their_in, their_out, *high):
                os.close(number)
            log.close()
        self.out, self.pipe = our_out, our_in
        threading.Thread(target=self.listen, daemon=True).start()
        self.call("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True})
        return self

    def __exit__(self, *_):
        ended(self.running)
        for number in (self.out, self.pipe):
            os.close(number)

    def listen(self):
        """Cuts what comes into messages. The end of the browser is a message too."""
        kept = b""
        while True:
            try:
                chunk = os.read(self.pipe, 1 << 20)
            except OSError:
                chunk = b""
            kept += chunk
            if not chunk or len(kept) > MOST_BYTES:
                self.inbox.put(None)
                return
            *whole, kept = kept.split(b"\0")
            for message in whole:
                self.inbox.put(json.loads(message))

    def send(self, method, params=None, session=None):
        self.asked += 1
        message = {"id": self.asked, "method": method, "params": params or {}} | ({"sessionId": session} if session else {})
        rest = json.dumps(message).encode() + b"\0"
        try:
            while rest:
                rest = rest[os.write(self.out, rest) :]
        except OSError as fault:
            raise Failed(self.last_words()) from fault
        return self.asked

    def call(self, method, params=None, session=None, seconds=ANSWER_SECONDS):
        """Asks, and gives the answer; events that come meanwhile are taken."""
        number = self.send(method, params, session)
        until = time.monotonic() + seconds
        while number not in self.answers:
            self.take(until, f"{method} was not answered in {seconds} s")
        answer = self.answers.pop(number)
        if "error" in answer:
            raise Failed(f"{method}: {answer['error'].get('message')} {answer['error'].get('data', '')}")
        return answer["result"]

    def take(self, until, otherwise):
        """One message; fails with these words when none comes in time."""
        try:
            message = self.inbox.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            # What it started may hold the pipe open longer than it lives.
            raise Failed(otherwise if self.running.poll() is None else self.last_words()) from None
        if message is None:
            raise Failed(self.last_words())
        if "id" in message:
            self.answers[message["id"]] = message
        else:
            self.happened(message["method"], message["params"], message.get("sessionId"))

    def last_words(self):
        tail = (self.profile.parent / f"{self.profile.name}.log").read_text(errors="replace").splitlines()[-5:]
        return "\n".join(["the browser ended", *tail])

    def rest(self, seconds):
        """Takes what comes for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                self.take(until, "nothing")
            except Failed as fault:
                if str(fault) != "nothing":
                    raise

    def happened(self, name, params, session):
        """Writes down what matters of an event."""
        if name == "Target.attachedToTarget":
            self.sessions[params["targetInfo"]["targetId"]] = params["sessionId"]
            self.attached(params["sessionId"], params["targetInfo"])
        elif name == "Target.detachedFromTarget":
            self.parts.pop(params["sessionId"], None)
        elif name == "Network.requestWillBeSent":
            self.asks(params["request"]["url"])
        elif name == "Network.webSocketCreated":
            self.asks(params["url"])
        elif name == "Network.webTransportCreated":
            self.asks(params["url"])
        elif name == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.wrong("exception", details.get("exception", {}).get("description") or details["text"])
        elif name == "Runtime.consoleAPICalled":
            text = " ".join(str(word.get("value", word.get("description", ""))) for word in params["args"])
            self.log.append(f"{params['type']}: {text}")
            if params["type"] in ("error", "assert"):
                self.wrong("console", text)
        elif name == "Log.entryAdded" and params["entry"]["level"] == "error":
            entry = params["entry"]
            self.wrong(entry["source"], f"{entry['text']} {entry.get('url', '')}".strip())
        elif name == "Inspector.targetCrashed":
            self.wrong("crash", "the page's process ended")
        elif session in self.pages:
            self.pages[session].happened(name, params)

    def asks(self, url):
        self.requests.append(url)
        self.log.append(f"request: {url}")

    def wrong(self, source, text):
        self.errors.append((source, text))
        self.log.append(f"ERROR {source}: {text}")

    def attached(self, session, about):
        """Everything that runs is listened to from its first line on, and what it starts as well."""
        self.parts[session] = (about["type"], about["url"])
        for method, params in (
            ("Network.enable", {}),
            ("Runtime.enable", {}),
            ("Log.enable", {}),
            ("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}),
            ("Runtime.runIfWaitingForDebugger", {}),
        ):
            self.answers_nobody_waits_for(method, params, session)

    def answers_nobody_waits_for(self, method, params, session):
        # Their answers stay in the table, a handful for each part; a part without one of these domains says so and goes on.
        self.send(method, params, session)

    def page(self, width=1000, height=900):
        """A new tab."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        until = time.monotonic() + ANSWER_SECONDS
        while target not in self.sessions:
            self.take(until, "the browser opened a tab and did not show it")
        session = self.sessions[target]
        page = Page(self, session, target)
        self.pages[session] = page
        for method in ("Page.enable", "DOM.enable", "Accessibility.enable"):
            self.call(method, session=session, seconds=until - time.monotonic())
        page.size(width, height)
        return page

    def local_only(self):
        """No request went anywhere but to this machine."""
        elsewhere = sorted({url[:200] for url in self.requests if not is_local(url)})
        if elsewhere:
            raise Failed(f"the page asked for what is not on this machine: {elsewhere}")

    def no_errors(self, expected=()):
        """Nothing was thrown, and no error was written to the console; `expected`: words of those that belong to what was done."""
        found = list(dict.fromkeys(f"{source}: {text[:300]}" for source, text in self.errors if not any(word in f"{source}: {text}" for word in expected)))
        if found:
            raise Failed("errors in the page:\n    " + "\n    ".join(found[:10]))


class Page:
    """One tab. Elements are named by CSS selectors; each action waits until its element is there, seen, enabled and not covered."""

    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target
        self.loads = 0

    def call(self, method, params=None, seconds=ANSWER_SECONDS):
        return self.browser.call(method, params, self.session, seconds)

    def happened(self, name, _params):
        if name == "Page.loadEventFired":
            self.loads += 1
        elif name == "Page.javascriptDialogOpening":
            self.browser.wrong("dialog", "the page opened a dialog nobody can be shown")
            self.browser.send("Page.handleJavaScriptDialog", {"accept": False}, self.session)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def first(self, source):
        """Runs before anything of a page, in every page from now on."""
        self.call("Page.addScriptToEvaluateOnNewDocument", {"source": source})

    def goto(self, url, seconds=WAIT_SECONDS):
        seen = self.loads
        error = self.call("Page.navigate", {"url": url}, seconds).get("errorText")
        if error:
            raise Failed(f"{url}: {error}")
        self.loaded(seen, url, seconds)

    def reload(self, seconds=WAIT_SECONDS):
        seen = self.loads
        self.call("Page.reload", seconds=seconds)
        self.loaded(seen, "the page again", seconds)

    def loaded(self, seen, what, seconds):
        until = time.monotonic() + seconds
        while self.loads == seen:
            self.browser.take(until, f"{what} was not loaded in {seconds} s")

    def front(self):
        self.call("Page.bringToFront")

    def close(self):
        self.browser.pages.pop(self.session, None)
        self.browser.call("Target.closeTarget", {"targetId": self.target})

    def evaluate(self, expression, seconds=ANSWER_SECONDS):
        """A value of the page."""
        said = self.call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": True}, seconds)
        if "exceptionDetails" in said:
            details = said["exceptionDetails"]
            raise Failed(f"{expression[:80]}: {details.get('exception', {}).get('description', details['text'])}")
        return said["result"].get("value")

    def read(self, selector, name="textContent"):
        """A property or an attribute of the first element of this name; none where there is no such element."""
        return self.evaluate(f"((e, n) => e === null ? null : n in e ? e[n] : e.getAttribute(n))(document.querySelector({json.dumps(selector)}), {json.dumps(name)})")

    def count(self, selector):
        return self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")

    def wait(self, expression, what, seconds=WAIT_SECONDS):
        """Until the page says something that is true; gives it."""
        until = time.monotonic() + seconds
        while True:
            found = self.evaluate(expression)
            if found:
                return found
            if time.monotonic() >= until:
                raise Failed(f"waited {seconds} s for {what}")
            self.browser.rest(PAUSE)

    def there(self, selector, seconds=WAIT_SECONDS):
        return self.wait(f"document.querySelector({json.dumps(selector)}) !== null", f"{selector}", seconds)

    def point(self, selector, seconds=WAIT_SECONDS):
        """The middle of an element that is seen, enabled and not covered, once it stands still."""
        script = """((s) => { const e = document.querySelector(s); if (e === null) return "is not there";
            e.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
            if (!e.checkVisibility({ checkVisibilityCSS: true, opacityProperty: true })) return "is not seen";
            if (e.disabled || e.closest("[inert]") || e.getAttribute("aria-disabled") === "true") return "is disabled";
            const b = e.getClientRects()[0]; if (!b || b.width < 1 || b.height < 1) return "has no size";
            const [x, y] = [b.left + b.width / 2, b.top + b.height / 2]; const hit = document.elementFromPoint(x, y);
            const label = e.labels ? [...e.labels] : [];
            if (hit === null || !(e === hit || e.contains(hit) || label.some((l) => l.contains(hit)))) return "is covered by " + (hit ? hit.tagName + "#" + hit.id : "nothing");
            return [x, y]; })""" + f"({json.dumps(selector)})"
        until, before = time.monotonic() + seconds, None
        while True:
            found = self.evaluate(script)
            if isinstance(found, list) and found == before:
                return found
            if time.monotonic() >= until:
                raise Failed(f"{selector} {found if isinstance(found, str) else 'does not stand still'}")
            before = found
            self.browser.rest(PAUSE)

    def click(self, selector, seconds=WAIT_SECONDS):
        x, y = self.point(selector, seconds)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "mouseMoved" else {}
            self.call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **button})

    def press(self, name, modifiers=0):
        """One key. `modifiers`: 1 Alt, 2 Control, 8 Shift."""
        code, number, text = KEYS[name]
        shared = {"key": text if name == "Space" else name, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", {"type": "keyDown" if text else "rawKeyDown", **shared, **({"text": text} if text else {})})
        self.call("Input.dispatchKeyEvent", {"type": "keyUp", **shared})

    def keys(self, text):
        """Types letter by letter into whatever has the focus."""
        for letter in text:
            self.call("Input.dispatchKeyEvent", {"type": "keyDown", "text": letter, "key": letter})
            self.call("Input.dispatchKeyEvent", {"type": "keyUp", "key": letter})

    def paste(self, text):
        """Puts text where the focus is, as a paste does."""
        self.call("Input.insertText", {"text": text})

    def focused(self):
        """The id of what has the focus."""
        return self.evaluate("document.activeElement?.id || document.activeElement?.className || document.activeElement?.tagName")

    def fill(self, selector, text, seconds=WAIT_SECONDS):
        """Clicks into a field, empties it and types; what is long is pasted."""
        self.click(selector, seconds)
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select?.()")
        self.press("Backspace")
        (self.keys if len(text) <= 80 else self.paste)(text)

    def attach(self, selector, *paths):
        """Chooses files."""
        root = self.call("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
        node = self.call("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
        if not node:
            raise Failed(f"{selector} is not there")
        self.call("DOM.setFileInputFiles", {"nodeId": node, "files": [str(path) for path in paths]})

    def offline(self, on):
        """Takes the network away, or gives it back; from service workers too, as a cable that is pulled out."""
        for session in (self.session, *(session for session, (kind, _) in self.browser.parts.items() if kind == "service_worker")):
            self.browser.call("Network.emulateNetworkConditions", {"offline": on, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}, session)

    def wiped(self, origin):
        """The browser throws away everything it keeps for the page."""
        self.call("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})

    def screenshot(self, path):
        said = self.call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
        pathlib.Path(path).write_bytes(base64.b64decode(said["data"]))

    def no_sideways(self):
        """Nothing is wider than the window."""
        wide = self.evaluate("""(() => { const most = document.documentElement.clientWidth; if (document.documentElement.scrollWidth <= most) return [];
            const rolls = (e) => e && (["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX) || rolls(e.parentElement));
            return [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > most + 1 && !rolls(e.parentElement)).slice(0, 5).map((e) => e.tagName + "#" + e.id + "." + e.className)
                .concat("scrollWidth " + document.documentElement.scrollWidth + " > " + most); })()""")
        if wide:
            raise Failed(f"it scrolls sideways: {wide}")

    def accessible(self):
        """Every control has a name, headings go down one step at a time from the first, images have words, and the page has a language and a title."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        said = [(node["role"]["value"], node.get("name", {}).get("value", "").strip(), node) for node in nodes if not node.get("ignored") and "role" in node]
        controls = {"button", "link", "textbox", "checkbox", "radio", "combobox", "listbox", "searchbox", "slider", "spinbutton", "switch", "tab", "menuitem", "image"}
        faults = [f"a {role} without a name ({self.tag(node)})" for role, name, node in said if role in controls and not name]
        levels = [next((p["value"]["value"] for p in node.get("properties", []) if p["name"] == "level"), 0) for role, _, node in said if role == "heading"]
        if levels[:1] != [1] or levels.count(1) != 1:
            faults.append(f"headings have to begin with the only one of level 1: {levels}")
        faults += [f"a heading of level {after} follows one of level {before}" for before, after in zip(levels, levels[1:]) if after > before + 1]
        faults += [f"the page has no {what}" for what, script in (("language", "document.documentElement.lang"), ("title", "document.title")) if not self.evaluate(script)]
        if faults:
            raise Failed("not accessible: " + "; ".join(faults[:8]))
        return sum(role in controls for role, _, _ in said), len(levels)

    def tag(self, node):
        try:
            about = self.call("DOM.describeNode", {"backendNodeId": node["backendDOMNodeId"]})["node"]
        except (Failed, KeyError):
            return "?"
        pairs = about.get("attributes", [])
        return about["nodeName"].lower() + "".join(f" {key}={value}" for key, value in zip(pairs[::2], pairs[1::2]) if key in ("id", "class", "type"))
