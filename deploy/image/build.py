#!/usr/bin/env python3
"""Makes the guest image: kernel, initrd, command line, and image.json, which names every byte of them.

Decides: what is in the image: the kernel package of pins.toml (any other bytes are refused), the kernel modules listed there with what they depend on, our init,
one node program and the libraries it is linked with. The same inputs give the same bytes on any machine: files are sorted, owned by root and without times, and
nothing is compressed, so no compressor's version is in the measurement.
Trusts: Debian's package by its digest, and the two programs it is given; image.json has their digests. Out of scope: building those (docs/reproducible.md), what
a measurement comes to (`ringwall measure image.json`), launching (launch-snp.sh, launch-tdx.sh).
"""
import argparse
import hashlib
import io
import json
import lzma
import pathlib
import struct
import sys
import tarfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
FORMAT = "ringwall-image/1"
# Folders the kernel and init expect, empty in the image.
FOLDERS = ["data", "dev", "etc", "etc/ringwall", "lib", "lib/modules", "proc", "sys"]
LARGEST_PROGRAM = 256 << 20  # bytes; a node stripped of its symbols has some 10 MB


class Refused(Exception):
    """Why there is no image."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def package_files(deb):
    """The files of a Debian package: name to bytes."""
    if deb[:8] != b"!<arch>\n":
        raise Refused("the kernel package is no Debian package")
    at = 8
    while at + 60 <= len(deb):
        name, size = deb[at : at + 16].decode("ascii").strip().rstrip("/"), int(deb[at + 48 : at + 58])
        body = deb[at + 60 : at + 60 + size]
        if name.startswith("data.tar"):
            if not name.endswith(".xz"):
                raise Refused(f"the kernel package holds {name}; only xz is read")
            with tarfile.open(fileobj=io.BytesIO(lzma.decompress(body))) as tar:
                return {entry.name.removeprefix("./"): tar.extractfile(entry).read() for entry in tar if entry.isfile()}
        at += 60 + size + size % 2
    raise Refused("the kernel package has no data")


def kernel(path, pins):
    """The pinned package's files, once its digest is the pinned one."""
    deb = path.read_bytes()
    if sha256(deb) != pins["sha256"]:
        raise Refused(f"{path} has SHA-256 {sha256(deb)}, pins.toml names {pins['sha256']}: fetch version {pins['version']} of {pins['package']}")
    return package_files(deb)


def spelled(name):
    """A module's name as the kernel spells it."""
    return name.replace("-", "_")


def module_order(files, pins):
    """[(file name, bytes, optional)]: the pinned modules, each after those it depends on."""
    held, built_in = {}, set()
    for path, data in files.items():
        name = pathlib.PurePosixPath(path).name
        if name.endswith(".ko.xz"):
            held[spelled(name.removesuffix(".ko.xz"))] = (name.removesuffix(".xz"), data)
        elif name == "modules.builtin":
            built_in = {spelled(pathlib.PurePosixPath(line).name.removesuffix(".ko")) for line in data.decode().split()}
    order, done = [], set()

    def add(wanted, optional, depth):
        name = spelled(wanted)
        if name in done or name in built_in:
            return
        if name not in held or depth > 16:
            raise Refused(f"the kernel package has no module {wanted}")
        file, packed = held[name]
        data = lzma.decompress(packed)
        at = data.find(b"\0depends=")
        needs = data[at + 9 : data.index(b"\0", at + 9)].decode() if at >= 0 else ""
        for need in filter(None, needs.split(",")):
            add(need, optional, depth + 1)
        if name not in done:
            done.add(name)
            order.append((file, data, optional))

    for name in pins["needed"]:
        add(name, False, 0)
    for name in pins["optional"]:
        add(name, True, 0)
    return order


def linked(data, what):
    """(interpreter or None, names of libraries) of a 64-bit little-endian ELF program for x86-64."""
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 18)[0] != 62:
        raise Refused(f"{what} is no program for x86-64")
    start, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQ", data, start + size * at) for at in range(count)]
    interpreter, names, strings = None, [], 0
    loads = [(address, offset, length) for kind, _, offset, address, _, length in headers if kind == 1]

    def text(at):
        return data[at : data.index(b"\0", at)].decode()

    for kind, _, offset, _, _, length in headers:
        if kind == 3:
            interpreter = text(offset)
        if kind == 2:
            entries = [struct.unpack_from("<QQ", data, offset + at) for at in range(0, length, 16)]
            table = dict(entries).get(5, 0)
            strings = next((table - address + begin for address, begin, held in loads if address <= table < address + held), 0)
            names = [value for tag, value in entries if tag == 1]
    return interpreter, [text(strings + name) for name in names]


def libraries(program, folders):
    """{path in the image: bytes} of the interpreter and of every library the program needs, theirs included."""
    interpreter, names = linked(program, "the node program")
    found = {}
    if interpreter is None:
        return found
    found[interpreter.lstrip("/")] = pathlib.Path(interpreter).read_bytes()
    known = {pathlib.PurePosixPath(interpreter).name}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is None:
            raise Refused(f"{name} is in none of {', '.join(map(str, folders))}; name its folder with --library-path")
        data = path.read_bytes()
        found[str(path).lstrip("/")] = data
        waiting += linked(data, name)[1]
    return found


def archive(files, folders):
    """A cpio archive (newc): sorted by name, root's, without times."""
    out = bytearray()

    def entry(name, mode, data=b"", device=(0, 0)):
        number = 0 if name == "TRAILER!!!" else len(names) + 1
        names.append(name)
        links = 2 if mode & 0o170000 == 0o040000 else 1
        fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        out.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        out.extend(b"\0" * (-len(out) % 4) + data)
        out.extend(b"\0" * (-len(out) % 4))

    names = []
    everything = {name: (0o040755, b"", (0, 0)) for name in folders}
    everything |= {name: (0o100000 | mode, data, (0, 0)) for name, (mode, data) in files.items()}
    # What the kernel opens as standard streams of its first program, before anything is mounted.
    everything["dev/console"] = (0o020600, b"", (5, 1))
    for name in sorted(everything):
        for parent in list(pathlib.PurePosixPath(name).parents)[:-1]:
            assert str(parent) in everything, f"{name} has no folder"
        entry(name, *everything[name])
    entry("TRAILER!!!", 0)
    out.extend(b"\0" * (-len(out) % 512))
    return bytes(out)


def contents(options, pins):
    """(kernel, files of the initrd: name to (mode, bytes))."""
    files = kernel(options.kernel_package, pins["kernel"])
    loaded = [data for name, data in files.items() if name.startswith("boot/vmlinuz-")]
    if len(loaded) != 1:
        raise Refused("the kernel package has not one kernel")
    programs = {name: path.read_bytes() for name, path in (("init", options.init), ("node", options.node))}
    for name, data in programs.items():
        if len(data) > LARGEST_PROGRAM:
            raise Refused(f"{name} has {len(data)} bytes; strip it of its symbols")
    if linked(programs["init"], "init")[0] is not None:
        raise Refused("init is linked dynamically; build it with -C target-feature=+crt-static")
    name = options.name
    inside = {"init": (0o755, programs["init"]), f"bin/{name}": (0o755, programs["node"])}
    inside["etc/ringwall/program"] = (0o644, "".join(f"{word}\n" for word in [f"/bin/{name}", *options.arguments.split()]).encode())
    order = module_order(files, pins["modules"])
    inside["etc/ringwall/modules"] = (0o644, "".join(f"{'?' if optional else ''}{file}\n" for file, _, optional in order).encode())
    inside |= {f"lib/modules/{file}": (0o644, data) for file, data, _ in order}
    # Filled in by init where the host names a name server, before the image becomes read-only.
    inside["etc/resolv.conf"] = (0o644, b"")
    inside |= {path: (0o755, data) for path, data in libraries(programs["node"], options.library_path).items()}
    return loaded[0], inside


def build(options):
    """Writes the image into options.out and returns what image.json says."""
    pins = tomllib.loads((HERE / "pins.toml").read_text())
    if options.kernel_pins:
        pins["kernel"] = json.loads(options.kernel_pins.read_text())
    loaded, inside = contents(options, pins)
    folders = set(FOLDERS) | {str(parent) for name in inside for parent in list(pathlib.PurePosixPath(name).parents)[:-1]}
    initrd = archive(inside, folders)
    command_line = " ".join(pins["command_line"]["words"])
    made = {
        "format": FORMAT,
        "kernel": {"file": "vmlinuz", "bytes": len(loaded), "sha256": sha256(loaded)},
        "initrd": {"file": "initrd", "bytes": len(initrd), "sha256": sha256(initrd)},
        "command_line": command_line,
        "kernel_package": {key: pins["kernel"][key] for key in ("package", "version", "sha256")},
        "contents": [{"path": f"/{name}", "bytes": len(data), "sha256": sha256(data)} for name, (_, data) in sorted(inside.items())],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "vmlinuz").write_bytes(loaded)
    (options.out / "initrd").write_bytes(initrd)
    (options.out / "command_line").write_text(command_line + "\n")
    (options.out / "image.json").write_text(json.dumps(made, indent=2) + "\n")
    return made


def arguments(words=None):
    """The command line."""
    parser = argparse.ArgumentParser(description="Makes the guest image of Ringwall.")
    parser.add_argument("--kernel-package", type=pathlib.Path, required=True, help="the .deb that pins.toml names")
    parser.add_argument("--kernel-pins", type=pathlib.Path, help="another kernel than that of pins.toml, as JSON: for the test, where Debian has the pinned one no more")
    parser.add_argument("--init", type=pathlib.Path, required=True, help="deploy/image/init, linked statically")
    parser.add_argument("--node", type=pathlib.Path, required=True, help="the node program")
    parser.add_argument("--name", default="ringwalld", help="its name in the image")
    parser.add_argument("--arguments", default="", help="arguments of it that are part of the image, divided by blanks; for simulated nodes")
    parser.add_argument("--library-path", type=pathlib.Path, action="append", help="where its libraries are looked for")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for vmlinuz, initrd, command_line and image.json")
    options = parser.parse_args(words)
    options.library_path = options.library_path or [pathlib.Path(folder) for folder in ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64")]
    if not options.name.isprintable() or "/" in options.name:
        parser.error("the program's name is one word")
    return options


def main():
    try:
        made = build(arguments())
    except (Refused, OSError, struct.error, lzma.LZMAError, tarfile.TarError) as fault:
        print(f"image: {fault}", file=sys.stderr)
        return 1
    print(f"image: kernel {made['kernel']['sha256']}, initrd {made['initrd']['sha256']} ({made['initrd']['bytes']} bytes, {len(made['contents'])} files)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
