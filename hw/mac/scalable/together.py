"""Slices side by side, summed together."""

from collections.abc import Sequence

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ...numbers.formats import Fixed
from ...numbers.operands import Operands
from ..accumulator import Accumulate
from ..slices import SliceProduct
from .base import WHOLE, Beat, Rate, ScalableElement, Widths, packed
from .joining import joins, levels, size, sum_bits

__all__ = ["SumTogether"]


class SumTogether(ScalableElement):
    """All slices of a weight at once; of narrow weights there are more, each with its activation.

    Slices at one place of all widest weights are summed first, because they are shifted alike.
    Every slice has its own activation: slices of one weight are given the same.
    """

    def _build(self) -> None:
        operands = Operands(Fixed(self.slice, signed=False), Fixed(WHOLE, signed=False))
        self._dots = [
            SliceProduct(operands, self.units, fabric=self.fabric, registered=True)
            for _ in range(self.positions)
        ]
        self._accumulate = Accumulate(self.accumulator, self._bits(WHOLE, True), fabric=self.fabric)
        self.latency = self._dots[0].latency + levels(self.positions)
        self.delays = [self._accumulate.latency]

    def _operands(self) -> dict[str, wiring.Member]:
        return {
            "i_weights": In(self.units * WHOLE),
            "i_activations": In(self.units * self.positions * WHOLE),
            "i_weight_slices": In(size(self.positions)),
        }

    def rate(self, widths: Widths) -> Rate:
        """Return how fast the element is: narrow weights are more weights of a sum."""
        return Rate(self.units * self.positions // self._slices(widths), 1, 1)

    def chosen(self, widths: Widths) -> dict[str, int]:
        """Return how many slices make a weight."""
        return {"i_weight_slices": levels(self._slices(widths))}

    def _steps(
        self, widths: Widths, weights: Sequence[Sequence[int]], activations: Sequence[int]
    ) -> list[Beat]:
        """Return the steps: weights at the lowest places first, each with its activation."""
        (row,), count, inputs = weights, self._slices(widths), self.rate(widths).inputs
        places = [(place, unit) for place in range(self.positions) for unit in range(self.units)]
        found = []
        for begin in range(0, len(activations), inputs):
            taken = [begin + place // count * self.units + unit for place, unit in places]
            slices = [
                row[index] >> (self.slice * (place % count))
                for index, (place, _) in zip(taken, places, strict=True)
            ]
            found.append(
                Beat(
                    packed(slices, self.slice),
                    packed([activations[index] for index in taken], WHOLE),
                    last=begin + inputs == len(activations),
                )
            )
        return found

    def _bits(self, bits: int, top: bool) -> int:
        """Return the bits of the sum over places of so many bits."""
        operands = Operands(Fixed(bits), Fixed(WHOLE, signed=False))
        return sum_bits(operands, self.units, top=top)

    def elaborate(self, platform: object) -> Module:
        """Join the sums of all places, level by level, and sum what comes of it."""
        m = Module()
        chosen = joins(m, self.i_weight_slices, self.slice, self.positions, self.fabric)
        wide, many = self.units * self.slice, self.units * WHOLE
        sums = []
        for place, dot in enumerate(self._dots):
            m.submodules[f"place_{place}"] = dot
            m.d.comb += [
                Value.cast(dot.i_weights).eq(self.i_weights[place * wide :][:wide]),
                Value.cast(dot.i_activations).eq(self.i_activations[place * many :][:many]),
                dot.i_signed.eq(chosen.negative[place]),
            ]
            sums.append(dot.o)
        m.submodules.accumulate = accumulate = self._accumulate
        m.d.comb += [
            accumulate.i.eq(chosen.summed(m, sums, self._bits)),
            accumulate.i_control.eq(self.i_control),
            self.o["0"].eq(accumulate.o),
        ]
        return m
