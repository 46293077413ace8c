"""Whole weights: the elements that others are compared with."""

from collections.abc import Sequence

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ...numbers.formats import Fixed
from ...numbers.operands import Operands
from ..base import DotMAC
from ..dot import Multiply
from .base import WHOLE, Beat, Rate, ScalableElement, Widths, packed

__all__ = ["WholeWeights"]


class WholeWeights(ScalableElement):
    """Weights of one width, of which a slice is all; narrower ones are extended by their sign."""

    allowed = (2, 4, 8)

    def _build(self) -> None:
        operands = Operands(Fixed(self.slice), Fixed(WHOLE, signed=False))
        self.mac = DotMAC(
            Multiply(operands, self.lanes, fabric=self.fabric, registered=True), self.accumulator
        )
        self.latency, self.delays = self.mac.latency, [self.mac.delay]

    def _operands(self) -> dict[str, wiring.Member]:
        return {"i_weights": In(self.lanes * self.slice), "i_activations": In(self.lanes * WHOLE)}

    def _has(self, widths: Widths) -> bool:
        return widths.activation == WHOLE and widths.weight <= self.slice

    def rate(self, widths: Widths) -> Rate:
        """Return how fast the element is: the same at all widths."""
        self._slices(widths)
        return Rate(self.lanes, 1, 1)

    def _steps(
        self, widths: Widths, weights: Sequence[Sequence[int]], activations: Sequence[int]
    ) -> list[Beat]:
        """Return the steps."""
        (row,), lanes = weights, self.lanes
        return [
            Beat(
                packed(row[end - lanes : end], self.slice),
                packed(activations[end - lanes : end], WHOLE),
                last=end == len(activations),
            )
            for end in range(lanes, len(activations) + 1, lanes)
        ]

    def elaborate(self, platform: object) -> Module:
        """Join the multiply-accumulate with the ports."""
        m = Module()
        m.submodules.mac = inner = self.mac
        m.d.comb += [
            Value.cast(inner.i_weights).eq(self.i_weights),
            Value.cast(inner.i_activations).eq(self.i_activations),
            inner.i_control.eq(self.i_control),
            self.o["0"].eq(inner.o),
        ]
        return m
