"""Jobs of studies: each once, kept at once, and gone on with after an interruption."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from narrowgauge.hw.errors import DataError
from narrowgauge.hw.tools.store import Store
from narrowgauge.scripts.jobs.job import Job
from narrowgauge.scripts.jobs.running import missing, run_jobs
from narrowgauge.scripts.papers import perform
from narrowgauge.scripts.papers.floats import FloatNetwork, train_float
from narrowgauge.scripts.papers.tostado.rounded import measure_rounded

FORMATS = ("e0m1", "e0m3", "e2m1", "e3m0")


class Counting(ThreadPoolExecutor):
    """Counts jobs; is interrupted at one of them."""

    def __init__(self, interrupted=None):
        super().__init__(1)
        self.count, self.interrupted = 0, interrupted

    def submit(self, fn, /, *args, **kwargs):
        if self.count == self.interrupted:
            raise KeyboardInterrupt
        self.count += 1
        return super().submit(fn, *args, **kwargs)


def plan(draws=1):
    network = FloatNetwork("digits", "mlp", 2, widths=(16,)).plain()
    training = Job(train_float, (network,), data="digits", text="train")
    return [
        Job(measure_rounded, (network, fmt, "nearest", draws, 200, 100), (training,), "digits")
        for fmt in FORMATS
    ]


def test_an_interrupted_study_goes_on_and_repeats_nothing(tmp_path):
    store = Store(tmp_path / "store")
    assert len(missing(plan(), store)) == 5  # the training, once
    with pytest.raises(KeyboardInterrupt), Counting(interrupted=3) as workers:
        run_jobs(plan(), store, workers, 1)
    left = missing(plan(), store)
    assert 0 < len(left) < 5
    with Counting() as workers:
        assert run_jobs(plan(), store, workers, 1) == {}
    assert workers.count == len(left)
    with Counting() as workers:
        run_jobs(plan(), store, workers, 1)
    assert workers.count == 0
    values: list[Any] = [job.get(store) for job in plan()]
    assert all(set(value) >= {"right", "gained", "lost", "right_validation"} for value in values)
    ternary, int4 = (value["right"][0] for value in values[:2])
    assert ternary < int4
    about = plan()[0].about(store)
    assert about is not None
    assert about.machine.endswith("cores")
    assert 0 <= about.seconds < 60


def test_other_arguments_are_another_job():
    assert plan()[0].key == plan()[0].key
    assert plan()[0].key != plan(draws=2)[0].key


def test_what_needs_a_failed_job_is_not_run(tmp_path):
    broken = {**FloatNetwork("digits", "mlp", 1, widths=(4,)).plain(), "dataset": "nothing"}
    training = Job(train_float, (broken,), text="train")
    job = Job(measure_rounded, (broken, "e0m3", "nearest", 1, 10, 0), (training,))
    with Counting() as workers:
        failed = run_jobs([job], Store(tmp_path / "store"), workers, 1)
    assert workers.count == 1
    assert {reason.partition(";")[0] for reason in failed.values()} == {
        "train: unknown data set 'nothing'"
    }


def test_a_study_without_its_data_says_what_it_needs(invoke, monkeypatch):
    def load(name):
        raise DataError(f"{name} cannot be downloaded; put it into a folder")

    monkeypatch.setattr(perform, "load", load)
    done = invoke("study", "tostado2019", "--quick")
    done.fails_with(1, "tostado2019 needs mnist and cifar10", "cannot be downloaded")


def test_studies_are_listed_with_their_hours(invoke):
    done = invoke("study", "--list")
    assert done.status == 0
    assert "tostado2019" in done.out
    assert "hours of one core" in done.out
    invoke("study", "nothing").fails_with(1, "no study 'nothing'; there is debruin2020,")
