"""Slices in time, summed together: what the array's elements are."""

from collections.abc import Sequence

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ...numbers.formats import Fixed
from ...numbers.operands import Operands
from ..base import DotMAC
from ..slices import SliceProduct
from .base import WHOLE, Beat, Rate, ScalableElement, Widths, packed

__all__ = ["SerialSlices"]


class SerialSlices(ScalableElement):
    """Slices of a weight one after the other, the highest first, each with a whole activation.

    The partial sum is shifted between slices, as in an array of slices; a register more, behind
    the selected terms of `SliceProduct`, makes the pipeline as fine as that of other kinds.
    """

    def _build(self) -> None:
        operands = Operands(Fixed(self.slice, signed=False), Fixed(WHOLE, signed=False))
        dot = SliceProduct(operands, self.lanes, fabric=self.fabric, registered=True)
        self.mac = DotMAC(dot, self.accumulator, doubling=True)
        self.latency, self.sign_latency = self.mac.latency, self.mac.sign_latency
        self.delays = [self.mac.delay]

    def _operands(self) -> dict[str, wiring.Member]:
        return {
            "i_weights": In(self.lanes * self.slice),
            "i_activations": In(self.lanes * WHOLE),
            "i_signed": In(1),
        }

    def rate(self, widths: Widths) -> Rate:
        """Return how fast the element is: a cycle a slice."""
        return Rate(self.lanes, 1, self._slices(widths))

    def _steps(
        self, widths: Widths, weights: Sequence[Sequence[int]], activations: Sequence[int]
    ) -> list[Beat]:
        """Return the steps: all activations for each slice."""
        (row,), count, lanes = weights, self._slices(widths), self.lanes
        ends = range(lanes, len(activations) + 1, lanes)
        return [
            Beat(
                packed([w >> (self.slice * index) for w in row[end - lanes : end]], self.slice),
                packed(activations[end - lanes : end], WHOLE),
                signed=index == count - 1,
                double=end == ends[-1] and index > 0,
                last=end == ends[-1] and index == 0,
            )
            for index in reversed(range(count))
            for end in ends
        ]

    def elaborate(self, platform: object) -> Module:
        """Join the multiply-accumulate of slices with the ports."""
        m = Module()
        m.submodules.mac = inner = self.mac
        m.d.comb += [
            Value.cast(inner.i_weights).eq(self.i_weights),
            Value.cast(inner.i_activations).eq(self.i_activations),
            inner.i_signed.eq(self.i_signed),
            inner.i_control.eq(self.i_control),
            self.o["0"].eq(inner.o),
        ]
        return m
