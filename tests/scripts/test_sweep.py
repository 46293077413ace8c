"""Sweeps from end to end: measured, repeated, killed, failed, and on a cluster."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from narrowgauge.hw.synth.measure import measure
from narrowgauge.hw.synth.store import Store
from narrowgauge.scripts.results import COLUMNS
from narrowgauge.scripts.sweeps import cluster as dask
from narrowgauge.scripts.sweeps.plan import read_plan
from narrowgauge.scripts.sweeps.points import columns
from narrowgauge.scripts.sweeps.progress import remaining

from .conftest import COMMAND, write_network
from .sweeping import ON_XC7, FakeYosys, rows_in, write_plan

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


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Commands of this test find this in place of Yosys, in this process and in others."""
    fake = FakeYosys(tmp_path / "fake")
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    return fake


@pytest.fixture
def plan(tmp_path):
    return write_plan(tmp_path / "plan.toml", ON_XC7)


@pytest.fixture
def sweep(invoke, tmp_path):
    """Run a sweep in this process; its rows are in the folder ``out``."""

    def run(plan, *options):
        return invoke("sweep", plan, "--output", tmp_path / "out", *options)

    return run


def lines(finished):
    """What the command says beside its progress."""
    return [line for line in finished.err.splitlines() if line.startswith("narrowgauge: ")]


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
        assert row == point.row() | columns(alone)  # the same as measured without a plan
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
    fake.say(seconds="0.3")
    killed = start(plan, "--jobs", "1")
    wait_for(lambda: len(fake.log("begin")) == 3, killed)  # in the middle of the third
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    before = stored(cache)
    assert len(before) == 2
    time.sleep(0.5)  # the tool of the third outlives the command, and its result is lost
    done = command("sweep", plan, "--output", plan.parent / "out")
    assert done.status == 0, done.err
    repeated = {name for name, times in fake.finished().items() if times > 1}
    assert len(fake.finished()) == 6
    assert len(repeated) <= 1
    assert len(fake.log("begin")) == 6 + 1
    assert before < stored(cache)
    assert len(rows_in(plan.parent / "out")) == 6


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


def stored(cache):
    """The mappings in the store; one that is written again gets another row number."""
    with closing(sqlite3.connect(cache / "results.sqlite")) as store:
        return set(store.execute("SELECT rowid, key FROM results WHERE kind = 'mapped'"))


# --- failed --------------------------------------------------------------------------------------


def test_a_failure_is_a_row_and_is_not_retried_silently(sweep, plan, fake, tmp_path):
    fake.say(broken="29")
    for jobs in (6, 6):  # in the first run, and after the second
        finished = sweep(plan)
        assert finished.status == 1
        assert len(fake.log("begin")) == jobs
        rows = rows_in(tmp_path / "out")
        failed = [row for row in rows if "failure" in row]
        assert [row["accumulator_bits"] for row in failed] == [29, 29]
        for row in failed:
            assert row["failure"] == "yosys failed: ERROR: it broke"
            assert "lut" not in row
            assert not row["routed"]
        assert [row["lut"] for row in rows if "failure" not in row] == [981, 977] * 2
        told = lines(finished)
        assert "bipolar x bipolar, 29 bits, 1 lane on xc7 and 1 more: yosys failed" in told[0]
        assert "--retry-failed" in told[1]
        assert len(told) == 2
    fake.say(broken="")
    assert sweep(plan).status == 1
    assert len(fake.log("begin")) == 6
    assert sweep(plan, "--retry-failed").status == 0
    assert len(fake.log("begin")) == 8
    assert all("lut" in row for row in rows_in(tmp_path / "out"))
    assert sweep(plan).status == 0
    assert len(fake.log("begin")) == 8


def test_a_design_that_does_not_fit_is_a_row_with_numbers(sweep, plan, fake, tmp_path):
    fake.say(large="23")
    finished = sweep(plan)
    assert finished.status == 1
    failures = [row.get("failure") for row in rows_in(tmp_path / "out")]
    assert [bool(each) for each in failures] == [False, True, False] * 2
    assert "does not fit xc7" in failures[1]
    assert "1000000" in failures[1]
    assert len(lines(finished)) == 2


def test_a_missing_tool_costs_its_rows_only(sweep, plan, fake, tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTPNR_ECP5", "/nowhere/nextpnr")
    write_plan(plan, ON_XC7.replace('"xc7"', '["ecp5-25k", "xc7"]'))
    finished = sweep(plan)
    assert finished.status == 1
    rows = rows_in(tmp_path / "out")
    for row in rows:
        if row["target"] == "xc7":
            assert row["lut"] == 1000 - row["accumulator_bits"]
        else:
            assert "NEXTPNR_ECP5 is '/nowhere/nextpnr', which is no program" in row["failure"]
    assert len(rows) == 12
    assert len(fake.log("begin")) == 6
    assert len(lines(finished)) == 2
    monkeypatch.delenv("NEXTPNR_ECP5")  # what was never tried was not kept as a failure
    write_plan(plan, ON_XC7.replace("xc7", "ecp5-25k").replace("19, 23, 29", "19"))
    assert "/nowhere" not in sweep(plan).err


def test_a_damaged_store_is_put_aside(command, cache, plan, fake):
    cache.mkdir()
    (cache / "results.sqlite").write_bytes(b"no database" * 1000)
    done = command("sweep", plan, "--output", plan.parent / "out")
    assert done.status == 0, done.err
    (warning,) = [line for line in done.err.splitlines() if "warning" in line]
    assert "results.sqlite is damaged" in warning
    assert len(rows_in(plan.parent / "out")) == 6


def test_a_broken_design_does_not_end_the_others(sweep, plan, fake, tmp_path, monkeypatch):
    from narrowgauge.scripts.sweeps.macs import Mac

    build = Mac.build

    def broken(self, store):
        if self.accumulator == 23:
            raise AssertionError("a mistake")
        return build(self, store)

    monkeypatch.setattr(Mac, "build", broken)
    assert sweep(plan).status == 1
    failures = [row.get("failure") for row in rows_in(tmp_path / "out")]
    assert failures == [None, "AssertionError: a mistake", None] * 2
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("measure = 'mac'", ["plan.toml: target is missing"]),
        (ON_XC7.replace("xc7", "xc8"), ["plan.toml: target: unknown target 'xc8'", "up5k"]),
        (ON_XC7.replace("int4", "int99"), ["plan.toml: formats: ", "1 to 32, not 99"]),
    ],
)
def test_a_wrong_plan_is_one_line(sweep, fake, tmp_path, text, words):
    finished = sweep(write_plan(tmp_path / "plan.toml", text))
    finished.fails_with(1, *words)
    assert not fake.log("begin")
    assert not (tmp_path / "out").exists()


# --- networks ------------------------------------------------------------------------------------


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


# --- on a cluster --------------------------------------------------------------------------------

CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers, processes of their own; its address and its fake Yosys."""
    folder = tmp_path_factory.mktemp("cluster")
    fake = FakeYosys(folder / "fake")
    (folder / "cluster.py").write_text(CLUSTER)
    with subprocess.Popen(
        [sys.executable, str(folder / "cluster.py")],
        env=os.environ | fake.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), fake
        process.communicate(timeout=60)  # the end of its input ends it


def test_a_cluster_runs_the_jobs_and_the_results_are_kept_here(
    command, cluster, cache, plan, monkeypatch
):
    address, fake = cluster
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    fake.say(seconds="0.2", broken="29")
    arguments = ["sweep", plan, "--output", plan.parent / "out"]
    done = command(*arguments, "--scheduler", address)
    assert done.status == 1
    rows = rows_in(plan.parent / "out")
    assert [row.get("failure") for row in rows] == [
        *(None, None, "yosys failed: ERROR: it broke"),
    ] * 2
    assert len({parent for _, parent in fake.log("begin")}) == 2  # both workers had some
    assert len(stored(cache)) == 4
    fake.say(broken="")
    jobs = fake.log("begin")
    alone = command(*arguments)  # here, without the cluster: everything is in the store
    assert alone.status == 1
    assert fake.log("begin") == jobs
    assert rows_in(plan.parent / "out") == rows


def test_a_worker_without_the_tools_is_told_at_once(command, cluster, plan, fake):
    """Here ``fake`` is another program than that of the workers, of another version."""
    address, _ = cluster
    script = fake.folder / "yosys.py"
    script.write_text(script.read_text().replace("9.9", "9.8"))
    done = command("sweep", plan, "--output", plan.parent / "out", "--scheduler", address)
    words = ["worker tcp://", "yosys is 9.8 (environment) here and, there: 9.9 (environment)"]
    done.fails_with(1, *words)
    assert not fake.log("begin")


def test_a_worker_that_lacks_a_tool_fails_the_job_clearly(monkeypatch):
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(dask.WorkerError, match=r"yosys is 0.70 here and, there: YOSYS is"):
        dask.call(b"", {"yosys": "0.70"})


def test_no_scheduler_is_one_line(sweep, plan, fake, monkeypatch):
    monkeypatch.setattr(dask, "_PATIENCE", 0.5)
    finished = sweep(plan, "--scheduler", "tcp://127.0.0.1:9")
    finished.fails_with(1, "no Dask scheduler answers at 'tcp://127.0.0.1:9'", "dask scheduler")


def test_without_dask_the_extra_is_named(sweep, plan, fake, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    finished = sweep(plan, "--scheduler", "tcp://127.0.0.1:9")
    finished.fails_with(1, "pip install 'narrowgauge[dask]'")


# --- ready-made ----------------------------------------------------------------------------------


def test_compare_shows_its_plans(invoke):
    finished = invoke("compare", "macs", "--plan")
    assert finished.status == 0
    assert 'measure = "mac"' in finished.out
    assert invoke("compare", "nope").status == 2
