"""Bits of both operands in time."""

from collections.abc import Sequence

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ...gates.adder import Term, adder_tree
from ...gates.pipeline import delay
from ...gates.popcount import bipolar_sum_latency, count_both
from ..accumulator import Accumulate
from ..adder_cells import ChoosingAdder
from .base import Beat, Rate, ScalableElement, Widths, packed

__all__ = ["BitSerial"]


class BitSerial(ScalableElement):
    """A bit of many weights and a bit of as many activations a step; pairs of ones are counted.

    Pairs of planes that weigh ``2**n`` follow on those that weigh twice as much, and the partial
    sum is doubled in between. The count is subtracted in planes of weights' top bits.
    """

    allowed = (1,)

    def _build(self) -> None:
        self._accumulate = Accumulate(
            self.accumulator, self.work.bit_length() + 1, doubling=True, slice=1, fabric=self.fabric
        )
        self.sign_latency = bipolar_sum_latency(self.work, self.fabric.popcount)
        self.latency = self.sign_latency + 1
        self.delays = [self._accumulate.latency]

    def _operands(self) -> dict[str, wiring.Member]:
        return {"i_weights": In(self.work), "i_activations": In(self.work), "i_signed": In(1)}

    def _has(self, widths: Widths) -> bool:
        return True

    def rate(self, widths: Widths) -> Rate:
        """Return how fast the element is: a cycle for each pair of planes."""
        return Rate(self.work, 1, self._slices(widths) * widths.activation)

    def _steps(
        self, widths: Widths, weights: Sequence[Sequence[int]], activations: Sequence[int]
    ) -> list[Beat]:
        """Return the steps: all activations for each pair of planes."""
        (row,), ends = weights, range(self.work, len(activations) + 1, self.work)
        planes = [
            (bit, place)
            for bit in range(self._slices(widths))
            for place in range(widths.activation)
        ]
        planes.sort(key=sum, reverse=True)
        found = []
        for (bit, place), following in zip(planes, [*planes[1:], None], strict=True):
            for end in ends:
                ended = end == ends[-1]
                found.append(
                    Beat(
                        packed([weight >> bit for weight in row[end - self.work : end]], 1),
                        packed([level >> place for level in activations[end - self.work : end]], 1),
                        signed=bit == widths.weight - 1,
                        double=ended and following is not None and sum(following) < bit + place,
                        last=ended and following is None,
                    )
                )
        return found

    def elaborate(self, platform: object) -> Module:
        """Count, add or subtract the count, and sum."""
        m = Module()
        pairs = list(zip(self.i_weights, self.i_activations, strict=True))
        count = count_both(m, pairs, self.fabric.popcount)
        m.submodules.accumulate = accumulate = self._accumulate
        m.d.comb += [
            accumulate.i.eq(self._signed(m, count)),
            accumulate.i_control.eq(self.i_control),
            self.o["0"].eq(accumulate.o),
        ]
        return m

    def _signed(self, m: Module, count: Value) -> Value:
        """Return the count or its negative, a cycle later: ``~(count - 1)``, or ``0 - count``."""
        if not self.fabric.chooses:
            minus = Term(self.i_signed.as_signed(), -1, 0)
            return adder_tree(m, [Term(count, 0, self.work), minus], flip=self.i_signed)
        width = self.work.bit_length() + 1
        m.submodules.subtract = adder = ChoosingAdder(width, subtracts=True, fabric=self.fabric)
        m.d.comb += [
            adder.i_a.eq(0),
            adder.i_b.eq(count),
            adder.i_other.eq(self.i_signed),
        ]
        return delay(m, adder.o, name="difference")
