"""What a device says of itself: enough to lay out weights for it."""

from dataclasses import replace

import pytest

from narrowgauge.boards.protocol.info import Info
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program

from ...hw.networks import random_network


@pytest.mark.parametrize("bits", [None, 2, 4])
def test_weights_are_laid_out_from_an_answer(bits):
    network = random_network(1, ("int4", "uint4", "uint4"), [6, 5, 3], Accumulator(20))
    program = Program(network, Geometry(2, 2, 2, slice=bits), any_weights=True)
    said = Info.of(program, loads_weights=True, window=4, clock_frequency=12e6)
    info = Info.from_bytes(said.to_bytes())
    assert info == said
    assert info.geometry.slice == bits
    assert info.program(network).contents.weights == program.contents.weights
    if bits == 2:  # whole weights lie otherwise
        other = replace(info, sliced=False)
        assert other.program(network).contents.weights != program.contents.weights
