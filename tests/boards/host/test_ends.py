"""A board whose network has several outputs: each answers with its levels, and its class."""

import pytest

from narrowgauge.boards.host.driver import Driver
from narrowgauge.boards.proof.virtual import VirtualBoard, virtual_device
from narrowgauge.boards.protocol.frame import SEVERAL
from narrowgauge.boards.protocol.info import Info
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import LinkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.integers.reference import evaluate

from ...formal.proof import edit
from ...hw.networks import random_exits, random_images

FAMILY = ("int4", "uint3", "uint4")
SPEC = (Size(3, 3, 1), ("conv", 2, Window((2, 2)), 1), ("dense", 5))


def program_of(exits):
    return Program(random_exits(4, FAMILY, SPEC, exits, Accumulator(14)), Geometry(2, 1, 1))


CLASSES = program_of({"layer0": (("dense", 3), "int6")})
IMAGE = program_of({"layer0": (None, None)})


def test_each_output_comes_with_its_class(monkeypatch):
    network, images = CLASSES.network, random_images(3, CLASSES.network, 8)
    right = evaluate(network, images, 1)
    with (
        VirtualBoard(virtual_device(Accelerator(CLASSES))) as board,
        Driver(board.port, network=network, timeout=0.2) as driver,
    ):
        assert (driver.info.protocol, driver.info.ends) == (SEVERAL, ((3, 3), (5, 5)))
        for wanted in (True, False):
            done = driver.infer(images, levels=wanted)
            assert (done.labels == right.labels.numpy()).all()
            assert done.levels is None or (done.levels == right.levels.numpy()).all()
            assert (done.levels is None) == (not wanted)
        edit(monkeypatch, Driver, "_answer", "at = end", "at += size")
        assert (driver.infer(images).levels != right.levels.numpy()).any()


def test_values_come_beside_classes_whether_they_are_asked_for_or_not():
    network, images = IMAGE.network, random_images(3, IMAGE.network, 8)
    right = evaluate(network, images, 1)
    with (
        VirtualBoard(virtual_device(Accelerator(IMAGE))) as board,
        Driver(board.port, network=network, timeout=0.2) as driver,
    ):
        assert driver.info.ends == ((8, 0), (5, 5))
        for wanted in (True, False):
            done = driver.infer(images, levels=wanted)
            assert (done.levels == right.levels.numpy()).all()
            assert (done.labels == right.labels.numpy()).all()


def test_what_no_device_says_of_itself_is_refused():
    info = Info.of(CLASSES, loads_weights=False, window=2, clock_frequency=1e6)
    whole = info.to_bytes()
    assert Info.from_bytes(whole) == info
    with pytest.raises(LinkError, match="outputs have other levels than their sum"):
        Info.from_bytes(whole[:-4] + b"\4\0\0\0")
    for wrong in (whole[:-1], whole + b"\0", b"\1" + whole[1:], whole[: len(whole) - 9]):
        with pytest.raises(LinkError, match="versions 1 and 2"):
            Info.from_bytes(wrong)
