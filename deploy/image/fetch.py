"""Where the kernel package, the firmware and the second measuring program come from, for the image's test.

Decides: pinned bytes are looked for in one place after the other: kept from an earlier run, this machine's Debian archive, Debian's archive of everything it ever
had. What has another digest is not taken. Where no place has the pinned kernel, the newest one of the same series that the archive offers stands in, and whoever
asked is told so in words that become the outcome of the run.
Trusts: apt's signatures for a kernel that stands in; nothing for pinned bytes. Out of scope: what is done with them (build.py, test.py).
"""
import contextlib
import hashlib
import io
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / ".ci"))
import debian
from debian import Missing as Nowhere, digest

SNAPSHOT = "https://snapshot.debian.org/file"
# Suites that may have a kernel of the pinned series once the pinned suite has none, newest first.
STAND_IN_SUITES = ["forky", "trixie", "trixie-backports", "bookworm-backports"]
LARGEST = 256 << 20  # bytes of a package
STEP_SECONDS = 120


class Suite(debian.Suite):
    """One suite of an archive, and the kernels it offers."""

    seconds = STEP_SECONDS

    def kernels(self, series):
        """[(version, package)] of the signed cloud kernels of a series, newest last."""
        names = [name for name in self.run("apt-cache", "pkgnames", f"linux-image-{series}.").split() if re.fullmatch(r"linux-image-[\d.]+\+deb\d+-cloud-amd64", name)]
        numbers = lambda name: [int(number) for number in re.findall(r"\d+", name.removeprefix("linux-image-"))]
        shown = [(re.search(r"^Version: (.+)$", self.run("apt-cache", "show", "--no-all-versions", name), re.MULTILINE), name) for name in sorted(names, key=numbers)]
        return [(found.group(1), name) for found, name in shown if found]


def from_url(url, target):
    """A file by its address, bounded."""
    with urllib.request.urlopen(url, timeout=STEP_SECONDS) as answer, target.open("wb") as file:
        left = LARGEST
        while piece := answer.read(min(1 << 20, left + 1)):
            left -= len(piece)
            if left < 0:
                raise Nowhere(f"{url}: more than {LARGEST} bytes")
            file.write(piece)
    return target


def pinned(pins, kept, places):
    """The pinned bytes, in `kept`; none when no place has them. `places` are (name, function that gives a path)."""
    if kept.is_file() and digest(kept) == pins["sha256"]:
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    for name, place in places:
        try:
            found = place()
            got = digest(found)
        except (Nowhere, OSError, subprocess.SubprocessError, StopIteration) as fault:
            print(f"image: {name} does not have {pins['package']} {pins['version']}: {fault}", flush=True)
            continue
        if got == pins["sha256"]:
            shutil.move(found, kept)
            return kept
        print(f"image: {name} has {pins['package']} {pins['version']} with SHA-256 {got}, pinned is {pins['sha256']}: not taken", flush=True)
    return None


def places_of(pins, scratch):
    """Where pinned bytes are looked for, in this order."""
    target = scratch / "fetched.deb"
    return [
        (f"the archive, in suite {pins['suite']},", lambda: Suite(scratch, debian.archive(STEP_SECONDS), pins["suite"]).download(pins["package"], pins["version"])),
        ("the archive's pool", lambda: from_url(f"{debian.archive(STEP_SECONDS)}/{pins['path']}", target)),
        ("snapshot.debian.org", lambda: from_url(f"{SNAPSHOT}/{pins['sha1']}", target)),
    ]


def stand_in(pins, folder, suites):
    """(package, pins for it, words) of a kernel of the same series. `suites` are (name, function that gives a suite)."""
    series = re.match(r"linux-image-(\d+\.\d+)\.", pins["package"]).group(1)
    for name, suite in suites:
        try:
            asked = suite()
            version, package = asked.kernels(series)[-1]
            found = asked.download(package, version)
        except (Nowhere, OSError, IndexError, StopIteration, subprocess.SubprocessError) as fault:
            print(f"image: {name} offers no kernel of series {series}: {fault}", flush=True)
            continue
        kept = folder / f"stand-in-{package}_{version}.deb"
        shutil.move(found, kept)
        other = {**pins, "package": package, "version": version, "sha256": digest(kept), "suite": name}
        return kept, other, f"THE PINNED KERNEL IS NOWHERE: {pins['package']} {pins['version']}; {package} {version} of {name} stood in, and the image of pins.toml WAS NOT TESTED"
    raise Nowhere(f"no place has {pins['package']} {pins['version']}, and none offers another kernel of series {series}")


def kernel(pins, folder):
    """(package, pins of it, words or none): the pinned kernel, or one that stands in."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        found = pinned(pins, folder / pathlib.PurePosixPath(pins["path"]).name, places_of(pins, scratch))
        if found:
            return found, pins, None
        (scratch / "others").mkdir()
        suites = [(name, lambda name=name: Suite(scratch / "others", debian.archive(STEP_SECONDS), name)) for name in STAND_IN_SUITES]
        return stand_in(pins, folder, suites)


def firmware(pins, folder):
    """The file of a pinned firmware package, or none."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        # A suite that is not this machine's is asked for its pool alone.
        package = pinned(pins, folder / pathlib.PurePosixPath(pins["path"]).name, places_of(pins, scratch)[1:])
        if package is None:
            return None
        subprocess.run(["dpkg-deb", "--extract", str(package), str(scratch / "inside")], check=True, timeout=STEP_SECONDS)
        target = folder / pathlib.PurePosixPath(pins["file"]).name
        shutil.copyfile(scratch / "inside" / pins["file"], target)
        return target


def prove():
    """Pinned bytes are taken from the first place that has them, others from none; what stands in says so; nowhere is nowhere."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        folder = pathlib.Path(folder)
        good = {"package": "linux-image-6.12.1+deb12-cloud-amd64", "version": "1", "sha256": hashlib.sha256(b"good").hexdigest(), "suite": "one"}

        def gives(data):
            def place():
                (folder / "got").write_bytes(data)
                return folder / "got"
            return place

        def gone():
            raise Nowhere("it is gone")

        kept = folder / "kept/package.deb"
        assert pinned(good, kept, [("none", gone), ("a liar", gives(b"other"))]) is None and not kept.exists()
        assert pinned(good, kept, [("none", gone), ("a liar", gives(b"other")), ("the archive", gives(b"good"))]) == kept
        assert pinned(good, kept, []) == kept

        class Offers:
            kernels = staticmethod(lambda series: [("2", "linux-image-6.12.2+deb13-cloud-amd64")] if series == "6.12" else [])
            download = staticmethod(lambda package, version: gives(b"newer")())

        found, pins, words = stand_in(good, folder, [("none", gone), ("trixie", Offers)])
        assert found.read_bytes() == b"newer" and pins["sha256"] == digest(found) != good["sha256"] and "WAS NOT TESTED" in words
        try:
            stand_in(good, folder, [("none", gone)])
        except Nowhere:
            return
        raise AssertionError("a kernel came from nowhere")
