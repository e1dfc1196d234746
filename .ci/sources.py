#!/usr/bin/env python3
"""Holds every locked package against deny.toml: its licence, its name, where it comes from.

Decides: what cargo-deny's `licenses`, `bans` and `sources` decide, read from the same file, with nothing but cargo and Python.
Trusts: the licence each package declares. Out of scope: advisories (advisories.py).
"""
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The workspace, and what stands outside it.
MANIFESTS = ["Cargo.toml", "docs/model/Cargo.toml", "fuzz/Cargo.toml", "deploy/image/init/Cargo.toml", "xtask/Cargo.toml"]


def allowed(expression, allow):
    """Whether an SPDX expression can be met with allowed licences alone: AND binds tighter than OR; `/` is an old OR."""
    tokens = re.findall(r"\(|\)|[^\s()/]+|/", expression)
    tokens = ["OR" if token == "/" else token for token in tokens]

    def alternatives(at):
        ok, at = conjunction(at)
        while at < len(tokens) and tokens[at] == "OR":
            more, at = conjunction(at + 1)
            ok = ok or more
        return ok, at

    def conjunction(at):
        ok, at = single(at)
        while at < len(tokens) and tokens[at] == "AND":
            more, at = single(at + 1)
            ok = ok and more
        return ok, at

    def single(at):
        if tokens[at] == "(":
            ok, at = alternatives(at + 1)
            return ok, at + 1
        name = tokens[at]
        if tokens[at + 1 : at + 2] == ["WITH"]:
            name, at = f"{name} WITH {tokens[at + 2]}", at + 2
        return name in allow, at + 1

    return alternatives(0)[0]


def prove():
    """The reading of expressions, shown on known cases."""
    allow = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"}
    for text, wanted in [
        ("MIT OR GPL-3.0", True), ("MIT AND GPL-3.0", False), ("GPL-3.0/MIT", True), ("(MIT OR GPL-3.0) AND Apache-2.0", True),
        ("(GPL-3.0 OR LGPL-3.0) AND MIT", False), ("Apache-2.0 WITH LLVM-exception", True), ("GPL-2.0 WITH Classpath-exception-2.0", False),
    ]:
        assert allowed(text, allow) == wanted, text


def cargo(command, manifest, *arguments):
    """What cargo prints about one manifest, from the lock file as it is."""
    return subprocess.run(["cargo", command, "--locked", "--manifest-path", manifest, *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def main():
    prove()
    deny = tomllib.loads((ROOT / "deny.toml").read_text())
    everything = {}
    linked = set()
    for manifest in MANIFESTS:
        for package in json.loads(cargo("metadata", manifest, "--format-version", "1"))["packages"]:
            everything[(package["name"], package["version"])] = package
    for manifest, target in itertools.product(MANIFESTS, deny["graph"]["targets"]):
        tree = cargo("tree", manifest, "--workspace", "--edges", "all", "--target", target, "--prefix", "none", "--format", "{p}")
        words = (line.split() for line in tree.splitlines() if " v" in line)
        linked.update((word[0], word[1].removeprefix("v")) for word in words if word[1].startswith("v"))
    packages = {key: everything[key] for key in sorted(linked)}
    allow = set(deny["licenses"]["allow"])
    excepted = {entry["crate"]: allow | set(entry["allow"]) for entry in deny["licenses"].get("exceptions", [])}
    banned = {entry["name"]: entry["reason"] for entry in deny["bans"]["deny"]}
    registries = {f"registry+{registry}" for registry in deny["sources"]["allow-registry"]}
    bad = []
    for package in packages.values():
        name = f"{package['name']} {package['version']}"
        if package["source"] is not None and package["source"] not in registries:
            bad.append(f"{name} comes from {package['source']}")
        if package["name"] in banned:
            bad.append(f"{name} is banned: {banned[package['name']]}")
        if not package["license"] or not allowed(package["license"], excepted.get(package["name"], allow)):
            bad.append(f"{name} has licence {package['license'] or 'none'}")
    bad += [f"{name} is excepted in deny.toml and not locked" for name in excepted if not any(key[0] == name for key in packages)]
    for line in sorted(bad):
        print(f"sources: {line}", file=sys.stderr)
    print(f"sources: {len(packages)} packages of {len(MANIFESTS)} manifests held against deny.toml, {len(bad)} refused")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
