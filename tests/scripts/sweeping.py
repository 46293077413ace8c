"""Tools and plans for the tests of sweeps."""

import json
import shlex
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# A job is named by the design that it maps; what the test's folder says decides how it ends.
FAKE = """
import hashlib, json, os, pathlib, sys, time
folder = pathlib.Path({folder!r})
if sys.argv[1:] == ["-V"]:
    print("Yosys 9.9")
    sys.exit()
design = pathlib.Path("design.il").read_text()
name = hashlib.sha256(design.encode()).hexdigest()
def log(event):
    with open(folder / "log", "a") as file:
        file.write(f"{{event}} {{name}} {{os.getppid()}}\\n")
log("begin")
time.sleep(float((folder / "seconds").read_text()))
broken = (folder / "broken").read_text().split(",")
if any(word and f"wire width {{word}} " in design for word in broken):
    sys.exit("ERROR: it broke")
large = (folder / "large").read_text().split(",")
count = 10**6 if any(word and f"wire width {{word}} " in design for word in large) else 1000
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
        self.say(broken="", large="", seconds="0")

    @property
    def environment(self):
        return {"YOSYS": shlex.join([sys.executable, str(self.folder / "yosys.py")])}

    def say(self, **files):
        """``broken`` and ``large``: widths of wires, between commas, of designs that end so."""
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


ON_XC7 = """
measure = "mac"
formats = ["bipolar", "int4"]
accumulator = [19, 23, 29]
target = "xc7"
"""
