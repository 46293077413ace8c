"""Measures points: quantises or trains them, simulates test images, places and routes."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from ...hw.errors import FitError
from ...hw.files import file_name, write_atomically
from ...hw.network.file import to_bytes
from ...hw.network.network import Network
from ...hw.synth.build import accelerator_for
from ..rows.columns import JSON
from ..rows.row import ResultRow
from ..runs.network_job import GivenJob
from ..runs.run_plan import RunPlan, Training
from ..terminal.progress import Reporter
from .arrays import cycles_of
from .candidates import Candidate
from .groups import short
from .points import PredictedPoint, figure
from .request import Request

__all__ = ["Maker", "Measured", "measure_points", "point_name", "predicted"]

Maker = Callable[[Candidate, str], Network]
"""Makes the network of a candidate: of its widths, with a name."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A point that was built.

    Attributes
    ----------
    point : PredictedPoint
    row : ResultRow
        What was measured; what was predicted is beside it, under names of its own.
    path : Path
        Its network file.
    value : float or None
        Measured figure of the objective; None where it was not routed.
    """

    point: PredictedPoint
    row: ResultRow
    path: Path
    value: float | None


def point_name(stem: str, candidate: Candidate) -> str:
    """Return a name for a candidate's network, from its widths."""
    widths = ".".join(map(short, candidate.widths.values()))
    if len(widths) > 60:
        widths = sha256(widths.encode()).hexdigest()[:12]
    return file_name(f"{stem}-{widths}-{candidate.numbers.activation}")


def predicted(point: PredictedPoint, request: Request) -> Mapping[str, JSON]:
    """Return what was predicted of a point, as plain data."""
    goal = request.goal
    return {
        "layer_weights": point.candidate.formats,
        "validation_accuracy": point.accuracy,
        "sum_of_losses": point.candidate.loss,
        "weight_bits": point.candidate.bits,
        "predicted_lut": point.estimate.lut,
        "predicted_fmax_mhz": point.estimate.fmax_mhz,
        "predicted_cycles": point.cycles,
        f"predicted_{goal.name}": point.value(goal),
    }


def measure_points(
    request: Request,
    points: Sequence[PredictedPoint],
    make: Maker,
    stem: str,
    output: Path,
    reporter: Reporter,
    done: Callable[[list[Measured]], None] = lambda found: None,
) -> list[Measured]:
    """Measure points in their order until as many as asked for are routed.

    One after the other is quantised here; they are simulated and routed meanwhile. A point that
    turns out not to fit is reported, and the next one takes its place.

    Parameters
    ----------
    make : callable
        Gives the network of a candidate.
    done : callable
        Told of what is measured so far.
    """
    found: dict[int, Measured] = {}
    workers = max(1, min(request.points, os.cpu_count() or 1))
    executor = ThreadPoolExecutor(workers)
    pending: dict[int, Future[Measured]] = {}
    waiting = list(enumerate(points))
    try:
        while True:
            routed = sum(each.value is not None for each in found.values())
            while waiting and routed + len(pending) < request.points:
                index, point = waiting.pop(0)
                job = _job(request, point, make, stem, output, reporter)
                pending[index] = executor.submit(_measure, request, point, job, reporter)
            if not pending:
                return [found[index] for index in sorted(found)]
            index = next((each for each in pending if pending[each].done()), min(pending))
            found[index] = pending.pop(index).result()
            done([found[each] for each in sorted(found)])
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _job(
    request: Request,
    point: PredictedPoint,
    make: Maker,
    stem: str,
    output: Path,
    reporter: Reporter,
) -> GivenJob:
    """Make a point's network, write its file, and return what measures it."""
    candidate = point.candidate
    network = make(candidate, point_name(stem, candidate))
    path = output / f"{file_name(network.name)}.safetensors"
    write_atomically(path, to_bytes(network))
    plan = RunPlan(
        network=str(path),
        training=Training(),
        accumulator=None,
        overflow=None,
        geometry=candidate.shape.geometry,
        contexts=candidate.shape.contexts,
        batch=candidate.shape.batch,
        fit=False,
        route=True,
        energy=False,
        target=request.target,
        seeds=request.seeds,
        images=request.images,
        engine="auto",
        store=request.store,
    )
    job = GivenJob(plan)
    job.prepare(output, reporter)
    return job


def _measure(
    request: Request, point: PredictedPoint, job: GivenJob, reporter: Reporter
) -> Measured:
    """Simulate and route a point, unless its own integers need a wider accumulator."""
    assert job.network is not None
    bits, most = job.network.accumulator.width, request.accumulator
    if most is not None and bits > most:
        job.fail(FitError(f"its sums take {bits} bits, and --accumulator allows {most}"))
    else:
        job.measure(reporter)
    assert job.row is not None
    row = replace(job.row, more={**job.row.more, **predicted(point, request)})
    value = None
    if row.fmax_mhz and job.failure is None:
        program = job.plan.program(job.network, job.plan.geometry)
        cycles = row.cycles_per_image
        if request.objective == "latency":  # a stream of images hides some of it
            cycles = cycles_of(accelerator_for(program, request.device).cycles, "latency")
        assert cycles is not None
        value = figure(request.goal, row.fmax_mhz, cycles, job.network.parameter_bits)
        row = replace(row, more={**row.more, f"measured_{request.objective}": value})
    path = Path(job.plan.network)
    return Measured(point, row, path, value)
