"""Tools and plans for the tests of sweeps."""

import json
import shlex
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

# A job is named by the design that it maps; what the test's folder says decides how it ends.
FAKE = """
import hashlib, json, os, pathlib, signal, sys, time
folder = pathlib.Path({folder!r})
if sys.argv[1:] == ["-V"]:
    print("Yosys 0.70")
    sys.exit()
design = pathlib.Path("design.il").read_text()
name = hashlib.sha256(design.encode()).hexdigest()
def log(event):
    with open(folder / "log", "a") as file:
        file.write(f"{{event}} {{name}} {{os.getppid()}}\\n")
log("begin")
time.sleep(float((folder / "seconds").read_text()))
def has(what):
    words = (folder / what).read_text().split(",")
    return any(word and f"wire width {{word}} " in design for word in words)
if has("broken"):
    sys.exit("ERROR: it broke")
if has("killed"):
    os.kill(os.getpid(), signal.SIGKILL)
count = 10**6 if has("large") else 1000
cells = {{"design": {{"num_cells_by_type": {{"LUT4": count, "FDRE": 3}}}}}}
pathlib.Path("cells.json").write_text(json.dumps(cells))
pathlib.Path("netlist.json").write_text(json.dumps({{"of": name}}))
log("end")
"""


@dataclass
class FakeYosys:
    """A program in place of Yosys, quick and obedient; it keeps a log of its jobs."""

    folder: Path

    def __post_init__(self):
        self.folder.mkdir(parents=True)
        (self.folder / "yosys.py").write_text(FAKE.format(folder=str(self.folder)))
        (self.folder / "log").touch()
        self.say(broken="", killed="", large="", seconds="0")

    @property
    def environment(self):
        return {"YOSYS": shlex.join([sys.executable, str(self.folder / "yosys.py")])}

    def say(self, **files):
        """``broken``, ``killed``, ``large``: widths of wires of designs that end so: ``19,23``."""
        for name, text in files.items():
            (self.folder / name).write_text(text)

    def log(self, event):
        lines = (self.folder / "log").read_text().splitlines()
        return [line.split()[1:] for line in lines if line.startswith(f"{event} ")]

    def finished(self):
        """How often each design was mapped to the end."""
        return Counter(name for name, _ in self.log("end"))


def write_plan(path, text):
    path.write_text(text)
    return path


def rows_in(folder, name="plan"):
    return json.loads((folder / f"{name}.json").read_text())


def stored(cache):
    """The mappings in the store; one that is written again gets another row number."""
    with closing(sqlite3.connect(cache / "results.sqlite")) as store:
        return set(store.execute("SELECT rowid, key FROM results WHERE kind = 'mapped'"))


def lines(finished):
    """What the command says beside its progress."""
    return [line for line in finished.err.splitlines() if line.startswith("narrowgauge: ")]


ON_XC7 = """
measure = "mac"
formats = ["bipolar", "int4"]
accumulator = [19, 23, 29]
target = "xc7"
"""
