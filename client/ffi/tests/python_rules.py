"""The parts of the Python example that a node or a disk could hurt: frames of WebSocket, the kept memory, frames of the core.

Decides: that what breaks RFC 6455 ends the way, that what is cut anywhere is put together, that a memory is replaced as a whole. Trusts: nothing. Out of scope: sessions
(`tests/tests/languages.rs` has a cluster). Run by client/ffi/tests/python.rs: `python3 client/ffi/tests/python_rules.py`.
"""
import base64
import hashlib
import pathlib
import random
import socket
import struct
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples/python"))
sys.dont_write_bytecode = True
import ringwall  # noqa: E402: the examples are no package
import ways  # noqa: E402

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Door:
    """A node's door for one caller, played by the test."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.way = ways.WebSocket(f"ws://127.0.0.1:{self.listener.getsockname()[1]}/ringwall")
        self.node, _ = self.listener.accept()
        self.node.settimeout(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in (self.listener, self.node, self.way.socket):
            end.close()

    def asked(self):
        """The request of the upgrade."""
        request = b""
        while b"\r\n\r\n" not in request:
            self.way.flush()
            request += self.node.recv(4096)
        return request.decode()

    def answer(self, status="101 Switching Protocols", accept=None, more=""):
        """Answers the upgrade, well unless told otherwise."""
        key = self.asked().split("Sec-WebSocket-Key: ")[1].split("\r\n")[0]
        good = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        fields = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept or good}\r\n{more}"
        self.node.sendall(f"HTTP/1.1 {status}\r\n{fields}\r\n".encode())

    def told(self, wanted, tries=400):
        """What the way receives, until it has so many bytes."""
        got = b""
        for _ in range(tries):
            got += self.way.receive()
            if len(got) >= wanted and self.way.is_open:
                return got
            time.sleep(0.005)
        raise AssertionError(f"{len(got)} of {wanted} bytes came")

    def opened(self):
        """Opens it."""
        self.answer()
        self.told(0)
        return self


def frame(code, payload, last=True):
    """A node's frame."""
    size = len(payload)
    mark, length = (size, b"") if size < 126 else (126, struct.pack(">H", size)) if size < 65536 else (127, struct.pack(">Q", size))
    return bytes([(0x80 if last else 0) | code, mark]) + length + payload


class Ways(unittest.TestCase):
    """WebSocket."""

    def test_bytes_arrive_however_they_are_cut(self):
        pieces = [frame(2, b"a" * size) for size in (0, 1, 125, 126, 65535, 65536)]
        pieces += [frame(2, b"b", last=False), frame(9, b"ping"), frame(0, b"c", last=False), frame(0, b"d"), frame(10, b"")]
        wanted = b"a" * (1 + 125 + 126 + 65535 + 65536) + b"bcd"
        stream, chance = b"".join(pieces), random.Random(7)
        with Door().opened() as door:
            got = b""
            while stream:
                cut = chance.choice([1, 2, 3, 1000, 40000])
                door.node.sendall(stream[:cut])
                stream = stream[cut:]
                got += door.way.receive()
            got += door.told(len(wanted) - len(got))
            self.assertEqual(got, wanted)
            door.way.flush()
            pong = door.node.recv(100)
            self.assertEqual((pong[0], pong[1]), (0x8A, 0x80 | 4))

    def test_what_is_sent_is_masked(self):
        for size in (0, 1, 5, 125, 126, 70000):
            payload = bytes(random.Random(size).randrange(256) for _ in range(size))
            made = ways.masked(2, payload)
            at = 2 + {126: 2, 127: 8}.get(made[1] & 127, 0)
            self.assertTrue(made[0] == 0x82 and made[1] & 0x80)
            mask = made[at : at + 4]
            self.assertEqual(bytes(byte ^ mask[place % 4] for place, byte in enumerate(made[at + 4 :])), payload)
        self.assertNotEqual(ways.masked(2, b"same")[2:], ways.masked(2, b"same")[2:])

    def test_a_node_that_breaks_the_rules_is_left(self):
        wrong = {
            "masked": b"\x82\x81\x00\x00\x00\x00a",
            "reserved": b"\xc2\x00",
            "text": frame(1, b"a"),
            "unknown": frame(3, b""),
            "a rest of none": frame(0, b"a"),
            "a message in another": frame(2, b"a", last=False) + frame(2, b"b"),
            "control in parts": frame(9, b"", last=False),
            "long control": frame(9, b"a" * 126),
            "closing": frame(8, b""),
            "too long": b"\x82\x7f" + struct.pack(">Q", ways.FRAME_BYTES + 1),
            "absurd": b"\x82\x7f" + b"\xff" * 8,
        }
        for name, bytes_of in wrong.items():
            with self.subTest(name), Door().opened() as door:
                door.node.sendall(bytes_of)
                with self.assertRaises(ways.Broken):
                    door.told(1)
        with Door().opened() as door:
            door.node.close()
            with self.assertRaises(ways.Broken):
                door.told(1)

    def test_a_node_that_does_not_upgrade_is_left(self):
        for wrong in ({"status": "200 OK"}, {"status": "101"[:2]}, {"accept": "AAAA"}, {"more": "X: " + "y" * 9000 + "\r\n"}):
            with self.subTest(wrong), Door() as door:
                door.answer(**wrong)
                with self.assertRaises(ways.Broken):
                    door.told(0)
        for address in ("127.0.0.1:1", "wss://127.0.0.1/ringwall", "http://127.0.0.1/ringwall", "ws:///ringwall", ""):
            with self.subTest(address), self.assertRaises(ways.Broken):
                ways.WebSocket(address)


class Kept(unittest.TestCase):
    """The memory in its file."""

    def test_it_is_replaced_as_a_whole_and_held_by_one(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "memory"
            memory = ringwall.Memory(path)
            self.assertEqual(memory.read(), b"")
            for kept in (b"one", b"two" * 1000, b""):
                memory.keep(kept)
                self.assertEqual((memory.read(), path.read_bytes()), (kept, kept))
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            with self.assertRaises(ringwall.Refused) as held:
                ringwall.Memory(path)
            self.assertEqual(held.exception.code, "RW-C-MEMORY-HELD")
            memory.close()
            ringwall.Memory(path).close()

    def test_what_cannot_be_kept_is_an_error_and_leaves_what_was(self):
        with tempfile.TemporaryDirectory() as folder:
            memory = ringwall.Memory(pathlib.Path(folder) / "memory")
            memory.keep(b"old")
            (pathlib.Path(folder) / "memory.new").mkdir()
            with self.assertRaises(OSError):
                memory.keep(b"new")
            self.assertEqual(memory.read(), b"old")
            memory.close()


class Frames(unittest.TestCase):
    """Frames of the core."""

    def test_frames_are_put_together_and_taken_apart(self):
        one, two = ringwall.framed({"is": "a", "text": "\u00fc"}, b"\0\1"), ringwall.framed({"is": "b"})
        answer = b"".join(struct.pack("<I", len(each)) + each for each in (one, two))
        self.assertEqual(ringwall.frames(answer), [({"is": "a", "text": "\u00fc"}, b"\0\1"), ({"is": "b"}, b"")])
        self.assertEqual(ringwall.frames(b""), [])


if __name__ == "__main__":
    unittest.main()
