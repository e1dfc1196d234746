#!/usr/bin/env python3
"""Builds programs twice under circumstances that differ in everything but the sources, and compares them bit for bit.

Decides: whether two builds in different folders, by different users (as root), from files of different times, with other locales, time zones and masks are the same
file; if not, which sections of it differ and where. `deploy/repro.lock` says what the last full comparison saw.
Trusts: rustc, cargo, the C compiler: both builds use the same ones, named in the lock. Out of scope: other compilers (docs/reproducible.md), the guest image
(deploy/image/test.py makes it twice).

  repro.py full           ringwalld and ringwall, as deploy/README.md builds them (some ten minutes on two cores)
  repro.py full --write   the same, and writes deploy/repro.lock
  repro.py init           the image's init alone (a minute)
  repro.py inputs         only says whether anything changed since the lock was written; ends with 3 when it did
"""
import argparse
import hashlib
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import tomllib

import shipped

ROOT = shipped.ROOT
LOCK = ROOT / "deploy/repro.lock"
HOME = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
OTHER_USER = 65534
# One moment for everything that asks for one; files' own times and the clock differ.
EPOCH = "1767225600"
CHANGED = 3  # exit code of `inputs`: the lock speaks of other sources
SHOWN = 3  # places that are shown of a section that differs


def recipe(source, cargo_home, static=False):
    """The environment that makes a build independent of its place: what a stranger has to set, too (docs/reproducible.md)."""
    prefixes = [(source, "/ringwall"), (cargo_home, "/cargo")]
    remapped = [f"--remap-path-prefix={place}={name}" for place, name in prefixes]
    flags = " ".join(f"-ffile-prefix-map={place}={name}" for place, name in prefixes)
    return {
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join([*remapped, *(["-Ctarget-feature=+crt-static"] if static else [])]),
        "CFLAGS": flags,
        "CXXFLAGS": flags,
        "CARGO_INCREMENTAL": "0",
        "SOURCE_DATE_EPOCH": EPOCH,
    }


def copied(target, files, stamp):
    """The tree in another folder, its files of the same age."""
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, target / file)
        os.utime(target / file, (stamp, stamp))


def linked(source, target):
    """A folder's files under another name, without their bytes where the file system can."""
    def link(one, two):
        try:
            os.link(one, two)
        except OSError:
            shutil.copy2(one, two)

    shutil.copytree(source, target, symlinks=True, copy_function=link)


def sysroot():
    """Where the toolchain lies."""
    return pathlib.Path(subprocess.run(["rustc", "--print", "sysroot"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip())


class Circumstances:
    """What one of the two builds does not share with the other."""

    def __init__(self, folder, other):
        self.other = other and os.geteuid() == 0
        self.source = folder / ("somewhere/else/entirely" if other else "a")
        self.cargo_home = folder / "home" if other else HOME
        # Where another user can reach it: the folder above this one's toolchain may be closed to everybody else.
        self.toolchain = folder / "toolchain" if other else sysroot()
        self.stamp = 1_000_000_000 if other else 1_700_000_000
        self.locale = {"TZ": "Pacific/Chatham", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"} if other else {"TZ": "UTC", "LC_ALL": "C"}
        self.mask = 0o027 if other else 0o022

    def prepare(self, files):
        copied(self.source, files, self.stamp)
        if self.cargo_home != HOME:
            for part in ("bin", "lib"):
                linked(sysroot() / part, self.toolchain / part)
            self.cargo_home.mkdir()
            (self.cargo_home / "registry").symlink_to(HOME / "registry")
        if self.other:
            for top in (self.source.parents[1], self.cargo_home):
                for folder, _, names in os.walk(top):
                    for path in [folder, *(os.path.join(folder, name) for name in names)]:
                        os.chown(path, OTHER_USER, OTHER_USER, follow_symlinks=False)

    def run(self, words, static):
        """Builds; as another user where this one may become another, who may then read cargo's packages wherever they lie."""
        environment = {"PATH": f"{self.toolchain / 'bin'}:{os.environ['PATH']}", "HOME": str(self.cargo_home), "CARGO_HOME": str(self.cargo_home)}
        environment |= {**self.locale, **recipe(self.source, self.cargo_home, static)}
        as_other = ["setpriv", f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        subprocess.run([*(as_other if self.other else []), *words], cwd=self.source, env=environment, check=True, preexec_fn=lambda: os.umask(self.mask))


def built_twice(files, words, products, static=False):
    """{program: [bytes, bytes]} of two builds."""
    made = {name: [] for name in products}
    with tempfile.TemporaryDirectory(prefix="repro-") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        for other in (False, True):
            place = Circumstances(folder, other)
            place.prepare(files)
            if not other:
                # Everything that is locked is there before a build that may not ask for it.
                subprocess.run(["cargo", "fetch", "--locked", *words[1:]], cwd=place.source, check=True)
            print(f"repro: build {2 if other else 1} in {place.source}{' as another user' if place.other else ''}", flush=True)
            place.run(["cargo", "build", "--release", "--locked", "--offline", *words[0], *words[1:]], static)
            for name, path in products.items():
                made[name].append((place.source / path).read_bytes())
    return made


def sections(data):
    """[(name, offset, size)] of an ELF file's sections with bytes in it, and of what is before and between them."""
    if data[:6] != b"\x7fELF\x02\x01":
        return [("whole file", 0, len(data))]
    start = struct.unpack_from("<Q", data, 40)[0]
    size, count, names = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQ", data, start + at * size) for at in range(count)]
    table = headers[names][4]

    def name(at):
        return data[table + at : data.index(b"\0", table + at)].decode()

    found = sorted((offset, length, name(at)) for at, kind, _, _, offset, length in headers if kind not in (0, 8))
    rows, end = [], 0
    for offset, length, called in found:
        if offset > end:
            rows.append(("between sections" if end else "headers", end, offset - end))
        rows.append((called, offset, length))
        end = max(end, offset + length)
    return rows + ([("after sections", end, len(data) - end)] if end < len(data) else [])


def difference(one, two):
    """What differs, for a person; nothing where the files are the same."""
    if one == two:
        return []
    first = {name: one[offset : offset + size] for name, offset, size in sections(one)}
    second = {name: two[offset : offset + size] for name, offset, size in sections(two)}
    lines = [f"{len(one)} and {len(two)} bytes"]
    for name in sorted(first.keys() | second.keys()):
        left, right = first.get(name, b""), second.get(name, b"")
        if left == right:
            continue
        places = [at for at in range(min(len(left), len(right))) if left[at] != right[at]]
        lines.append(f"  {name}: {len(left)} and {len(right)} bytes, {len(places)} of the common ones differ")
        for at in places[:SHOWN]:
            cut = slice(max(0, at - 16), at + 32)
            lines.append(f"    at {at:#x}: {left[cut]!r}\n    {'':>{len(f'{at:#x}') + 3}} {right[cut]!r}")
    return lines


def judge(made):
    """Prints digests and differences; {program: digest} where all are the same, none otherwise."""
    digests, same = {}, True
    for name, (one, two) in made.items():
        found = difference(one, two)
        digests[name] = hashlib.sha256(one).hexdigest()
        print(f"repro: {name}: {'DIFFERS' if found else 'the same, bit for bit'}: {len(one)} bytes, sha256 {digests[name]}")
        if found:
            print("\n".join(found))
            same = False
    return digests if same else None


def inputs():
    """One digest of everything of ours a build reads: each file's path and digest."""
    lines = [f"{hashlib.sha256((ROOT / path).read_bytes()).hexdigest()}  {path}\n" for path in shipped.own_files(shipped.tracked_files())]
    return hashlib.sha256("".join(lines).encode()).hexdigest(), len(lines)


def tools():
    """The compilers, in their own words."""
    first = lambda *words: subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return {"rustc": first("rustc", "--version"), "cc": first("cc", "--version"), "ld": first("ld", "--version")}


def full(write):
    """Both shipped programs."""
    packages = [word for package in shipped.PROGRAMS.values() for word in ("-p", package)]
    programs = [word for program in shipped.PROGRAMS for word in ("--bin", program)]
    digests = judge(built_twice(shipped.tracked_files(), ([*packages, *programs],), {name: f"target/release/{name}" for name in shipped.PROGRAMS}))
    if digests is None:
        return 1
    if write:
        rows = [("inputs", inputs()[0]), *tools().items(), *((f"program.{name}", digest) for name, digest in digests.items())]
        LOCK.write_text("# What the last full comparison saw (`cargo xtask repro --write`): inputs, compilers, and the programs both builds gave.\n" + "".join(f'{key} = "{value}"\n' for key, value in rows))
        print(f"repro: wrote {LOCK.relative_to(ROOT)}")
    return 0


def init():
    """The image's init, as the image is built with it."""
    manifest = "deploy/image/init"
    files = [path for path in shipped.tracked_files() if path.startswith(f"{manifest}/") or path == "rust-toolchain.toml"]
    words = (["--target", shipped.TARGET], "--manifest-path", f"{manifest}/Cargo.toml")
    product = f"{manifest}/target/{shipped.TARGET}/release/ringwall-image-init"
    return 0 if judge(built_twice(files, words, {"ringwall-image-init": product}, static=True)) else 1


def compare_inputs():
    """Whether the lock speaks of these sources: what is known, and code 3 where it does not."""
    now, count = inputs()
    print(f"repro: inputs of the shipped programs: {count} files, digest {now}")
    held = tomllib.loads(LOCK.read_text()) if LOCK.is_file() else {}
    if not held.get("inputs"):
        print("repro: NOT KNOWN: no full comparison is recorded; `cargo xtask repro --write` builds twice and writes deploy/repro.lock")
        return CHANGED
    elif held["inputs"] != now:
        print("repro: INPUTS CHANGED since the last full comparison; run `cargo xtask repro --write`")
        return CHANGED
    print(f"repro: unchanged since the last full comparison, by {held['rustc']} and {held['cc']}: {held['program']}")
    return 0


def prove():
    """A difference is seen, and its section is named."""
    elf = pathlib.Path(sys.executable).resolve().read_bytes()
    name, offset, size = next(row for row in sections(elf) if row[0] == ".rodata")
    changed = bytearray(elf)
    changed[offset + size // 2] ^= 1
    assert difference(elf, elf) == [] and sum(row[2] for row in sections(elf)) >= len(elf)
    found = difference(elf, bytes(changed))
    assert any(line.startswith("  .rodata: ") and "1 of the common" in line for line in found), found
    assert sum(line.startswith("  ") and not line.startswith("    ") for line in found) == 1, found


def main():
    parser = argparse.ArgumentParser(description="Compares two builds bit for bit.")
    parser.add_argument("what", choices=("full", "init", "inputs"), nargs="?", default="full")
    parser.add_argument("--write", action="store_true", help="write deploy/repro.lock when both builds are the same")
    options = parser.parse_args()
    prove()
    try:
        return {"full": lambda: full(options.write), "init": init, "inputs": compare_inputs}[options.what]()
    except (subprocess.SubprocessError, OSError) as fault:
        print(f"repro: could not be compared: {fault}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
