import pytest

from narrowgauge.hw.arithmetic import Accumulator
from narrowgauge.hw.array import Geometry
from narrowgauge.hw.errors import FitError
from narrowgauge.hw.program import Program
from narrowgauge.hw.synth import build
from narrowgauge.hw.synth.build import accelerator_for, cost
from narrowgauge.hw.synth.store import Store
from narrowgauge.hw.synth.targets import target

from ..networks import random_network


def accelerator(widths, device):
    network = random_network(1, ("int8", "uint8", "uint8"), widths, Accumulator(24))
    return accelerator_for(Program(network, Geometry(2, 2, 4)), target(device))


def test_weights_beyond_the_memories_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "measure", pytest.fail)
    device = target("up5k")
    with pytest.raises(FitError, match="weights alone need 68 of 30 block RAMs; take a smaller"):
        cost(accelerator([256, 128, 10], "up5k"), device, Store(tmp_path / "store"))


def test_the_requantiser_takes_a_dsp_block_where_there_is_one():
    assert accelerator([8, 8, 4], "up5k").requantize_dsp
    assert not accelerator([8, 8, 4], "hx8k").requantize_dsp
    assert not accelerator([8, 8, 4], "up5k").dsp
