"""A small device for all tests of the link, in simulation, and what its answers must be."""

from dataclasses import replace
from functools import cache

import numpy as np

from narrowgauge.boards.proof.simulation import SimulatedDevice
from narrowgauge.boards.proof.virtual import virtual_device
from narrowgauge.boards.protocol.frame import ANSWER, Decoder, Frame, Type, packed
from narrowgauge.hw.accelerator.implementation import Implementation
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Weighted
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.integers.reference import evaluate

from ..hw.networks import random_images, random_network

NETWORK = random_network(59, ("int4", "uint3", "int4"), (9, 4, 3), Accumulator(14))
OTHER = random_network(2, ("int4", "uint3", "int4"), (9, 4, 3), Accumulator(14))
PROGRAM = Program(NETWORK, Geometry(2, 1, 1))
QUIET = 1 << 17
"""Cycles after which nothing goes on, the longest silence within a frame included."""


def with_weights(network, change):
    """The same network with other weights: ``change`` takes those of a layer."""
    layers = [
        replace(each, weights=change(each.weights))
        for each in network.layers
        if isinstance(each, Weighted)
    ]
    return replace(network, name="changed", layers=tuple(layers))


# weights with which no sum goes far, and those with which sums do
NARROW = with_weights(NETWORK, np.zeros_like)
WIDE = with_weights(NETWORK, lambda weights: np.resize([7, 7, -8], weights.shape))


@cache
def device(*, loads=False, any_weights=False):
    """The device; its bits take 4 cycles. That for any weights was built for `NARROW`."""
    network = NARROW if any_weights else NETWORK
    program = Program(network, PROGRAM.geometry, any_weights=any_weights)
    built = Implementation(single_port=("weights",) if loads else ())
    return virtual_device(Accelerator(program, built))


def simulated(*, loads=False):
    """A new simulation of it."""
    return SimulatedDevice(device(loads=loads))


@cache
def expected(count):
    """Images, and the levels and labels that the reference gives."""
    images = random_images(3, NETWORK, count)
    result = evaluate(NETWORK, images, PROGRAM.geometry.lanes)
    return images, result.levels.numpy(), result.labels.numpy()


def request(kind, sequence, image=None):
    """The bytes of a request."""
    payload = b"" if image is None else packed(NETWORK.input.to_code(image), NETWORK.input.width)
    return Frame(kind, sequence, payload).to_bytes()


def answered(simulation, sent, *, quiet=2000):
    """The frames that answer ``sent``."""
    decoder = Decoder()
    frames = decoder.feed(simulation.exchange(sent, quiet=quiet))
    assert not decoder.damaged
    return frames


def levels_of(payload):
    """The levels and the label in the answer to `Type.RUN`."""
    codes = np.frombuffer(payload[:-1], "<u2").astype(int)
    return NETWORK.output.to_level(codes), payload[-1]


def is_alive(simulation, sequence=99):
    """Whether the next request is answered, and an image rightly."""
    images, levels, labels = expected(1)
    sent = request(Type.STATUS, sequence) + request(Type.RUN, sequence, images[0])
    frames = answered(simulation, sent, quiet=4000)
    if [(f.type, f.sequence) for f in frames] != [
        (kind | ANSWER, sequence) for kind in (Type.STATUS, Type.RUN)
    ]:
        return False
    found, label = levels_of(frames[1].payload)
    return (found == levels[0]).all() and label == labels[0]
