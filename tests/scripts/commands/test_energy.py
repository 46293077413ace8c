"""``narrowgauge energy``: what an image takes, and what is refused."""

import json

import pytest

from narrowgauge.scripts.runs import energies

from ...hw.sim.test_engines import needs_compiler
from ..conftest import write_network

ARRAY = ("--rows", "1", "--columns", "1", "--lanes", "2", "--images", "6")


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--images", "0"], 2, ["--images"]),
        (["--images", "451"], 1, ["--images is 1 to 450", "not 451"]),
        (["--frequency", "0"], 2, ["--frequency"]),
        (["--frequency", "fast"], 2, ["--frequency", "'fast'"]),
        (["--target", "xc7"], 1, ["no energy on xc7", "on up5k", "relative units on hx8k, ecp5"]),
        (["--target", "hx8k", "--frequency", "9"], 1, ["--frequency is of energy", "relative"]),
        (["--target", "gw1n-9", "--seed", "2"], 1, ["--seed is of a placement", "gw1n-9"]),
        (["--target", "nope"], 2, ["'nope'"]),
    ],
)
def test_bad_input_is_one_line(invoke, network_file, options, status, words):
    finished = invoke("energy", network_file, *options)
    finished.fails_with(status, *words)
    assert not finished.out


def test_a_network_that_does_not_fit_is_told_with_numbers(invoke, tmp_path):
    path = write_network(tmp_path / "large.safetensors", widths=(64, 6000, 10))
    finished = invoke("energy", path, "--images", "1")
    finished.fails_with(1, "does not fit up5k", "of 30 block RAMs")


def test_a_network_that_is_not_there_is_named(invoke):
    invoke("energy", "nowhere").fails_with(1, "nowhere", "no such file")


@needs_compiler
@pytest.mark.slow
def test_energy_of_a_network(invoke, tmp_path, monkeypatch):
    path = write_network(tmp_path / "small.safetensors")

    def row(*options):
        return json.loads(invoke("energy", path, *ARRAY, *options, "--json").out)

    slow, fast = row("--frequency", "6"), row("--frequency", "12")
    assert (slow["target"], slow["images"], slow["frequency_mhz"]) == ("up5k", 6, 6)
    for each in (slow, fast):
        for name in ("value", "low", "high"):
            together = sum(part[name] for part in each["parts"])
            assert each["microjoules"][name] == pytest.approx(together)
            power = each["microjoules"][name] * each["images_per_second"] / 1000
            assert each["milliwatts"][name] == pytest.approx(power)
        assert all(part["low"] <= part["value"] <= part["high"] for part in each["parts"])
        assert all(part["rests_on"] for part in each["parts"])
    ours, others = ({p["part"]: p["value"] for p in each["parts"]} for each in (slow, fast))
    assert {"array", "feeder", "clock", "static", "activations, block RAM"} <= ours.keys()
    assert ours.pop("static") == pytest.approx(2 * others.pop("static"))
    assert ours == others  # an image takes as much, in half of the time

    said = invoke("energy", path, *ARRAY)
    assert "core, modelled" in said.out
    assert f"the placement reaches {slow['fmax_mhz']:.2f} MHz" in said.out
    assert "\na: " in said.out
    above = invoke("energy", path, *ARRAY, "--frequency", "200")
    above.fails_with(1, "--frequency 200", "routed clock", f"{slow['fmax_mhz']:.2f} MHz")

    monkeypatch.setattr(energies, "MEASURED", ())
    relative = row()
    assert "tiles of wire" in relative["unit"]
    assert "no energy" in relative["unit"]
    assert "microjoules" not in relative
    assert relative["value"] == pytest.approx(sum(part["value"] for part in relative["parts"]))
    assert relative["parts"][0]["part"] == "array"


@needs_compiler
@pytest.mark.slow
def test_other_families_have_toggles_alone(invoke, network_file):
    said = invoke("energy", network_file, *ARRAY, "--target", "ecp5-25k").out
    assert "settled toggles of mapped nets an image; no energy: without wires" in said
    assert "  array " in said
