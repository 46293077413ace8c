"""`narrowgauge board` and `narrowgauge infer`, which talks to it."""

import json
import signal
import subprocess

import numpy as np
import pytest

from narrowgauge.boards.proof import VirtualBoard
from narrowgauge.boards.proof.virtual import virtual_device
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.file import load, save
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.data import load as load_dataset
from narrowgauge.model.integers.reference import evaluate

from ...hw.networks import random_exits, random_images
from ..conftest import COMMAND, write_network

pytestmark = pytest.mark.slow
ARRAY = ("--rows", "2", "--columns", "1", "--lanes", "1")


@pytest.fixture(scope="module")
def network_path(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("board") / "small.safetensors")


@pytest.fixture(scope="module")
def board(network_path):
    """The port of a virtual board, in a process of its own."""
    process = subprocess.Popen(
        [*COMMAND, "board", str(network_path), "--virtual", *ARRAY]
        + ["--multiplier", "block", "--noise", "0.0005"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors.splitlines()[-1].startswith("stopped after ")


@pytest.fixture(scope="module")
def expected(network_path):
    network, dataset = load(network_path), load_dataset("digits")
    levels = dataset.levels(dataset.test_images[:50], network.input).reshape(50, network.inputs)
    return levels, evaluate(network, levels, 1)


def test_a_test_set_is_classified(board, network_path, expected, invoke):
    _, result = expected
    finished = invoke("infer", board, "digits", "--network", network_path, "--images", 50, "--json")
    assert finished.status == 0, finished.err
    found = json.loads(finished.out)
    labels = load_dataset("digits").test_labels[:50]
    assert found["labels"] == result.labels.tolist()
    assert found["accuracy"] == (result.labels.numpy() == labels).mean()
    assert (found["network"], found["images"], found["array"]) == ("random", 50, "2x1x1")
    assert found["sent"] - found["retries"] - found["timeouts"] >= 50


def test_images_of_a_file_are_classified(board, network_path, expected, invoke, tmp_path):
    levels, result = expected
    np.savez(tmp_path / "images.npz", images=levels, labels=result.labels.numpy())
    finished = invoke("infer", board, tmp_path / "images.npz", "--levels", "--json")
    found = json.loads(finished.out)
    assert found["levels"] == result.levels.tolist()
    assert found["accuracy"] == 1
    text = invoke("infer", board, tmp_path / "images.npz").out
    assert text.startswith("50 images, 100.00 % right; ")
    named = ("--network", network_path, "--tries", 20)
    assert invoke("infer", board, tmp_path / "images.npz", *named).out.startswith("50 images, 100.")


def test_images_between_levels_are_refused(board, expected, invoke, tmp_path):
    levels, _ = expected
    np.save(tmp_path / "images.npy", levels + 0.9)
    finished = invoke("infer", board, tmp_path / "images.npy")
    finished.fails_with(1, "images.npy: input levels are integers")
    assert not finished.out


def test_a_bitstream_of_another_network_is_told(board, invoke, tmp_path):
    other = write_network(tmp_path / "other.safetensors", ("int4", "uint4", "int4"))
    finished = invoke("infer", board, "digits", "--network", other)
    finished.fails_with(1, board, "its bitstream is of another network")
    assert not finished.out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["infer", "/dev/nowhere", "digits"], 1, ["/dev/nowhere: there is no such port"]),
        (["infer", "PORT", "nope"], 1, ["'nope'", "digits"]),
        (["infer", "PORT", "digits", "--network", "nowhere"], 1, ["nowhere: no such file"]),
        (["infer", "PORT", "nowhere.npy"], 1, ["nowhere.npy", "cannot be read"]),
        (["infer", "PORT"], 2, ["IMAGES"]),
        (["infer", "PORT", "digits", "--timeout", "0"], 2, ["--timeout"]),
        (["infer", "PORT", "digits", "--timeout", "inf"], 2, ["--timeout", "<=3600"]),
        (["infer", "PORT", "digits", "--timeout", "nan"], 1, ["a timeout is up to 3600 s"]),
        (["infer", "PORT", "digits", "--tries", "0"], 2, ["--tries"]),
        (["infer", "PORT", "digits", "--baud", "99999999999"], 2, ["--baud", "<=100000000"]),
        (["infer", "loop://?logging=zzz", "digits"], 1, ["cannot be opened at 1000000 baud"]),
        (["board", "nowhere", "--virtual"], 1, ["nowhere: no such file"]),
        (["board", "nowhere"], 2, ["--virtual"]),
        (["board", "nowhere", "--virtual", "--noise", "1"], 2, ["--noise"]),
        (["board", "nowhere", "--virtual", "--divisor", "3"], 2, ["--divisor"]),
    ],
)
def test_a_wrong_argument_is_one_line(board, invoke, arguments, status, words):
    finished = invoke(*(board if each == "PORT" else each for each in arguments))
    finished.fails_with(status, *words)
    assert not finished.out


def test_several_outputs_have_an_accuracy_each(tmp_path, invoke):
    spec, exits = (Size(2, 2, 1), ("conv", 2, Window((1, 1)), 1), ("dense", 4)), ("dense", 3)
    network = random_exits(
        4, ("int4", "uint3", "uint4"), spec, {"layer0": (exits, "int6")}, Accumulator(14)
    )
    save(network, tmp_path / "two")
    images = random_images(3, network, 5)
    right = evaluate(network, images, 1)
    np.savez(tmp_path / "data.npz", inputs=images, labels=right.labels[:, 1])
    program = Program(network, Geometry(2, 1, 1))
    with VirtualBoard(virtual_device(Accelerator(program))) as virtual:
        given = (virtual.port, tmp_path / "data.npz", "--json")
        named = json.loads(invoke("infer", *given, "--network", tmp_path / "two").out)
        assert named["accuracy"]["layer1"] == 1
        assert set(named["accuracy"]) == {"layer0_exit", "layer1"}
        found = json.loads(invoke("infer", *given, "--levels").out)
        assert (found["accuracy"]["output 1"], found["outputs"]) == (1, [3, 4])
        assert found["labels"] == named["labels"] == right.labels.tolist()
        assert found["levels"] == right.levels.tolist()
