"""Sweeps from end to end: measured, repeated, killed."""

import csv
import json
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest

from narrowgauge.hw.synth.measure import measure
from narrowgauge.hw.tools.store import Store
from narrowgauge.scripts.rows.row import COLUMNS, ResultRow
from narrowgauge.scripts.sweeps.perform import _Files
from narrowgauge.scripts.sweeps.plan import read_plan
from narrowgauge.scripts.sweeps.points import measured
from narrowgauge.scripts.sweeps.progress_bar import remaining

from ..conftest import COMMAND, write_network
from .sweeping import ON_XC7, lines, rows_in, stored, write_plan

SMALL = """
title = "One format"
measure = "mac"
formats = "bipolar"
accumulator = 4
target = ["up5k", "hx8k", "xc7"]
seeds = 0
[[part]]
[[part]]
target = "up5k"
seeds = 3
"""


# --- measured ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sweep_measures_every_combination(sweep, cache, tmp_path):
    plan = write_plan(tmp_path / "plan.toml", SMALL)
    finished = sweep(plan, "--json")
    assert finished.status == 0, finished.err
    rows = json.loads(finished.out)
    assert rows == rows_in(tmp_path / "out")
    for row, point in zip(rows, read_plan(plan).points, strict=True):
        built = point.build(Store())
        seeds = range(1, point.seeds + 1)
        alone = measure(built.text, point.device, seeds=seeds, shell=built.shell, store=Store())
        assert row == measured(point.row(), alone).plain()  # the same as measured without a plan
        assert list(row) == [name for name in COLUMNS if name in row]
        assert row["lut"] > 0
    *packed, routed = rows
    assert not any(row["routed"] or "fmax_mhz" in row or "seeds" in row for row in packed)
    assert routed["routed"]
    assert routed["seeds"] == [1, 2, 3]
    assert 0 < routed["fmax_mhz_min"] <= routed["fmax_mhz"] <= routed["fmax_mhz_max"]
    with closing(sqlite3.connect(cache / "results.sqlite")) as store:
        kinds = dict(store.execute("SELECT kind, count(*) FROM results GROUP BY kind"))
    # UP5K's mapping and packing serve with and without a routing; XC7 has no packing
    assert kinds == {"mapped": 3, "packed": 2, "routed": 3, "row": 4}
    table = (tmp_path / "out" / "plan.csv").read_text().splitlines()
    assert [row["lut"] for row in csv.DictReader(table)] == [str(row["lut"]) for row in rows]


def test_a_repeated_sweep_runs_nothing(sweep, plan, fake, tmp_path):
    first = sweep(plan)
    assert first.status == 0, first.err
    rows, jobs = rows_in(tmp_path / "out"), fake.log("begin")
    assert len(jobs) == 6
    # six designs, which the fake makes 1000 LUTs each; of the shell is one a bit of the sum
    assert [row["lut"] for row in rows] == [1000 - bits for bits in (19, 23, 29)] * 2
    again = sweep(plan)
    assert fake.log("begin") == jobs
    assert rows_in(tmp_path / "out") == rows
    assert "6 of 6 rows are in the store" in again.err
    assert again.out == first.out


def test_a_changed_plan_runs_what_is_new(sweep, plan, fake, tmp_path):
    sweep(plan)
    write_plan(plan, ON_XC7.replace("19, 23, 29", "19, 23, 29, 31"))
    assert sweep(plan).status == 0
    assert len(fake.log("begin")) == 8
    assert set(fake.finished().values()) == {1}


def test_the_table_shows_rows_and_where_they_are(sweep, plan, fake, tmp_path):
    out = sweep(plan).out
    assert out.startswith("plan\n")
    assert f"written to {tmp_path / 'out'}" in out.replace("\n", "")
    assert "plan.json, plan.csv" in out
    assert out.count(" xc7 ") == 6
    assert "Fmax" not in out  # nothing was routed, so the column would be empty


def test_progress_tells_the_time_that_is_left(sweep, plan, fake):
    err = sweep(plan, "--jobs", "1").err.splitlines()
    assert len(err) == 6
    # designs are built in threads, so that the order in which they are measured is not given
    designs = {line.split(": ")[0] for line in err}
    widths = (19, 23, 29)
    assert {f"bipolar x bipolar, {bits} bits, 1 lane on xc7" for bits in widths} <= designs
    assert len(designs) == 6
    assert "1 of 6, 0:0" in err[0]
    assert err[0].endswith(" left")
    assert err[-1].endswith("6 of 6")


def test_time_left_is_work_left_at_the_pace_so_far():
    assert remaining(10, 2, 6) == 30
    assert remaining(10, 0, 6) is None


def test_a_terminal_shows_a_bar(command, plan, fake, tmp_path):
    done = command("sweep", plan, "--output", tmp_path / "out", TTY_COMPATIBLE="1", TERM="xterm")
    assert done.status == 0, done.err
    assert "rows" in done.err
    assert "6/6" in done.err


# --- killed --------------------------------------------------------------------------------------


def start(plan, *options):
    return subprocess.Popen(
        [*COMMAND, "sweep", str(plan), "--output", str(plan.parent / "out"), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, process):
    begun = time.monotonic()
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() - begun < 120
        time.sleep(0.02)


def test_a_killed_sweep_repeats_no_finished_job(command, cache, plan, fake):
    """A job that ended after the kill may be run again; one that was stored before, never."""
    out = plan.parent / "out"
    out.mkdir()
    (out / "plan.json").write_text('[{"of": "before"}]')
    fake.say(seconds="0.3")
    killed = start(plan, "--jobs", "1")
    wait_for(lambda: len(fake.log("begin")) == 3, killed)  # in the middle of the third
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    before = stored(cache)
    assert len(before) == 2
    assert rows_in(out) == [{"of": "before"}]  # until there is all that takes its place
    assert len(json.loads((out / "plan.json.partial").read_text())) in (1, 2)
    time.sleep(0.5)  # the tool of the third outlives the command, and its result is lost
    done = command("sweep", plan, "--output", out)
    assert done.status == 0, done.err
    repeated = {name for name, times in fake.finished().items() if times > 1}
    assert len(fake.finished()) == 6
    assert len(repeated) <= 1
    assert len(fake.log("begin")) == 6 + 1
    assert before < stored(cache)
    assert len(rows_in(out)) == 6
    left = {path.name for path in out.iterdir() if path.suffix != ".part"}  # of a write cut short
    assert left == {"plan.csv", "plan.json"}


def test_an_interrupted_sweep_keeps_what_was_done(command, plan, fake, cache):
    fake.say(seconds="0.3")
    interrupted = start(plan, "--jobs", "1")
    wait_for(lambda: len(fake.log("begin")) == 3, interrupted)
    interrupted.send_signal(signal.SIGINT)
    _, err = interrupted.communicate(timeout=20)
    assert interrupted.returncode == 130, err
    assert err.splitlines()[-1].startswith("narrowgauge: interrupted; ")
    done = command("sweep", plan, "--output", plan.parent / "out")
    assert done.status == 0, done.err  # the tool that was stopped is no failure
    assert max(fake.finished().values()) == 1
    assert len(fake.finished()) == 6


# --- networks ------------------------------------------------------------------------------------


def test_an_array_that_cannot_be_costs_nothing_else(sweep, fake, tmp_path):
    write_network(tmp_path / "small.safetensors")
    plan = write_plan(
        tmp_path / "plan.toml",
        """
        measure = "network"
        network = "small.safetensors"
        target = "xc7"
        rows = [3, 2]
        chains = 2
        """,
    )
    finished = sweep(plan)
    assert finished.status == 0, finished.err
    assert [row["rows"] for row in rows_in(tmp_path / "out")] == [2]
    (told,) = lines(finished)
    assert "left out: random, 3x2x4, chains 2: chains divide the rows: 2 does not" in told


def test_networks_are_given_or_trained(sweep, fake, tmp_path):
    write_network(tmp_path / "small.safetensors")
    plan = write_plan(
        tmp_path / "plan.toml",
        """
        measure = "network"
        target = "xc7"
        rows = 1
        columns = 1
        lanes = 1
        [[part]]
        network = "small.safetensors"
        accumulator = [10, 14]
        [[part]]
        network = "mlp"
        formats = "int2"
        widths = [2]
        epochs = 1
        """,
    )
    finished = sweep(plan)
    assert finished.status == 0, finished.err
    narrow, wide, trained = rows_in(tmp_path / "out")
    assert (narrow["accumulator_bits"], wide["accumulator_bits"]) == (10, 14)
    assert {row["network"] for row in (narrow, wide)} == {"random"}
    assert (trained["weight"], trained["dataset"]) == ("int2", "digits")
    assert all(row["lut"] > 900 for row in (narrow, wide, trained))  # 1000, less the shell
    for name in ("accuracy_float", "accuracy_reference", "parameter_bits", "batch", "contexts"):
        assert name in trained
    assert "cycles_per_image" not in trained  # nothing was simulated
    assert len(fake.log("begin")) == 3
    assert sweep(plan).status == 0
    assert len(fake.log("begin")) == 3


# --- ready-made ----------------------------------------------------------------------------------


def test_compare_shows_its_plans(invoke):
    finished = invoke("compare", "macs", "--plan")
    assert finished.status == 0
    assert 'measure = "mac"' in finished.out
    assert invoke("compare", "nope").status == 2


def test_results_so_far_are_no_results_of_a_report(tmp_path):
    """`report` takes the files that end in ``.json``."""
    files = _Files(tmp_path, "plan")
    files.so_far([ResultRow(weight="int4")])
    assert not list(tmp_path.glob("*.json"))
    assert json.loads(files.partial.read_text()) == [{"weight": "int4"}]
