"""A report of real rows: the networks of docs/results, and units measured for these tests.

``report_rows.json`` holds MACs and arrays as `narrowgauge.hw.synth.measure.measure` gave them on
UP5K and ECP5 with seeds 1 to 3, on HX8K without a routing, and one design that does not fit; each
row names its tools.
"""

from pathlib import Path

from click.testing import CliRunner

from narrowgauge.scripts.commands.report import command
from narrowgauge.scripts.reporting.rows import merged, read

UNITS = Path(__file__).with_name("report_rows.json")
NETWORKS = Path(__file__).parents[3] / "docs" / "results" / "results.json"
ROWS = merged(read([UNITS, NETWORKS])[0])
PLAIN = [row.plain() for row in ROWS]


def write_report(folder):
    """Write a report of all rows; return its folder."""
    done = CliRunner().invoke(command, [str(UNITS), str(NETWORKS), "-o", str(folder)])
    assert done.exit_code == 0, done.output
    assert f"{len(ROWS)} rows, 1 of them failures" in done.output
    return folder
