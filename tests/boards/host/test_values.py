"""A board whose network gives an image: answers are levels, and there is no class."""

import pytest

from narrowgauge.boards.gateware.device import Device
from narrowgauge.boards.gateware.results import Results
from narrowgauge.boards.host.driver import Driver
from narrowgauge.boards.proof.virtual import VirtualBoard, virtual_device
from narrowgauge.boards.protocol.info import Info
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.integers.reference import evaluate

from ...formal.proof import edit
from ...hw.networks import random_convnet, random_images, random_network

SPEC = (Size(3, 3, 1), ("conv", 2, Window((2, 2)), 1))
NETWORK = random_convnet(4, ("int4", "uint3", "int4"), SPEC, Accumulator(14))


def answers_of(network, count=12, **wanted):
    """What a virtual board says, and the levels of the reference."""
    images = random_images(3, network, count)
    program = Program(network, Geometry(2, 1, 1))
    with (
        VirtualBoard(virtual_device(Accelerator(program))) as board,
        Driver(board.port, network=network, timeout=0.2) as driver,
    ):
        assert driver.info == Info.from_bytes(driver.info.to_bytes())
        return driver.info, driver.infer(images, **wanted), evaluate(network, images, 1).levels


@pytest.mark.parametrize("levels", [True, False])
def test_values_come_whether_they_are_asked_for_or_not(levels):
    info, done, right = answers_of(NETWORK, levels=levels)
    assert (info.outputs, info.classes) == (8, 0)
    assert done.labels is None
    assert (done.levels == right.numpy()).all()


def test_one_number():
    network = random_network(5, ("int4", "uint3", "int4"), (4, 1), Accumulator(14))
    _, done, right = answers_of(network, 5)
    assert done.labels is None
    assert (done.levels == right.numpy()).all()


def test_a_planted_fault_is_found(monkeypatch):
    edit(monkeypatch, Results, "_without_label", "word_select(byte, 8)", "word_select(0, 8)")
    _, done, right = answers_of(NETWORK)
    assert (done.levels != right.numpy()).any()


def test_an_output_that_is_too_large_for_an_answer_is_refused():
    spec = (Size(190, 190, 1), ("conv", 1, Window((1, 1)), 1))
    network = random_convnet(4, ("int4", "uint3", "int4"), spec, Accumulator(14))
    accelerator = Accelerator(Program(network, Geometry(1, 1, 1), contexts=1))
    with pytest.raises(GeometryError, match="gives 36100 levels in 72200 bytes, and an answer has"):
        Device(accelerator, clock_frequency=12e6)
