"""Slices side by side: which of them make a number is chosen by a port, not by the gates.

Slices at neighbouring places are joined in pairs, pairs of these are, and so on. At each level a
choice says whether the upper half is a continuation of the lower one, and counts ``2**shift`` times
as much, or stands alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Value, signed

from ...gates.pipeline import delay
from ...numbers.arithmetic import bits_for
from ...numbers.formats import Fixed
from ...numbers.operands import Operands
from ..adder_cells import ChoosingAdder
from ..fabric import Fabric

__all__ = ["Joins", "joins", "levels", "size", "sum_bits"]


def levels(positions: int) -> int:
    """Return the levels at which so many slices are joined."""
    return (positions - 1).bit_length()


def size(positions: int) -> int:
    """Return the bits of a port that says how many slices make a number, as a logarithm."""
    return levels(positions).bit_length()


def sum_bits(operands: Operands, count: int, *, top: bool) -> int:
    """Return the bits of sums of so many products, whose weights may be unsigned if not ``top``.

    Sums of as many bits in narrower numbers need no more.
    """
    low, high = operands.sum_range(count)
    if not top:
        unsigned = Fixed(operands.weight.width, signed=False)
        _, high = Operands(unsigned, operands.activation).sum_range(count)
    return bits_for(low, high)


@dataclass(frozen=True)
class Joins:
    """Choices of a port, a cycle later.

    Attributes
    ----------
    at : sequence of Value
        For each level, whether numbers reach over both halves.
    negative : sequence of Value
        For each slice, whether its top bit counts negative, because it is the top one of a number.
    slice : int
        Bits of a slice.
    fabric : Fabric
        Whose adders choose.
    """

    at: Sequence[Value]
    negative: Sequence[Value]
    slice: int
    fabric: Fabric

    def summed(self, m: Module, sums: Sequence[Value], width: Callable[[int, bool], int]) -> Value:
        """Return the sum over all places, `levels` cycles later.

        Parameters
        ----------
        m : Module
            Where the gates go.
        sums : sequence of Value
            Signed, of each place.
        width : callable
            Returns the bits of a sum over places of so many bits, and whether they are the top
            ones.
        """
        for level, joined in enumerate(self.at):
            shift = self.slice << level
            pairs = list(zip(sums[::2], sums[1::2], strict=True))
            tops = [*[False] * (len(pairs) - 1), True]
            sums = [
                self._chosen(m, low, (high, high << shift), joined, width(2 * shift, top))
                for (low, high), top in zip(pairs, tops, strict=True)
            ]
        (total,) = sums
        return total

    def continued(self, m: Module, low: Value, high: Value, level: int, width: int) -> Value:
        """Return the lower half in ``width`` bits, with the upper one if it continues it.

        It comes a cycle later. What lies below the upper half is not touched by it, and stays out
        of the adder.
        """
        shift = self.slice << level
        choices = Const(0, signed(1)), high
        upper = self._chosen(m, low >> shift, choices, self.at[level], width - shift)
        return Cat(delay(m, low[:shift], name="below"), upper).as_signed()

    def _chosen(
        self, m: Module, first: Value, second: tuple[Value, Value], choice: Value, width: int
    ) -> Value:
        """Return the sum of the first operand and one of two, a cycle later."""
        if not self.fabric.chooses:
            chosen = Mux(choice, second[1], second[0])
            return delay(m, (first + chosen)[:width].as_signed(), name="joined")
        m.submodules += (adder := ChoosingAdder(width, fabric=self.fabric))
        m.d.comb += [
            adder.i_a.eq(first),
            adder.i_b.eq(second[0]),
            adder.i_c.eq(second[1]),
            adder.i_other.eq(choice),
        ]
        return delay(m, adder.o, name="joined")


def joins(m: Module, choice: Value, slice: int, positions: int, fabric: Fabric) -> Joins:
    """Return the choices of a port, the logarithm of how many slices make a number."""
    at = [delay(m, choice > level, name=f"joins_{level}") for level in range(levels(positions))]
    negative = [_negative(at, place, positions) for place in range(positions)]
    return Joins(at, negative, slice, fabric)


def _negative(at: Sequence[Value], place: int, positions: int) -> Value:
    """Return whether a slice is the top one, as of all numbers whose slices its place is last."""
    if place == positions - 1:
        return Const(1, 1)
    ones = (~place & (place + 1)).bit_length() - 1  # below its lowest zero
    return ~at[ones]
