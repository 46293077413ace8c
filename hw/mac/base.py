"""Multiply-accumulate: what a processing element computes, for every kind of number.

All have the ports of `MAC`, so an array takes any of them. `choice.macs` chooses.
"""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..numbers.arithmetic import Accumulator
from ..numbers.fixed_sum import FixedSum
from ..numbers.float_sum import FloatSum
from ..numbers.operands import Operands
from .accumulator import Accumulate
from .control import CONTROL
from .dot import DotProduct

__all__ = ["MAC", "DotMAC"]


class MAC(wiring.Component):
    """Base of the multiply-accumulates: sum the products of ``lanes`` pairs, step after step.

    Operands enter at any cycle; the control of their step enters ``latency`` cycles later.
    ``delay`` cycles after the control with ``last``, ``o`` and ``o_overflow`` are the finished
    partial sum and whether any of its steps overflowed.

    Parameters
    ----------
    operands : Operands
        Formats of weights and activations.
    lanes : int
        Pairs a step.
    accumulator : Accumulator, FloatSum or FixedSum
        Width and overflow mode of the partial sum; of floats, its format and partial sums, or the
        register that it is exact in.

    Attributes
    ----------
    latency : int
        Cycles from the operands of a step to its control.
    delay : int
        Cycles from the control of a step to the partial sum with it; 0 where ``o`` is
        combinational.
    gap : int
        Cycles after the control with ``last`` in which no step of the next sum may come; if there
        are any, or several partial sums of a float, steps of a sum are in consecutive cycles.
    cumulative : bool
        Whether ``last`` does not clear the partial sum: it wraps and runs on, from tile to tile.
    observes_overflow : bool
        Whether ``o_overflow`` tells; if not, it is 0.
    sliced : bool
        Whether weights are slices, and ``double`` shifts by their bits.
    sign_latency : int
        Cycles from the operands of a step to ``i_signed``, where there are slices.

    Members
    -------
    i_weights, i_activations : In(ArrayLayout(format, lanes))
    i_control : In(CONTROL)
    i_signed : In(1)
        The top bits of these slices count negative; only of sliced ones.
    o : Out(signed(accumulator.width)), or Out(accumulator.format) of floats
    o_overflow : Out(1)
    """

    i_weights: data.View
    i_activations: data.View
    i_control: data.View
    i_signed: Signal
    o: Signal
    o_overflow: Signal

    latency: int
    delay: int = 0
    gap: int = 0
    cumulative: bool = False
    observes_overflow: bool = True
    multiplies: bool = True
    """Whether it has products that a DSP block could take."""
    sliced: bool = False
    sign_latency: int = 0

    def __init__(
        self,
        operands: Operands,
        lanes: int,
        accumulator: Accumulator | FloatSum | FixedSum,
        *,
        sliced: bool = False,
    ):
        integers = isinstance(accumulator, Accumulator)
        total = signed(accumulator.width) if integers else accumulator.format
        self.operands, self.lanes, self.accumulator = operands, lanes, accumulator
        self.sliced = sliced
        super().__init__(
            {
                "i_weights": In(data.ArrayLayout(operands.weight, lanes)),
                "i_activations": In(data.ArrayLayout(operands.activation, lanes)),
                "i_control": In(CONTROL),
                **({"i_signed": In(1)} if sliced else {}),
                "o": Out(total),
                "o_overflow": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        raise NotImplementedError


class DotMAC(MAC):
    """A dot product, and an accumulator behind it.

    Parameters
    ----------
    dot : DotProduct
        It knows the formats, and the fabric.
    accumulator : Accumulator
        Width and overflow mode.
    doubling : bool
        Whether steps may double the partial sum (bit planes), or shift it (slices).
    cumulative : bool
        The partial sum is never cleared, as in a DSP block; the accumulator wraps.
    """

    def __init__(
        self,
        dot: DotProduct,
        accumulator: Accumulator,
        *,
        doubling: bool = False,
        cumulative: bool = False,
    ):
        super().__init__(dot.operands, dot.lanes, accumulator, sliced=dot.sliced)
        self.dot, self.doubling = dot, doubling
        self.accumulate = Accumulate(
            accumulator,
            dot.width,
            doubling=doubling,
            slice=dot.operands.weight.width if dot.sliced else None,
            restart=not cumulative,
            even=dot.even,
            fabric=dot.fabric,
        )
        self.delay = self.accumulate.latency
        # sums between slices may not fit where no sum of whole products overflows
        self.cumulative, self.observes_overflow = cumulative, not (cumulative or dot.sliced)
        self.latency, self.sign_latency = dot.latency, dot.sign_latency

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dot = dot = self.dot
        m.submodules.accumulate = accumulate = self.accumulate
        m.d.comb += [
            dot.i_weights.eq(self.i_weights),
            dot.i_activations.eq(self.i_activations),
            accumulate.i.eq(dot.o),
            accumulate.i_control.eq(self.i_control),
            self.o.eq(accumulate.o),
            self.o_overflow.eq(accumulate.o_overflow if self.observes_overflow else 0),
        ]
        if self.sliced:
            m.d.comb += dot.i_signed.eq(self.i_signed)
        return m
