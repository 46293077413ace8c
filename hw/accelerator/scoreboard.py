"""Tracks the state of every context, and offers the job that may run next.

A **context** is a batch of images in flight, a **job** one layer of one context. Two contexts take
turns, as ping-pong buffers do: one is filled and drained while the other computes.
"""

from dataclasses import dataclass

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .job import ContextBatch, Job, check_contexts

__all__ = ["Scoreboard", "ScoreboardConfig"]


@dataclass(frozen=True)
class ScoreboardConfig:
    """Sizes of a `Scoreboard`.

    Attributes
    ----------
    contexts : int
        Contexts, 1 or 2.
    layers : int
        Layers, each a job a context.
    last_input_layer : int
        Index of the last layer that reads the input area.
    batch : StructLayout
        Layout of a `Batch`.
    first_output_layer : int, optional
        Index of the first layer that writes to the output area; None is the last one.

    Raises
    ------
    GeometryError
        For other than 1 or 2 contexts.
    """

    contexts: int
    layers: int
    last_input_layer: int
    batch: data.StructLayout
    first_output_layer: int | None = None

    def __post_init__(self) -> None:
        check_contexts(self.contexts)

    @property
    def job(self) -> data.StructLayout:
        """Layout of a job."""
        return Job(self.contexts, self.layers)


class Scoreboard(wiring.Component):
    """Track what each context waits for, and offer the next job.

    A context is *loaded* while its input area holds a batch that is still to be read, *busy* from
    the taking of a job until its outputs are written, and *full* while its last outputs wait to be
    emitted. A job is offered when its input is there and, for the first layer that writes to the
    output area, when that is free.

    Parameters
    ----------
    config : ScoreboardConfig

    Members
    -------
    loaded : In(stream.Signature(ContextBatch, always_ready=True))
        A batch is in the input area of a context.
    o_loaded : Out(contexts)
        Input areas that hold a batch.
    i_enable : In(1)
        Jobs may start: the weights are there.
    jobs : Out(stream.Signature(Job))
        The next job. It comes from registers, one cycle after it may start; while nobody takes it,
        it may give way to one of the other context.
    fetched : In(stream.Signature(Job, always_ready=True))
        The input of a job has been read.
    written, pooled : In(stream.Signature(Job, always_ready=True))
        The outputs of a job have been written; those of a max pool.
    batches : Out(stream.Signature(ContextBatch))
        A batch in the output area of a context, taken when the area has been read.
    o_running : Out(ArrayLayout(Batch, contexts))
        The batch that a context computes.
    """

    loaded: stream.Interface
    o_loaded: Signal
    i_enable: Signal
    jobs: stream.Interface
    fetched: stream.Interface
    written: stream.Interface
    pooled: stream.Interface
    batches: stream.Interface
    o_running: data.View

    def __init__(self, config: ScoreboardConfig):
        self.config = config
        contexts, batch = config.contexts, ContextBatch(config.contexts, config.batch)
        done = stream.Signature(config.job, always_ready=True)
        super().__init__(
            {
                "loaded": In(stream.Signature(batch, always_ready=True)),
                "o_loaded": Out(contexts),
                "i_enable": In(1),
                "jobs": Out(stream.Signature(config.job)),
                "fetched": In(done),
                "written": In(done),
                "pooled": In(done),
                "batches": Out(stream.Signature(batch)),
                "o_running": Out(data.ArrayLayout(config.batch, contexts)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        contexts = self.config.contexts
        offered, take, emitted = Signal(), Signal(), Signal()
        states = [self._context(m, context, take, emitted) for context in range(contexts)]
        ready, layers, full, done = zip(*states, strict=True)
        latest = Signal(ceil_log2(contexts))
        chosen = Signal.like(latest)
        emitting = Signal.like(latest)  # areas are emitted in turn
        if contexts == 2:
            # the context whose turn it is, unless only the other one is ready
            m.d.comb += chosen.eq(Mux(latest, ~ready[0], ready[1]))
            with m.If(emitted):
                m.d.sync += emitting.eq(~emitting)
        m.d.comb += [
            self.jobs.valid.eq(offered & self.i_enable),
            take.eq(self.jobs.valid & self.jobs.ready),
            self.batches.valid.eq(Array(full)[emitting]),
            self.batches.payload.context.eq(emitting),
            self.batches.payload.batch.eq(Array(done)[emitting]),
            emitted.eq(self.batches.valid & self.batches.ready),
        ]
        m.d.sync += [
            # what is taken now is busy from the next cycle on
            offered.eq(Array(ready)[chosen] & ~take),
            self.jobs.payload.context.eq(chosen),
            self.jobs.payload.layer.eq(Array(layers)[chosen]),
        ]
        with m.If(take):
            m.d.sync += latest.eq(self.jobs.payload.context)
        return m

    def _context(
        self, m: Module, context: int, take, emitted
    ) -> tuple[Value, Signal, Signal, data.View]:
        """Track one context.

        Returns whether its next job is ready, that job's layer, whether the output area holds a
        batch, and that batch.
        """
        last, output = self.config.layers - 1, self.config.first_output_layer
        output = last if output is None else output
        layer = Signal(range(last + 1), name=f"layer_{context}")
        busy, full = Signal(name=f"busy_{context}"), Signal(name=f"full_{context}")
        waiting, done = (
            Signal(self.config.batch, name=f"{name}_{context}") for name in ("waiting", "done")
        )
        loaded, running = self.o_loaded[context], self.o_running[context]
        ready = ~busy & ((layer != 0) | loaded) & ((layer != output) | ~full)

        def mine(events: stream.Interface) -> Value:
            return events.valid & (events.payload.context == context)

        with m.If(take & (self.jobs.payload.context == context)):
            m.d.sync += busy.eq(1)
            with m.If(self.jobs.payload.layer == 0):
                m.d.sync += running.eq(waiting)
        with m.If(mine(self.fetched)):
            with m.If(self.fetched.payload.layer == self.config.last_input_layer):
                m.d.sync += loaded.eq(0)
        with m.If(mine(self.loaded)):
            m.d.sync += [loaded.eq(1), waiting.eq(self.loaded.payload.batch)]
        with m.If(emitted & (self.batches.payload.context == context)):
            m.d.sync += full.eq(0)
        with m.If(mine(self.written) | mine(self.pooled)):
            m.d.sync += [busy.eq(0), layer.eq(layer + 1)]
            with m.If(layer == last):
                m.d.sync += [layer.eq(0), full.eq(1), done.eq(running)]
        return ready, layer, full, done
