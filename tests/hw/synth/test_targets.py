import pickle

import pytest

from narrowgauge.hw.errors import ToolError
from narrowgauge.hw.synth.targets import TARGETS, target


def test_an_unknown_target_lists_the_known_ones():
    with pytest.raises(ToolError, match="unknown target 'up9k'; targets are up5k, hx8k, ecp5-25k"):
        target("up9k")


@pytest.mark.parametrize("name", TARGETS)
def test_targets_are_data(name):
    assert target(name).name == name
    assert pickle.loads(pickle.dumps(target(name))) == target(name)
    assert target(name).budget.keys() == target(name).family.packed.keys() - (
        {"spram", "dsp"} if name == "hx8k" else set()
    )


def test_multiplier_blocks_are_inferred_only_where_asked_and_there():
    assert "-dsp" in target("up5k").synthesis(dsp=True)
    assert "-dsp" not in target("up5k").synthesis(dsp=False)
    assert target("hx8k").synthesis(dsp=True) == target("hx8k").synthesis(dsp=False)
    assert "-nodsp" in target("ecp5-25k").synthesis(dsp=False)
    assert "-nodsp" not in target("ecp5-25k").synthesis(dsp=True)
