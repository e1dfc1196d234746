"""Scenarios of a card that is scanned: a code before the camera, and a picture of one.

Decides: that the card that was scanned is the one the code says, and that the camera is let go afterwards. Trusts: qrencode for codes, which is nobody's code of ours; the browser's own pretended
camera, which plays a film of one. Out of scope: codes that cannot be read (`web_scenarios.py`, `garbage`), the reader (`client/web/tests/words.rs`).
"""
import shutil
import subprocess

from browser import Failed, Missing
from web_steps import *  # pylint: disable=wildcard-import,unused-wildcard-import  # steps are this file's vocabulary

FILM = "film.y4m"
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--use-file-for-fake-video-capture={profile}/" + FILM)
MODULE_PIXELS = 5
FRAMES = 5


def code(link):
    """A code as rows of brightness."""
    if not shutil.which("qrencode"):
        raise Missing("qrencode IS MISSING (Debian: apt-get install qrencode)")
    rows = subprocess.run(["qrencode", "-t", "ASCII", "-l", "L", "-m", "4", link], capture_output=True, text=True, check=True).stdout.splitlines()
    dots = [[0 if row[at:at + 1] == "#" else 255 for at in range(0, len(rows[0]), 2)] for row in rows]
    return [bytes(dot for dot in row for _ in range(MODULE_PIXELS)) for row in dots for _ in range(MODULE_PIXELS)]


def film(rows, path):
    """The code, held before a camera that sees a little more."""
    side = (len(rows) + 33) // 16 * 16
    before, left = (side - len(rows)) // 2, (side - len(rows[0])) // 2
    white = bytes([255]) * side
    seen = [white] * before + [white[:left] + row + white[left + len(row):] for row in rows]
    seen += [white] * (side - len(seen))
    frame = b"FRAME\n" + b"".join(seen) + bytes([128]) * (side * side // 2)
    path.write_bytes(f"YUV4MPEG2 W{side} H{side} F10:1 Ip A1:1\n".encode() + frame * FRAMES)


def scanned(stage, page, cluster, name):
    if comes_to(page, "card", ("read", "refused"), 30) != "read" or page.read("#card-cluster", "data-cluster") != cluster:
        raise Failed(f"{name}: another card was read: {told(page, 'card')}")
    stage.shot(name)


def scan(stage, picture):
    page = opened(stage)
    cluster = card(page)
    link = page.evaluate("import('/app/here.mjs').then(({ here }) => here.card.facts.link)")
    rows = code(link)
    anew(page)
    film(rows, stage.browser.profile / FILM)
    forget(page, "card")
    page.click("#card-scan")
    scanned(stage, page, cluster, "camera")
    if page.evaluate("document.querySelector('#card-video').srcObject !== null"):
        raise Failed("the camera goes on")
    anew(page)
    path = stage.browser.profile / "code.png"
    path.write_bytes(picture(len(rows[0]), len(rows), lambda x, y: rows[y][x]))
    forget(page, "card")
    page.attach("#card-picture", path)
    scanned(stage, page, cluster, "picture")
    checked(page)
