"""Notes in a cluster, from Python: `notes.py --card FILE --folder DIR put NAME TEXT`, `get NAME`, `list`, `watch`, `verify`.

Decides: what lies in the folder: the device's seed, the memory of the cluster, the last exchange by which a node was believed. Trusts: the library that is loaded (`--library`, or
RINGWALL_LIBRARY), and whoever may read the folder. Out of scope: verification and the session (the library); how effects are carried out (ringwall.py).
"""
import argparse
import os
import pathlib
import secrets
import sys

import ringwall

SPACE = "notes"


def seed(path):
    """The device's key: made once, readable by its owner alone."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        made = secrets.token_bytes(32)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(made)
        return made


def show(folder):
    """Tells which node was believed, or why not, and keeps the exchange by which it was judged."""

    def told(head, exchange):
        verdict = "believed" if head["is"] == "believed" else f"NOT believed: {head['error']['code']}: {head['error']['words']}"
        print(f"{head['address']} is {verdict}", file=sys.stderr)
        if exchange:
            name = "believed.exchange" if head["is"] == "believed" else "refused.exchange"
            (folder / name).write_bytes(exchange)

    return told


def watch(client, count):
    """Prints the notes there are, then every change; ends after `count` changes."""
    notes, revision = client.list(SPACE)
    print(f"{len(notes)} notes", flush=True)
    for seen, (name, text) in enumerate(client.watch(SPACE, revision), 1):
        print(f"{name} is gone" if text is None else f"{name}: {text.decode()}", flush=True)
        if seen == count:
            return


def use(client, asked):
    """One command over a session."""
    client.enter(SPACE)
    if asked.command == "put":
        print(client.put(SPACE, asked.name, asked.text.encode()))
    elif asked.command == "get":
        text = client.get(SPACE, asked.name)
        if text is None:
            sys.exit(f"there is no note {asked.name}")
        print(text.decode())
    elif asked.command == "list":
        for name, text in client.list(SPACE)[0].items():
            print(f"{name}: {text.decode()}")
    else:
        watch(client, asked.count)


def verify(library, card, asked):
    """Judges a saved exchange here, without a network."""
    account = library.verify(card, (asked.exchange or asked.folder / "believed.exchange").read_bytes())
    for stage in account["stages"]:
        print(stage)
    print(account["verdict"])
    if account.get("error"):
        sys.exit(f"{account['error']['code']}: {account['error']['words']}")


def main():
    """Reads the command line and does one thing."""
    parser = argparse.ArgumentParser(description="notes in a Ringwall cluster")
    parser.add_argument("--library", type=pathlib.Path, default=os.environ.get("RINGWALL_LIBRARY", "libringwall_ffi.so"))
    parser.add_argument("--card", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    commands = parser.add_subparsers(dest="command", required=True)
    put = commands.add_parser("put")
    put.add_argument("name")
    put.add_argument("text")
    commands.add_parser("get").add_argument("name")
    commands.add_parser("list")
    commands.add_parser("watch").add_argument("--count", type=int, default=0)
    commands.add_parser("verify").add_argument("exchange", type=pathlib.Path, nargs="?")
    asked = parser.parse_args()
    asked.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    library, card = ringwall.Library(asked.library), asked.card.read_bytes()
    try:
        if asked.command == "verify":
            return verify(library, card, asked)
        memory = ringwall.Memory(asked.folder / "memory")
        with ringwall.Client(library, card, seed(asked.folder / "device.seed"), memory, show(asked.folder)) as client:
            use(client, asked)
    except ringwall.Refused as refused:
        sys.exit(str(refused))


if __name__ == "__main__":
    main()
