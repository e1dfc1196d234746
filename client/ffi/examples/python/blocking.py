"""The other way to use the library: it has a thread of its own, and calls the functions it is given. `blocking.py --card FILE --folder DIR put KEY TEXT` or `get KEY`.

Decides: what the functions of `ringwall_host` do here: WebSocket of ways.py, waited for; clocks and generator of the platform; a memory in a file. A function that fails says so
and never raises: an exception in a callback is one nobody catches. Trusts: the library. Out of scope: what is done with them (docs/c-interface.md). See ringwall.py for the way without a thread.
"""
import argparse
import ctypes
import functools
import os
import pathlib
import secrets
import select
import sys
import time

import notes
import ringwall
import ways

SPACE = b"blocking"
WEBSOCKET = 3
WITHIN_MS = 30_000
POINTER, SIZE, NUMBER = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64
INT, MILLISECONDS, LONG = ctypes.c_int32, ctypes.c_uint32, ctypes.c_int64

# Fields of `ringwall_host` after its size and context, in order: name, result, parameters after the context.
FUNCTIONS = {
    "dial": (INT, NUMBER, POINTER, SIZE, INT, POINTER, SIZE, MILLISECONDS, POINTER),
    "send": (INT, NUMBER, POINTER, SIZE),
    "receive": (LONG, NUMBER, POINTER, SIZE, MILLISECONDS),
    "hang_up": (None, NUMBER, INT),
    "now_ms": (NUMBER,),
    "now_s": (NUMBER,),
    "random": (INT, POINTER, SIZE),
    "keep": (INT, POINTER, SIZE),
    "sign": (INT, POINTER, SIZE, POINTER),
    "told": (None, POINTER, SIZE),
}
TYPES = {name: ctypes.CFUNCTYPE(result, POINTER, *parameters) for name, (result, *parameters) in FUNCTIONS.items()}


class Host(ctypes.Structure):
    """`ringwall_host`."""

    _fields_ = [("size", SIZE), ("context", POINTER), *TYPES.items()]


class Ways:
    """The functions, over this process's sockets and files. All of them are called on the library's thread."""

    def __init__(self, memory, told):
        self.memory, self.show, self.ways = memory, told, {}
        given = {name: TYPES[name](functools.partial(self.guarded, name)) for name in FUNCTIONS if hasattr(self, name)}
        self.host = Host(size=ctypes.sizeof(Host), **given)

    def guarded(self, name, _context, *words):
        """A function that says that it failed, and does not raise."""
        failed = {"hang_up": None, "told": None, "now_ms": 0, "now_s": 0}.get(name, -1)
        try:
            return getattr(self, name)(*words)
        except Exception as fault:  # noqa: BLE001: nothing may leave a callback
            print(f"{name}: {fault}", file=sys.stderr)
            return failed

    def dial(self, dial, address, size, over, _certificates, _certificates_size, within_ms, _shown):
        if over != WEBSOCKET:
            return -1
        way = ways.WebSocket(ctypes.string_at(address, size).decode())
        self.ways[dial] = way, bytearray()
        until = time.monotonic() + within_ms / 1000
        while not way.is_open:
            left = until - time.monotonic()
            if left <= 0:
                self.hang_up(dial, 0)
                return -1
            select.select([way.socket], [way.socket] if way.unsent else [], [], left)
            way.flush()
            self.ways[dial][1].extend(way.receive())
        return 0

    def send(self, dial, at, size):
        way, _ = self.ways[dial]
        way.send(ctypes.string_at(at, size))
        until = time.monotonic() + ways.DIAL_S
        while way.unsent:
            if time.monotonic() > until:
                return -1
            select.select([], [way.socket], [], 0.1)
            way.flush()
        return 0

    def receive(self, dial, into, room, within_ms):
        way, left = self.ways[dial]
        if not left:
            select.select([way.socket], [], [], within_ms / 1000)
            left.extend(way.receive())
            way.flush()
        given = bytes(left[:room])
        del left[:room]
        ctypes.memmove(into, given, len(given))
        return len(given)

    def hang_up(self, dial, well):
        way, _ = self.ways.pop(dial)
        if well:
            way.goodbye()
        way.close()

    def now_ms(self):
        return ringwall.now_ms()

    def now_s(self):
        return int(time.time())

    def random(self, into, size):
        ctypes.memmove(into, secrets.token_bytes(size), size)
        return 0

    def keep(self, at, size):
        self.memory.keep(ctypes.string_at(at, size))
        return 0

    def told(self, at, size):
        frame = ctypes.string_at(at, size)
        ((head, payload),) = ringwall.frames(len(frame).to_bytes(4, "little") + frame)
        if head["is"] != "ended":
            self.show(head, payload)


class Blocking:
    """A connected client: calls wait, from any thread."""

    def __init__(self, library, card, seed, memory, told=lambda head, payload: None):
        self.library, self.memory, self.ways = library, memory, Ways(memory, told)
        out = [ctypes.POINTER(ringwall.BYTES), ctypes.POINTER(SIZE)]
        lent = [ctypes.c_char_p, SIZE]
        shapes = {
            "connect": [*lent, ctypes.POINTER(Host), ctypes.POINTER(NUMBER), *out],
            "ask": [NUMBER, *lent, MILLISECONDS, *out],
            "put": [NUMBER, *lent, *lent, *lent, MILLISECONDS, ctypes.POINTER(NUMBER), *out],
            "get": [NUMBER, *lent, *lent, MILLISECONDS, ctypes.POINTER(INT), ctypes.POINTER(NUMBER), *out],
        }
        for name, shape in shapes.items():
            function = getattr(library.library, f"ringwall_{name}")
            function.argtypes, function.restype = shape, INT
        head = {"card_bytes": len(card), "device": {"seed": seed.hex()}, "over": ["websocket"]}
        handle = NUMBER()
        library.call("connect", ringwall.framed(head, card + memory.read()), between=[ctypes.byref(self.ways.host), ctypes.byref(handle)])
        self.handle = handle.value

    def ask(self, op, payload=b""):
        """Any operation: (answer, values)."""
        head, values = self.library.call("ask", ringwall.framed(op, payload), before=[self.handle], between=[WITHIN_MS])[0]
        return head["answer"], values

    def put(self, space, key, value):
        """Stores a value; its version."""
        version = NUMBER()
        words = (self.handle, space, len(space), key, len(key), value, len(value), WITHIN_MS, ctypes.byref(version))
        self.library.bytes_of("put", *words)
        return version.value

    def get(self, space, key):
        """A value, or None."""
        found, version = INT(), NUMBER()
        words = (self.handle, space, len(space), key, len(key), WITHIN_MS, ctypes.byref(found), ctypes.byref(version))
        value = self.library.bytes_of("get", *words)
        return value if found.value else None

    def close(self):
        """Says goodbye; no function is called afterwards."""
        self.library.close(self.handle)
        self.memory.close()


def main():
    """Reads the command line and does one thing."""
    parser = argparse.ArgumentParser(description="values in a Ringwall cluster, over callbacks")
    parser.add_argument("--library", type=pathlib.Path, default=os.environ.get("RINGWALL_LIBRARY", "libringwall_ffi.so"))
    parser.add_argument("--card", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("command", choices=["put", "get"])
    parser.add_argument("key")
    parser.add_argument("text", nargs="?", default="")
    asked = parser.parse_args()
    asked.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        memory = ringwall.Memory(asked.folder / "memory")
        seed = notes.seed(asked.folder / "device.seed")
        client = Blocking(ringwall.Library(asked.library), asked.card.read_bytes(), seed, memory, notes.show(asked.folder))
        try:
            client.ask({"is": "enter", "namespace": SPACE.decode(), "mode": "cluster"})
            if asked.command == "put":
                print(client.put(SPACE, asked.key.encode(), asked.text.encode()))
            else:
                print((client.get(SPACE, asked.key.encode()) or b"nothing").decode())
        finally:
            client.close()
    except ringwall.Refused as refused:
        sys.exit(str(refused))


if __name__ == "__main__":
    main()
