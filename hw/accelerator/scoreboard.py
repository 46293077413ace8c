"""Which job may run next: the state of every context.

A **context** is a batch of images in flight, a **job** one layer of one context. Contexts
take turns, so that one is filled and drained while the other computes.
"""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..program.layout import Program
from .job import Batch, ContextBatch, Job

__all__ = ["Scoreboard"]


class Scoreboard(wiring.Component):
    """Track what each context waits for, and offer the next job.

    A context is *loaded* while its input area holds a batch that is still to be read, *busy* from
    the taking of a job until its outputs are written, and *full* while its last outputs wait to be
    emitted. A job is offered when its input is there and, for the last layer, when the output area
    is free.

    Members
    -------
    loaded : In(stream.Signature(ContextBatch, always_ready=True))
        A batch is in the input area of a context.
    o_loaded : Out(contexts)
        Input areas that hold a batch.
    i_enable : In(1)
        Jobs may start: the weights are there.
    jobs : Out(stream.Signature(Job))
        The next job, from registers, so one cycle after it may start.
    fetched : In(stream.Signature(Job, always_ready=True))
        The input of a job has been read.
    i_written : In(1)
        The outputs of job ``i_written_job`` have been written.
    pooled : In(stream.Signature(Job, always_ready=True))
        The outputs of a job, a max pool, have been written.
    o_full : Out(contexts)
        Output areas that hold a batch, ``o_done[context]``.
    i_emitted : In(contexts)
        The output area has been read.
    o_running : Out(ArrayLayout(Batch, contexts))
        The batch that a context computes.
    """

    loaded: stream.Interface
    o_loaded: Signal
    i_enable: Signal
    jobs: stream.Interface
    fetched: stream.Interface
    i_written: Signal
    i_written_job: data.View
    pooled: stream.Interface
    o_full: Signal
    i_emitted: Signal
    o_running: data.View
    o_done: data.View

    def __init__(self, program: Program):
        self.program = program
        job, batch = Job(program.contexts, len(program.records)), Batch(program.batch)
        contexts = program.contexts
        super().__init__(
            {
                "loaded": In(stream.Signature(ContextBatch(contexts, batch), always_ready=True)),
                "o_loaded": Out(contexts),
                "i_enable": In(1),
                "jobs": Out(stream.Signature(job)),
                "fetched": In(stream.Signature(job, always_ready=True)),
                "i_written": In(1),
                "i_written_job": In(job),
                "pooled": In(stream.Signature(job, always_ready=True)),
                "o_full": Out(contexts),
                "i_emitted": In(contexts),
                "o_running": Out(data.ArrayLayout(batch, contexts)),
                "o_done": Out(data.ArrayLayout(batch, contexts)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        self.offered, self.take = Signal(), Signal()
        states = [self._context(m, context) for context in range(self.program.contexts)]
        ready, layers = zip(*states, strict=True)
        m.d.comb += [
            self.jobs.valid.eq(self.offered & self.i_enable),
            self.take.eq(self.jobs.valid & self.jobs.ready),
        ]
        latest = Signal(ceil_log2(self.program.contexts))
        chosen = Signal.like(latest)
        if self.program.contexts == 2:
            # the context whose turn it is, unless only the other one is ready
            m.d.comb += chosen.eq(Mux(latest, ~ready[0], ready[1]))
        m.d.sync += [
            # what is taken now is busy from the next cycle on
            self.offered.eq(Array(ready)[chosen] & ~self.take),
            self.jobs.payload.context.eq(chosen),
            self.jobs.payload.layer.eq(Array(layers)[chosen]),
        ]
        with m.If(self.take):
            m.d.sync += latest.eq(self.jobs.payload.context)
        return m

    def _context(self, m: Module, context: int):
        """Track one context; return whether its next job is ready, and that job's layer."""
        last = len(self.program.records) - 1
        layer = Signal(range(last + 1), name=f"layer_{context}")
        busy = Signal(name=f"busy_{context}")
        waiting = Signal(Batch(self.program.batch), name=f"waiting_{context}")
        loaded, full = self.o_loaded[context], self.o_full[context]
        ready = ~busy & ((layer != 0) | loaded) & ((layer != last) | ~full)

        with m.If(self.take & (self.jobs.payload.context == context)):
            m.d.sync += busy.eq(1)
            with m.If(self.jobs.payload.layer == 0):
                m.d.sync += self.o_running[context].eq(waiting)
        with m.If(self.fetched.valid & (self.fetched.payload.context == context)):
            with m.If(self.fetched.payload.layer == self.program.last_input_layer):
                m.d.sync += loaded.eq(0)
        with m.If(self.loaded.valid & (self.loaded.payload.context == context)):
            m.d.sync += [loaded.eq(1), waiting.eq(self.loaded.payload.batch)]
        with m.If(self.i_emitted[context]):
            m.d.sync += full.eq(0)
        written = self.i_written & (self.i_written_job.context == context)
        pooled = self.pooled.valid & (self.pooled.payload.context == context)
        with m.If(written | pooled):
            m.d.sync += [busy.eq(0), layer.eq(layer + 1)]
            with m.If(layer == last):
                m.d.sync += [
                    layer.eq(0),
                    full.eq(1),
                    self.o_done[context].eq(self.o_running[context]),
                ]
        return ready, layer
