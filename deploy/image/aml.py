#!/usr/bin/env python3
"""An ACPI table that does something: the host's half of attack A14, for the image's test.

Decides: the bytes of an SSDT whose code runs when the table is loaded and writes one word to an I/O port, where the emulator's debug console keeps it. A host that can
do this can as well write to any memory of the guest (an operation region of kind SystemMemory): one table, two lines more.
Trusts: nothing. Out of scope: who reads the word (test.py).
"""
import struct

PORT = 0xE9
WORD = b"AML RAN"


def package(body):
    """AML's length prefix for a body, its own bytes counted in."""
    length = len(body) + 1
    if length > 63:
        raise ValueError("one byte of length is enough for what is made here")
    return bytes([length]) + body


def table():
    """The SSDT: an operation region over the port, a field of one byte in it, and a Store for each byte of the word."""
    region = b"\x5b\x80PRT0" + b"\x01" + b"\x0a" + bytes([PORT]) + b"\x0a\x01"
    field = b"\x5b\x81" + package(b"PRT0" + b"\x01" + b"OUT0" + b"\x08")
    code = region + field + b"".join(b"\x70\x0a" + bytes([byte]) + b"OUT0" for byte in WORD)
    head = b"SSDT" + struct.pack("<I", 36 + len(code)) + b"\x02\x00" + b"RINGWL" + b"BADAML  " + struct.pack("<I", 1) + b"TEST" + struct.pack("<I", 1)
    whole = bytearray(head + code)
    whole[9] = -sum(whole) & 0xFF
    return bytes(whole)


def prove():
    """The form, by its own rules: the sum of all bytes is 0, the length is the table's."""
    made = table()
    assert sum(made) % 256 == 0 and struct.unpack_from("<I", made, 4)[0] == len(made) and made[:4] == b"SSDT"
    assert package(b"1234567") == b"\x081234567"
