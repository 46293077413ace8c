"""Result rows: every column is described once, and files, page and documentation agree."""

import csv
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from narrowgauge.hw.errors import FitError, ToolFailure
from narrowgauge.hw.synth.measure import Measurement
from narrowgauge.scripts.reporting.tables import TABLE, hover
from narrowgauge.scripts.rows.columns import ColumnError, Kind, columns_of
from narrowgauge.scripts.rows.row import COLUMNS, PARTS, Ended, Hardware, ResultRow
from narrowgauge.scripts.rows.writing import write_results

from ...pages import columns

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "docs" / "results"
LAYER = {"layer": "fc", "kind": "dense", "weight": None, "input": "uint4", "output": "int20"}
LAYER |= {"size": "1x1x10", "weights": 0, "weight_bits": 0, "macs": 0}
LAYER |= {"cycles_per_image": 1.5, "utilisation": 0.0}
VALUES = {  # of each kind: one that it holds, and one that it does not
    Kind.TEXT: ("int4", 4),
    Kind.COUNT: (3, 0),
    Kind.NUMBER: (-1.5, float("nan")),
    Kind.SHARE: (0.5, 1.5),
    Kind.CLOCK: (43.5, 0),
    Kind.LIST: ([1, 2], "1, 2"),
    Kind.NAMES: ({"yosys": "0.70"}, "yosys 0.70"),
    Kind.NUMBERS: ({"int8 x uint8": 2.0}, {"int8 x uint8": "2"}),
    Kind.FLAG: (False, 0),
    Kind.LAYERS: ([LAYER], [{"layer": "fc"}]),
}
WHOLE = {name: VALUES[column.kind][0] for name, column in COLUMNS.items()}


@pytest.mark.parametrize("name", ["results", "macs", "popcounts", "mapped"])
def test_results_that_are_kept_are_read_and_written_as_they_are(name):
    plain = json.loads((RESULTS / f"{name}.json").read_text())
    assert [ResultRow.read(row).plain() for row in plain] == plain


def test_every_column_of_every_part_goes_through_a_file(tmp_path):
    assert {name for part in PARTS for name in columns_of(part)} == set(COLUMNS)
    row = ResultRow.read(WHOLE)
    assert row.plain() == WHOLE
    write_results([row], tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == [WHOLE]
    (line,) = csv.DictReader((tmp_path / "results.csv").read_text().splitlines())
    assert list(line) == list(COLUMNS)
    assert json.loads(line["layers"]) == [LAYER]


@pytest.mark.parametrize("name", COLUMNS)
def test_what_a_column_cannot_hold_is_refused_by_name(name):
    column = COLUMNS[name]
    with pytest.raises(ColumnError) as raised:
        ResultRow.read(WHOLE | {name: VALUES[column.kind][1]})
    assert raised.value.name == name


def test_columns_that_are_not_always_there_are_no_heads_of_empty_columns(tmp_path):
    write_results([ResultRow(weight="int4")], tmp_path)
    head, _ = (tmp_path / "results.csv").read_text().splitlines()
    assert head.split(",") == [name for name, column in COLUMNS.items() if column.always]
    assert {"structure", "kept"} & set(head.split(",")) == set()


def test_a_row_keeps_what_is_no_column():
    row = ResultRow.read({"weight": "int4", "lut": 3, "latency": 2})
    assert row.more == {"latency": 2}
    assert row.plain() == {"weight": "int4", "lut": 3, "latency": 2}


def test_what_was_not_measured_replaces_nothing():
    row = ResultRow(weight="int4", lut=3) | Hardware(ff=4) | {"lut": None, "dsp": 0}
    assert row.plain() == {"weight": "int4", "lut": 3, "ff": 4, "dsp": 0}
    found = Measurement("up5k", lut=7, shell={"lut": 1}, routed=False)
    assert (row | Hardware.of_measurement(found)).lut == 7


def test_a_measurement_is_in_columns_but_for_what_no_row_has():
    whole = Measurement(
        "up5k",
        **dict.fromkeys(("lut", "lut4", "ff", "carry", "bram", "spram", "dsp", "io"), 1),
        **dict.fromkeys(("fmax_mhz", "fmax_mhz_min", "fmax_mhz_max"), 2.0),
        **{"seeds": (1,), "critical_path": "a to b", "routed": True, "remark": "by ABC"},
        **{"failed": {2: "seed 2: no"}, "shell": {"lut": 1}, "tools": {"yosys": "0.70"}},
    )
    assert set(whole.row()) == {field.name for field in fields(Measurement)}
    row = ResultRow(weight="int4") | Hardware.of_measurement(whole) | Ended.of_measurement(whole)
    assert set(whole.row()) - set(row.measured()) == {"io", "critical_path", "shell", "failed"}
    assert row.failure == "seed 2: no"
    assert Ended.of_measurement(Measurement("up5k")).measured() == {}


def test_a_failure_is_a_reason_and_where_its_script_is():
    kept = Ended.of_error(ToolFailure("yosys failed", "script, design and log are in /there"))
    assert (kept.failure, kept.kept) == ("yosys failed", "script, design and log are in /there")
    row = ResultRow(weight="int4") | kept
    assert row.failed == "yosys failed; script, design and log are in /there"
    assert Ended.of_error(FitError("too large")).measured() == {"failure": "too large"}


# --- one description for all ---------------------------------------------------------------------


def documented(name):
    text = (ROOT / "docs" / "reading-a-report.md").read_text()
    return text[text.index(f"<!-- {name} -->") : text.index(f"<!-- /{name} -->")]


@pytest.mark.parametrize("name", ["asked", "compared", "sized", "hardware", "layer"])
def test_the_page_says_what_the_columns_mean(name):
    made = getattr(columns, name)()
    assert made in documented(name)
    assert made.replace("| share |", "| cells |") not in documented("sized")  # it would be seen


def test_every_column_stands_on_the_page_once():
    names = [
        found
        for name in ("asked", "compared", "sized", "hardware")
        for found in re.findall(r"^\| `(\w+)`", documented(name), re.MULTILINE)
    ]
    assert names == list(COLUMNS)
    assert all(column.meaning for column in COLUMNS.values())


def test_links_of_the_descriptions_lead_somewhere():
    for column in COLUMNS.values():
        for page in re.findall(r"\]\((\S+?\.md)", column.meaning):
            assert (ROOT / "docs" / page).exists()
        assert "](" not in column.words


def test_the_report_calls_columns_what_they_are_called():
    text = hover(ResultRow(weight="int4", target="up5k", lut=1234, bram=5))
    for name, shown in {"lut": "1,234", "bram": "5"}.items():
        assert f"{shown} {COLUMNS[name].label}" in text
    assert TABLE[COLUMNS["bram"].label].meaning == COLUMNS["bram"].words
