"""Shares of an array that a depthwise convolution uses."""

import json

import pytest

from narrowgauge.hw.geometry import Geometry
from narrowgauge.scripts.studies import depthwise
from narrowgauge.scripts.studies.depthwise import ceiling, share


@pytest.mark.parametrize(
    ("geometry", "most"),
    [
        (Geometry(1, 1, 1), 1),  # 9 products from 4.2 words: more than there are slots
        (Geometry(4, 1, 1), 9 / 4.2 / 4),
        (Geometry(2, 2, 2), 1 / 2),  # of 2 channels a word
        (Geometry(4, 4, 8, chains=4), 1 / 8),
        (Geometry(4, 4, 4, chains=4), 4 * 9 / 4.2 / 64),
        (Geometry(4, 4, 8), 9 / 128),  # a sum a cycle
    ],
    ids=str,
)
def test_ceilings_by_hand(geometry, most):
    assert ceiling(geometry, width=5, kernel=3) == pytest.approx(most)


def test_what_is_reached_is_below_the_ceiling(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(depthwise, "measure", lambda program, images: ([1.0, 2250.0], 0))
    row = share((1, 1, 1, 1), 2, 1)
    assert (row["fetch"], row["compute"]) == (1200, 2300)
    assert row["share"] == 1  # 125 positions of 2 channels, 9 products each
    path = tmp_path / "rows.json"
    options = ["--channels", "2", "--shares", "1x1x1x1,2x1x1x1", "--output", str(path)]
    assert depthwise.main(options) == 0
    assert [each["rows"] for each in json.loads(path.read_text())] == [1, 2]
    assert "1x1x1x1: 100.0% of the slots, of at most 100.0%" in capsys.readouterr().out
