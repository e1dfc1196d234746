#!/usr/bin/env python3
"""The guest image, tested: made twice, booted in an emulator, used by a real client, and attacked by its host.

Decides: two builds in different folders, time zones, locales and masks are one image; the machine comes up with the node as its only process and serves
the `ringwall` command over a forwarded port; it stops in good order when it is asked to, with its disk closed; code in the host's ACPI tables does not run in it, and
runs in the same kernel without the image's command line; a host cannot have another program started, nor a link on its disk followed; the shipped node asks the
machine for evidence, gets none in an emulator, and ends; what the image measures to is what another program computes.
Trusts: QEMU's software emulation, Debian's archive (what it gives is compared with pins.toml). Out of scope: TEEs. The shipped `ringwalld` accepts no simulated
evidence and an emulator makes no other, so the node that serves is the simulated one, in the same place and started by the same init.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import tomllib

import aml
import build
import compare
import fetch
import machine

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TRIES = 3  # an emulated boot dies now and then in the emulator
CHIP = "genoa-1"
BOOT_SECONDS, SERVE_SECONDS, COMMAND_SECONDS = 180, 240, 60
STOP_SECONDS = 60  # an emulated node leaves, its disk is closed, and the machine is gone
NOTICE_SECONDS = 5  # in which a machine that heeds its power button would begin to end
OTHER_KERNEL = 75  # exit code: all held, of an image with another kernel than the pinned one
SETTINGS = b"task = found\naddress = 10.0.2.15/24\ngateway = 10.0.2.2\n"
KERNEL_UP = "Run /init as init process"
NO_EVIDENCE = "no driver answers for reports"
NO_EVIDENCE_CODE = "the node ended with code 11"
LEFT = ["leaving", "the node ended with code 0", "the disk is written and closed; this machine stops"]
LINK_REFUSED = "Too many levels of symbolic links"
INTERPRETER = "ACPI: Interpreter enabled"


class Failed(Exception):
    """What was not as it has to be; another try would not help."""


class Flaky(Exception):
    """A machine that did not come as far as to be judged."""


def say(words):
    print(f"image: {words}", flush=True)


def made_twice(arguments, folder):
    """The image, made in two folders by processes that have nothing in common but what they are given."""
    images = []
    for name, environment, mask in (("one", {"TZ": "UTC", "LC_ALL": "C"}, 0o022), ("two/deeper", {"TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1"}, 0o077)):
        out = folder / name
        words = [sys.executable, str(HERE / "build.py"), *arguments, "--out", str(out)]
        subprocess.run(words, check=True, cwd=folder, env={"PATH": os.environ["PATH"], **environment}, preexec_fn=lambda mask=mask: os.umask(mask))
        images.append({file: (out / file).read_bytes() for file in ("vmlinuz", "initrd", "command_line", "image.json")})
    differing = [file for file in images[0] if images[0][file] != images[1][file]]
    if differing:
        raise Failed(f"two builds of the image differ in {', '.join(differing)}")
    say("two builds are bit for bit the same")
    return folder / "one"


def up(running):
    """Waits for the kernel to start init."""
    if not running.until(lambda: KERNEL_UP in running.console(), BOOT_SECONDS):
        raise Flaky(f"the kernel did not come up\n{running.tail()}")


def command(folder, *words, given=None):
    """Runs the simulated `ringwall`; returns what it prints."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "RINGWALL_CARD": str(folder / "cluster.card"), "RINGWALL_CREDENTIAL": str(folder / "laptop")}
    program = [str(PROGRAMS / "sim-ringwall"), "--timeout", str(COMMAND_SECONDS), *words]
    done = subprocess.run(program, cwd=folder, env=environment, input=given, capture_output=True, timeout=3 * COMMAND_SECONDS)
    if done.returncode:
        raise Flaky(f"ringwall {' '.join(words)} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


def founding_disk(folder, port):
    """A disk with all a first node needs."""
    config = (
        'data = "/data"\nslot = 1\nlisten = "0.0.0.0:7400"\n' f'advertise = "127.0.0.1:{port}"\n'
        '[cluster]\npolicy = "cluster.policy"\ntemplate = "genesis.template"\n[timing]\nheartbeat_ms = 500\nelection_min_ms = 3000\nelection_max_ms = 6000\n'
        "[limits]\nhandshake_ms = 60000\ndisk_reserve_mib = 16\n"
    )
    subprocess.run([str(PROGRAMS / "sim-node"), "--world", str(folder)], check=True)
    files = {name: (folder / name).read_bytes() for name in ("cluster.policy", "genesis.template")}
    disk = folder / "data.img"
    machine.make_disk(disk, {**files, "boot.conf": SETTINGS, "ringwalld.toml": config.encode()})
    return disk


def serves(image, folder):
    """The machine founds a cluster and serves a client outside it."""
    port = machine.free_port()
    disk = founding_disk(folder, port)
    line = (image / "command_line").read_text().strip()
    with machine.Machine(folder, image, disk, line, port) as running:
        up(running)
        card = running.until(lambda: "founded" in running.console() and machine.read_disk(disk, "cluster.card"), SERVE_SECONDS)
        if not card:
            raise Flaky(f"no cluster was founded\n{running.tail()}")
        (folder / "cluster.card").write_bytes(card)
        command(folder, "init")
        command(folder, "put", "notes", "todo", given=b"water the plants")
        if command(folder, "get", "notes", "todo") != "water the plants":
            raise Failed("the client read another value than it wrote")
        if "genoa" not in (shown := command(folder, "verify")).lower() and "AMD" not in shown:
            raise Failed(f"the client verified no machine: {shown}")
        console = running.console()
        stops(running, disk)
    for words in ("ringwall-init: becoming /bin/ringwalld found", "Kernel is locked down", "Total of 2 processors activated"):
        if words not in console:
            raise Failed(f"the console lacks {words!r}\n{console[-4000:]}")
    for words in ("water the plants", INTERPRETER):
        if words in console:
            raise Failed(f"the console has {words!r}")
    say("a real client wrote and read a value, over the forwarded port, in the machine's cluster")


def stops(running, disk):
    """The machine is asked to stop: by its power button, which nobody in it hears, and by the keys Ctrl, Alt and Delete, which do it."""
    running.tell("system_powerdown")
    if running.until(running.ended, NOTICE_SECONDS):
        raise Failed(f"the power button is heeded: ACPI is at work in the image\n{running.tail()}")
    began = time.monotonic()
    running.tell("sendkey ctrl-alt-delete")
    if not running.until(running.ended, STOP_SECONDS):
        raise Flaky(f"the machine did not stop\n{running.tail()}")
    console, took = running.console(), time.monotonic() - began
    missing = [words for words in LEFT if words not in console]
    if missing or "Kernel panic" in console:
        raise Failed(f"the machine did not stop in good order: {missing}\n{running.tail()}")
    if not machine.is_closed(disk):
        raise Failed("the machine stopped in good order, and its disk was not closed")
    say(f"asked to stop, the node left, its disk was closed and the machine was gone within {took:.0f} s; the power button does nothing")


def refuses(image, folder):
    """The shipped node, outside a TEE: it gets as far as asking for evidence."""
    disk = founding_disk(folder, machine.GUEST_PORT)
    with machine.Machine(folder, image, disk, (image / "command_line").read_text().strip(), None) as running:
        up(running)
        if not running.until(running.ended, SERVE_SECONDS):
            raise Flaky(f"the machine did not end\n{running.tail()}")
        console = running.console()
    if NO_EVIDENCE not in console or NO_EVIDENCE_CODE not in console:
        raise Failed(f"the shipped node did not end for want of evidence\n{console[-3000:]}")
    say("the shipped node asks for evidence and ends without it, and the machine with it")


def table_runs(image, folder, line, settings):
    """Whether code of the host's table runs in the kernel; and the console."""
    folder.mkdir()
    disk, ran = folder / "data.img", folder / "aml.out"
    machine.make_disk(disk, settings)
    (folder / "bad.aml").write_bytes(aml.table())
    more = ["-acpitable", f"file={folder}/bad.aml", "-chardev", f"file,id=aml,path={ran}", "-device", f"isa-debugcon,iobase={aml.PORT:#x},chardev=aml"]
    with machine.Machine(folder, image, disk, line, None, more) as running:
        up(running)
        if not running.until(running.ended, BOOT_SECONDS):
            raise Flaky(f"the machine did not end\n{running.tail()}")
        return aml.WORD in ran.read_bytes(), running.console()


def attacked(image, folder):
    """A14: the host's tables hold code. The control shows that this very table runs in this very kernel where nothing forbids it."""
    line = (image / "command_line").read_text().strip()
    words = [word for word in line.split() if word not in ("initcall_blacklist=acpi_init", "pci=lastbus=1")]
    hostile = {"boot.conf": b"task = shell\naddress = 10.0.2.15/24\n"}
    linking = {"boot.conf": pathlib.PurePath("real.conf"), "real.conf": SETTINGS}
    ran, console = table_runs(image, folder / "control", " ".join(words), linking)
    if not ran or INTERPRETER not in console:
        raise Flaky("the table did not run in the control either, so nothing is shown")
    if LINK_REFUSED not in console or "becoming" in console:
        raise Failed(f"a link on the host's disk was followed\n{console[-3000:]}")
    ran, console = table_runs(image, folder / "held", line, hostile)
    if ran:
        raise Failed("code from the host's ACPI table ran in the image")
    say("A14: the host's ACPI code ran in the control and did not run in the image")
    if '"shell" is no value of task' not in console or "becoming" in console:
        raise Failed(f"a host could choose what is started\n{console[-3000:]}")
    say("another task than a node's is refused, and the machine ends")


def measured(image, keep, ringwall, record):
    """What the image measures to, by two programs; words where that could not be compared now."""
    pins = tomllib.loads((HERE / "pins.toml").read_text())["firmware"]["snp"]
    firmware = fetch.firmware(pins, keep)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        program = compare.second_program(folder)
        if not firmware or not program:
            return f"MEASUREMENTS WERE NOT COMPARED: {'sev-snp-measure' if firmware else 'the firmware'} cannot be had now (measured.json is compared by tests)"
        made = compare.compared(ringwall, image, firmware, program, folder)
    if record:
        compare.write(made, HERE / "measured.json")
    say(f"sev-snp-measure {compare.VERSION} computes the {len(made['digests'])} launch digests that we predict for this image")
    return None


def tried(what, act, folder):
    """Runs a test of machines, again when a machine did not come up, a bounded number of times."""
    for number in range(1, TRIES + 1):
        place = folder / f"{what}-{number}"
        place.mkdir()
        try:
            return act(place)
        except Flaky as fault:
            say(f"{what}, try {number} of {TRIES}: {fault}")
    raise Failed(f"{what}: no try of {TRIES} came through")


def arguments():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description="Tests the guest image in an emulator.")
    parser.add_argument("--programs", type=pathlib.Path, default=target / "debug", help="folder with sim-node, sim-ringwall and ringwalld, as the tests build them")
    parser.add_argument("--init", type=pathlib.Path, default=target / "image/x86_64-unknown-linux-gnu/release/ringwall-image-init")
    parser.add_argument("--keep", type=pathlib.Path, default=target / "image", help="folder for what is fetched")
    parser.add_argument("--record", action="store_true", help="writes measured.json")
    return parser.parse_args()


def run(options, folder):
    """Every test; words about what was otherwise than it is meant to be, and is no fault of the image."""
    keep = options.keep.resolve()
    package, pins, other = fetch.kernel(tomllib.loads((HERE / "pins.toml").read_text())["kernel"], keep)
    (folder / "kernel.json").write_text(json.dumps(pins))
    for name in ("sim-node", "ringwalld"):
        subprocess.run(["strip", "--strip-all", "-o", str(folder / name), str(PROGRAMS / name)], check=True)
    given = ["--kernel-package", str(package), "--init", str(options.init.resolve()), *(["--kernel-pins", str(folder / "kernel.json")] if other else []), "--node"]
    image = made_twice([*given, str(folder / "sim-node"), f"--arguments=--chip {CHIP} --"], folder)
    subprocess.run([sys.executable, str(HERE / "build.py"), *given, str(folder / "ringwalld"), "--out", str(folder / "shipped")], check=True)
    unmeasured = measured(folder / "shipped", keep, PROGRAMS / "ringwall", options.record)
    tried("serving", lambda place: serves(image, place), folder)
    tried("attacked", lambda place: attacked(image, place), folder)
    tried("refusing", lambda place: refuses(folder / "shipped", place), folder)
    return [words for words in (other, unmeasured) if words], bool(other)


def main():
    global PROGRAMS
    options = arguments()
    PROGRAMS = options.programs.resolve()
    aml.prove()
    fetch.prove()
    try:
        with tempfile.TemporaryDirectory() as folder:
            remarks, other = run(options, pathlib.Path(folder))
    except (Failed, build.Refused, fetch.Nowhere, compare.Differs, subprocess.SubprocessError, OSError) as fault:
        print(f"image: FAILED: {fault}", file=sys.stderr)
        return 1
    for words in remarks:
        say(words)
    return OTHER_KERNEL if other else 0


if __name__ == "__main__":
    sys.exit(main())
