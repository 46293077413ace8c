import os
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass, replace

import pytest
from PIL import Image

from narrowgauge.hw.network.file import save
from narrowgauge.hw.network.layers import Size
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.model.data import load
from narrowgauge.model.integers.reference import accuracy, evaluate
from narrowgauge.model.zoo import networks as zoo
from narrowgauge.scripts.cli import main

from ..hw.networks import random_network
from .sweeps.sweeping import ON_XC7, FakeYosys, write_plan

COMMAND = (sys.executable, "-c", "from narrowgauge.scripts.cli import main; main()")
PROGRESS = re.compile(r".+: \d+\.\d s\b.*")


@dataclass
class Finished:
    """What a command left behind."""

    status: int
    out: str
    err: str

    def fails_with(self, status, *words):
        """One line that says all of ``words``, the exit status, and no result."""
        lines = [line for line in self.err.splitlines() if not PROGRESS.fullmatch(line)]
        assert self.status == status, self.err
        assert len(lines) == 1, self.err
        assert lines[0].startswith("narrowgauge: ")
        for word in words:
            assert word in lines[0]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Results go to a folder of this test; the tools' own cache stays where it is."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(folder))
    return folder


@pytest.fixture
def invoke(cache, monkeypatch, capsys):
    """Run a command in this process, through ``main``."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["narrowgauge", *map(str, arguments)])
        capsys.readouterr()
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            main()
        return Finished(int(ended.value.code or 0), *capsys.readouterr())

    return run


def run_command(*arguments, **environment):
    """Run a command in a process of its own."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def command(cache):
    """Run a command in a process of its own, with the test's cache."""
    return run_command


def write_network(
    path, family=("int4", "uint4", "uint4"), widths=(64, 4, 10), bits=14, overflow="wrap"
):
    """A network file of random integers that takes the digits."""
    network = random_network(1, family, widths, Accumulator(bits, overflow))
    save(replace(network, about={"dataset": "digits"}), path)
    return path


def write_images(root, shade=0):
    """A folder of images, one of each class and half; the data set's name."""
    for part in ("train", "test"):
        for number, name in enumerate(("dark", "light")):
            folder = root / part / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (shade, 100 * number, 0)).save(folder / "0.png")
    return f"folder:{root}@4"


@pytest.fixture
def network_file(tmp_path):
    return write_network(tmp_path / "small.safetensors")


CARD = {
    "dataset": "digits",
    "network": "mlp",
    "weight": "int4",
    "activation": "uint4",
    "accuracy_float": 0.5,
    "command": "narrowgauge train --weight int4 -o digits-tiny-int4.safetensors",
    "seed": 0,
    "epochs": 1,
    "seconds": 1.5,
    "device": "cpu",
}


def tiny_network():
    """A network of random integers with a card, whose accuracy is the true one."""
    network = random_network(1, ("int4", "uint4", "uint4"), (64, 4, 10), Accumulator(14))
    network = replace(network, input_size=Size(8, 8, 1))
    digits = load("digits")
    levels = digits.levels(digits.test_images, network.input)
    share = accuracy(evaluate(network, levels, 4), digits.test_labels)
    about = {**CARD, "accuracy_reference": share}
    return replace(network, name="digits-tiny-int4", about=about)


def with_about(network, **about):
    """The same network with something else on its card."""
    return replace(network, about={**network.about, **about})


@pytest.fixture
def small_zoo(tmp_path, monkeypatch):
    """A zoo of one tiny network, ``digits-tiny-int4``; its folder."""
    folder = tmp_path / "zoo"
    monkeypatch.setattr(zoo, "folder", lambda: folder)
    save(tiny_network(), folder / "digits-tiny-int4.network")
    return folder


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Commands of this test find this in place of Yosys, in this process and in others."""
    fake = FakeYosys(tmp_path / "fake")
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    return fake


@pytest.fixture
def plan(tmp_path):
    return write_plan(tmp_path / "plan.toml", ON_XC7)


@pytest.fixture
def sweep(invoke, tmp_path):
    """Run a sweep in this process; its rows are in the folder ``out``."""

    def run(plan, *options):
        return invoke("sweep", plan, "--output", tmp_path / "out", *options)

    return run
