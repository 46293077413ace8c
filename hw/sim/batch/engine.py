"""The batch engine: many images a pass, as many passes at a time as there are cores."""

import os
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import numpy as np

from ...accelerator.top import Accelerator
from ...errors import EngineRefusal, MismatchError, ToolMissing
from ..run import EVENT, Run, Stimulus
from .design import Design
from .lanes import Share, shares
from .native import library, widest
from .simulate import Pass, Signals, Simulator, Timing, trace_bytes

__all__ = ["BatchEngine", "Session"]

MEMORY = 1 << 30
"""Bytes of traced sums that a pass keeps at most; a batch in each of 64 lanes is always kept."""
PATIENCE = 0.2
"""Seconds between two looks at the progress."""
LONGEST = 4096
"""Images of a vector in NumPy, at most."""


def _build(width: int | None) -> int:
    """Compile the evaluator, for lanes and for the control; return its width."""
    width = width or widest()
    library(width)
    library(64)
    return width


class BatchEngine:
    """Run an accelerator with one bit of every net an image.

    Nothing is compiled for a design. Its control must not depend on the images, which is proven
    when the engine is made. ``cycles``, ``steps`` and ``layer_cycles`` are those of one stream of
    all images, as in the other engines: its control alone is simulated for them.

    Parameters
    ----------
    accelerator : Accelerator
        What to run.
    workers : int, optional
        Passes that run side by side; by default one a core.
    width : int, optional
        Images of a vector: 64, 128, 256 or 512; by default as many as the processor's have bits.
    compiled : bool, optional
        Take the evaluator in C++, or the one in NumPy, whose vectors have up to 4096 images; by
        default the one in C++, or, with a warning, the other where there is no compiler.

    Attributes
    ----------
    image_cycles : int
        Of the last run: cycles of its passes, each times the images that took it.

    Raises
    ------
    ToolError
        Without Yosys; for a design whose control depends on data.
    """

    name = "batch"

    def __init__(
        self,
        accelerator: Accelerator,
        *,
        workers: int | None = None,
        width: int | None = None,
        compiled: bool | None = None,
    ):
        self.accelerator, self.image_cycles = accelerator, 0
        self.workers = workers or os.cpu_count() or 1
        with ThreadPoolExecutor(1) as pool:  # the evaluator compiles while Yosys runs
            built = pool.submit(_build, width) if compiled is not False else None
            self.design = Design(accelerator)
            try:
                self._width = built.result() if built else width
            except ToolMissing as error:
                if compiled:
                    raise
                warnings.warn(f"{error}; using NumPy, which is slow", stacklevel=2)
                built, self._width = None, width
        self.compiled = built is not None
        if not self.compiled:  # an operation on all that have the same level
            self.design.chunk = 1 << 62
        self._simulators: dict[int, Simulator] = {}

    def simulator(self, images: int, *, traced: bool = False) -> Simulator:
        """Return the simulator for a number of images; NumPy's vectors are as long as that asks.

        Where sums are traced, its vectors are short enough for those of a batch in each lane.
        """
        width, batch = self._width, self.accelerator.program.batch
        if width is None:
            lanes = -(-images // batch)
            width = min(LONGEST, -(-lanes // 64) * 64)
        while traced and width > 64 and batch * trace_bytes(self.accelerator, width) > MEMORY:
            width = width // 128 * 64
        if width not in self._simulators:
            made = Simulator(self.accelerator, self.design, width, compiled=self.compiled)
            self._simulators[width] = made
        return self._simulators[width]

    def run(self, stimulus: Stimulus) -> Run:
        """Send all images through and return what came out.

        Raises
        ------
        MismatchError
            When the accelerator stops moving before all results came.
        ToolError
            For streams with pauses, and for waveforms, which this engine does not do.
        """
        session = Session(self, stimulus)
        passes = sorted(session.passes(), key=lambda each: each.share.start)
        return session.result(passes)


class Session:
    """One run: its passes, side by side, and its timing.

    With ``whole``, passes have the sums that are traced, and `result` has no events.
    """

    def __init__(self, engine: BatchEngine, stimulus: Stimulus, *, whole: bool = False):
        if stimulus.gaps or stimulus.stalls:
            raise EngineRefusal("the batch engine has no pauses; take --engine compiled")
        if stimulus.window:
            raise EngineRefusal("the batch engine writes no waveforms; take --engine compiled")
        self.engine, self.stimulus = engine, stimulus
        self.program = program = engine.accelerator.program
        self.images = len(stimulus.images)
        codes = stimulus.codes(engine.accelerator).reshape(self.images, -1)
        self.codes = codes.astype(np.min_scalar_type(int(codes.max(initial=0))))
        self.traced = min(stimulus.traced, self.images)
        self.listed = 0 if whole else self.traced  # in `Run.events`
        self.simulator = engine.simulator(self.images, traced=bool(self.traced))
        width = self.simulator.width
        limit = MEMORY // trace_bytes(engine.accelerator, width) if self.traced else self.images
        self.shares = shares(self.images, width, program.batch, engine.workers, limit)
        self.signals = Signals(len(self.shares))
        self.spans: list[tuple[float, float]] = []  # in which something was simulated
        self.timing: Timing | None = None

    def passes(self) -> Iterator[Pass]:
        """Yield passes as they end; stop all others where one fails, or the caller does."""
        pool = ThreadPoolExecutor(self.engine.workers)
        try:
            timed = pool.submit(self._time)
            running: set[Future] = {timed}
            waiting = iter(enumerate(self.shares))
            while True:
                # no more results than workers wait to be taken
                while len(running) <= self.engine.workers and (following := next(waiting, None)):
                    running.add(pool.submit(self._pass, *following))
                if not running:
                    break
                done, running = wait(running, PATIENCE, FIRST_COMPLETED)
                self._report()
                for future in done - {timed}:
                    yield future.result()
                if timed in done:
                    self.timing = timed.result()
        finally:
            self.signals.stop[0] = 1
            pool.shutdown(cancel_futures=True)

    def _pass(self, at: int, share: Share) -> Pass:
        codes = self.codes[share.start : share.stop]
        traced = min(share.images, max(0, self.traced - share.start))
        with self._span():
            return self.simulator.run(share, codes, traced, self.signals, at)

    def _time(self) -> Timing:
        with self._span():
            return self.simulator.time(self.images, range(self.listed), self.signals)

    @contextmanager
    def _span(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.spans.append((started, time.perf_counter()))

    @property
    def seconds(self) -> float:
        """Wall time in which something was simulated."""
        total, end = 0.0, 0.0
        for start, stop in sorted(self.spans):
            total += max(0.0, stop - max(start, end))
            end = max(end, stop)
        return total

    def _report(self) -> None:
        if self.stimulus.progress:
            total = sum(share.length for share in self.shares) * self.program.network.inputs
            self.stimulus.progress(float(self.signals.progress[:-1].sum()) / total)

    def moments(self, group: int) -> dict[tuple[int, int, int], tuple[int, int]]:
        """Return when the sums of images that are computed together left the array.

        The keys are layer, image and element, the values an order and the cycle, both of the
        single stream of all images.
        """
        start = group * self.program.batch
        images = range(start, min(start + self.program.batch, self.images))
        timing = self.simulator.time(self.images, images, Signals(0))
        names = ("layer", "image", "element")
        keys = zip(*(timing.events[name].tolist() for name in names), strict=True)
        return dict(zip(keys, enumerate(timing.events["cycle"].tolist()), strict=True))

    def incomplete(self, index: int) -> MismatchError:
        """Return an error about a layer whose sums are not one for each element."""
        name = self.program.network.layers[index].name
        return MismatchError(f"layer {name} did not give one sum for each of its elements")

    def result(self, passes: list[Pass]) -> Run:
        """Put passes, in the order of their images, together."""
        timing = self.timing
        assert timing is not None
        self.engine.image_cycles = sum(each.cycles * each.share.lanes for each in passes)
        overflows = np.sum([each.overflows for each in passes], axis=0)
        observed = self.engine.accelerator.observes_overflow
        return Run(
            levels=np.concatenate([each.levels for each in passes]),
            labels=np.concatenate([each.labels for each in passes]),
            cycles=timing.cycles,
            steps=timing.steps,
            overflows=tuple(overflows.tolist()) if observed else (),
            layer_cycles=tuple(timing.layer_cycles.tolist()),
            events=self._events(passes, timing),
            seconds=self.seconds,
            engine=self.engine.name,
        )

    def _events(self, passes: list[Pass], timing: Timing) -> np.ndarray:
        """Give the events of the single stream the numbers that their lanes found."""
        events = np.zeros(len(timing.events), EVENT)
        for name in ("cycle", "image", "element", "layer"):
            events[name] = timing.events[name]
        elements = max(size.elements for size in self.program.network.sizes.values())
        for each in passes:
            share, images = each.share, events["image"]
            mine = np.flatnonzero((images >= share.start) & (images < share.stop))
            place, lane = np.divmod(images[mine].astype(np.int64) - share.start, share.lanes)
            found = np.full((len(self.program.records), share.length, elements), -1)
            key = tuple(each.events[name] for name in ("layer", "image", "element"))
            found[key] = np.arange(len(each.events))
            at = found[events["layer"][mine], place, events["element"][mine]]
            if (at < 0).any():
                raise MismatchError("the lanes have other sums than the stream of all images")
            events["sum"][mine] = each.sums[at, lane]
            events["level"][mine] = each.values[at, lane]
            words = each.flags[at, lane // 64]
            events["overflow"][mine] = words >> (lane % 64).astype(np.uint64) & np.uint64(1)
        return events
