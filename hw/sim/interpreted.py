"""Amaranth's own simulator: slow, with no compiler, and the judge of the compiled engine."""

import random
import tempfile
import time
from pathlib import Path

import numpy as np
from amaranth.sim import Simulator

from ..accelerator.top import Accelerator
from ..accelerator.traced import Traced
from ..errors import MismatchError
from ..tools.programs import check_interrupt
from .run import EVENT, Run, Stimulus
from .vcd import cut_window

__all__ = ["AmaranthEngine"]

IDLE_LIMIT = 20_000
FEMTOSECONDS = 1_000_000_000  # a cycle, in the unit of Amaranth's waveforms


class AmaranthEngine:
    """Run an accelerator in Amaranth's simulator.

    Parameters
    ----------
    accelerator : Accelerator
        What to run.
    """

    name = "amaranth"

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator

    def run(self, stimulus: Stimulus) -> Run:
        """Send all images through and return what came out.

        Raises
        ------
        MismatchError
            When the accelerator stops moving before all results came.
        """
        traced = Traced(self.accelerator)
        session = _Session(traced, stimulus)
        simulator = Simulator(traced)
        simulator.add_clock(1e-6)
        simulator.add_testbench(session.drive)
        started = time.perf_counter()
        if stimulus.window is None:
            simulator.run()
        else:
            with tempfile.TemporaryDirectory(prefix="narrowgauge-") as scratch:
                whole = Path(scratch) / "whole.vcd"
                with simulator.write_vcd(str(whole)):
                    simulator.run()
                cut_window(whole, stimulus.window, ticks_per_cycle=FEMTOSECONDS)
        return session.result(time.perf_counter() - started)


class _Session:
    """One simulation: what goes in, and what has come out so far."""

    def __init__(self, traced: Traced, stimulus: Stimulus):
        accelerator = traced.accelerator
        self.traced, self.accelerator, self.stimulus = traced, accelerator, stimulus
        network = accelerator.program.network
        self.images = len(stimulus.images)
        self.codes = stimulus.codes(accelerator).tolist()
        self.levels: list[int] = []
        self.labels: list[int] = []
        self.events: list[tuple] = []
        self.overflows = [0] * len(network.layers)
        self.layer_cycles = [0] * len(network.layers)
        self.cycles = self.steps = self.waited = 0

    async def drive(self, ctx) -> None:
        """Feed and drain the streams until every output of every image has ended."""
        traced, chance = self.traced, random.Random(self.stimulus.seed)
        accepted = idle = 0
        limit = IDLE_LIMIT + self.accelerator.program.cycles.longest_job
        offered = False
        await self._load_weights(ctx)
        lasts = self.images * len(self.accelerator.program.network.ends)
        while len(self.labels) < lasts:
            check_interrupt()
            offered = accepted < len(self.codes) and (
                offered or chance.random() >= self.stimulus.gaps
            )
            ready = chance.random() >= self.stimulus.stalls
            ctx.set(traced.i.valid, offered)
            ctx.set(traced.o.ready, ready)
            if offered:
                ctx.set(traced.i.payload.as_value(), self._element(accepted))
            *_, taken, valid, result, trace = await ctx.tick().sample(
                traced.i.ready, traced.o.valid, traced.o.payload, traced.trace
            )
            moved = trace.running or any(entry.valid for entry in trace.sums)
            if offered and taken:
                accepted, offered, moved = accepted + 1, False, True
            if valid and ready:
                self._take(result)
                moved = True
            self._record(trace)
            self.cycles += 1
            idle = 0 if moved else idle + 1
            if idle > limit:
                raise MismatchError(
                    f"the accelerator stood still for {limit} cycles after {accepted} of "
                    f"{len(self.codes)} elements and {len(self.levels)} levels of "
                    f"{self.images} images"
                )

    async def _load_weights(self, ctx) -> None:
        """Send the weights where they have to be loaded, a word a cycle; these are not counted."""
        if not self.accelerator.loads_weights:
            return
        weights = self.traced.weights
        ctx.set(weights.valid, 1)
        for word in self.accelerator.program.contents.weights:
            ctx.set(weights.payload, word)
            await ctx.tick()
        ctx.set(weights.valid, 0)

    def _element(self, index: int) -> int:
        """Return the bits of an input element."""
        offset = self.accelerator.i.payload.shape()["last"].offset
        return self.codes[index] | (index == len(self.codes) - 1) << offset

    def _take(self, result) -> None:
        fmt, given = self.accelerator.program.network.output, result.level
        # a float is read as its value
        self.levels.append(fmt.quantize(given) if isinstance(given, float) else given)
        if result.last:
            self.labels.append(result.label)

    def _record(self, trace) -> None:
        self.steps += trace.step
        self.waited += 1
        if trace.running:  # waiting counts for the layer that is waited for
            self.layer_cycles[trace.current] += self.waited
            self.waited = 0
        for entry in trace.sums:
            if not entry.valid:
                continue
            self.overflows[trace.layer] += entry.overflow
            if entry.image < self.stimulus.traced:
                self.events.append(
                    (
                        self.cycles,
                        entry.sum,
                        entry.level,
                        entry.image,
                        entry.element,
                        trace.layer,
                        entry.overflow,
                    )
                )

    def result(self, seconds: float) -> Run:
        """Return what has come out."""
        network = self.accelerator.program.network
        outputs = network.outputs
        if len(self.levels) != self.images * outputs:
            raise MismatchError(f"{len(self.levels)} levels came for {self.images} images")
        return Run(
            levels=np.asarray(self.levels, np.int64).reshape(self.images, outputs),
            labels=np.asarray(self.labels, np.int64).reshape(network.label_shape(self.images)),
            cycles=self.cycles,
            steps=self.steps,
            overflows=tuple(self.overflows) if self.accelerator.observes_overflow else (),
            layer_cycles=tuple(self.layer_cycles),
            events=np.array(self.events, EVENT),
            seconds=seconds,
            engine=AmaranthEngine.name,
        )
