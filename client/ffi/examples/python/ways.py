"""A way to a node for the Python examples: WebSocket over a plain socket.

Decides: RFC 6455 as a client has it, every length looked at before it is believed; whatever breaks a rule ends the way. Trusts: nothing that arrives. Out of scope: what the bytes are, which
the library encrypts and judges; TLS, which would add nothing to that.
"""
import base64
import errno
import hashlib
import secrets
import socket
import struct
import time
import urllib.parse

# Bytes of a node's answer to the upgrade, and of one frame of WebSocket: nodes send less.
UPGRADE_BYTES, FRAME_BYTES = 8 * 1024, 1024 * 1024
# Seconds a way may take to open, and to say goodbye.
DIAL_S, GOODBYE_S = 5.0, 2.0


class Broken(Exception):
    """A way that is no WebSocket, or is over."""


class WebSocket:
    """A way to a node's WebSocket door: a stream of bytes in binary messages. Waits for the
    resolver at most; whoever has it looks when it is readable or writable."""

    def __init__(self, address):
        where = urllib.parse.urlsplit(address)
        if where.scheme != "ws" or not where.hostname:
            raise Broken("only ws:// is spoken here; for wss:// put a socket of the ssl module in place of this one")
        family, kind, protocol, _, there = socket.getaddrinfo(where.hostname, where.port or 80, type=socket.SOCK_STREAM)[0]
        self.socket = socket.socket(family, kind, protocol)
        self.socket.setblocking(False)
        self.until = time.monotonic() + DIAL_S
        self.is_open, self.got, self.message = False, bytearray(), 0
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        self.accept = base64.b64encode(accept).decode()
        self.unsent = bytearray(
            f"GET {where.path or '/'} HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        if self.socket.connect_ex(there) not in (0, errno.EINPROGRESS):
            self.socket.close()
            raise Broken(f"nothing answers at {address}")

    def send(self, payload):
        """Takes bytes for one message, masked as a client's must be."""
        self.unsent += masked(2, payload)

    def flush(self):
        """Sends what the socket takes."""
        try:
            while self.unsent:
                del self.unsent[: self.socket.send(self.unsent)]
        except BlockingIOError:
            pass
        except OSError as fault:
            raise Broken(f"cannot send: {fault}") from fault

    def receive(self):
        """Bytes that came, perhaps none. Whatever breaks a rule of RFC 6455 ends the way."""
        try:
            came = self.socket.recv(64 * 1024)
        except BlockingIOError:
            return b""
        except OSError as fault:
            raise Broken(f"cannot receive: {fault}") from fault
        if not came:
            raise Broken("the node ended it")
        self.got += came
        if not self.is_open:
            self.upgrade()
        return self.messages() if self.is_open else b""

    def upgrade(self):
        """Reads the answer to the upgrade, once it is there."""
        end = self.got.find(b"\r\n\r\n", 0, UPGRADE_BYTES)
        if end < 0:
            if len(self.got) > UPGRADE_BYTES:
                raise Broken("the answer to the upgrade is too long")
            return
        status, *lines = bytes(self.got[:end]).decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        words = status.split(" ")
        upgraded = fields.get("upgrade", "").lower() == "websocket" and "upgrade" in fields.get("connection", "").lower()
        if len(words) < 2 or words[1] != "101" or not upgraded or fields.get("sec-websocket-accept") != self.accept:
            raise Broken(f"the node did not upgrade: {status[:80]}")
        del self.got[: end + 4]
        self.is_open = True

    def messages(self):
        """The payloads of every whole frame that is there."""
        stream = bytearray()
        while (frame := self.frame()) is not None:
            is_last, code, payload = frame
            if code == 8:
                raise Broken("the node ended it")
            if code == 9:
                self.unsent += masked(10, payload)
            elif code in (0, 2):
                if (code == 0) != bool(self.message):
                    raise Broken("a message inside another, or the rest of none")
                self.message = 0 if is_last else 2
                stream += payload
            elif code != 10:
                raise Broken(f"a frame of kind {code}")
        return bytes(stream)

    def frame(self):
        """(is_last, kind, payload) of the first frame, or None where it is not whole."""
        if len(self.got) < 2:
            return None
        first, second = self.got[:2]
        code, size, at = first & 15, second & 127, 2
        if first & 0x70 or second & 0x80:
            raise Broken("a frame with reserved bits, or masked by the node")
        if code >= 8 and (size > 125 or not first & 0x80):
            raise Broken("a control frame that is long or in parts")
        if size > 125:
            at = 4 if size == 126 else 10
            if len(self.got) < at:
                return None
            size = int.from_bytes(self.got[2:at], "big")
        if size > FRAME_BYTES:
            raise Broken("a frame above its limit")
        if len(self.got) < at + size:
            return None
        payload = bytes(self.got[at : at + size])
        del self.got[: at + size]
        return bool(first & 0x80), code, payload

    def goodbye(self):
        """Sends what is left and a closing frame, for a short while."""
        self.unsent += masked(8, struct.pack(">H", 1000))
        self.socket.settimeout(GOODBYE_S)
        try:
            self.socket.sendall(self.unsent)
        except OSError:
            pass  # it is over either way

    def close(self):
        """Ends it at once."""
        self.socket.close()


def masked(code, payload):
    """One whole frame of a client."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", 0x80 | code, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x80 | code, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | code, 0x80 | 127, size)
    mask = secrets.token_bytes(4)
    stream = int.from_bytes(mask * (size // 4) + mask[: size % 4], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ stream).to_bytes(size, "big")
