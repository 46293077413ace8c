"""A real signal to a real process, in every stage of ``run``: two seconds at most."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from narrowgauge.hw.tools import programs as tools

from ..conftest import write_network

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no signals")

SLOW = 4.0  # seconds: twice what is promised, on a machine that is busy; a stage takes a minute
STUB = """
import os, pathlib, subprocess, sys, time
if {stage} in sys.argv:
    pathlib.Path({mark!r}).write_text(str(os.getpid()))
    time.sleep(60)
raise SystemExit(subprocess.run([*{command}, *sys.argv[1:]]).returncode)
"""
COMMAND = "from narrowgauge.scripts.cli import main; main()"


def stub(folder, name, stage, mark):
    """A tool that hangs in one stage, and else is the real one."""
    path = folder / f"{name}.py"
    command = tools.find(name).command
    path.write_text(STUB.format(stage=stage, mark=str(mark), command=command))
    return {name.upper().replace("-", "_"): shlex.join([sys.executable, str(path)])}


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("train", signal.SIGINT),
        ("map", signal.SIGTERM),
        ("simulate", signal.SIGINT),
        ("route", signal.SIGTERM),
    ],
)
def test_an_interrupt_ends_every_stage(tmp_path, stage, number):
    mark = tmp_path / "mark"
    network = write_network(tmp_path / "n.safetensors", ("int4", "uint4", "uint4"), (64, 3, 10))
    options = ["--network", str(network), "--rows", "1", "--columns", "1"]
    options += ["--images", "450", "--engine", "amaranth"]
    variables = {"NARROWGAUGE_CACHE": str(tmp_path / "cache"), "PYTHONUNBUFFERED": "1"}
    if stage == "train":
        options = ["--widths", "2000,2000", "--epochs", "9999", "--formats", "int4", "--no-route"]
    elif stage == "simulate":
        options += ["--no-route"]
    elif stage == "map":
        options += ["--seeds", "1"]
        variables |= stub(tmp_path, "yosys", "'map.ys'", mark)
    elif stage == "route":
        variables |= stub(tmp_path, "nextpnr-ice40", "'--seed'", mark)
        options += ["--seeds", "1", "--images", "2"]
    with (tmp_path / "err").open("w+") as shown:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "run", *options, "--output", str(tmp_path / "results")],
            env=os.environ | variables,
            stdout=subprocess.DEVNULL,
            stderr=shown,
        )
        try:
            reached = {"train": "load PyTorch:", "simulate": "start yosys"}.get(stage)
            wait_for(lambda: said(tmp_path, reached) if reached else mark.exists(), process)
            time.sleep(0.5)
            began = time.monotonic()
            process.send_signal(number)
            status = process.wait(60)
            took = time.monotonic() - began
        finally:
            process.kill()
    assert status == 128 + number, (tmp_path / "err").read_text()
    assert took < SLOW
    assert said(tmp_path, "narrowgauge: interrupted; what was measured is kept, and the same")
    if stage != "train":
        (row,) = json.loads((tmp_path / "results" / "results.json").read_text())
        assert "failure" not in row
        assert ("mismatches" in row) == (stage == "route")  # what was measured is kept
    if mark.exists():
        wait_for(lambda: gone(int(mark.read_text())), None)


def said(folder: Path, words: str) -> bool:
    return words in (folder / "err").read_text()


def gone(process: int) -> bool:
    """Whether the tool was ended with what started it."""
    try:
        return "(zombie)" in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return True


def wait_for(condition, process) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process is None or process.poll() is None, "it ended early"
        assert time.monotonic() < deadline
        time.sleep(0.02)
