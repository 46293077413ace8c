"""The long run over test sets, on a network small enough for it to be short."""

import json

import pytest

from narrowgauge.scripts.runs import checked
from narrowgauge.scripts.studies import __main__ as cli

from ...pages import networks

NAME = "digits-tiny-int4"


@pytest.fixture
def simulate(cache, small_zoo, tmp_path):
    """Run the script; its status, and the rows of its file."""
    output = tmp_path / "testsets.json"

    def run(*arguments):
        status = cli.main(["testsets", *map(str, arguments), "--output", str(output)])
        return status, json.loads(output.read_text()) if output.exists() else []

    return run


def test_a_row_has_everything(simulate, monkeypatch):
    """Of one simulation of all images."""
    counts, true = [], checked.simulate_and_compare

    def counted(accelerator, levels, *arguments, **options):
        counts.append(len(levels))
        return true(accelerator, levels, *arguments, **options)

    monkeypatch.setattr(checked, "simulate_and_compare", counted)
    status, (row,) = simulate(NAME, "--images", 20)
    assert (status, counts) == (0, [20])
    assert (row["network"], row["images"], row["mismatches"]) == (NAME, 20, 0)
    assert (row["rows"], row["columns"], row["lanes"], row["chains"]) == (4, 4, 8, 2)
    assert row["command"] == f"python -m narrowgauge.scripts.studies testsets {NAME} --images 20"
    assert set(row["versions"]) == {"narrowgauge", "amaranth", "torch", "yosys"}
    assert [layer["layer"] for layer in row["layers"]] == ["layer0", "layer1"]
    assert row["accuracy_hardware"] == row["accuracy_reference"]
    assert round(20 * row["accuracy_hardware"]) == 20 * row["accuracy_hardware"]
    assert 0 < row["utilisation"] < 1


def test_repeated_it_simulates_nothing_and_keeps_one_row(simulate, monkeypatch):
    before = simulate(NAME, "--images", 20)
    monkeypatch.setattr(checked, "simulate_and_compare", pytest.fail)
    assert simulate(NAME, "--images", 20) == before


def test_a_difference_is_a_row_and_an_error(simulate, monkeypatch, capsys):
    true = checked.evaluate

    def of_empty_images(network, images, lanes, **options):
        return true(network, 0 * images, lanes, **options)

    monkeypatch.setattr(checked, "evaluate", of_empty_images)
    status, (row,) = simulate(NAME, "--images", 20)
    assert status == 1
    assert row["mismatches"] > 0
    assert "first difference: " in row["first_difference"]
    assert row["first_difference"] in capsys.readouterr().err


def test_an_unknown_network_is_one_line(simulate, capsys):
    assert simulate("nope") == (1, [])
    assert "no network of the zoo, which has digits-tiny-int4" in capsys.readouterr().err


def test_the_table_shows_the_rows(simulate, tmp_path, monkeypatch):
    simulate(NAME, "--images", 20)
    monkeypatch.setattr(networks, "TESTSETS", tmp_path / "testsets.json")
    text = networks.testsets()
    (line,) = [line for line in text.splitlines() if line.startswith(f"| `{NAME}` | 20 | 0 |")]
    assert "layer0" in line
    assert "Array of 4x4 elements with 8 lanes and 2 chains" in text
    monkeypatch.setattr(networks, "TESTSETS", tmp_path / "nowhere.json")
    assert networks.testsets() == "Nothing was simulated yet.\n"
