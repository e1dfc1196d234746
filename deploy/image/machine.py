"""One emulated machine with the guest image, for its test.

Decides: how QEMU is started (software emulation, no device the image does not need), what is on the data disk, how long anything is waited for.
Trusts: QEMU and e2fsprogs. Out of scope: what is expected of a machine (test.py); real hardware (launch-snp.sh, launch-tdx.sh).
"""
import os
import pathlib
import socket
import subprocess
import time

GUEST_PORT = 7400
DISK_MIB = 256
PAUSE = 0.2  # seconds between two looks
# Without cmpxchg16b: Debian's emulator (7.2) gets its flags wrong now and then, and the kernel dies at its next memory.
CPU = "EPYC,-cx16"


def free_port():
    """A UDP port of this machine that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_disk(path, files):
    """An ext4 file system in a file, with `files` (name to bytes) in it, a path instead of bytes being a link to it; no root needed."""
    folder = path.with_suffix(".files")
    folder.mkdir()
    for name, data in files.items():
        if isinstance(data, pathlib.PurePath):
            (folder / name).symlink_to(data)
        else:
            (folder / name).write_bytes(data)
    with path.open("wb") as disk:
        disk.truncate(DISK_MIB << 20)
    words = ["mkfs.ext4", "-q", "-F", "-E", "root_owner=0:0", "-d", str(folder), str(path)]
    subprocess.run(words, check=True, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})


def read_disk(path, name):
    """A file's bytes as a power cut would leave them, or none while there is no such file; the machine may go on writing."""
    copy, target = path.with_suffix(".copy"), path.with_suffix(".read")
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}

    def run(*words):
        subprocess.run(words, check=False, capture_output=True, env=environment, timeout=60)

    target.unlink(missing_ok=True)
    run("cp", "--sparse=always", str(path), str(copy))
    # Replays the journal of the copy.
    run("e2fsck", "-f", "-y", str(copy))
    run("debugfs", "-R", f"dump /{name} {target}", str(copy))
    return target.read_bytes() if target.is_file() and target.stat().st_size else None


def is_closed(path):
    """Whether the file system was closed in good order: it is whole, and has no journal that would have to be replayed."""
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    said = subprocess.run(["debugfs", "-R", "stats -h", str(path)], capture_output=True, text=True, env=environment, timeout=60).stdout
    whole = subprocess.run(["e2fsck", "-f", "-n", str(path)], capture_output=True, env=environment, timeout=60).returncode == 0
    return whole and "Filesystem features" in said and "needs_recovery" not in said


class Machine:
    """A running machine; leaving the `with` ends it."""

    def __init__(self, folder, image, disk, command_line, port, more=()):
        self.console_file = folder / "console.log"
        self.log = (folder / "qemu.log").open("wb")
        self.monitor = folder / "monitor"
        forward = f",hostfwd=udp:127.0.0.1:{port}-:{GUEST_PORT}" if port else ""
        self.words = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", CPU, "-smp", "2", "-m", "1024", "-nodefaults", "-display", "none",
            "-monitor", f"unix:{self.monitor},server=on,wait=off", "-no-reboot", "-serial", f"file:{self.console_file}", "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd"), "-append", command_line,
            "-drive", f"if=none,id=data,file={disk},format=raw", "-device", "virtio-blk-pci,drive=data",
            "-netdev", f"user,id=net{forward}", "-device", "virtio-net-pci,netdev=net,romfile=", *more,
        ]

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def tell(self, command):
        """Has the emulator do something, as a person at its monitor would."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(10)
            line.connect(str(self.monitor))
            line.recv(4096)
            line.sendall(command.encode() + b"\n")
            time.sleep(PAUSE)
            line.recv(4096)

    def console(self):
        """Everything the machine has written to its serial line."""
        return self.console_file.read_text(errors="replace") if self.console_file.is_file() else ""

    def ended(self):
        """Whether the machine stopped by itself."""
        return self.process.poll() is not None

    def until(self, found, seconds):
        """What `found()` returns once it is true-like; none when the machine ended or the time is over."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            over = self.ended()
            answer = found()
            if answer:
                return answer
            if over:
                return None
            time.sleep(PAUSE)
        return None

    def tail(self, lines=25):
        """The end of the console and of QEMU's own words, for a person."""
        words = pathlib.Path(self.log.name).read_text(errors="replace").splitlines()[-5:]
        return "\n".join([*self.console().splitlines()[-lines:], *words])
