"""Multiply-accumulate: what a processing element computes, for every kind of number.

All have the ports of `MAC`, so an array takes any of them. `mac` chooses by the formats.
"""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .accumulate import CONTROL, Accumulate
from .arithmetic import Accumulator
from .dot import DotProduct, dot_product
from .mapping import Operands

__all__ = ["MAC", "DotMAC", "mac"]


class MAC(wiring.Component):
    """Base of the multiply-accumulates: sum the products of ``lanes`` pairs, step after step.

    Operands enter at any cycle; the control of their step enters ``latency`` cycles later. ``o``
    and ``o_overflow`` are combinational: in the cycle of ``last`` they are the finished sum and
    whether any of its steps overflowed.

    Parameters
    ----------
    operands : Operands
        Formats of weights and activations.
    lanes : int
        Pairs a step.
    accumulator : Accumulator
        Width and overflow mode of the sum.

    Attributes
    ----------
    latency : int
        Cycles from the operands of a step to its control.

    Members
    -------
    i_weights, i_activations : In(ArrayLayout(format, lanes))
    i_control : In(CONTROL)
    o : Out(signed(accumulator.width))
    o_overflow : Out(1)
    """

    i_weights: data.View
    i_activations: data.View
    i_control: data.View
    o: Signal
    o_overflow: Signal

    latency: int

    def __init__(self, operands: Operands, lanes: int, accumulator: Accumulator):
        self.operands, self.lanes, self.accumulator = operands, lanes, accumulator
        super().__init__(
            {
                "i_weights": In(data.ArrayLayout(operands.weight, lanes)),
                "i_activations": In(data.ArrayLayout(operands.activation, lanes)),
                "i_control": In(CONTROL),
                "o": Out(signed(accumulator.width)),
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
        It knows the formats.
    accumulator : Accumulator
        Width and overflow mode.
    doubling : bool
        Whether steps may double the sum (bit planes).
    """

    def __init__(self, dot: DotProduct, accumulator: Accumulator, *, doubling: bool = False):
        super().__init__(dot.operands, dot.lanes, accumulator)
        self.dot, self.doubling = dot, doubling
        self.latency = dot.latency

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dot = dot = self.dot
        m.submodules.accumulate = accumulate = Accumulate(
            self.accumulator, dot.width, doubling=self.doubling
        )
        m.d.comb += [
            dot.i_weights.eq(self.i_weights),
            dot.i_activations.eq(self.i_activations),
            accumulate.i.eq(dot.o),
            accumulate.i_control.eq(self.i_control),
            self.o.eq(accumulate.o),
            self.o_overflow.eq(accumulate.o_overflow),
        ]
        return m


def mac(
    operands: Operands,
    lanes: int,
    accumulator: Accumulator,
    *,
    doubling: bool = False,
    dsp: bool = False,
) -> MAC:
    """Return the multiply-accumulate for these formats.

    Raises
    ------
    GeometryError
        When there is none for the pair of formats.
    """
    return DotMAC(dot_product(operands, lanes, dsp=dsp), accumulator, doubling=doubling)
