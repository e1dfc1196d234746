#!/usr/bin/env python3
"""Judges every published case natively, under node and in a browser, and compares: the verifier on a device that has no process.

Decides: what of the tree is compiled for wasm32-unknown-unknown, that no C is in it and that the module asks for nothing; that each case has one record, whole, wherever it is
judged; what is told of size and time. Trusts: rustc and cargo, node, Chromium, Debian's archive for the sources of the standard library (debian.py: pinned).
Out of scope: whether the verdicts are right (`tests/tests/conformance.rs`). docs/conformance.md, "In WebAssembly".

  wasm.py             everything below
  wasm.py target      makes the target available, and says how; says what is missing otherwise
  wasm.py tree        only says whether there is C in what is compiled for it
  wasm.py module      builds the module of the page with the roots of simulated nodes; its last line names the file
  wasm.py pages       builds both modules of the page: that they import nothing, what they weigh, the digest of the one that is shipped
"""
import argparse
import functools
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import browser as chromium
import debian
import repro

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILDS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
KEPT = BUILDS / "wasm"
PAGE = ROOT / "client/web/page"
TARGET = "wasm32-unknown-unknown"
# The same crates natively and here. `ringwall-web` brings what its module of conformance needs.
PURE = ["ringwall-wire", "ringwall-attest", "ringwall-channel", "ringwall-keys"]
WEB = "ringwall-web"
PROFILE = "web"
# Modules of it, by the name of their example: what judges published cases, the page's, and the same with the roots of simulated nodes.
CONFORMANCE, SHIPPED, SIMULATED = "conformance", "ringwall", "simulated"
# What a page may cost whoever opens it: the module as it travels.
BROTLI_BYTES = 1_500_000
# What a page's module has to export (docs/core.md), beside its memory and what the linker adds.
EXPORTS = {"memory", "room", "answered", "card", "verify", "open", "handle", "qr"}
# Sections of a module: what it asks for, what it offers.
IMPORTS, OFFERED = 2, 7
# Sources of the standard library of rust-toolchain.toml's compiler, for machines that cannot ask rustup. rustc, and the package that fits it.
SOURCES = {
    "rustc": "1.95.0",
    "name": "rust-src",
    "version": "1.95.0+dfsg1-2~bpo13+1",
    "suite": "trixie-backports",
    "sha256": "7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b",
}
# Packages that are C, or run a C compiler.
C_PACKAGES = {"cc", "cmake", "bindgen", "nasm-rs", "pkg-config", "vcpkg", "ring", "openssl", "aws-lc-rs"}
BUILD_SECONDS, BROWSER_SECONDS, NODE_SECONDS = 1200, 180, 180
SHOWN = 5  # differences that are shown


class Failed(Exception):
    """What is not as it has to be."""


def say(words):
    print(f"wasm: {words}", flush=True)


def asked(*words):
    """What a program prints."""
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def has_core(folder):
    return any(folder.glob("libcore-*.rlib"))


@functools.cache
def rustc():
    """The compiler's own words about itself."""
    return dict(line.split(": ", 1) for line in asked("rustc", "-vV").splitlines() if ": " in line)


def fetch_allowed():
    return os.environ.get("CI") == "true" or os.environ.get("RINGWALL_FETCH") == "1"


def library(folder):
    """The sources of the standard library: our toolchain's, else the pinned package's."""
    own = pathlib.Path(asked("rustc", "--print", "sysroot")) / "lib/rustlib/src/rust/library"
    if (own / "Cargo.lock").is_file():
        return own
    if rustc()["release"] != SOURCES["rustc"]:
        raise Failed(f"rustc is {rustc()['release']}, and the sources that are pinned are those of {SOURCES['rustc']}: pin the package that fits it in .ci/wasm.py")
    package = debian.package(SOURCES, KEPT)
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=120)
    return folder / f"usr/src/rustc-{SOURCES['rustc']}/library"


def build_library(sysroot):
    """Builds the standard library once, as the toolchain's own build does: its workspace as it is locked, for this target, by this compiler."""
    with tempfile.TemporaryDirectory(prefix="wasm-library-") as scratch:
        scratch = pathlib.Path(scratch)
        sources = library(scratch / "sources")
        environment = {key: value for key, value in os.environ.items() if "RUSTFLAGS" not in key and not key.startswith("CARGO_PROFILE")}
        # What is unstable outside the library is allowed to it alone: nothing of ours is compiled with this.
        flags = ["-Zforce-unstable-if-unmarked", "-Cembed-bitcode=yes", f"--remap-path-prefix={scratch}=/library", f"--remap-path-prefix={repro.HOME}=/cargo"]
        environment |= {"RUSTC_BOOTSTRAP": "1", "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags), "CARGO_TARGET_DIR": str(scratch / "built")}
        words = ["cargo", "build", "--release", "--locked", "--target", TARGET, "--manifest-path", str(sources / "Cargo.toml"), "-p", "std", "-p", "panic_abort"]
        subprocess.run(words, cwd=ROOT, env=environment, check=True, timeout=BUILD_SECONDS)
        made = sorted((scratch / "built" / TARGET / "release/deps").glob("*.rlib"))
        place = sysroot / "lib/rustlib" / TARGET / "lib"
        place.mkdir(parents=True)
        for file in made:
            shutil.copy2(file, place / file.name)


def target():
    """What rustc has to be told to build for the target like for any other: where its standard library is, if not with the toolchain."""
    if has_core(pathlib.Path(asked("rustc", "--print", "target-libdir", "--target", TARGET))):
        say(f"{TARGET}: the toolchain has it")
        return []
    sysroot = KEPT / f"sysroot-{rustc()['commit-hash'][:12]}"
    if not has_core(sysroot / "lib/rustlib" / TARGET / "lib"):
        if not fetch_allowed():
            raise Failed(f"{TARGET} IS MISSING: `rustup target add {TARGET}`; where rustup cannot fetch it, on a Debian machine, RINGWALL_FETCH=1 {sys.argv[0]} builds it from Debian's sources")
        say(f"{TARGET}: the toolchain lacks it; its standard library is built from sources")
        with tempfile.TemporaryDirectory(dir=KEPT if KEPT.is_dir() else None) as scratch:
            whole = pathlib.Path(scratch) / "sysroot"
            build_library(whole)
            KEPT.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(sysroot, ignore_errors=True)
            shutil.move(whole, sysroot)
    say(f"{TARGET}: its standard library is in {sysroot}")
    return [f"--sysroot={sysroot}"]


def packages():
    """{(name, version)} that are compiled for the target, or run on the machine that compiles."""
    found = set()
    for named, edges in ((PURE, "normal,build"), ([WEB], "normal,build,dev")):
        words = [word for package in named for word in ("-p", package)]
        tree = asked("cargo", "tree", "--locked", *words, "--edges", edges, "--target", TARGET, "--prefix", "none", "--no-dedupe", "--format", "{p}")
        found |= {(line.split()[0], line.split()[1].removeprefix("v")) for line in tree.splitlines() if line}
    return found


def is_c(package):
    """Why a package of `cargo metadata` is C, if it is: it links a library, is one's binding, or runs a C compiler."""
    if package["links"]:
        return f"links {package['links']}"
    if package["name"] in C_PACKAGES or package["name"].endswith("-sys"):
        return "is C, a binding or a compiler's driver"
    return None


def prove_tree():
    """The rule, shown on known cases."""
    for name, links, wanted in [("sha2", None, False), ("aws-lc-sys", "aws_lc", True), ("cc", None, True), ("js-sys", None, True), ("ring", "ring_core", True), ("ring", None, True)]:
        assert (is_c({"name": name, "links": links}) is not None) == wanted, name


def tree():
    prove_tree()
    metadata = json.loads(asked("cargo", "metadata", "--locked", "--format-version", "1"))["packages"]
    reached = packages()
    bad = [f"{package['name']} {package['version']} {why}" for package in metadata if (package["name"], package["version"]) in reached and (why := is_c(package))]
    if bad:
        raise Failed(f"C is in what is compiled for {TARGET}: " + "; ".join(sorted(bad)))
    say(f"{len(reached)} packages are compiled for {TARGET} or run to compile them; none is C, links a library or runs a C compiler")


def recipe(flags):
    """How everything for the target is compiled. Flags are for the target alone: cargo keeps them from what runs on this machine."""
    return os.environ | {"CARGO_ENCODED_RUSTFLAGS": "\x1f".join([repro.recipe(ROOT, repro.HOME)["CARGO_ENCODED_RUSTFLAGS"], *flags])}


def module(name, flags):
    """One module."""
    words = ["cargo", "rustc", "--locked", "-p", WEB, "--example", name, "--crate-type", "cdylib", "--target", TARGET, "--profile", PROFILE]
    subprocess.run(words, cwd=ROOT, env=recipe(flags), check=True, timeout=BUILD_SECONDS)
    return BUILDS / TARGET / PROFILE / f"examples/{name}.wasm"


def number(body, at):
    """A LEB128 number and where it ends."""
    value = shift = 0
    while True:
        byte = body[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if not byte & 0x80:
            return value, at


def sections(module):
    """{section: its body} of a module; of those that come several times the last."""
    if module[:8] != b"\0asm\1\0\0\0":
        raise Failed("it is no module of WebAssembly")
    found, at = {}, 8
    while at < len(module):
        length, begins = number(module, at + 1)
        found[module[at]] = module[begins : begins + length]
        at = begins + length
    return found


def exports(body):
    """Names a module offers."""
    count, at = number(body, 0)
    names = set()
    for _ in range(count):
        length, begins = number(body, at)
        names.add(body[begins : begins + length].decode())
        _, at = number(body, begins + length + 1)
    return names


def prove_sections():
    """What the rules about a module look at is found."""
    empty = b"\0asm\1\0\0\0"
    offers = bytes([OFFERED, 7, 1, 3]) + b"qr" + b"x" + bytes([0, 0])
    assert sections(empty) == {} and sections(empty + bytes([IMPORTS, 1, 1])) == {IMPORTS: b"\1"}
    assert exports(sections(empty + offers)[OFFERED]) == {"qrx"}
    assert number(bytes([0x80, 0x01]), 0) == (128, 2)


def brotli(file):
    """How long a file is when it travels, by the page's own measure."""
    if not shutil.which("node"):
        raise Failed("node IS MISSING (Debian: apt-get install nodejs)")
    script = "process.stdout.write(String(require('node:zlib').brotliCompressSync(require('node:fs').readFileSync(process.argv[1])).length))"
    return int(asked("node", "-e", script, str(file)))


def pages(flags):
    """Both modules of the page: that they ask for nothing, what they weigh, and the digest of the one that is shipped."""
    prove_sections()
    for name in (SHIPPED, SIMULATED):
        file = module(name, flags)
        body = file.read_bytes()
        parts = sections(body)
        if number(parts.get(IMPORTS, b"\0"), 0)[0]:
            raise Failed(f"{file.name} asks its host for something: it may ask for nothing")
        missing = EXPORTS - exports(parts.get(OFFERED, b"\0"))
        if missing:
            raise Failed(f"{file.name} lacks {', '.join(sorted(missing))}")
        travels = brotli(file)
        say(f"{file.name} imports nothing; {len(body)} bytes, {len(gzip.compress(body, 9))} with gzip, {travels} with brotli")
        if travels > BROTLI_BYTES:
            raise Failed(f"{file.name} is {travels} bytes with brotli, at most {BROTLI_BYTES} may travel")
        if name == SHIPPED:
            KEPT.mkdir(parents=True, exist_ok=True)
            line = f"{hashlib.sha256(body).hexdigest()}  {file.name}"
            shutil.copyfile(file, KEPT / file.name)
            (KEPT / f"{file.name}.sha256").write_text(line + "\n")
            say(f"shipped: sha256 {line}")


def build(flags):
    """The pure crates, and the module of conformance."""
    words = [word for package in PURE for word in ("-p", package)]
    subprocess.run(["cargo", "check", "--locked", "--lib", *words, "--target", TARGET, "--profile", PROFILE], cwd=ROOT, env=recipe(flags), check=True, timeout=BUILD_SECONDS)
    return module(CONFORMANCE, flags)


def vectors():
    folder = pathlib.Path(os.environ.get("RINGWALL_VECTORS", ROOT.parent / "shared/vectors"))
    if not (folder / "README.md").is_file():
        raise Failed(f"no vectors at {folder}; set RINGWALL_VECTORS")
    return folder


def native(folder):
    """What the program says of every case, and the same folder as a packed set."""
    program = BUILDS / "debug/ringwall-conformance"
    if not program.is_file():
        subprocess.run(["cargo", "build", "--workspace", "--locked", "--bin", program.name], cwd=ROOT, check=True, timeout=BUILD_SECONDS)
    said, packed = folder / "native.json", folder / "set.bin"
    subprocess.run([program, vectors(), "--pack", packed], check=True, timeout=120)
    done = subprocess.run([program, vectors(), "--json", said], stdout=subprocess.DEVNULL, timeout=300)
    if done.returncode:
        raise Failed(f"{program.name} ended with {done.returncode}: its own cases do not agree")
    return json.loads(said.read_text()) | {"machine": "native"}


def node(module, folder):
    if not shutil.which("node"):
        raise Failed("node IS MISSING (Debian: apt-get install nodejs)")
    proved = subprocess.run(["node", "--test", *sorted(PAGE.rglob("*.test.mjs"))], capture_output=True, text=True, timeout=NODE_SECONDS)
    if proved.returncode:
        raise Failed(f"the loader or the page is not what its tests say\n{proved.stdout}")
    result = folder / "node.json"
    subprocess.run(["node", PAGE / "node.mjs", module, folder / "set.bin", result], check=True, timeout=NODE_SECONDS)
    return json.loads(result.read_text())


class Page(http.server.BaseHTTPRequestHandler):
    """Serves the page on loopback, and takes what it says."""

    KINDS = {".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm", ".bin": "application/octet-stream"}
    # Nothing but this server; the module may be compiled.
    POLICY = "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'"

    def do_GET(self):
        name = self.path.lstrip("/") or "index.html"
        file = self.server.files.get(name, PAGE / name if name in ("index.html", "door.mjs", "conformance.mjs") else None)
        if file is None:
            return self.send_error(404)
        body = file.read_bytes()
        self.send_response(200)
        for key, value in (
            ("Content-Type", self.KINDS[pathlib.PurePath(name).suffix]),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", self.POLICY),
            # A page that is isolated so is given a finer clock.
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Embedder-Policy", "require-corp"),
        ):
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.said = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.done.set()

    def log_message(self, *_):
        pass


def browser(module, folder):
    """What the page says in a headless browser."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.files, server.done, server.said = {"module.wasm": module, "set.bin": folder / "set.bin"}, threading.Event(), None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with (folder / "browser.log").open("wb") as log:
        # A group of its own: a browser is a dozen processes, and none may outlive this.
        words = chromium.words(folder / "profile", f"http://127.0.0.1:{server.server_port}/")
        running = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        try:
            told = server.done.wait(BROWSER_SECONDS)
        finally:
            chromium.ended(running)
            server.shutdown()
    if not told:
        tail = (folder / "browser.log").read_text(errors="replace").splitlines()[-5:]
        raise Failed(f"{chromium.program()} said nothing in {BROWSER_SECONDS} s\n" + "\n".join(tail))
    said = json.loads(server.said)
    if "error" in said:
        raise Failed(f"{chromium.program()}: {said['error']}")
    return said


def differences(ours, theirs):
    """Words for each case whose records differ, and for what is on one side alone."""
    found = [] if len(ours["cases"]) == len(theirs["cases"]) else [f"{len(ours['cases'])} cases natively, {len(theirs['cases'])} there"]
    for mine, other in zip(ours["cases"], theirs["cases"]):
        keys = [key for key in mine.keys() | other.keys() if mine.get(key) != other.get(key)]
        if keys:
            found.append(f"{mine['kind']} {mine['id']}: " + "; ".join(f"{key}: natively {mine.get(key)!r}, there {other.get(key)!r}" for key in sorted(keys)))
    for key in ("unreadable", "not_judged"):
        if ours[key] != theirs[key]:
            found.append(f"{key}: natively {ours[key]!r}, there {theirs[key]!r}")
    return found


def prove_differences():
    """A difference is seen, whichever part of a record it is in."""
    whole = {"cases": [{"kind": "snp", "id": "a", "got": "accept", "steps": ["x"]}], "unreadable": [], "not_judged": []}
    assert differences(whole, json.loads(json.dumps(whole))) == []
    for change in ({"got": "reject"}, {"steps": []}, {"trap": "unreachable"}):
        assert len(differences(whole, whole | {"cases": [whole["cases"][0] | change]})) == 1, change
    assert differences(whole, whole | {"cases": []}) and differences(whole, whole | {"not_judged": ["a"]})


def compare():
    prove_differences()
    flags = target()
    module = build(flags)
    pages(flags)
    with tempfile.TemporaryDirectory(prefix="wasm-") as folder:
        folder = pathlib.Path(folder)
        ours = native(folder)
        theirs = [node(module, folder), browser(module, folder)]
    size = theirs[0]["size"]
    say(f"the module imports nothing; {size['raw']} bytes, {size['gzip']} with gzip, {size['brotli']} with brotli")
    lists = [(said["machine"], differences(ours, said)) for said in theirs]
    for said in theirs:
        say(f"{said['machine']}: {len(said['cases'])} cases in {said['judged_ms']:.0f} ms, ready after {said['ready_ms']:.0f} ms, memory {said['memory_bytes'] >> 20} MiB")
        for row in said["times"]:
            sizes = ", ".join(f"{name} {count}" for name, count in row["sizes"].items())
            say(f"  {row['chip']}: a whole answer ({sizes} bytes) cold {row['cold_ms']:.2f} ms, warm {row['warm_ms']:.2f} ms")
    for machine, found in lists:
        say(f"differences between native and {machine}: {len(found)}")
        for line in found[:SHOWN]:
            print(f"  {line}")
    return 1 if any(found for _, found in lists) else 0


def main():
    parser = argparse.ArgumentParser(description="Compares verdicts natively, under node and in a browser.")
    parser.add_argument("what", choices=("all", "target", "tree", "module", "pages"), nargs="?", default="all")
    what = parser.parse_args().what
    # Whoever ends this ends the browser with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        if what == "target":
            target()
            return 0
        if what == "module":
            say(f"module {module(SIMULATED, target())}")
            return 0
        if what == "pages":
            pages(target())
            return 0
        tree()
        return compare() if what == "all" else 0
    except (Failed, debian.Missing, chromium.Missing) as fault:
        print(f"wasm: {fault}", file=sys.stderr)
    except (subprocess.SubprocessError, OSError) as fault:
        print(f"wasm: could not be built or compared: {fault}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
