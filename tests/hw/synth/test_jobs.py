from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from narrowgauge.hw.errors import FitError, ToolError
from narrowgauge.hw.synth.jobs import ToolJob, run_jobs
from narrowgauge.hw.tools.store import Store

CALLS = []


def work(number):
    CALLS.append(number)
    if number == 3:
        raise FitError("3 is too many")
    if number == 9:
        raise ToolError("no tool")
    return {"twice": 2 * number}


def jobs(*numbers):
    return {f"job {n}": ToolJob("number", {"number": n}, work, (n,)) for n in numbers}


@pytest.fixture
def store(tmp_path):
    CALLS.clear()
    return Store(tmp_path / "results.sqlite")


def test_results_and_failures_are_kept(store):
    expected = {"job 1": {"twice": 2}, "job 2": {"twice": 4}}, {"job 3": "3 is too many"}
    for _ in range(2):
        with ThreadPoolExecutor(2) as executor:
            assert run_jobs(jobs(1, 2, 3), store, executor) == expected
    assert sorted(CALLS) == [1, 2, 3]


def test_what_was_done_before_an_error_is_not_done_again(store):
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(ToolError, match="no tool"):
            run_jobs(jobs(1, 9), store, executor)
        run_jobs(jobs(1), store, executor)
    assert sorted(CALLS) == [1, 9]


def test_jobs_run_in_other_processes(store):
    with ProcessPoolExecutor(1) as executor:
        results = run_jobs({"n": ToolJob("number", {"n": -7}, abs, (-7,))}, store, executor)
    assert results == ({"n": 7}, {})
