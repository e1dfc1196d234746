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


def archive():
    """Where this machine gets Debian's packages from; apt says so only once it has lists."""
    for update in (False, True):
        if update:
            subprocess.run(["apt-get", "-q", "update"], check=True, timeout=SECONDS, stdout=subprocess.DEVNULL)
        words = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
        listed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=SECONDS).stdout
        if found := next((line for line in listed.splitlines() if line.rstrip("/").endswith("/debian")), None):
            return found
    raise Missing("apt knows no Debian archive")


def package(pin, folder):
    """The pinned package (`name`, `version`, `suite`, `sha256`) as a file in `folder`: kept from before, or fetched."""
    kept = folder / f"{pin['name']}_{pin['version']}.deb"
    if kept.is_file() and hashlib.sha256(kept.read_bytes()).hexdigest() == pin["sha256"]:
        return kept
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and pathlib.Path(KEYRING).is_file()):
        raise Missing("this is no Debian machine: there is no apt-get, no dpkg-deb or no keyring of Debian's archive")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "lists/partial").mkdir(parents=True)
        (scratch / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive()} {pin['suite']} main\n")
        options = [f"Dir::Etc::sourcelist={scratch}/sources.list", "Dir::Etc::sourceparts=/dev/null", f"Dir::State::lists={scratch}/lists", f"Dir::Cache={scratch}"]
        options += ["Dir::Etc::preferencesparts=/dev/null", "APT::Sandbox::User=root", "Acquire::Languages=none"]
        words = [word for option in options for word in ("-o", option)]
        for command in (["update"], ["download", f"{pin['name']}={pin['version']}"]):
            subprocess.run(["apt-get", "-q", *words, *command], cwd=scratch, check=True, timeout=SECONDS, stdout=subprocess.DEVNULL)
        found = next(scratch.glob("*.deb"))
        digest = hashlib.sha256(found.read_bytes()).hexdigest()
        if digest != pin["sha256"]:
            raise Missing(f"{found.name} has SHA-256 {digest}, pinned is {pin['sha256']}")
        shutil.move(found, kept)
    return kept
