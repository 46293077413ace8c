import pytest

from narrowgauge.hw.errors import FitError, GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.synth import build
from narrowgauge.hw.synth.build import accelerator_for, cost
from narrowgauge.hw.synth.family import ICE40
from narrowgauge.hw.synth.placement import check_memories, memory_use
from narrowgauge.hw.synth.targets import target
from narrowgauge.hw.tools.store import Store

from ..networks import random_convnet, random_network


def accelerator(widths, device):
    network = random_network(1, ("int8", "uint8", "uint8"), widths, Accumulator(24))
    return accelerator_for(Program(network, Geometry(2, 2, 4)), target(device))


def test_weights_beyond_the_memories_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "measure", pytest.fail)
    device = target("hx8k")
    with pytest.raises(FitError, match=r"memories need at least \d+ of 32 block RAMs") as error:
        cost(accelerator([256, 128, 10], "hx8k"), device, Store(tmp_path / "store"))
    assert "(weights 68, row buffers 4, activations 4)" in str(error.value)
    assert "layer layer0 has the largest tensors, 262,144 bits of weights" in str(error.value)
    assert "take a smaller network, narrower weights or a larger target" in str(error.value)


def test_tensors_beyond_the_memories_are_refused_at_once():
    spec = (Size(24, 24, 2), ("conv", 16, Window((3, 3)), 1), ("average", None), ("dense", 4))
    network = random_convnet(1, ("int8", "uint8", "uint8"), spec, Accumulator(24))
    program = Program(network, Geometry(2, 2, 4))
    with pytest.raises(FitError, match=r"\(activations \d+, row buffers \d+, weig") as error:
        check_memories(program, target("up5k"))
    assert "layer layer0 has the largest tensors, 2,304 bits of weights" in str(error.value)
    assert "an output of 22x22x16, 61,952 bits; take fewer lanes, --contexts 1, --batch 1" in str(
        error.value
    )
    check_memories(program, target("ecp5-25k"))


def test_every_memory_of_a_program_is_in_its_use():
    program = accelerator([64, 64, 32, 10], "up5k").program
    use = {each.name: each for each in memory_use(program, target("up5k"))}
    assert set(use) == {"weights", "activations", "row buffers", "parameters", "outputs"}
    buffers = use["row buffers"]
    assert (buffers.count, buffers.width, buffers.depth, buffers.blocks) == (2, 32, 32, 4)
    assert buffers.filled == 2 * 32 * 32 / (4 * 4096)
    assert (use["weights"].width, use["weights"].blocks) == (64, 16)
    assert not use["outputs"].certain  # 480 bits may become logic


def test_the_requantiser_takes_a_dsp_block_where_there_is_one():
    built = accelerator([8, 8, 4], "up5k").implementation
    assert built.requantize_dsp
    assert not built.fabric.blocks.used
    assert not accelerator([8, 8, 4], "hx8k").implementation.requantize_dsp


def test_the_array_takes_blocks_first():
    widths, narrow = [8, 8, 4], Geometry(4, 4, 1)
    network = random_network(1, ("int8", "uint8", "uint8"), widths, Accumulator(16))
    made = accelerator_for(Program(network, narrow), target("up5k"), multiplier="block")
    assert made.implementation.fabric == ICE40.fabric.using_blocks(8)
    assert not made.implementation.requantize_dsp, "16 elements are 8 blocks"
    smaller = Program(network, Geometry(2, 2, 1))
    made = accelerator_for(smaller, target("up5k"), multiplier="block")
    assert not made.implementation.requantize_dsp, "Yosys would spoil the array's"
    packed = accelerator_for(Program(network, narrow), target("ecp5-25k"), multiplier="block")
    assert packed.implementation.requantize_dsp, "16 of 28"
    signs = random_network(1, ("bipolar", "bipolar", "uint8"), widths, Accumulator(16))
    made = accelerator_for(
        Program(signs, Geometry(2, 2, 32)), target("ecp5-25k"), multiplier="block"
    )
    assert made.implementation.requantize_dsp, "the array has no products: all 28 are left"
    with pytest.raises(GeometryError, match="hx8k has no DSP blocks"):
        accelerator_for(smaller, target("hx8k"), multiplier="block")
    with pytest.raises(GeometryError, match="a multiplier is logic or block, not 'dsp'"):
        accelerator_for(smaller, target("up5k"), multiplier="dsp")
