"""Ringwall from Python: the shared library through ctypes, its effects carried out here.

Decides: how effects are carried out (docs/core.md, "Effects"): in order, and a memory on stable storage before what follows it. Trusts: the library; the platform's clock and generator.
Out of scope: what a node may be believed (the library judges that), how bytes travel (ways.py). Nothing but the standard library is needed; `notes.py` shows its use.
"""
import collections
import ctypes
import fcntl
import json
import os
import pathlib
import secrets
import selectors
import struct
import time

from ways import Broken, WebSocket

OK, REFUSED, ENDED = 0, 1, 12
# Bytes told to the core in one call (docs/core.md, limits of `arrived`).
ARRIVED_BYTES = 256 * 1024
# Seconds to wait where the core named no time.
IDLE_S = 1.0
BYTES = ctypes.POINTER(ctypes.c_uint8)


class Refused(Exception):
    """The library said no: `code` is stable, the words say what failed and what to do."""

    def __init__(self, code, words, current=None):
        super().__init__(f"{code}: {words}")
        self.code, self.words, self.current = code, words, current


def framed(head, payload=b""):
    """A frame: length of the head, the head as JSON, the payload."""
    text = json.dumps(head).encode()
    return struct.pack("<I", len(text)) + text + payload


def frames(answer):
    """[(head, payload)] of an answer."""
    found, at = [], 0
    while at < len(answer):
        size, text = struct.unpack_from("<II", answer, at)
        head = json.loads(answer[at + 8 : at + 8 + text])
        found.append((head, answer[at + 8 + text : at + 4 + size]))
        at += 4 + size
    return found


class Library:
    """The functions of `client/ffi/include/ringwall.h` that are used here."""

    def __init__(self, path):
        self.library = ctypes.CDLL(str(path))
        out = [ctypes.POINTER(BYTES), ctypes.POINTER(ctypes.c_size_t)]
        lent = [ctypes.c_char_p, ctypes.c_size_t]
        shapes = {
            "card": lent + out,
            "verify": lent + out,
            "open": lent + [ctypes.POINTER(ctypes.c_uint64)] + out,
            "handle": [ctypes.c_uint64] + lent + out,
            "close": [ctypes.c_uint64],
            "free": [BYTES, ctypes.c_size_t],
        }
        for name, shape in shapes.items():
            function = getattr(self.library, f"ringwall_{name}")
            function.argtypes, function.restype = shape, ctypes.c_int32
        self.library.ringwall_words.argtypes, self.library.ringwall_words.restype = [ctypes.c_int32], ctypes.c_char_p
        self.library.ringwall_version.restype = ctypes.c_char_p
        self.version = self.library.ringwall_version().decode()

    def bytes_of(self, name, *words):
        """One call: the bytes of its answer. What a refusal says is raised."""
        answer, size = BYTES(), ctypes.c_size_t()
        status = getattr(self.library, f"ringwall_{name}")(*words, ctypes.byref(answer), ctypes.byref(size))
        given = ctypes.string_at(answer, size.value) if answer else b""
        self.library.ringwall_free(answer, size)
        said = frames(given)[0][0].get("error") if given and status in (REFUSED, ENDED) else None
        if said:
            refuse(said)
        if status != OK:
            code, _, advice = self.library.ringwall_words(status).decode().partition(": ")
            raise Refused(code, advice)
        return given

    def call(self, name, frame, before=(), between=()):
        """One call with a frame: the frames of its answer."""
        return frames(self.bytes_of(name, *before, frame, len(frame), *between))

    def card(self, card):
        """What a card says."""
        return self.call("card", framed({}, card))[0][0]

    def verify(self, card, exchange, now_s=None):
        """Judges a saved exchange without a network; the account of it. Evidence that is refused is told there, too."""
        head = {"now_s": int(time.time() if now_s is None else now_s), "card_bytes": len(card)}
        return self.call("verify", framed(head, card + exchange))[0][0]

    def open(self, head, payload):
        """A client: its handle and the frames of its opening."""
        handle = ctypes.c_uint64()
        opened = self.call("open", framed(head, payload), between=[ctypes.byref(handle)])
        return handle.value, opened

    def handle(self, handle, head, payload=b""):
        """Tells a client an event; its effects."""
        return self.call("handle", framed(head, payload), before=[handle])

    def close(self, handle):
        """Ends a client."""
        self.library.ringwall_close(handle)


def refuse(error):
    """Raises what the core said."""
    raise Refused(error["code"], error["words"], error.get("current"))


class Memory:
    """The memory of one user of one cluster, in a file: replaced as a whole, on the disk before `keep` returns. One process holds it at a time."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.lock = open(self.path.with_suffix(".lock"), "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            self.lock.close()
            raise Refused("RW-C-MEMORY-HELD", f"another process uses {self.path}; let it end first") from held

    def read(self):
        """What is kept; nothing where nothing was kept yet. What cannot be read is an error, never a fresh start."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def keep(self, memory):
        """Replaces it, and returns when it is on the disk."""
        beside = self.path.with_suffix(".new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(memory)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self):
        """Lets others use it."""
        self.lock.close()


class Client:
    """One user of one cluster. Everything happens inside the calls that ask: there is no thread."""

    def __init__(self, library, card, seed, memory, told=lambda head, payload: None):
        self.library, self.memory, self.told = library, memory, told
        self.ways, self.looks, self.wake, self.ended = {}, selectors.DefaultSelector(), None, None
        self.events, self.answers, self.changes, self.ticket = collections.deque(), {}, {}, 0
        head = {**moment(), "card_bytes": len(card), "device": {"seed": seed.hex()}, "over": ["websocket"]}
        self.handle, opened = library.open(head, card + memory.read())
        self.number, self.user = opened[0][0]["client"], opened[0][0]["user"]
        self.carry_out(opened[1:])
        self.tell()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # What is asked.

    def ask(self, op, payload=b""):
        """Asks, and waits: (answer, values)."""
        ticket = self.new_ticket({"is": "ask", "op": op}, payload)
        while ticket not in self.answers:
            self.go_on()
        answer, values = self.answers.pop(ticket)
        if answer.get("error"):
            refuse(answer["error"])
        return answer["answer"], values

    def enter(self, space, mode="cluster"):
        """Makes a namespace, or finds it."""
        return self.ask({"is": "enter", "namespace": space, "mode": mode})[0]

    def put(self, space, key, value, expect="any"):
        """Stores a value; its version."""
        return self.ask({"is": "put", "namespace": space, "key": key, "expect": expect}, value)[0]["version"]

    def get(self, space, key):
        """A value, or None."""
        answer, value = self.ask({"is": "get", "namespace": space, "key": key})
        return value if answer["found"] else None

    def list(self, space, prefix=""):
        """({key: value}, the revision they are of)."""
        found, op = {}, {"is": "list", "namespace": space, "prefix": prefix, "values": True}
        while True:
            page, values = self.ask(op)
            for entry in page["entries"]:
                key = entry.get("key", entry.get("key_hex"))
                found[key], values = values[: entry["bytes"]], values[entry["bytes"] :]
            if not page["more"]:
                return found, page["revision"]
            last = page["entries"][-1]
            op = {name: field for name, field in op.items() if not name.startswith("after")}
            op |= {"after": last["key"]} if "key" in last else {"after_hex": last["key_hex"]}

    def watch(self, space, after, prefix=""):
        """Changes after a revision, one after the other, as (key, value or None)."""
        ticket = self.new_ticket({"is": "watch", "namespace": space, "prefix": prefix, "after": after}, b"")
        self.changes[ticket] = collections.deque()
        try:
            while True:
                while not self.changes[ticket]:
                    self.go_on()
                told = self.changes[ticket].popleft()
                if isinstance(told, Refused):
                    raise told
                yield from told
                self.say({"is": "read_on", "ticket": ticket})
        finally:
            if ticket in self.changes:
                del self.changes[ticket]
                if self.ended is None:
                    self.say({"is": "forget", "ticket": ticket})

    def close(self):
        """Says goodbye and ends."""
        if self.ended is None:
            self.say({"is": "close"})
        for dial in list(self.ways):
            self.hang_up(dial, well=False)
        self.library.close(self.handle)
        self.memory.close()

    # How it is done.

    def new_ticket(self, event, payload):
        self.ticket += 1
        self.say({**event, "ticket": self.ticket}, payload)
        return self.ticket

    def say(self, event, payload=b""):
        """Tells the core an event, carries out what it wants, and tells it what came of that."""
        self.events.append((event, payload))
        self.tell()

    def tell(self):
        while self.events and self.ended is None:
            event, payload = self.events.popleft()
            self.carry_out(self.library.handle(self.handle, {"client": self.number, **moment(), "event": event}, payload))

    def go_on(self):
        """Waits for a way, or for the time the core named, and tells it."""
        if self.ended is not None:
            refuse(self.ended.get("error") or {"code": "RW-C-CLOSED", "words": "the client is closed"})
        for dial, way in self.ways.items():
            self.looks.modify(way.socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if way.unsent else 0), dial)
        until = [] if self.wake is None else [self.wake / 1000]
        until += [way.until for way in self.ways.values() if not way.is_open]
        left = max(0.0, min(until) - time.monotonic()) if until else IDLE_S
        for key, _ in self.looks.select(left):
            self.look(key.data)
        for dial in [dial for dial, way in self.ways.items() if not way.is_open and way.until <= time.monotonic()]:
            self.lose(dial, "it took too long")
        if self.wake is not None and now_ms() >= self.wake:
            self.wake = None
            self.say({"is": "tick"})

    def look(self, dial):
        """Moves the bytes of one way."""
        way = self.ways.get(dial)
        if way is None:
            return
        was_open, waited = way.is_open, len(way.unsent)
        try:
            way.flush()
            came = way.receive()
        except Broken as fault:
            return self.lose(dial, str(fault))
        if way.is_open and not was_open:
            self.say({"is": "reached", "dial": dial, "over": "websocket"})
        elif way.is_open and len(way.unsent) < waited:
            self.say({"is": "written", "dial": dial, "waiting": len(way.unsent)})
        for at in range(0, len(came), ARRIVED_BYTES):
            self.say({"is": "arrived", "dial": dial}, came[at : at + ARRIVED_BYTES])

    def lose(self, dial, why):
        """A way is over, or was never open."""
        way = self.ways[dial]
        self.hang_up(dial, well=False)
        self.say({"is": "lost" if way.is_open else "unreached", "dial": dial, "why": why})

    def hang_up(self, dial, well):
        way = self.ways.pop(dial)
        self.looks.unregister(way.socket)
        if well and way.is_open:
            way.goodbye()
        way.close()

    def carry_out(self, effects):
        """Effects, in order; a memory that cannot be kept ends them."""
        for effect, payload in effects:
            try:
                getattr(self, f"do_{effect['is']}")(effect, payload)
            except OSError as fault:
                if effect["is"] != "keep":
                    raise
                self.events.appendleft(({"is": "unkept", "why": str(fault)}, b""))
                return

    def do_dial(self, effect, _):
        try:
            if effect["over"] != "websocket":
                raise Broken("only WebSocket is spoken here")
            way = WebSocket(effect["address"])
        except (Broken, OSError, ValueError) as fault:
            self.events.append(({"is": "unreached", "dial": effect["dial"], "why": str(fault)}, b""))
            return
        self.ways[effect["dial"]] = way
        self.looks.register(way.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, effect["dial"])

    def do_send(self, effect, payload):
        way = self.ways.get(effect["dial"])
        if way is not None:
            way.send(payload)

    def do_sign(self, effect, _):
        self.events.append(({"is": "unsigned", "dial": effect["dial"], "why": "the core holds the key"}, b""))

    def do_keep(self, _, payload):
        self.memory.keep(payload)

    def do_hang_up(self, effect, _):
        if effect["dial"] in self.ways:
            self.hang_up(effect["dial"], effect["well"])

    def do_believed(self, effect, payload):
        self.told(effect, payload)

    do_disbelieved = do_believed

    def do_answer(self, effect, payload):
        self.answers[effect["ticket"]] = effect, payload

    def do_events(self, effect, payload):
        changes = []
        for change in effect["changes"]:
            size = change.get("bytes", 0)
            changes.append((change.get("key", change.get("key_hex")), None if change.get("removed") else payload[:size]))
            payload = payload[size:]
        if effect["ticket"] in self.changes:
            self.changes[effect["ticket"]].append(changes)

    def do_over(self, effect, _):
        error = effect.get("error") or {"code": "RW-C-CLOSED", "words": "the watch has ended"}
        if effect["ticket"] in self.changes:
            self.changes[effect["ticket"]].append(Refused(error["code"], error["words"]))

    def do_wake(self, effect, _):
        self.wake = effect["at_ms"]

    def do_ended(self, effect, _):
        self.ended = effect


def now_ms():
    """A clock that only goes forward."""
    return int(time.monotonic() * 1000)


def moment():
    """What every call brings: when, and new bytes of the platform's generator."""
    return {"now_ms": now_ms(), "now_s": int(time.time()), "fresh": secrets.token_hex(32)}
