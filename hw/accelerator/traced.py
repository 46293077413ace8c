"""Traces every partial sum and every level of an accelerator, for the simulators."""

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out

from ..program.layout import Program
from .configure import probe_config
from .probe import Probe
from .top import Accelerator

__all__ = ["Traced", "entry_layout", "trace_layout"]


def entry_layout(program: Program) -> data.StructLayout:
    """Return the layout of an entry of ``sums`` in `trace_layout`."""
    return probe_config(program).entry


def trace_layout(program: Program) -> data.StructLayout:
    """Return the layout of the trace: every partial sum and every level, as they pass.

    ``sums`` has an entry a chain: ``valid`` marks a sum of a real image, position and channel;
    ``image`` counts images from reset, ``element`` is the place in the layer's output, channels
    last; ``level`` is wide enough for every layer's output. ``step`` is high in each cycle in which
    the array computes. ``running`` is high while layer ``current`` has the array, or the max pool.
    """
    return probe_config(program).trace


class Traced(wiring.Component):
    """An accelerator with one more output, what a `Probe` at its inner signals sees.

    A partial sum is traced with its level, ``accelerator.levels.config.latency`` cycles after it
    has left the array.

    Parameters
    ----------
    accelerator : Accelerator

    Members
    -------
    i, o, weights
        The streams of the accelerator.
    trace : Out(trace_layout(accelerator.program))
    """

    i: stream.Interface
    o: stream.Interface
    weights: stream.Interface
    trace: data.View

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        members = dict(accelerator.signature.members)
        super().__init__(members | {"trace": Out(trace_layout(accelerator.program))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.accelerator = inner = self.accelerator
        config = probe_config(inner.program, latency=inner.levels.config.latency)
        m.submodules.probe = probe = Probe(config)
        for name in inner.signature.members:
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(inner, name))
        sequencer, feeder = inner.sequencer, inner.feeder
        m.d.comb += [
            probe.tags.valid.eq(inner.drain.tags.valid),
            probe.tags.payload.eq(inner.drain.tags.payload),
            probe.i_sums.eq(inner.array.o),
            probe.i_batches.eq(inner.scoreboard.o_running),
            probe.i_step.eq(sequencer.o_control.enable),
            probe.i_computing.eq(sequencer.o_running),
            probe.i_layer.eq(sequencer.banks.payload.job.layer),
            probe.i_pooling.eq(feeder.o_pooling),
            probe.i_pool_layer.eq(feeder.fetched.payload.layer),
            self.trace.eq(probe.o),
        ]
        for port, levels in zip(probe.levels, inner.levels.levels, strict=True):
            m.d.comb += port.eq(levels)
        return m
