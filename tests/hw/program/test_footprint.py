"""Bits in memories and bits that move, against a simulation that counts them."""

import pytest
from amaranth.sim import Simulator

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.footprint import footprint
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.engine import Stimulus

from ..networks import random_convnet, random_images, random_network

FAMILY, WIDE = ("int4", "uint4", "uint4"), Accumulator(20)
SPEC = (Size(6, 6, 3), ("conv", 5, Window((3, 3)), 1), ("max", Window((2, 2), (2, 2))))


def convnet():
    return random_convnet(1, FAMILY, (*SPEC, ("dense", 3)), WIDE)


def counted(program, images):
    """Return words of weights that a simulation takes, and bits of activations that it writes."""
    accelerator = Accelerator(program)
    memory, control = accelerator.activation_memory, accelerator.sequencer.o_control
    codes = Stimulus(random_images(2, program.network, images)).codes(accelerator).ravel().tolist()
    requests = [memory.writer, memory.loader, *([memory.pool] if accelerator.pool else [])]
    segment = memory.config.width // memory.config.segments
    counts = [0, 0]

    async def feed(ctx):
        shape = accelerator.i.payload.shape()["last"]
        for index, code in enumerate(codes):
            last = (index == len(codes) - 1) << shape.offset
            ctx.set(accelerator.i.payload.as_value(), code | last)
            ctx.set(accelerator.i.valid, 1)
            await ctx.tick().until(accelerator.i.ready)
        ctx.set(accelerator.i.valid, 0)

    async def count(ctx):
        ctx.set(accelerator.o.ready, 1)
        ended = 0
        while ended < images:
            ended += ctx.get(accelerator.o.valid) and ctx.get(accelerator.o.payload.last)
            counts[0] += ctx.get(control.enable)
            for request in requests:
                granted = request is memory.writer or ctx.get(request.granted)
                counts[1] += granted and segment * ctx.get(request.enable).bit_count()
            await ctx.tick()

    simulator = Simulator(accelerator)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(count, background=False)
    simulator.run()
    return counts


@pytest.mark.parametrize("network", [convnet(), random_network(1, FAMILY, [10, 9, 3], WIDE)])
def test_a_simulation_takes_and_writes_as_much(network):
    program = Program(network, Geometry(2, 2, 4))
    images = program.images
    taken, written = counted(program, images)
    found = footprint(program)
    assert taken * program.memories["weights"][0] == images * found.weight_traffic
    assert written == images * (found.activation_traffic - found.activations_read)


def test_by_hand():
    """A dense network of 10-9-3 on 2x2 elements of 4 lanes, in contexts of two images."""
    found = footprint(Program(random_network(1, FAMILY, [10, 9, 3], WIDE), Geometry(2, 2, 4)))
    word = 4 * 4
    # both images of a context share a word of weights: 5 tiles of 3 steps, and 2 of 3
    assert found.weight_traffic == (5 * 3 + 2 * 3) / 2 * (2 * word)
    # three words arrive and are read; 9 codes are written two at a time, and read in three words
    assert found.activation_traffic == (3 + 3 + 10 / 4 + 3) * word
    assert found.activation_bits == (3 + 3) * word
