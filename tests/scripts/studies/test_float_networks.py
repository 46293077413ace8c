"""The long run of float networks, on a network and an array small enough for it to be short."""

import json

import pytest

from narrowgauge.hw.geometry import Geometry
from narrowgauge.scripts.runs import checked
from narrowgauge.scripts.studies import __main__ as cli
from narrowgauge.scripts.studies import float_networks

from ...pages import floats
from ..commands.test_floats import half, nets

__all__ = ["half", "nets"]  # fixtures


@pytest.fixture
def simulate(half, tmp_path, monkeypatch):
    """Run the script on some images; its status, and the rows of its file."""
    monkeypatch.setattr(float_networks, "GEOMETRY", Geometry(1, 1, 1))
    output = tmp_path / "rows.json"

    def run(name=half, images="3"):
        status = cli.main(["float_networks", name, "--images", images, "--output", str(output)])
        return status, json.loads(output.read_text()) if output.exists() else []

    return run


def test_a_row_is_kept_and_shown_and_a_difference_is_an_error(simulate, monkeypatch, tmp_path):
    status, (row,) = simulate()
    assert (status, row["images"], row["mismatches"]) == (0, 3, 0)
    assert (row["weight"], row["total"], row["partial_sums"]) == ("fp16", "fp16", 4)
    assert row["command"].endswith(f"float_networks {row['network']}.safetensors --images 3")
    assert row["trained"].startswith("narrowgauge quantize ")
    monkeypatch.setattr(floats, "NETWORKS", tmp_path / "rows.json")
    assert "fp16, 4 partial sums | 3 | 0 |" in floats.networks()

    true = checked.evaluate

    def of_empty_images(network, images, lanes, **options):
        return true(network, 0 * images, lanes, **options)

    monkeypatch.setattr(checked, "evaluate", of_empty_images)
    status, (row,) = simulate(images="4")
    assert status == 1
    assert row["mismatches"] > 0


def test_a_network_of_integers_is_one_line(simulate, capsys):
    assert simulate("mnist-int2-64-64-64") == (1, [])
    assert "no network of floats" in capsys.readouterr().err
