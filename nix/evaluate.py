#!/usr/bin/env python3
"""Evaluates flake.nix against a stub of what it uses of nixpkgs, and reads its lock.

Decides: every package and the shell evaluate to a derivation; the image is made of the pinned kernel; the lock names exactly the inputs the flake has, each by
revision and digest. Trusts: nix. Out of scope: whether nixpkgs is as the stub says, and every build: nothing is fetched and nothing is built.
"""
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
SYSTEM = "x86_64-linux"
PACKAGES = {"workload": "ringwalld-", "client": "ringwall-", "init": "ringwall-image-init-", "image": "ringwall-image", "measurements": "ringwall-measurements", "default": "ringwalld-"}


class Wrong(Exception):
    """What does not fit together."""


def read_lock(flake, lock):
    """The lock names the flake's inputs, by revision and by digest."""
    inputs = dict(re.findall(r'inputs\.(\w+)\.url = "([^"]+)"', flake))
    nodes = lock["nodes"]
    if lock["version"] != 7 or set(nodes[lock["root"]]["inputs"]) != set(inputs):
        raise Wrong(f"flake.lock has inputs {sorted(nodes[lock['root']]['inputs'])}, flake.nix {sorted(inputs)}")
    for name, url in inputs.items():
        node = nodes[nodes[lock["root"]]["inputs"][name]]
        original, locked = node["original"], node["locked"]
        spelled = f"{original['type']}:{original['owner']}/{original['repo']}/{original['ref']}"
        if spelled != url:
            raise Wrong(f"{name} is {url} in flake.nix and {spelled} in flake.lock")
        if any(original[key] != locked[key] for key in ("type", "owner", "repo")) or not re.fullmatch("[0-9a-f]{40}", locked["rev"]):
            raise Wrong(f"{name} is not locked to a revision of {spelled}")
        kind, _, digest = locked["narHash"].partition("-")
        if kind != "sha256" or len(base64.b64decode(digest, validate=True)) != 32:
            raise Wrong(f"{name} is not locked to a digest")


def prove(flake, lock):
    """A lock that does not fit is refused."""
    node = lock["nodes"]["nixpkgs"]
    for change in ({"locked": {**node["locked"], "rev": "main"}}, {"locked": {**node["locked"], "narHash": "sha256-AAAA"}}, {"original": {**node["original"], "ref": "nixos-24.11"}}):
        bad = {**lock, "nodes": {**lock["nodes"], "nixpkgs": {**node, **change}}}
        try:
            read_lock(flake, bad)
        except Wrong:
            continue
        raise AssertionError(f"a wrong lock was taken: {change}")


def evaluated(folder, attribute, apply):
    """What nix says of an attribute, in a store of its own."""
    words = ["nix", "--extra-experimental-features", "nix-command flakes", "--offline", "eval", "--json", "--no-write-lock-file", "--override-input", "nixpkgs", f"path:{ROOT}/nix/stub"]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "NIX_STORE_DIR": str(folder / "store"), "NIX_STATE_DIR": str(folder / "state"), "NIX_LOG_DIR": str(folder / "log"),
        "NIX_LOCALSTATE_DIR": str(folder / "var"), "NIX_REMOTE": "", "XDG_CACHE_HOME": str(folder / "cache"),
    }
    done = subprocess.run([*words, f"{ROOT}#{attribute}", "--apply", apply], capture_output=True, text=True, env=environment, timeout=120)
    if done.returncode:
        raise Wrong(f"{attribute} does not evaluate:\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    flake, lock = (ROOT / "flake.nix").read_text(), json.loads((ROOT / "flake.lock").read_text())
    try:
        read_lock(flake, lock)
        prove(flake, lock)
        if shutil.which("nix") is None:
            print("flake: the lock fits; NOT EVALUATED: nix is not installed (Debian: apt-get install nix-bin)")
            return 0 if "CI" not in os.environ else 1
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            packages = evaluated(folder, f"packages.{SYSTEM}", "builtins.mapAttrs (_: made: { inherit (made) name drvPath arguments; })")
            shell = evaluated(folder, f"devShells.{SYSTEM}.default", "made: made.drvPath")
        if set(packages) != set(PACKAGES):
            raise Wrong(f"the flake has {sorted(packages)}, expected {sorted(PACKAGES)}")
        for name, opening in PACKAGES.items():
            if not packages[name]["name"].startswith(opening) or not packages[name]["drvPath"].endswith(".drv"):
                raise Wrong(f"{name} is {packages[name]['name']}")
        pins = tomllib.loads((ROOT / "deploy/image/pins.toml").read_text())
        pinned, firmware = (pathlib.PurePosixPath(pin["path"]).name for pin in (pins["kernel"], pins["firmware"]["snp"]))
        if not shell.endswith(".drv") or pinned.replace("~", "-") not in packages["image"]["arguments"]:
            raise Wrong("the image is not made of the pinned kernel")
        if firmware.replace("~", "-") not in packages["measurements"]["arguments"]:
            raise Wrong("what is measured is not the pinned firmware")
    except (Wrong, subprocess.SubprocessError, KeyError, ValueError) as fault:
        print(f"flake: {fault}", file=sys.stderr)
        return 1
    print(f"flake: {len(packages)} packages and the shell evaluate against the stub of nixpkgs; the lock fits; nothing was fetched or built")
    return 0


if __name__ == "__main__":
    sys.exit(main())
