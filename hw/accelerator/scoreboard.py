"""Which job may run next: the state of every context.

A **context** is a batch of images in flight, a **job** one layer of one context. Contexts
take turns, so that one is filled and drained while the other computes.
"""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..program.layout import Program
from .job import Batch, Job

__all__ = ["Scoreboard"]


class Scoreboard(wiring.Component):
    """Track what each context waits for, and offer the next job.

    A context is *loaded* while its input area holds a batch that is still to be read, *busy* from
    the taking of a job until its outputs are written, and *full* while its last outputs wait to be
    emitted. A job is offered when its input is there and, for the last layer, when the output area
    is free.

    Members
    -------
    i_loaded : In(1)
        A batch, ``i_batch``, is in the input area of context ``i_loaded_context``.
    o_loaded : Out(contexts)
        Input areas that hold a batch.
    o_offer : Out(1)
        ``o_job`` may start; taken with ``i_take``. Both come from registers, so a job is offered
        one cycle after it may start.
    i_fetched : In(1)
        The input of job ``i_fetched_job`` has been read.
    i_written : In(1)
        The outputs of job ``i_written_job`` have been written.
    i_pooled : In(1)
        The outputs of job ``i_pooled_job``, a max pool, have been written.
    o_full : Out(contexts)
        Output areas that hold a batch, ``o_done[context]``.
    i_emitted : In(contexts)
        The output area has been read.
    o_running : Out(ArrayLayout(Batch, contexts))
        The batch that a context computes.
    """

    i_loaded: Signal
    i_loaded_context: Signal
    i_batch: data.View
    o_loaded: Signal
    o_offer: Signal
    o_job: data.View
    i_take: Signal
    i_fetched: Signal
    i_fetched_job: data.View
    i_written: Signal
    i_written_job: data.View
    i_pooled: Signal
    i_pooled_job: data.View
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
                "i_loaded": In(1),
                "i_loaded_context": In(ceil_log2(contexts)),
                "i_batch": In(batch),
                "o_loaded": Out(contexts),
                "o_offer": Out(1),
                "o_job": Out(job),
                "i_take": In(1),
                "i_fetched": In(1),
                "i_fetched_job": In(job),
                "i_written": In(1),
                "i_written_job": In(job),
                "i_pooled": In(1),
                "i_pooled_job": In(job),
                "o_full": Out(contexts),
                "i_emitted": In(contexts),
                "o_running": Out(data.ArrayLayout(batch, contexts)),
                "o_done": Out(data.ArrayLayout(batch, contexts)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        states = [self._context(m, context) for context in range(self.program.contexts)]
        ready, layers = zip(*states, strict=True)
        latest = Signal(ceil_log2(self.program.contexts))
        chosen = Signal.like(latest)
        if self.program.contexts == 2:
            # the context whose turn it is, unless only the other one is ready
            m.d.comb += chosen.eq(Mux(latest, ~ready[0], ready[1]))
        m.d.sync += [
            # what is taken now is busy from the next cycle on
            self.o_offer.eq(Array(ready)[chosen] & ~self.i_take),
            self.o_job.context.eq(chosen),
            self.o_job.layer.eq(Array(layers)[chosen]),
        ]
        with m.If(self.i_take):
            m.d.sync += latest.eq(self.o_job.context)
        return m

    def _context(self, m: Module, context: int):
        """Track one context; return whether its next job is ready, and that job's layer."""
        last = len(self.program.records) - 1
        layer = Signal(range(last + 1), name=f"layer_{context}")
        busy = Signal(name=f"busy_{context}")
        waiting = Signal(Batch(self.program.batch), name=f"waiting_{context}")
        loaded, full = self.o_loaded[context], self.o_full[context]
        ready = ~busy & ((layer != 0) | loaded) & ((layer != last) | ~full)

        with m.If(self.i_take & (self.o_job.context == context)):
            m.d.sync += busy.eq(1)
            with m.If(self.o_job.layer == 0):
                m.d.sync += self.o_running[context].eq(waiting)
        with m.If(self.i_fetched & (self.i_fetched_job.context == context)):
            with m.If(self.i_fetched_job.layer == self.program.last_input_layer):
                m.d.sync += loaded.eq(0)
        with m.If(self.i_loaded & (self.i_loaded_context == context)):
            m.d.sync += [loaded.eq(1), waiting.eq(self.i_batch)]
        with m.If(self.i_emitted[context]):
            m.d.sync += full.eq(0)
        written = self.i_written & (self.i_written_job.context == context)
        pooled = self.i_pooled & (self.i_pooled_job.context == context)
        with m.If(written | pooled):
            m.d.sync += [busy.eq(0), layer.eq(layer + 1)]
            with m.If(layer == last):
                m.d.sync += [
                    layer.eq(0),
                    full.eq(1),
                    self.o_done[context].eq(self.o_running[context]),
                ]
        return ready, layer
