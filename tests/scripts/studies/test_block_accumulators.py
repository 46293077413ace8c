"""The study of 16-bit accumulators in DSP blocks, on a network small enough for it to be short."""

import json
from dataclasses import replace

import pytest

from narrowgauge.hw.network.file import save
from narrowgauge.hw.network.layers import Weighted
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.zoo import networks as zoo
from narrowgauge.scripts.runs import checked
from narrowgauge.scripts.studies import __main__ as cli

from ...pages import accumulators

NAME = "digits-tiny-int4"
ONE = {"network": "lenet5", "data": "mnist", "width": 0.5, "accuracy_float": 0.99, "built": None}
ONE |= {"formats": {"a": "int8/uint8", "b": "int8/uint8"}, "sum_bits": {"a": {"type": 24}}}
ONE |= {"images": 10_000, "simulated": None, "versions": {"numpy": "2"}, "command": "a study"}
NEAREST = {"method": "nearest", "needed": 22, "accuracy_wide": 0.99, "accuracy": 0.1}
NEAREST |= {"overflows": 1234}
ROUNDED = {"method": "rounded", "needed": 16, "accuracy_wide": 0.985, "accuracy": 0.985}
ROUNDED |= {"overflows": 0}


@pytest.fixture
def study(cache, small_zoo, tmp_path, capsys):
    """Run the study; its status, the rows of its file, and what it says of errors."""
    output = tmp_path / "rows.json"

    def run(*arguments):
        words = ["block_accumulators", *map(str, arguments), "--output", str(output)]
        try:
            status = cli.main(words)
        except SystemExit as ended:
            status = ended.code
        rows = json.loads(output.read_text()) if output.exists() else []
        return status, rows, capsys.readouterr().err

    return run


def test_a_trained_network_that_fits_runs_in_blocks(study, monkeypatch):
    status, (row,), _ = study(NAME, "digits", "--images", 3)
    assert status == 0
    assert (row["method"], row["overflows"], row["built"]) == ("trained", 0, None)
    assert row["needed"] == max(each["exact"] for each in row["sum_bits"].values()) <= 16
    assert row["accuracy"] == row["accuracy_wide"]
    assert (row["simulated"]["images"], row["simulated"]["mismatches"]) == (3, 0)
    assert row["formats"] == {"layer0": "int4/uint4", "layer1": "int4/uint4"}

    true = checked.evaluate
    monkeypatch.setattr(
        checked, "evaluate", lambda network, images, *a, **o: true(network, 0 * images, *a, **o)
    )
    status, (row,), said = study(NAME, "digits", "--images", 2)
    assert (status, row["simulated"]["mismatches"]) == (1, 2)
    assert "hardware differs" in said


def test_sums_that_do_not_fit_are_counted_and_wrap(study, small_zoo):
    network = zoo.load(NAME)
    first, last = network.layers
    assert isinstance(first, Weighted)
    bright = replace(first, weight=parse("int8"), weights=0 * first.weights + 127)
    save(replace(network, layers=(bright, last)), small_zoo / f"{NAME}.network")
    status, (row,), _ = study(NAME, "digits", "--images", 0)
    assert status == 0
    assert row["needed"] == 18  # 64 * 127 * 15
    assert row["overflows"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((NAME, "mnist"), f"{NAME} is of the data set digits, not mnist"),
        ((NAME, "digits", "--width=0.5"), f"--width is for float networks; {NAME} has its formats"),
        (("mlp", "digits", "--methods=best"), "there is no best; there are nearest, rounded, fit"),
        (("mlp", "digits", "--activations=e4m3"), "e4m3 is no integer, such as uint6"),
        (("mlp", "digits", "--images=-1"), "--images and --seeds are 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(study, arguments, said):
    status, rows, error = study(*arguments)
    assert (status, rows) == (2, [])
    assert said in error.splitlines()[-1]


def test_the_page_says_what_a_guarantee_is_worth(tmp_path, monkeypatch):
    built = {"lut": 2700, "dsp": 8, "bram": 20, "spram": 4, "fmax_mhz": 34.18}
    simulated = {"images": 200, "mismatches": 0, "cycles_per_image": 78_000}
    rounded = ONE | ROUNDED | {"built": built, "simulated": simulated}
    rounded |= {"formats": {"a": "int8/uint4"}}
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([rounded, ONE | NEAREST]))
    monkeypatch.setattr(accumulators, "BLOCKS", path)
    table, said, *_ = accumulators.blocks().split("\n\n")
    assert table.splitlines()[-1].endswith(
        "| 0 of 200 | 2700 LUT, 8 DSP, 20 block RAM, 4 SPRAM, 34.2 MHz, 438 images/s |"
    )
    assert "int8/uint8 needs 22 bits; on 16 of them 1,234 sums of 10,000 images wrap" in said
    assert said.endswith("Rounded for 16 bits, 98.50 %.")


def test_a_bit_costs_the_slope_of_the_line():
    assert accumulators.slope([(8, 10), (10, 14), (14, 22)]) == pytest.approx(2)
    row = {"weight": "int8", "activation": "uint8", "overflow": "wrap", "target": "up5k"}
    row |= {"lanes": 1, "multiplier": "logic"}
    rows = [row | {"accumulator_bits": bits, "lut": 40 + 3 * bits} for bits in (20, 24, 32)]
    assert accumulators._per_bit(rows) == "3.00 (100 to 136)"
