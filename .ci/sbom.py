#!/usr/bin/env python3
"""The bill of materials of the shipped programs, and the list of their licences.

Decides: `deploy/sbom/<program>.cdx.json` (CycloneDX 1.5) names every package that is linked into the program or runs while it is built, with version, source,
checksum and licence; `deploy/sbom/LICENCES.md` lists licences; every one of them is met by deny.toml's list. `--check` fails when the files are not what the tree
makes, `--write` writes them, `--texts FILE` gathers the licence texts that go along with published programs.
Trusts: Cargo.lock's checksums and the licence each package declares. Out of scope: the standard library's own parts (named as one component, with the toolchain),
the C library a program is linked with, the guest image's kernel (its digest is in image.json).
"""
import argparse
import hashlib
import json
import pathlib
import re
import sys
import tomllib
import uuid

import shipped
import sources

FOLDER = shipped.ROOT / "deploy/sbom"
TEXTS = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "ringwall-sbom")


def purl(key):
    """A package's name in the whole world."""
    return f"pkg:cargo/{key[0]}@{key[1]}"


def component(package, checksums, linked):
    """One package as CycloneDX names it. What only runs during a build is `excluded`: no byte of it is shipped."""
    name, version = package["name"], package["version"]
    reference = purl((name, version))
    row = {"type": "library", "bom-ref": reference, "name": name, "version": version, "scope": "required" if linked else "excluded"}
    if checksum := checksums.get((name, version)):
        row["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    row["licenses"] = [{"expression": spdx(package["license"])}]
    row["purl"] = reference
    if package.get("repository"):
        row["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return row


def spdx(expression):
    """A declared licence as an SPDX expression: `/` is an old OR."""
    return re.sub(r"\s*/\s*", " OR ", expression)


def toolchain():
    """The standard library, which is in every program."""
    channel = tomllib.loads((shipped.ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    return {
        "type": "framework", "bom-ref": f"rust-std@{channel}", "name": "rust-std", "version": channel, "scope": "required",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
    }


class Tree:
    """What is locked, and which of it goes where."""

    def __init__(self):
        self.packages = shipped.metadata()
        locked = tomllib.loads((shipped.ROOT / "Cargo.lock").read_text())["package"]
        self.checksums = {(entry["name"], entry["version"]): entry["checksum"] for entry in locked if "checksum" in entry}
        self.linked = {program: shipped.reached([package], "normal,no-proc-macro") for program, package in shipped.PROGRAMS.items()}
        self.built = {program: shipped.reached([package], "normal,build") for program, package in shipped.PROGRAMS.items()}

    def bill(self, program):
        """The bill of one program. Its number is made of its contents, so the same tree gives the same file."""
        own = self.packages[next(key for key in self.linked[program] if key[0] == shipped.PROGRAMS[program])]
        keys = sorted(self.built[program] - {(own["name"], own["version"])})
        components = [component(self.packages[key], self.checksums, key in self.linked[program]) for key in keys] + [toolchain()]
        inside = self.built[program]
        needs = [{"ref": purl(key), "dependsOn": sorted(map(purl, self.packages[key]["needs"] & inside))} for key in sorted(inside)]
        whole = {
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "component": {
                    "type": "application", "bom-ref": purl((own["name"], own["version"])), "name": program, "version": own["version"],
                    "licenses": [{"expression": own["license"]}],
                },
                "properties": [{"name": "target", "value": shipped.TARGET}],
            },
            "components": components,
            "dependencies": needs,
        }
        number = uuid.uuid5(NAMESPACE, json.dumps(whole, sort_keys=True))
        return {"bomFormat": whole.pop("bomFormat"), "specVersion": whole.pop("specVersion"), "serialNumber": f"urn:uuid:{number}", **whole}

    def licences(self):
        """The list, as a page."""
        everything = set().union(*self.built.values())
        by_licence = {}
        for key in sorted(everything):
            if self.packages[key]["source"] is not None:
                by_licence.setdefault(spdx(self.packages[key]["license"]), []).append(f"{key[0]} {key[1]}")
        lines = ["# Licences of what the shipped programs are made of", "", "Made by `cargo xtask sbom --write`. Ours: Apache-2.0.", ""]
        lines += [line for expression, names in sorted(by_licence.items()) for line in (f"## {expression}", "", ", ".join(names) + ".", "")]
        return "\n".join(lines)

    def refused(self):
        """Packages whose licence deny.toml does not allow. Exceptions there are for what is never shipped, so none counts here."""
        allow = set(tomllib.loads((shipped.ROOT / "deny.toml").read_text())["licenses"]["allow"])
        keys = sorted(set().union(*self.built.values()))
        return [f"{name} {version} has licence {self.packages[name, version]['license'] or 'none'}" for name, version in keys if not sources.allowed(self.packages[name, version]["license"] or "none", allow)]

    def without_checksum(self):
        """Packages from elsewhere that Cargo.lock has no checksum of."""
        keys = set().union(*self.built.values())
        return [f"{name} {version} has no checksum" for name, version in sorted(keys) if self.packages[name, version]["source"] and (name, version) not in self.checksums]

    def texts(self):
        """Licence texts of everything that is linked, each once, with the packages it came with; and the packages that come with none, by name."""
        found, without = {}, []
        for key in sorted(set().union(*self.linked.values())):
            package = self.packages[key]
            folder = pathlib.Path(package["manifest_path"]).parent
            if package["source"] is None:
                continue
            own = [path for path in sorted(folder.iterdir()) if path.is_file() and TEXTS.match(path.name)]
            if not own:
                without.append(f"{key[0]} {key[1]}: {spdx(package['license'])}, {package.get('repository') or 'no repository named'}\n")
            for path in own:
                text = path.read_text(errors="replace").strip() + "\n"
                found.setdefault(hashlib.sha256(text.encode()).hexdigest(), (text, []))[1].append(f"{key[0]} {key[1]} ({path.name})")
        rule = "=" * 80 + "\n"
        texts = "".join(f"{rule}{', '.join(names)}\n{rule}\n{text}\n" for text, names in found.values())
        return texts + (f"{rule}Packages that come without a text: add the one of the licence they declare\n{rule}\n{''.join(without)}" if without else "")


def main():
    parser = argparse.ArgumentParser(description="Bill of materials and licences of the shipped programs.")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--texts", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    sources.prove()
    tree = Tree()
    made = {f"{program}.cdx.json": json.dumps(tree.bill(program), indent=1) + "\n" for program in shipped.PROGRAMS}
    made["LICENCES.md"] = tree.licences()
    bad = tree.refused() + tree.without_checksum()
    if options.write:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (FOLDER / name).write_text(text)
    if options.texts:
        options.texts.write_text(tree.texts())
    stale = [name for name, text in made.items() if not (FOLDER / name).is_file() or (FOLDER / name).read_text() != text]
    bad += [f"deploy/sbom/{name} is not what the tree makes; `cargo xtask sbom --write` writes it" for name in stale if options.check]
    for line in bad:
        print(f"sbom: {line}", file=sys.stderr)
    counts = ", ".join(f"{program}: {len(tree.linked[program])} linked, {len(tree.built[program])} in its build" for program in shipped.PROGRAMS)
    print(f"sbom: {counts}; {len(bad)} complaints")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
