"""Packages of Debian's archive that are looked into and never installed.

Decides: where this machine gets Debian's packages from, as apt says, and that a package is the pinned one: by suite, version and SHA-256. apt holds it against the archive's
signature besides; nothing of the machine's own lists and packages is touched. Trusts: apt, Debian's keyring. Out of scope: what is in the package.
"""
import hashlib
import pathlib
import shutil
import subprocess
import tempfile

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SECONDS = 180  # one command of apt


class Missing(Exception):
    """What this machine lacks."""


def digest(path):
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def archive(seconds=SECONDS):
    """Where this machine gets Debian's packages from; apt says so only once it has lists."""
    for update in (False, True):
        if update:
            subprocess.run(["apt-get", "-q", "update"], check=True, timeout=seconds, stdout=subprocess.DEVNULL)
        words = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
        listed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=seconds).stdout
        if found := next((line for line in listed.splitlines() if line.rstrip("/").endswith("/debian")), None):
            return found.rstrip("/")
    raise Missing("apt knows no Debian archive")


class Suite:
    """One suite of an archive, asked with apt and nothing of this machine's own lists."""

    seconds = SECONDS

    def __init__(self, scratch, archive, suite):
        self.place = scratch / suite
        (self.place / "lists/partial").mkdir(parents=True)
        (self.place / "status").touch()
        (self.place / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive} {suite} main\n")
        settings = [f"Dir::Etc::sourcelist={self.place}/sources.list", "Dir::Etc::sourceparts=/dev/null", "Dir::Etc::preferencesparts=/dev/null"]
        settings += [f"Dir::State::lists={self.place}/lists", f"Dir::State::status={self.place}/status", f"Dir::Cache={self.place}"]
        settings += ["APT::Sandbox::User=root", "Acquire::Languages=none"]
        self.options = [word for setting in settings for word in ("-o", setting)]
        self.run("apt-get", "-q", "update")

    def run(self, program, *words):
        """What a program of apt prints."""
        done = subprocess.run([program, *self.options, *words], cwd=self.place, check=True, timeout=self.seconds, capture_output=True, text=True)
        return done.stdout

    def download(self, package, version):
        """The file of a package."""
        self.run("apt-get", "-q", "download", f"{package}={version}")
        return next(self.place.glob("*.deb"))


def package(pin, folder):
    """The pinned package (`name`, `version`, `suite`, `sha256`) as a file in `folder`: kept from before, or fetched."""
    kept = folder / f"{pin['name']}_{pin['version']}.deb"
    if kept.is_file() and digest(kept) == pin["sha256"]:
        return kept
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and pathlib.Path(KEYRING).is_file()):
        raise Missing("this is no Debian machine: there is no apt-get, no dpkg-deb or no keyring of Debian's archive")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        found = Suite(pathlib.Path(scratch), archive(), pin["suite"]).download(pin["name"], pin["version"])
        got = digest(found)
        if got != pin["sha256"]:
            raise Missing(f"{found.name} has SHA-256 {got}, pinned is {pin['sha256']}")
        shutil.move(found, kept)
    return kept
