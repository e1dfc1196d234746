"""What the shipped programs are made of: their packages, and the files of ours that go into them.

Decides: `ringwalld` and `ringwall` are the shipped programs; a package belongs to them when cargo links it into one (normal dependencies) or runs it to build one
(build scripts, procedural macros), with the features of the build that deploy/README.md names. Trusts: cargo. Out of scope: what is done with the answer
(sbom.py, repro.py).
"""
import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = {"ringwalld": "ringwall-node", "ringwall": "ringwall-client"}
TARGET = "x86_64-unknown-linux-gnu"
# Files of a package of ours that no build of a shipped program reads.
NOT_BUILT = re.compile(r"(^|/)(tests|benches|examples|fuzz|web|ffi)/|\.md$")


def cargo(command, *arguments):
    """What cargo prints, from the lock file as it is."""
    return subprocess.run(["cargo", command, "--locked", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def metadata():
    """{(name, version): package} of everything that is locked; each package has what it was resolved to need (`needs`: names and versions)."""
    whole = json.loads(cargo("metadata", "--format-version", "1"))
    keys = {package["id"]: (package["name"], package["version"]) for package in whole["packages"]}
    needs = {
        node["id"]: {keys[need["pkg"]] for need in node["deps"] if any(kind["kind"] != "dev" for kind in need["dep_kinds"])} for node in whole["resolve"]["nodes"]
    }
    return {keys[package["id"]]: {**package, "needs": needs.get(package["id"], set())} for package in whole["packages"]}


def reached(packages, edges):
    """{(name, version)} of what cargo reaches from these packages of ours along these edges, themselves included."""
    named = [word for package in packages for word in ("-p", package)]
    tree = cargo("tree", *named, "--edges", edges, "--target", TARGET, "--prefix", "none", "--no-dedupe", "--format", "{p}")
    words = (line.split() for line in tree.splitlines() if line)
    return {(word[0], word[1].removeprefix("v")) for word in words}


def own_files(tracked):
    """Tracked files a build of the shipped programs reads, besides the packages of Cargo.lock."""
    everything = metadata()
    ours = reached(PROGRAMS.values(), "normal,build")
    folders = [pathlib.Path(everything[key]["manifest_path"]).parent.relative_to(ROOT) for key in ours if everything[key]["source"] is None]
    inside = [path for path in tracked if any(path.startswith(f"{folder}/") and not NOT_BUILT.search(path) for folder in folders)]
    return sorted({*inside, "Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo/config.toml"})


def tracked_files():
    """Files of the tree: tracked ones and new ones git does not ignore."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted(path for path in set(listed.stdout.splitlines()) if (ROOT / path).is_file())
