"""Weights over the link: loaded, replaced, and those that a device does not take."""

import numpy as np
import pytest

from narrowgauge.boards.host.driver import Driver
from narrowgauge.boards.proof.virtual import VirtualBoard
from narrowgauge.boards.protocol.info import device_digest, network_digest
from narrowgauge.hw.errors import LinkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.integers.reference import evaluate

from ...hw.networks import random_network
from ..linked import NARROW, NETWORK, OTHER, PROGRAM, WIDE, device, expected, with_weights


def test_weights_are_loaded_through_noise():
    images, levels, _ = expected(20)
    with VirtualBoard(device(loads=True), noise=2e-3) as board:
        with Driver(board.port, timeout=0.05, tries=50) as driver:
            with pytest.raises(LinkError, match=r"weights are not there.*UNREADY"):
                driver.infer(images)
            driver.load_weights(NETWORK)
            assert (driver.infer(images).levels == levels).all()
        with Driver(board.port, network=NETWORK, timeout=0.05, tries=50) as driver:
            assert (driver.infer(images).levels == levels).all()


def test_weights_are_replaced_by_those_of_another_network():
    images, levels, _ = expected(20)
    others = evaluate(WIDE, images, PROGRAM.geometry.lanes).levels.numpy()
    assert (others != levels).any()
    with VirtualBoard(device(any_weights=True)) as board:
        with Driver(board.port, network=WIDE) as driver:
            assert (driver.infer(images).levels == others).all()
            driver.load_weights(NETWORK)
            assert (driver.infer(images).levels == levels).all()
        with pytest.raises(LinkError, match=r"of another network .*weights alone are loaded"):
            Driver(board.port, network=OTHER)


def test_a_device_for_any_weights_is_wide_enough_for_them():
    def widths(network, *, any_weights):
        program = Program(network, PROGRAM.geometry, any_weights=any_weights)
        return [program.contents.total_width(mode) for mode in program.modes]

    needed = widths(WIDE, any_weights=False)
    assert np.minimum(widths(NARROW, any_weights=False), needed).tolist() != needed
    assert np.minimum(widths(NARROW, any_weights=True), needed).tolist() == needed


def test_weights_from_which_more_was_made_are_not_replaced():
    """Bit planes move biases by sums of weights, so those are no part of the weights alone."""
    network = random_network(3, ("bipolar", "uint4", "bipolar"), (9, 4, 3), Accumulator(14))

    def digest(network):
        return device_digest(Program(network, Geometry(2, 1, 1), any_weights=True))

    swapped = with_weights(network, lambda weights: weights[:, ::-1])
    assert network_digest(swapped) != network_digest(network)
    assert digest(swapped) == digest(network)
    assert digest(with_weights(network, lambda weights: -weights)) != digest(network)


def test_a_device_that_was_built_for_its_weights_takes_no_others():
    info = device(loads=True).info
    assert info.loads_weights
    assert not info.any_weights
    assert info.digest == network_digest(NETWORK) != network_digest(WIDE)
