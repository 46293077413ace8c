"""Tables and result files."""

import io
import json

import pytest
from rich.console import Console

from narrowgauge.scripts.reporting.console import print_table
from narrowgauge.scripts.rows.row import ResultRow
from narrowgauge.scripts.rows.writing import write_results

ROW = ResultRow(
    weight="bipolar",
    activation="bipolar",
    accumulator_bits=16,
    rows=16,
    columns=32,
    lanes=64,
    accuracy_hardware=0.9711,
    mismatches=0,
    overflows=123456,
    cycles_per_image=1081.4,
    utilisation=0.27,
    lut=5280,
    ff=1234,
    bram=30,
    dsp=0,
    fmax_mhz=39.84,
    images_per_second=36846.2,
)
ROWS = [ResultRow(weight="float", activation="float", accuracy_float=0.98), ROW]
NARROW = [ResultRow(weight="int4", activation="uint4", failure="does not fit")]


@pytest.mark.parametrize("width", [60, 72, 80, 100, 200])
def test_a_table_fits_its_terminal(width):
    text = io.StringIO()
    print_table(ROWS, Console(file=text, width=width), title="on up5k")
    lines = text.getvalue().splitlines()
    assert lines[0] == "on up5k"
    (row,) = [line for line in lines if line.strip().startswith("bipolar")]
    if width >= 80:
        assert max(map(len, lines)) <= width
    for cell in ("16x32x64", "97.11 %", " 0 ", "5280", "39.8", "36,846"):
        assert cell in row
    assert "…" not in text.getvalue()
    shown = "overflows" not in lines[-1] and "flows" in text.getvalue()
    assert shown == (width == 200)


def test_a_row_that_failed_has_empty_cells():
    text = io.StringIO()
    print_table(NARROW, Console(file=text, width=80), title="t")
    assert "int4" in text.getvalue()
    assert "None" not in text.getvalue()


def test_files_have_the_order_of_the_columns(tmp_path):
    plain = ROW.plain()
    row = ResultRow.read(dict(reversed(plain.items())))
    write_results([row], tmp_path / "new")
    assert list(json.loads((tmp_path / "new" / "results.json").read_text())[0]) == list(plain)
