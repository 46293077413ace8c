"""Sweeps on a Dask cluster of two workers, and on what is none."""

import os
import subprocess
import sys
import time

import pytest

from narrowgauge.hw.errors import NarrowgaugeError
from narrowgauge.scripts.sweeps import cluster as dask

from .sweeping import FakeYosys, rows_in, stored

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
    failures = [row.get("failure") and row["failure"].partition(";")[0] for row in rows]
    assert failures == [None, None, "yosys failed: ERROR: it broke"] * 2
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
    script.write_text(script.read_text().replace("0.70", "0.69"))
    done = command("sweep", plan, "--output", plan.parent / "out", "--scheduler", address)
    words = ["worker tcp://", "yosys is 0.69 (environment) here and, there: 0.70 (environment)"]
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


@pytest.mark.parametrize(
    ("address", "words"),
    [("nonsense", "missing port number"), ("tls://127.0.0.1:9", "TLS expects")],
)
def test_an_address_that_is_none_is_one_line_at_once(command, plan, fake, address, words):
    """In a process of its own: a client that is left over complains at the very end."""
    begun = time.monotonic()
    done = command("sweep", plan, "--output", plan.parent / "out", "--scheduler", address)
    done.fails_with(1, f"no Dask scheduler can be at {address!r}", words, "tcp://10.0.0.5:8786")
    assert time.monotonic() - begun < dask._PATIENCE


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "missing port number"),
        ("foo://bar:8786", "unknown address scheme 'foo'"),
        ("tcp://:8786", "it has a host"),
        ("tcp://bar:99999999", "a port of 1 to 65535"),
    ],
)
def test_no_client_is_made_for_an_address_that_is_none(monkeypatch, address, words):
    monkeypatch.delattr("distributed.Client.__init__")
    with pytest.raises(NarrowgaugeError, match=words):
        dask.Cluster(address, {})


def test_without_dask_the_extra_is_named(sweep, plan, fake, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    finished = sweep(plan, "--scheduler", "tcp://127.0.0.1:9")
    finished.fails_with(1, "pip install 'narrowgauge[dask]'")
