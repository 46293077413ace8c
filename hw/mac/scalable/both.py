"""Slices of both operands, side by side, summed together."""

from collections.abc import Sequence

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ...numbers.formats import Fixed
from ...numbers.operands import Operands
from ..accumulator import Accumulate
from ..slices import SliceProduct
from .base import WHOLE, Beat, Rate, ScalableElement, Widths, packed
from .joining import Joins, joins, levels, size, sum_bits

__all__ = ["BothSliced"]


class BothSliced(ScalableElement):
    """All slices of a weight times all slices of an activation at once; of narrow ones, more pairs.

    The products of two slices are bricks, in a row for each slice of a weight and a column for each
    one of an activation; rows are summed first, then their sums. Every brick has its own slices:
    those of one number are copies.
    """

    def _build(self) -> None:
        code = Fixed(self.slice, signed=False)
        places = range(self.positions)
        self._places = [(row, column) for row in places for column in places]
        self._bricks = {
            place: SliceProduct(
                Operands(code, code), self.units, fabric=self.fabric, registered=True
            )
            for place in self._places
        }
        self._accumulate = Accumulate(
            self.accumulator, self._width(WHOLE, True), fabric=self.fabric
        )
        self.latency = self._bricks[0, 0].latency + 2 * levels(self.positions)
        self.delays = [self._accumulate.latency]

    def _operands(self) -> dict[str, wiring.Member]:
        bits = self.units * self.slice * self.positions**2
        return {
            "i_weights": In(bits),
            "i_activations": In(bits),
            "i_weight_slices": In(size(self.positions)),
            "i_activation_slices": In(size(self.positions)),
        }

    def _has(self, widths: Widths) -> bool:
        return min(widths.weight, widths.activation) >= self.slice

    def rate(self, widths: Widths) -> Rate:
        """Return how fast the element is: of narrow numbers there are more pairs."""
        rows = self.positions // self._slices(widths)
        columns = self.positions * self.slice // widths.activation
        return Rate(self.units * rows * columns, 1, 1)

    def chosen(self, widths: Widths) -> dict[str, int]:
        """Return how many slices make a weight, and an activation."""
        return {
            "i_weight_slices": levels(self._slices(widths)),
            "i_activation_slices": levels(widths.activation // self.slice),
        }

    def _steps(
        self, widths: Widths, weights: Sequence[Sequence[int]], activations: Sequence[int]
    ) -> list[Beat]:
        """Return the steps: pairs row by row, in it column by column, some at each place."""
        (given,), rows, inputs = weights, self._slices(widths), self.rate(widths).inputs
        columns = widths.activation // self.slice
        across = self.positions // columns
        found = []
        for begin in range(0, len(activations), inputs):
            weight_slices, activation_slices = [], []
            for row, column in self._places:
                pair = begin + (row // rows * across + column // columns) * self.units
                for index in range(pair, pair + self.units):
                    weight_slices.append(given[index] >> (self.slice * (row % rows)))
                    activation_slices.append(
                        activations[index] >> (self.slice * (column % columns))
                    )
            found.append(
                Beat(
                    packed(weight_slices, self.slice),
                    packed(activation_slices, self.slice),
                    last=begin + inputs == len(activations),
                )
            )
        return found

    def elaborate(self, platform: object) -> Module:
        """Join the bricks of each row, then the rows, and sum what comes of it."""
        m = Module()
        shape = self.slice, self.positions, self.fabric
        rows = joins(m, self.i_weight_slices, *shape)
        columns = joins(m, self.i_activation_slices, *shape)
        wide = self.units * self.slice
        for index, (place, brick) in enumerate(self._bricks.items()):
            m.submodules[f"brick_{place[0]}_{place[1]}"] = brick
            m.d.comb += [
                Value.cast(brick.i_weights).eq(self.i_weights[index * wide :][:wide]),
                Value.cast(brick.i_activations).eq(self.i_activations[index * wide :][:wide]),
                brick.i_signed.eq(rows.negative[place[0]]),
            ]
        sums = [self._row(m, columns, row) for row in range(self.positions)]
        m.submodules.accumulate = accumulate = self._accumulate
        m.d.comb += [
            accumulate.i.eq(rows.summed(m, sums, self._width)),
            accumulate.i_control.eq(self.i_control),
            self.o["0"].eq(accumulate.o),
        ]
        return m

    def _row(self, m: Module, columns: Joins, row: int) -> Value:
        """Return the sum of a row: a slice of weights times whole activations, or more of them."""
        sums = [self._bricks[row, column].o for column in range(self.positions)]
        weight, top = Fixed(self.slice), row == self.positions - 1

        def width(bits: int, _: bool) -> int:
            return sum_bits(Operands(weight, Fixed(bits, signed=False)), self.units, top=top)

        return columns.summed(m, sums, width)

    def _width(self, bits: int, top: bool) -> int:
        """Return the bits of the sum over rows of so many bits of weights."""
        return sum_bits(Operands(Fixed(bits), Fixed(WHOLE, signed=False)), self.units, top=top)
