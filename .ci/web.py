#!/usr/bin/env python3
"""Uses the page of `cargo demo --web` in a headless browser as people do, and as hosts, thieves and accidents do to them; looks at what it says.

Decides: what is started and ended, in which order scenarios run and that the world is in order again after one that disturbed it, what counts as passed; screenshots of every step
stay in a folder that is named where something failed. Times are told and decide nothing. Trusts: the demo to do what it is ordered to.
Out of scope: what the page has to show (`web_scenarios.py`), the browser (`browser.py`), building the module (`wasm.py`). docs/web.md.

  web.py                  the driver's own proofs, then every scenario
  web.py NAME...          these scenarios
  web.py list             their names
  web.py prove            the driver's own proofs alone
  web.py --demo PROGRAM   a demo that was built before, in place of `cargo demo`
  web.py --module FILE    a module that was built before, in place of building it
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import browser
import prove_browser
import web_scenarios
from browser import Failed

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILDS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
SHOTS = BUILDS / "web-shots"
START_SECONDS = 900  # for the demo: the module may have to be built
BUILD_SECONDS = 1200
ORDER_SECONDS = 240  # for the host to do what he is told: a recovery is three processes that die and come back
END_SECONDS = 20
ANSWER_BYTES = 64 << 20


def say(words):
    print(f"web: {words}", flush=True)


class Demo:
    """`cargo demo --web`, and its host. A context: it ends with it."""

    def __init__(self, words, folder):
        self.words, self.folder = words, folder
        self.running = None

    def __enter__(self):
        self.log = (self.folder / "demo.log").open("wb")
        # A group of its own: three nodes stand behind it.
        self.running = subprocess.Popen([*self.words, "--web", "--json", "--folder", self.folder / "demo"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, start_new_session=True)
        lines = []
        reader = threading.Thread(target=lambda: lines.append(self.running.stdout.readline(1 << 20)), daemon=True)
        reader.start()
        reader.join(START_SECONDS)
        try:
            self.told = json.loads(lines[0]) if lines and lines[0] else {"ok": False, "error": f"nothing was said in {START_SECONDS} s"}
        except ValueError:
            self.told = {"ok": False, "error": f"{lines[0][:400]!r}"}
        if not self.told["ok"]:
            self.__exit__()
            raise Failed(f"the demo did not start: {self.told['error']}\n{self.tail()}")
        self.url, self.papers = self.told["url"], pathlib.Path(self.told["papers"])
        return self

    def __exit__(self, *_):
        if self.running.poll() is None:
            os.killpg(self.running.pid, signal.SIGTERM)
            try:
                self.running.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                say(f"the demo did not end within {END_SECONDS} s of SIGTERM")
        browser.ended(self.running)
        self.log.close()

    def tail(self):
        return "\n".join((self.folder / "demo.log").read_text(errors="replace").splitlines()[-15:])

    def order(self, name, **more):
        """Tells the host something, as the page's own button does."""
        origin = self.url.rstrip("/")
        request = urllib.request.Request(f"{self.url}demo/{name}", json.dumps(more).encode(), {"Content-Type": "application/json", "Origin": origin})
        try:
            with urllib.request.urlopen(request, timeout=ORDER_SECONDS) as answer:
                said = json.loads(answer.read(ANSWER_BYTES))
        except urllib.error.HTTPError as fault:
            raise Failed(f"demo/{name}: {fault.code} {fault.read(1000)!r}") from fault
        if not said["done"]:
            raise Failed(f"demo/{name}: {said['words']}\n{self.tail()}")
        return said["words"]

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read(ANSWER_BYTES), answer.headers


class Stage:
    """One scenario's browser, its pages, and what a person would do in them."""

    def __init__(self, scenario, demo, running, folder):
        self.scenario, self.demo, self.browser, self.folder = scenario, demo, running, folder
        self.taken, self.notes = 0, []
        self.page = self.tab()

    def tab(self):
        page = self.browser.page(self.scenario.width)
        for source in self.scenario.first:
            page.first(source)
        return page

    def note(self, words):
        """Something that is told of a scenario that passed."""
        self.notes.append(words)

    def shot(self, name, page=None):
        self.taken += 1
        (page or self.page).screenshot(self.folder / f"{self.scenario.name}-{self.taken:02}-{name}.png")


def play(scenario, demo, folder, shots):
    """One scenario; words for what is wrong, if something is."""
    begun, stage = time.monotonic(), None
    with browser.Browser(folder / scenario.name, *(flag.format(profile=folder / scenario.name) for flag in scenario.flags)) as running:
        try:
            stage = Stage(scenario, demo, running, shots)
            scenario.play(stage)
            running.rest(0.3)
            running.no_errors(scenario.expected)
            running.local_only()
        except Failed as fault:
            try:
                stage and stage.shot("FAILED")
            except Failed:
                pass  # what failed first is what is told
            log = "\n    ".join(running.log[at] for at in range(max(0, len(running.log) - 25), len(running.log)))
            return f"{fault}\n  what the browser last asked for and said:\n    {log}", time.monotonic() - begun, []
    return None, time.monotonic() - begun, stage.notes


def played(scenarios, demo, folder, shots):
    failed = []
    for scenario in scenarios:
        fault, took, notes = play(scenario, demo, folder, shots)
        say(f"{scenario.name:<12} {took:6.1f} s  {'FAILED' if fault else 'ok'}  {scenario.words}")
        for note in notes:
            say(f"{'':<12}           {note}")
        if fault:
            failed.append(scenario.name)
            print(f"  {fault}\n  screenshots: {shots}/{scenario.name}-*.png\n  again: .ci/web.py {scenario.name}", flush=True)
        if scenario.disturbs:
            try:
                demo.order("straighten")
                demo.order("restore")
            except (Failed, OSError) as wrong:
                print(f"  after {scenario.name} the demo could not be put in order: {wrong}", flush=True)
                return [*failed, "restore"]
    return failed


def module():
    """The module of the page, with the roots of simulated nodes."""
    done = subprocess.run([sys.executable, ROOT / ".ci/wasm.py", "module"], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=BUILD_SECONDS)
    last = done.stdout.strip().splitlines()[-1:] or [""]
    if done.returncode or not last[0].startswith("wasm: module "):
        raise Failed("there is no module; what is missing stands above")
    return last[0].removeprefix("wasm: module ")


def run(scenarios, options):
    shutil.rmtree(SHOTS, ignore_errors=True)
    SHOTS.mkdir(parents=True)
    words = [options.demo] if options.demo else ["cargo", "demo"]
    words += ["--module", options.module or module()]
    with tempfile.TemporaryDirectory(prefix="ringwall-web-", ignore_cleanup_errors=True) as folder:
        folder = pathlib.Path(folder)
        with Demo(words, folder) as demo:
            say(f"{demo.url} serves cluster {demo.told['cluster'][:16]}..., module {demo.told['module'][:16]}...")
            failed = played(scenarios, demo, folder, SHOTS)
            if failed:
                shutil.copytree(folder / "demo", SHOTS / "demo", ignore=lambda _, names: [name for name in names if name != "cluster" and not name.endswith((".log", ".toml"))])
    if failed:
        say(f"FAILED: {', '.join(failed)}; screenshots and the nodes' logs are in {SHOTS}")
        return 1
    say(f"{len(scenarios)} scenarios passed; screenshots are in {SHOTS}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="Uses the page of `cargo demo --web` in a headless browser.")
    parser.add_argument("names", nargs="*", help="scenarios; `list` and `prove` are none")
    parser.add_argument("--demo", help="program of the demo")
    parser.add_argument("--module", help="module of the page")
    options = parser.parse_args()
    known = {scenario.name: scenario for scenario in web_scenarios.ALL}
    # Whoever ends this ends the browser and the nodes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        if options.names == ["list"]:
            for scenario in web_scenarios.ALL:
                print(f"{scenario.name:<12} {scenario.words}")
            return 0
        unknown = [name for name in options.names if name not in known and name != "prove"]
        if unknown:
            print(f"web: no scenario is called {unknown[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
            return 2
        if not options.names or "prove" in options.names:
            say(f"{prove_browser.prove()} rules of the driver were seen to bite")
        chosen = [scenario for scenario in web_scenarios.ALL if not options.names or scenario.name in options.names]
        return run(chosen, options) if chosen else 0
    except (Failed, browser.Missing) as fault:
        print(f"web: {fault}", file=sys.stderr)
    except (subprocess.SubprocessError, OSError) as fault:
        print(f"web: could not be played: {fault}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
