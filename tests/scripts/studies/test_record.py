"""Studies, and what keeps their rows."""

import importlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from narrowgauge.hw.errors import ToolError
from narrowgauge.scripts.studies import __main__ as cli
from narrowgauge.scripts.studies.record import RowFile, command, output, provenance


@pytest.fixture
def record(tmp_path):
    return RowFile(tmp_path / "rows.json", ("name", "size"))


def row(name, size, **more):
    return {"name": name, "size": size, **more}


def test_a_row_takes_the_place_of_its_own(record):
    record.keep([row("b", 1), row("a", 2, lut=3)])
    record.keep([row("a", 2, lut=4), row("a", 1)])
    assert record.rows() == [row("a", 1), row("a", 2, lut=4), row("b", 1)]
    record.keep([row("a", 9)], instead=("name",))
    assert record.rows() == [row("a", 9), row("b", 1)]


def test_what_is_kept_is_known_when_the_study_goes_on(record):
    assert not record.has(row("a", 1))
    record.keep([row("a", 1, tools="0.70")])
    again = RowFile(record.path, record.names)
    assert again.has(row("a", 1))
    assert not again.has(row("a", 2))
    assert again.has(row("a", 1, tools="0.70"), "tools")
    assert not again.has(row("a", 1, tools="0.71"), "tools")


def test_a_file_is_whole_or_as_it_was(record, monkeypatch):
    record.keep([row("a", 1)])
    before = record.path.read_bytes()
    with pytest.raises(TypeError):
        record.keep([row("b", object())])
    assert record.path.read_bytes() == before
    assert [path.name for path in record.path.parent.iterdir()] == ["rows.json"]


def test_two_that_keep_rows_at_the_same_time_lose_none(record):
    def keep(name):
        for size in range(20):
            RowFile(record.path, record.names).keep([row(name, size)])

    with ThreadPoolExecutor() as pool:
        list(pool.map(keep, "ab"))
    assert len(record.rows()) == 40


def test_rows_may_stand_beside_something_else_in_an_order_of_their_own(tmp_path):
    sizes = ("small", "large")
    record = RowFile(
        tmp_path / "x.json", ("size",), lambda row: sizes.index(row["size"]), {"of": 1}
    )
    record.keep([{"size": "large"}])
    record.keep([{"size": "small"}])
    found = json.loads(record.path.read_text())
    assert found == {"of": 1, "rows": [{"size": "small"}, {"size": "large"}]}


def test_provenance_tells_of_no_machine():
    made = provenance(command("peaks", "--seeds", 3, None), "narrowgauge", "amaranth")
    assert made["command"] == "python -m narrowgauge.scripts.studies peaks --seeds 3"
    date.fromisoformat(made["date"])
    assert set(made) == {"command", "date", "versions"}
    assert set(made["versions"]) == {"narrowgauge", "amaranth"}
    with pytest.raises(ToolError):
        provenance("x", "no-such-tool")


def test_rows_go_to_the_results_of_the_checkout():
    assert output("peaks").is_file()


# --- the studies ---------------------------------------------------------------------------------


def test_every_study_is_listed_and_explains_itself(capsys):
    known = cli.studies()
    assert len(known) == 36
    assert cli.main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in known)
    for name in known:
        study = importlib.import_module(f"narrowgauge.scripts.studies.{name}")
        with pytest.raises(SystemExit, match="0"):
            study.main(["--help"])


def test_a_study_that_is_not_there(capsys):
    assert cli.main(["nothing"]) == 2
    assert "there is no nothing" in capsys.readouterr().err


def test_the_command_that_is_kept_runs_the_study():
    words = command("mapped", "--help").split()
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--targets" in done.stdout
