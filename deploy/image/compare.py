"""What an image will measure to, by our prediction and by a program that shares no code with it (sev-snp-measure, from PyPI).

Decides: both are given the same kernel, initrd, command line and firmware, for three types of vCPUs and two numbers of them, and have to say the same. `record` is
what a test without network compares later (measured.json; client/src/measure/tests.rs): digests of the artefacts, what the second program read out of the firmware,
what it computed, and the commands.
Trusts: the second program, by the digest of its package. Out of scope: registers of TDs, which it does not compute.
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys

VERSION = "0.0.13"
WHEEL = "feda1aebe69dcbf38e9c636ed1d082bb7dc741fc6969f197d39faddb72b2762d"
MODELS = ["EPYC-v4", "EPYC-Milan", "EPYC-Genoa"]
VCPUS = [2, 4]
# Asks the second program for what it reads in the firmware; arguments: the file.
FIRMWARE_PARTS = """
import json, sys
from sevsnpmeasure.ovmf import OVMF
from sevsnpmeasure.guest import calc_snp_ovmf_hash
ovmf = OVMF(sys.argv[1])
sections = [{"gpa": item.gpa, "bytes": item.size, "kind": item.section_type().value} for item in ovmf.metadata_items()]
print(json.dumps({"image": calc_snp_ovmf_hash(sys.argv[1]).hex(), "sections": sections, "hashes_table": ovmf.sev_hashes_table_gpa(), "ap_entry": ovmf.sev_es_reset_eip()}))
"""


class Differs(Exception):
    """The two programs do not say the same."""


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def second_program(folder):
    """The folder with the second program, or none where PyPI cannot be asked."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"sev-snp-measure=={VERSION} --hash=sha256:{WHEEL}\n")
    target = folder / "program"
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(target), "-r", str(wanted)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    if done.returncode:
        print(f"image: sev-snp-measure cannot be installed: {(done.stderr.strip().splitlines() or ['no word why'])[-1]}", flush=True)
        return None
    return target


def theirs(target, image, firmware, model, vcpus):
    """What the second program computes."""
    line = (image / "command_line").read_text().rstrip("\n")
    words = [sys.executable, str(target / "bin/sev-snp-measure"), "--mode", "snp", "--vcpus", str(vcpus), "--vcpu-type", model, "--ovmf", str(firmware)]
    words += ["--kernel", str(image / "vmlinuz"), "--initrd", str(image / "initrd"), "--append", line]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(target)})
    return done.stdout.strip()


def ours(ringwall, image, firmware, folder):
    """{(model, vCPUs): digest} as `ringwall measure` predicts."""
    file = folder / "measure.json"
    snp = {"firmware": str(firmware), "models": MODELS, "vcpus": VCPUS}
    file.write_text(json.dumps({"build_id": "image-test", "svn": 1, "image": str(image / "image.json"), "snp": snp}))
    done = subprocess.run([str(ringwall), "measure", str(file), "--json"], check=True, capture_output=True, text=True, timeout=120)
    return {(row["model"], row["vcpus"]): row["digest"] for row in json.loads(done.stdout)["snp"]}


def compared(ringwall, image, firmware, target, folder):
    """The record of a comparison in which both say the same."""
    predicted = ours(ringwall, image, firmware, folder)
    rows = []
    for model in MODELS:
        for vcpus in VCPUS:
            computed = theirs(target, image, firmware, model, vcpus)
            if predicted.get((model, vcpus)) != computed:
                raise Differs(f"{model} with {vcpus} vCPUs: we predict {predicted.get((model, vcpus))}, sev-snp-measure says {computed}")
            rows.append({"model": model, "vcpus": vcpus, "digest": computed})
    parts = subprocess.run([sys.executable, "-c", FIRMWARE_PARTS, str(firmware)], check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(target)})
    made = json.loads((image / "image.json").read_text())
    return {
        "made_by": [
            f"python3 -m pip install sev-snp-measure=={VERSION}",
            "cargo xtask image-test --record",
            "sev-snp-measure --mode snp --vcpus N --vcpu-type MODEL --ovmf OVMF.amdsev.fd --kernel vmlinuz --initrd initrd --append \"$(cat command_line)\"",
        ],
        "kernel_package": made["kernel_package"]["sha256"],
        "kernel": sha256(image / "vmlinuz"),
        "initrd": sha256(image / "initrd"),
        "command_line": made["command_line"],
        "firmware": {"sha256": sha256(firmware), **json.loads(parts.stdout)},
        "digests": rows,
    }


def write(record, path):
    pathlib.Path(path).write_text(json.dumps(record, indent=1) + "\n")
