#!/usr/bin/env python3
"""Looks up every locked package in a dated snapshot of the RustSec database, without a network.

Decides: whether a tracked Cargo.lock (LOCKS) holds a version an advisory names and deny.toml does not accept with a reason.
The snapshot is a folder with advisories.tsv (package, id, date, kind, patched, unaffected, title), named by RINGWALL_ADVISORIES or
standing beside the checkout as ../shared/advisory-db. Without one this check says so and passes: it cannot know.
An accepted id nobody needs any more fails too, so that the list does not rot.
"""
import os
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The workspace, and the packages that stand outside it; prove_complete() finds any other.
LOCKS = ["Cargo.lock", "fuzz/Cargo.lock", "docs/model/Cargo.lock", "deploy/image/init/Cargo.lock", "xtask/Cargo.lock"]


def version(text):
    """(1, 2, 3, (release,)) in semver order; a pre-release sorts before its release."""
    core, _, pre = text.strip().split("+")[0].partition("-")
    numbers = [int(part) for part in core.split(".")]
    numbers += [0] * (3 - len(numbers))
    marks = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")) if pre else None
    return (*numbers, (1,) if marks is None else (0, marks))


def meets(locked, bound):
    """Whether a version lies within one comparison: `>= 1.2`, `^0.3.4`, `< 2`, `= 1.0.0`, `~1.2`."""
    operator, wanted_text = re.match(r"\s*(>=|<=|>|<|=|\^|~)?\s*(\S+)", bound).groups()
    wanted = version(wanted_text)
    if operator in ("^", "~", None):
        parts = [int(part) for part in wanted_text.split("-")[0].split(".")]
        fixed = next((at for at, part in enumerate(parts) if part), len(parts) - 1) if operator != "~" else min(1, len(parts) - 1)
        ceiling = [*parts[:fixed], parts[fixed] + 1]
        return wanted <= locked < version(".".join(map(str, ceiling)))
    return {">=": locked >= wanted, "<=": locked <= wanted, ">": locked > wanted, "<": locked < wanted, "=": locked == wanted}[operator]


def within(locked, ranges):
    """Whether a version lies in any of the `;`-separated ranges."""
    if ranges.strip() in ("-", ""):
        return False
    return any(all(meets(locked, bound) for bound in part.split(",")) for part in ranges.split(";"))


def prove():
    """The comparison itself, shown on known cases before it judges anything."""
    cases = [
        ("1.2.3", ">= 1.2.3", True), ("1.2.2", ">= 1.2.3", False), ("0.3.9", "^0.3.4", True), ("0.4.0", "^0.3.4", False),
        ("2.0.0", ">= 1.0, < 2.0", False), ("1.9.0", ">= 1.0, < 2.0", True), ("0.10.0-alpha.37", ">= 0.10.0", False),
        ("0.10.0-alpha.37", ">= 0.10.0-alpha.25", True), ("1.5.0", "^0.9; >= 1.4", True), ("1.0.0", "-", False), ("300.0.1", "< 300.0.0", False),
        ("1.2.9", "~1.2.3", True), ("1.3.0", "~1.2.3", False),
    ]
    for locked, ranges, wanted in cases:
        assert within(version(locked), ranges) == wanted, (locked, ranges)


def prove_complete():
    """No lock file of the tree is left out. Build folders hold others' lock files and are not the tree."""
    out = {".git", "target"}
    found = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in out]
        if "Cargo.lock" in files:
            found.add((pathlib.Path(folder) / "Cargo.lock").relative_to(ROOT).as_posix())
    assert found == set(LOCKS), f"lock files {sorted(found ^ set(LOCKS))} are not both in the tree and in LOCKS"


def main():
    prove()
    prove_complete()
    folder = pathlib.Path(os.environ.get("RINGWALL_ADVISORIES", ROOT.parent / "shared" / "advisory-db"))
    snapshot = folder / "advisories.tsv"
    accepted = {entry["id"]: entry["reason"] for entry in tomllib.loads((ROOT / "deny.toml").read_text())["advisories"]["ignore"]}
    packages = [package for path in LOCKS for package in tomllib.loads((ROOT / path).read_text())["package"]]
    lock = list({(package["name"], package["version"]): package for package in packages}.values())
    if not snapshot.is_file():
        print("advisories: NOT LOOKED UP. No snapshot of the RustSec database was found; set RINGWALL_ADVISORIES to a folder with advisories.tsv.")
        print(f"advisories: {len(lock)} locked packages remain unjudged by this run.")
        return 0
    locked = {}
    for package in lock:
        locked.setdefault(package["name"], []).append(package["version"])
    note = " ".join((folder / "README.md").read_text().split()) if (folder / "README.md").is_file() else ""
    dated = re.search(r"as of (\d{4}-\d{2}-\d{2})", note)
    rows = [line.split("\t") for line in snapshot.read_text().splitlines() if line and not line.startswith("#")]
    bad, used = [], set()
    for name, ident, _, kind, patched, unaffected, title in rows:
        for held in locked.get(name, []):
            if within(version(held), patched) or within(version(held), unaffected):
                continue
            if ident in accepted:
                used.add(ident)
                print(f"advisories: accepted {ident} ({name} {held}): {accepted[ident]}")
            else:
                bad.append(f"{ident} ({kind}) {name} {held}: {title}; patched in {patched}")
    bad += [f"{ident} is accepted in deny.toml and names nothing that is locked: take it out" for ident in sorted(accepted.keys() - used)]
    print(f"advisories: {len(lock)} packages in {len(LOCKS)} lock files, {len(rows)} advisories of {dated.group(1) if dated else 'unknown date'}, {len(used)} accepted, {len(bad)} open")
    for line in bad:
        print(f"advisories: {line}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
