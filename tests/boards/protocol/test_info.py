"""What a device says of itself: enough to lay out weights for it."""

from dataclasses import replace

import pytest

from narrowgauge.boards.protocol.info import Info, device_digest, network_digest
from narrowgauge.hw.errors import LinkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.float_sum import FloatSum
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.program.layout import Program

from ...hw.formats import parse_float
from ...hw.networks import random_network, weighted, with_widths


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


def test_a_device_says_in_what_floats_it_sums():
    network = random_network(1, ("int4", "uint4", "uint4"), [6, 5, 3], Accumulator(20))
    program = Program(network, Geometry(2, 2, 2))
    integers = Info.of(program, loads_weights=True, window=4, clock_frequency=12e6)
    said = replace(integers, accumulator=FloatSum(parse_float("float6_10"), 3))
    said = replace(said, output=parse_float("float8_22"), weight=parse("fp32"))
    payload = said.to_bytes()
    assert Info.from_bytes(payload) == said
    with pytest.raises(LinkError, match="floats are summed in floats, not in int4"):
        Info.from_bytes(payload.replace(b"f6_10", b"int4\0"))
    with pytest.raises(LinkError, match="build its bitstream anew"):
        Info.from_bytes(payload[:-1])


def test_widths_of_channels_are_part_of_what_a_device_is():
    network = random_network(1, ("int8", "uint4", "uint4"), [6, 5, 3], Accumulator(20))
    network = with_widths(1, network, [2, 4, 8])
    first, *others = weighted(network)
    assert first.widths
    zeros = replace(first, weights=0 * first.weights)
    moved = replace(zeros, widths=first.widths[::-1])
    one, two = (replace(network, layers=(each, *others)) for each in (zeros, moved))
    geometry = Geometry(2, 2, 2, slice=2)
    programs = [Program(each, geometry, any_weights=True) for each in (network, one, two)]
    digests = [device_digest(each) for each in programs]
    assert digests[0] == digests[1] != digests[2]  # other weights, and other widths
    assert network_digest(one) != network_digest(two)
    info = Info.of(programs[0], loads_weights=True, window=4, clock_frequency=12e6)
    assert info.program(one).contents.weights == programs[1].contents.weights
