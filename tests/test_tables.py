"""The tables of docs/ that are made of result rows: what a field shows."""

import json

import pytest

from .pages import costs, elements, shapes

MAC = {"weight": "int4", "activation": "uint4", "accumulator_bits": 16, "lanes": 1, "tools": {}}
MAC |= {"multiplier": "logic", "target": "up5k", "lut": 76, "dsp": 0, "routed": True}
MAC |= {"fmax_mhz": 78.2, "fmax_mhz_min": 77.0, "fmax_mhz_max": 79.4, "seeds": [1, 2, 3]}
BLOCK = MAC | {"multiplier": "block", "lut": 5, "dsp": 1, "seeds": [1]}
XC7 = {name: value for name, value in MAC.items() if not name.startswith("fmax")}
XC7 |= {"target": "xc7", "routed": False}


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """The tables and the caption of these rows."""

    def made(*rows):
        path = tmp_path / "macs.json"
        path.write_text(json.dumps(rows))
        monkeypatch.setattr(costs, "MACS", path)
        return costs.macs().strip().split("\n\n")

    return made


def test_only_several_placements_have_a_range(tables):
    logic, blocks, caption = tables(MAC, BLOCK)
    assert "76 LUT<br>78 MHz (77 to 79) |" in logic
    assert "5 LUT, 1 DSP<br>78 MHz |" in blocks
    assert caption.startswith("Median and range of 3 placements, without a range of one; ")
    assert tables(MAC)[-1].startswith("Median and range of 3 placements; ")


def test_a_design_that_uses_no_block_is_not_among_the_blocks(tables):
    in_logic = XC7 | {"multiplier": "block"}
    _, blocks, _ = tables(MAC, XC7, BLOCK, in_logic)
    assert "xc7" not in blocks
    _, blocks, _ = tables(MAC, XC7, BLOCK, in_logic | {"dsp": 1, "lut": 18})
    assert blocks.splitlines()[-1].endswith("| 18 LUT, 1 DSP |")


def test_a_block_that_failed_is_still_there(tables):
    failed = {name: MAC[name] for name in ("weight", "activation", "accumulator_bits", "lanes")}
    failed |= {"target": "up5k", "multiplier": "block", "failure": "does not fit"}
    assert tables(MAC, failed)[1].splitlines()[-1].endswith("| failed |")


def test_lut4_before_packing_are_not_called_cells():
    cells = costs.PEAK_COLUMNS["cells"]
    assert cells({"lut": 1687, "lut4": 1005}) == "1,687"
    assert cells({"lut4": 3008}) == "3,008 LUT4"


def test_elements_have_products_a_cycle_and_1000_lut(tmp_path, monkeypatch):
    row = {"structure": "serial", "weight": "int8", "slice": 2, "accumulator_bits": 24, "lanes": 8}
    row |= {"target": "up5k", "lut": 320, "ff": 101, "fmax_mhz": 43.4, "seeds": [1], "routed": True}
    row |= {"tools": {"yosys": "0.70"}}
    row |= {"products": {"int8 x uint8": 2.0, "int4 x uint8": 4.0, "int2 x uint8": 8.0}}
    whole = row | {"structure": "whole", "weight": "int8", "lanes": 4, "lut": 160, "routed": False}
    whole |= {"products": {"int8 x uint8": 4.0}}
    del whole["slice"], whole["fmax_mhz"]
    path = tmp_path / "scalable.json"
    path.write_text(json.dumps([row, whole]))
    monkeypatch.setattr(elements, "SCALABLE", path)
    rates, placements, taken, _, ratios, _ = elements.scalable().split("\n\n")
    assert "| in time, summed together | 2 | 2 | 4 | 8 |  |  | 16 + 64 | 1 |" in rates
    assert "Fmax is of 1 placement each" in placements
    assert "| 320 LUT, 101 FF, 43 MHz<br>6.2, 12.5, 25.0, -, - |" in taken
    assert "| whole weights | 8 | 160 LUT, 101 FF<br>25.0, -, -, -, - |" in taken
    assert "| in time, summed together | 2 | whole weights, 8 | 2.00 |" in ratios


def test_figures_that_are_not_the_papers_own_are_marked(tmp_path, monkeypatch):
    row = {"part": "shape", "device": "here", "weights": "by channel", "bits": 6.4}
    rows = [
        row | {"network": "resnet18", "gmacs": 1.8, "images_per_second": 9.0, "tops": 0.03},
        row | {"network": "resnet152", "gmacs": 11.3, "images_per_second": 2.0, "tops": 0.045},
    ]
    path = tmp_path / "shapes.json"
    path.write_text(json.dumps(rows))
    monkeypatch.setattr(shapes, "SHAPES", path)
    lines = shapes.paper().splitlines()
    assert lines[0] == "|  | the paper, another device | here, here |"
    assert "| ResNet-18, images/s | 245 | 9 |" in lines
    assert "| ResNet-152, images/s | *50* | 2 |" in lines  # 1.13e12 / 2 / 11.3e9
    assert "| ResNet-18, TOPS | *0.882* | 0.03 |" in lines
    assert "| ResNet-152, weights smaller, times | 9.4 | 5 |" in lines
    assert lines[-1].endswith("| 1.28 | 1.50 |")
