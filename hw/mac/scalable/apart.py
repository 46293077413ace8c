"""Slices side by side, summed apart."""

from collections.abc import Sequence

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ...gates.pipeline import delays
from ...numbers.arithmetic import Accumulator
from ...numbers.formats import Fixed
from ...numbers.operands import Operands
from ..accumulator import Accumulate
from ..slices import SliceProduct
from .base import WHOLE, Beat, Rate, ScalableElement, Widths, packed
from .joining import Joins, joins, levels, size, sum_bits

__all__ = ["SumApart"]


class SumApart(ScalableElement):
    """All slices of a weight at once; narrow weights are those of more outputs.

    All slices have the same few activations. Every place may be the lowest one of a weight, and so
    has an accumulator, with the bits that it needs for as many products as the widest weights have.
    """

    def _build(self) -> None:
        operands = Operands(Fixed(self.slice, signed=False), Fixed(WHOLE, signed=False))
        self._dots = [
            SliceProduct(operands, self.units, fabric=self.fabric, registered=True)
            for _ in range(self.positions)
        ]
        self._accumulates = [
            Accumulate(Accumulator(width), self._bits(level, place), fabric=self.fabric)
            for place, (width, level) in enumerate(zip(self._sums(), self._levels(), strict=True))
        ]
        self.latency = self._dots[0].latency
        self.delays = [
            level + each.latency
            for level, each in zip(self._levels(), self._accumulates, strict=True)
        ]

    def _operands(self) -> dict[str, wiring.Member]:
        return {
            "i_weights": In(self.units * WHOLE),
            "i_activations": In(self.units * WHOLE),
            "i_weight_slices": In(size(self.positions)),
        }

    def _levels(self) -> list[int]:
        """Return at which level the widest weight that begins at a place is complete."""
        places = range(1, self.positions)
        return [levels(self.positions), *((place & -place).bit_length() - 1 for place in places)]

    def _sums(self) -> list[int]:
        widest = [self.slice << level for level in self._levels()]
        return [self.accumulator.width - WHOLE + bits for bits in widest]

    def _bits(self, level: int, place: int) -> int:
        """Return the bits of the sum at a level that begins at a place."""
        top = place + (1 << level) == self.positions
        operands = Operands(Fixed(self.slice << level), Fixed(WHOLE, signed=False))
        return sum_bits(operands, self.units, top=top)

    def rate(self, widths: Widths) -> Rate:
        """Return how fast the element is: narrow weights are those of more sums."""
        return Rate(self.units, self.positions // self._slices(widths), 1)

    def outputs(self, widths: Widths) -> list[int]:
        """Return the places at which weights begin."""
        return list(range(0, self.positions, self._slices(widths)))

    def chosen(self, widths: Widths) -> dict[str, int]:
        """Return how many slices make a weight."""
        return {"i_weight_slices": levels(self._slices(widths))}

    def _steps(
        self, widths: Widths, weights: Sequence[Sequence[int]], activations: Sequence[int]
    ) -> list[Beat]:
        """Return the steps: the weights of the first output at the lowest places."""
        count, places = self._slices(widths), range(self.positions)
        found = []
        for begin in range(0, len(activations), self.units):
            end = begin + self.units
            slices = [
                weights[place // count][index] >> (self.slice * (place % count))
                for place in places
                for index in range(begin, end)
            ]
            found.append(
                Beat(
                    packed(slices, self.slice),
                    packed(activations[begin:end], WHOLE),
                    last=end == len(activations),
                )
            )
        return found

    def elaborate(self, platform: object) -> Module:
        """Continue the sums of places by those above, level by level; accumulate each apart."""
        m = Module()
        chosen = joins(m, self.i_weight_slices, self.slice, self.positions, self.fabric)
        wide = self.units * self.slice
        sums: dict[int, Value] = {}
        for place, dot in enumerate(self._dots):
            m.submodules[f"place_{place}"] = dot
            m.d.comb += [
                Value.cast(dot.i_weights).eq(self.i_weights[place * wide :][:wide]),
                Value.cast(dot.i_activations).eq(self.i_activations),
                dot.i_signed.eq(chosen.negative[place]),
            ]
            sums[place] = dot.o
        self._continued(m, chosen, sums)
        controls = delays(m, self.i_control, levels(self.positions), reset_less=False)
        for place, (accumulate, level) in enumerate(
            zip(self._accumulates, self._levels(), strict=True)
        ):
            m.submodules[f"accumulate_{place}"] = accumulate
            m.d.comb += [
                accumulate.i.eq(sums[place]),
                accumulate.i_control.eq(controls[level]),
                self.o[str(place)].eq(accumulate.o),
            ]
        return m

    def _continued(self, m: Module, chosen: Joins, sums: dict[int, Value]) -> None:
        """Put at each place the sum of the widest weight that can begin there."""
        for level in range(levels(self.positions)):
            for place in range(0, self.positions, 2 << level):
                low, high = sums[place], sums[place + (1 << level)]
                width = self._bits(level + 1, place)
                sums[place] = chosen.continued(m, low, high, level, width)
