"""The main job from end to end, repeated, killed and resumed."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest

from narrowgauge.hw.errors import FitError
from narrowgauge.scripts.rows.row import COLUMNS

from ..conftest import COMMAND, run_command, write_network

SMALL = (
    *("run", "--dataset", "digits", "--widths", "4", "--epochs", "1"),
    *("--rows", "1", "--columns", "1", "--lanes", "1", "--seeds", "1"),
)
PNG = b"\x89PNG\r\n\x1a\n"
ALWAYS = {"weight", "activation", "network", "dataset", "images", "accuracy_float"}
HEAD = [name for name, column in COLUMNS.items() if column.always]
MEASURED = set(HEAD) - {"failure", "remark", "slice"}


def stored(cache):
    """Every entry of the store; an entry that is written again gets another row number."""
    with closing(sqlite3.connect(cache / "results.sqlite")) as store:
        if not store.execute("SELECT name FROM sqlite_master").fetchall():
            return set()  # another process is about to begin it
        return set(store.execute("SELECT rowid, kind, key FROM results"))


def kinds(entries):
    return [kind for _, kind, _ in entries]


def has_checked(cache):
    """Whether a check is stored; a store that is just begun has no table yet."""
    try:
        return (cache / "results.sqlite").exists() and "checked" in kinds(stored(cache))
    except sqlite3.OperationalError:
        return False


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One complete run, its folder and its cache."""
    folder = tmp_path_factory.mktemp("run")
    output, cache = folder / "out", folder / "cache"
    arguments = [*SMALL, "--formats", "bipolar,int4", "--accumulator", "16"]
    arguments += ["--overflow", "saturate", "--output", output, "--json"]
    return run_command(*arguments, NARROWGAUGE_CACHE=str(cache)), arguments, output, cache


def test_rows_have_the_columns_that_were_measured(finished):
    done, _, output, _ = finished
    assert done.status == 0, done.err
    rows = json.loads(done.out)
    assert rows == json.loads((output / "results.json").read_text())
    assert [row["weight"] for row in rows] == ["float", "bipolar", "int4"]
    assert set(rows[0]) == ALWAYS
    for row in rows[1:]:
        assert set(row) == MEASURED
        assert list(row) == [name for name in COLUMNS if name in row]
        assert (row["mismatches"], row["routed"], row["images"], row["seeds"]) == (
            0,
            True,
            450,
            [1],
        )
        assert (row["accumulator_bits"], row["overflow"], row["overflows"]) == (16, "saturate", 0)
        assert (row["rows"], row["columns"], row["lanes"]) == (1, 1, 1)
        assert row["accuracy_hardware"] == row["accuracy_reference"] > 0.1
        assert row["fmax_mhz_min"] == row["fmax_mhz"] == row["fmax_mhz_max"] > 1
        assert row["images_per_second"] == pytest.approx(
            1e6 * row["fmax_mhz"] / row["cycles_per_image"]
        )
        assert 0 < row["utilisation"] <= 1
        assert set(row["tools"]) == {"yosys", "nextpnr", "amaranth", "narrowgauge"}
    assert rows[1]["parameter_bits"] == 4 * (64 + 10)
    assert rows[2]["parameter_bits"] == 4 * 4 * (64 + 10)


def test_csv_has_the_same_columns_and_values(finished):
    _, _, output, _ = finished
    rows = json.loads((output / "results.json").read_text())
    with open(output / "results.csv", newline="") as file:
        reader = csv.DictReader(file)
        table = list(reader)
    assert list(reader.fieldnames or ()) == HEAD
    for row, cells in zip(rows, table, strict=True):
        assert {name for name, cell in cells.items() if cell} == set(row)
        for name, value in row.items():
            text = json.dumps(value) if isinstance(value, dict | list) else str(value)
            assert cells[name] == text


def test_charts_and_networks_are_there(finished):
    _, _, output, _ = finished
    png, svg = (output / "chart.png").read_bytes(), (output / "chart.svg").read_text()
    assert png.startswith(PNG)
    assert len(png) > 10_000
    assert "<svg" in svg
    assert svg.rstrip().endswith("</svg>")
    networks = sorted(path.name for path in output.glob("*.safetensors"))
    assert networks == ["digits-bipolar-4.safetensors", "digits-int4-4.safetensors"]


def test_progress_tells_every_step_and_its_time(finished):
    done, _, _, _ = finished
    for title in ("train float", "train int4", "simulate bipolar", "place and route int4"):
        assert f"{title}: " in done.err


def test_repeated_it_computes_nothing(finished):
    done, arguments, output, cache = finished
    before, results = stored(cache), (output / "results.json").read_bytes()
    again = run_command(*arguments, NARROWGAUGE_CACHE=str(cache))
    assert again.status == 0, again.err
    assert "train" not in again.err
    assert again.out == done.out
    assert stored(cache) == before
    assert (output / "results.json").read_bytes() == results


def test_without_json_there_is_a_table(finished):
    _, arguments, output, cache = finished
    table = run_command(*arguments[:-1], NARROWGAUGE_CACHE=str(cache))
    assert table.status == 0, table.err
    row = json.loads((output / "results.json").read_text())[2]
    (line,) = [line for line in table.out.splitlines() if line.startswith(" int4")]
    assert f" {row['lut']} " in line
    assert "results.json, results.csv, chart.png, chart.svg" in table.out


def test_a_format_that_fails_does_not_spoil_the_others(finished, invoke, monkeypatch, tmp_path):
    from narrowgauge.scripts.runs import network_job as job

    def cost(accelerator, *arguments):
        if str(accelerator.program.network.layers[0].weight) == "bipolar":
            raise FitError("the design does not fit up5k: it needs 31 of 30 block RAMs")
        return measured(accelerator, *arguments)

    measured = job.cost
    monkeypatch.setattr(job, "cost", cost)
    _, arguments, _, cache = finished
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(cache))
    done = invoke(*arguments[:-2], tmp_path / "out", "--json")
    done.fails_with(1, "bipolar: the design does not fit", "31 of 30 block RAMs")
    _, bipolar, int4 = json.loads(done.out)
    assert set(int4) == MEASURED
    assert bipolar["failure"] in done.err
    assert not bipolar["routed"]  # and it was not simulated before that was found
    assert not {"mismatches", "lut", "bram", "fmax_mhz", "seeds", "images_per_second"} & set(
        bipolar
    )
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == json.loads(done.out)
    assert (tmp_path / "out" / "chart.svg").exists()


@pytest.mark.parametrize(
    ("options", "overflow"), [((), "saturate"), (("--overflow", "wrap"), "wrap")]
)
def test_a_network_file_keeps_what_its_accumulator_does(invoke, tmp_path, options, overflow):
    path = write_network(tmp_path / "n.safetensors", bits=8, overflow="saturate")
    arguments = ["--no-route", "--images", "2", "--engine", "amaranth", "--output", tmp_path / "o"]
    done = invoke("run", "--network", path, *arguments, *options, "--json")
    assert done.status == 0, done.err
    (row,) = json.loads(done.out)
    assert (row["accumulator_bits"], row["overflow"]) == (8, overflow)


@pytest.mark.skipif(os.name == "nt", reason="kills a process group")
def test_killed_and_repeated_it_goes_on(cache, tmp_path):
    output = tmp_path / "out"
    arguments = [*SMALL, "--formats", "bipolar", "--output", str(output), "--json"]
    with open(tmp_path / "err", "w") as errors:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 300
        while not has_checked(cache):
            assert process.poll() is None, (tmp_path / "err").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    kept = stored(cache)
    assert "routed" not in kinds(kept)
    if (output / "results.json").exists():
        json.loads((output / "results.json").read_text())

    again = run_command(*arguments)
    assert again.status == 0, again.err
    assert kept < stored(cache)
    assert "train float" not in again.err
    assert sorted(kinds(stored(cache)))[:2] == ["checked", "float"]
    rows = json.loads((output / "results.json").read_text())
    assert [row.get("mismatches") for row in rows] == [None, 0]


def test_an_energy_is_a_part_of_the_row_and_kept(invoke, tmp_path, cache):
    network = write_network(tmp_path / "tiny.safetensors")
    asked = ("--network", network, "--images", 20, "--seeds", 1, "--lanes", 1, "--energy")
    words = ("run", *asked, "--rows", 1, "--columns", 1, "--output", tmp_path / "out", "--json")
    done = invoke(*words)
    assert done.status == 0, done.err
    (row,) = json.loads(done.out)
    assert (tmp_path / "out" / "energy.png").read_bytes().startswith(PNG)
    assert 0 < row["energy_uj_low"] < row["energy_uj"] < row["energy_uj_high"]
    assert sum(row["energy_parts"].values()) == pytest.approx(row["energy_uj"])
    assert {"static", "clock", "array"} < set(row["energy_parts"])
    before = stored(cache)
    assert json.loads(invoke(*words).out) == [row]
    assert stored(cache) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target", "ecp5-25k"), ("no energy in microjoules on ecp5-25k", "up5k")),
        (("--no-route",), ("--energy", "--no-route routes none")),
    ],
)
def test_an_energy_that_cannot_be_is_refused(invoke, options, words):
    invoke("run", "--energy", *options).fails_with(1, *words)
