import pytest

from narrowgauge.hw.accelerator.configure import (
    activation_memory_config,
    weight_memory_config,
)
from narrowgauge.hw.accelerator.memories import ActivationMemory, WeightMemory
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.synth.build import accelerator_for
from narrowgauge.hw.synth.measure import measure
from narrowgauge.hw.synth.placement import fits, memory_use, single_port, weight_room
from narrowgauge.hw.synth.shell import Shell
from narrowgauge.hw.synth.targets import target
from narrowgauge.hw.tools.store import Store

from ..networks import random_convnet, random_network

BITS = ("bipolar", "uint8", "bipolar")
BYTES = ("bipolar", "uint8", "uint8")


def lenet5(family):
    five, two = Window((5, 5)), Window((2, 2), (2, 2))
    spec = (
        Size(28, 28, 1), ("conv", 20, five, 1), ("max", two), ("conv", 50, five, 1), ("max", two),
        ("dense", 500), ("dense", 10),
    )  # fmt: skip
    return random_convnet(1, family, spec, Accumulator(20))


def test_what_block_ram_holds_stays_there():
    program = Program(random_network(1, BITS, [64, 64, 10], Accumulator(12)), Geometry(2, 2, 4))
    assert single_port(program, target("up5k")) == ()
    assert {use.kind for use in memory_use(program, target("up5k"))} == {"bram"}


def test_lenet5_in_bits_fits_a_up5k_with_its_weights_in_single_port_ram():
    program = Program(lenet5(BITS), Geometry(2, 4, 8), contexts=1, batch=1)
    assert single_port(program, target("up5k")) == ("weights",)
    use = {each.name: each for each in memory_use(program, target("up5k"))}
    assert (use["weights"].kind, use["weights"].blocks, use["weights"].width) == ("spram", 2, 32)
    assert use["weights"].filled == pytest.approx(13528 / 16384)
    assert accelerator_for(program, target("up5k")).loads_weights


def test_activations_move_before_weights():
    pool, five = Window((3, 3), (2, 2), (1, 1, 1, 1)), Window((5, 5), (1, 1), (2, 2, 2, 2))
    spec = (
        Size(32, 32, 3), ("conv", 32, five, 1), ("max", pool), ("conv", 32, five, 1),
        ("average", pool), ("conv", 64, five, 1), ("average", pool), ("dense", 10),
    )  # fmt: skip
    network = random_convnet(1, BYTES, spec, Accumulator(20))
    program = Program(network, Geometry(1, 2, 4), contexts=1, batch=1)
    assert single_port(program, target("up5k")) == ("activations",)
    assert not accelerator_for(program, target("up5k")).loads_weights


def test_where_nothing_helps_nothing_moves():
    program = Program(lenet5(("int4", "uint4", "uint4")), Geometry(2, 2, 4))
    assert not fits(program, target("up5k"))
    assert single_port(program, target("up5k")) == ()
    assert fits(program, target("ecp5-85k"))
    assert single_port(program, target("ecp5-85k")) == ()


@pytest.mark.parametrize("name", ["up5k", "hx8k", "ecp5-25k"])
def test_room_for_weights_is_the_most_that_fits(name):
    device = target(name)
    for network, geometry in (
        (lenet5(BITS), Geometry(2, 4, 8)),
        (random_network(1, BYTES, [64, 64, 10], Accumulator(16)), Geometry(2, 2, 4)),
    ):
        program = Program(network, geometry, contexts=1, batch=1)
        room = weight_room(program, device)
        program.weight_words = 0
        assert (room > 0) == fits(program, device)  # LeNet-5's activations do not fit every device
        if room:
            program.weight_words = room
            assert fits(program, device)
            program.weight_words = room + 1
            assert not fits(program, device)


@pytest.mark.parametrize("name", ["up5k", "ecp5-25k"])
def test_writable_weights_are_in_block_ram(name, tmp_path):
    network = random_network(1, ("int8", "uint8", "uint8"), [64, 64, 10], Accumulator(24))
    program = Program(network, Geometry(2, 2, 4), any_weights=True)
    store = Store(tmp_path / "store")
    device, memory = target(name), WeightMemory(weight_memory_config(program, loaded=True))
    measured = measure(Shell(memory), device, seeds=(), store=store)
    blocks = device.family.brams(*program.memories["weights"])
    assert (measured.spram or 0, measured.bram) == (0, blocks)
    assert single_port(program, device) == ()


@pytest.mark.parametrize(
    ("make", "blocks"),
    [
        (lambda program: ActivationMemory(activation_memory_config(program, single_port=True)), 2),
        (lambda program: WeightMemory(weight_memory_config(program, single_port=True)), 4),
    ],
    ids=["activations", "weights"],
)
def test_synthesis_finds_the_single_port_ram(make, blocks, tmp_path):
    network = random_network(1, ("int8", "uint8", "uint8"), [64, 64, 10], Accumulator(24))
    program = Program(network, Geometry(2, 2, 4))
    store = Store(tmp_path / "store")
    measured = measure(Shell(make(program)), target("up5k"), seeds=(), store=store)
    assert (measured.spram, measured.bram) == (blocks, 0)
