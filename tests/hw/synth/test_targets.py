import pickle
import re
from dataclasses import fields
from pathlib import Path

import pytest

from narrowgauge.hw.errors import ToolError
from narrowgauge.hw.synth.family import Family
from narrowgauge.hw.synth.targets import TARGETS, target


def test_an_unknown_target_lists_the_known_ones():
    with pytest.raises(ToolError, match="unknown target 'up9k'; targets are up5k, hx8k, ecp5-25k"):
        target("up9k")


@pytest.mark.parametrize("name", TARGETS)
def test_targets_are_data(name):
    assert target(name).name == name
    assert pickle.loads(pickle.dumps(target(name))) == target(name)
    absent = {"spram", "dsp"} if name == "hx8k" else set()
    packed = target(name).family.packed or {"lut", "ff", "bram", "dsp", "io"}
    assert target(name).budget.keys() - {"ff"} == {*packed} - {"ff"} - absent


def test_the_page_has_every_field_of_a_family():
    page = Path(__file__).parents[3] / "docs" / "adding-a-target.md"
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    described = [name for row in rows for name in re.findall(r"\w+", row)]
    assert sorted(described) == sorted(field.name for field in fields(Family))


def test_a_resource_may_be_several_kinds_of_cells():
    gowin, xc7 = target("gw1n-9").family, target("xc7").family
    assert gowin.count_mapped({"MULT9X9": 3, "MULT18X18": 1, "MULTALU18X18": 1})["dsp"] == 5
    assert gowin.count_packed({"MULT9X9": 2, "LUT4": 7}) == {"dsp": 1, "lut": 7}
    cells = {"RAMB18E1": 1, "RAMB36E1": 2, "LUT1": 1, "LUT6": 2, "LUT6_2": 3, "INV": 1, "RAM32M": 1}
    assert xc7.count_mapped(cells)["bram"] == 5
    assert xc7.count_mapped(cells)["lut"] == xc7.count_mapped(cells)["lut4"] == 11
    assert xc7.count_mapped({"LUT7": 1, "MUXF7": 3})["lut"] == 0


def test_a_selection_names_every_cell():
    assert target("up5k").family.selection("lut4", "ff") == "t:SB_LUT4 t:SB_DFF*"
    assert target("xc7").family.selection("bram") == "t:RAMB18E1 t:RAMB36E1"


def test_multiplier_blocks_are_inferred_only_where_asked_and_there():
    assert "-dsp" in target("up5k").synthesis(dsp=True)
    assert "-dsp" not in target("up5k").synthesis(dsp=False)
    assert target("hx8k").synthesis(dsp=True) == target("hx8k").synthesis(dsp=False)
    assert "-nodsp" in target("ecp5-25k").synthesis(dsp=False)
    assert "-nodsp" not in target("ecp5-25k").synthesis(dsp=True)
