"""Hardware against reference: images through both, compared."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from ...hw.accelerator.top import Accelerator
from ...hw.program.layout import Program
from ...hw.sim.batch.engine import BatchEngine
from ...hw.sim.batch.whole import SUMS, simulate_whole
from ...hw.sim.compare import Comparison, compare, with_overflows
from ...hw.sim.engine import make_engine
from ...hw.sim.run import CycleWindow, Run, Stimulus
from ...model.integers.reference import LayerTrace, Result, evaluate

__all__ = [
    "Checked",
    "Reference",
    "check_levels",
    "reference",
    "simulate_and_compare",
]

COMPARED = 20_000_000  # sums of one stream that are compared; each takes some 60 bytes


@dataclass(frozen=True, eq=False)
class Reference:
    """Results of the reference: those of all images, and the layers of the first ones.

    Attributes
    ----------
    levels : int64 array of shape (images, outputs)
    labels : int64 array of shape (images,), or (images, outputs of the network)
    layers : tuple of LayerTrace
        Sums and levels of the images that were traced.
    overflows : tuple of int
        Sums of each layer, over all images, of which at least one step overflowed.
    """

    levels: np.ndarray
    labels: np.ndarray
    layers: tuple[LayerTrace, ...]
    overflows: tuple[int, ...]


def reference(program: Program, images: np.ndarray, traced: int) -> Reference:
    """Evaluate images, a few at a time, so that only the sums of the traced ones are kept."""
    network = program.network
    results, layers = [], ()
    overflows = np.zeros(len(network.layers), np.int64)
    step = max(1, SUMS // program.sums)
    starts = [0, *range(traced, len(images), step)] if traced else range(0, len(images), step)
    for start in starts:
        stop = traced if start < traced else start + step
        part = _evaluate(program, images[start:stop])
        overflows += [_overflowed(layer) for layer in part.layers]
        results.append(part)
        if start < traced:
            layers = part.layers
    return Reference(
        levels=np.concatenate([part.levels.numpy() for part in results]),
        labels=np.concatenate([part.labels.numpy() for part in results]),
        layers=layers,
        overflows=tuple(overflows.tolist()),
    )


def _evaluate(program: Program, images: np.ndarray) -> Result:
    """Return what the reference gives, with its trace, on an array such as the program's."""
    sliced = program.geometry.slice is not None
    levels = torch.as_tensor(images)
    return evaluate(program.network, levels, program.geometry.lanes, sliced=sliced, trace=True)


def _overflowed(layer: LayerTrace) -> int:
    return 0 if layer.overflowed is None else int(layer.overflowed.sum())


def simulate_and_compare(
    accelerator: Accelerator,
    levels: np.ndarray,
    engine: str,
    *,
    traced: int | None = None,
    gaps: float = 0.0,
    stalls: float = 0.0,
    window: CycleWindow | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> tuple[Run, Comparison, Reference]:
    """Run images through hardware and reference; return both results and their comparison.

    The first ``traced`` images are compared sum by sum; the others by levels and labels, and by how
    many sums of each layer overflowed, where the accelerator observes it. Unless
    told otherwise these are all where they run side by side, else those of the first 20 million
    sums.
    """
    program, images = accelerator.program, len(levels)
    work = Stimulus(levels, gaps=gaps, stalls=stalls, window=window, progress=_remaining(note))
    cycles = images * program.cycles.per_image
    made = make_engine(accelerator, engine, cycles=cycles, work=work, note=note)
    note(f"{images} images, {made.name} engine")
    if isinstance(made, BatchEngine):
        work = replace(work, traced=images if traced is None else traced)
        run, comparison, expected = _compare_whole(made, work)
    else:
        traced = min(images, max(1, COMPARED // program.sums) if traced is None else traced)
        run = made.run(replace(work, traced=traced))
        expected = reference(program, levels, traced)
        comparison = compare(run, expected, program.network, program.geometry)
    return run, with_overflows(comparison, run, expected.overflows, program.network), expected


def _remaining(note: Callable[[str], None]) -> Callable[[float], None]:
    """Return what notes the share that is done, and after how many seconds the rest will be."""
    started = time.perf_counter()

    def progress(share: float) -> None:
        passed = time.perf_counter() - started
        left = f", {passed * (1 - share) / share:.0f} s left" if passed > 2 and share > 0.01 else ""
        note(f"{100 * share:.0f} %{left}")

    return progress


def _compare_whole(engine: BatchEngine, work: Stimulus) -> tuple[Run, Comparison, Reference]:
    program = engine.accelerator.program

    run, comparison, whole = simulate_whole(engine, work, partial(_evaluate, program))
    return run, comparison, Reference(whole.levels, whole.labels, (), whole.overflows)


@dataclass(frozen=True)
class Checked:
    """Result of simulating and comparing a network on test images.

    There is no accuracy where the network gives values, or has several outputs. ``layer_cycles``
    are those of all images; ``first`` describes the first difference, empty where there is none.
    """

    images: int
    accuracy_reference: float | None
    accuracy_hardware: float | None
    mismatches: int
    overflows: int | None
    overflows_reference: int
    cycles: int
    steps: int
    layer_cycles: Sequence[int]
    seconds: float
    engine: str
    first: str


def check_levels(
    accelerator: Accelerator,
    labels: np.ndarray,
    levels: np.ndarray,
    engine: str,
    note: Callable[[str], None] = lambda text: None,
) -> Checked:
    """Run input levels through hardware and reference and compare them; labels are the classes."""
    run, comparison, expected = simulate_and_compare(accelerator, levels, engine, note=note)
    network = accelerator.program.network
    has_classes = network.classes > 0 and len(network.ends) == 1
    return Checked(
        images=len(levels),
        accuracy_reference=float((expected.labels == labels).mean()) if has_classes else None,
        accuracy_hardware=float((run.labels == labels).mean()) if has_classes else None,
        mismatches=comparison.mismatches,
        overflows=sum(run.overflows) if run.overflows else None,
        overflows_reference=sum(expected.overflows),
        cycles=run.cycles,
        steps=run.steps,
        layer_cycles=list(run.layer_cycles),
        seconds=run.seconds,
        engine=run.engine,
        first=str(comparison.first or ""),
    )
