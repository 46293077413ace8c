"""Computes sums of floats, rounded at every operation, in the order of the array, in torch.

`hw.numbers.float_sum` says what the order is. All rows of a step are taken at once: its products,
the tree over its lanes, and the partial sum whose turn it is.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...hw.network.layers import Requantised
from ...hw.numbers.float_sum import FloatSum
from ...hw.numbers.formats import Float
from ...hw.program.mapping import MappedLayer
from .accumulate import Registers
from .float_values import kept_subnormals, rounding, to_ranks, to_values, type_of_products
from .words import words

__all__ = ["FloatSums"]

WORDS = 1 << 22  # values that positions read, held at a time
TOGETHER = 1 << 16  # products at a time: with their sums, about a cache of level 2


class FloatSums:
    """The sums of one mapped layer of floats, and their requantisation.

    Parameters
    ----------
    mapped : MappedLayer
        A layer that runs on the array.
    lanes : int
        Pairs a step.
    accumulator : FloatSum
        What sums are rounded to, and how many partial sums take turns.
    """

    def __init__(self, mapped: MappedLayer, lanes: int, accumulator: FloatSum):
        assert mapped.operands is not None
        assert isinstance(mapped.layer, Requantised)
        self.mapped, self.lanes, self.accumulator = mapped, lanes, accumulator
        weight, self.input = mapped.operands.weight, mapped.layer.input
        assert isinstance(self.input, Float)
        self.type = type_of_products(accumulator.format, weight, self.input)
        self._round = rounding(accumulator.format, self.type)
        groups = 1 if mapped.shared else mapped.patch.groups
        levels = torch.from_numpy(mapped.weights).reshape(groups, mapped.group_channels, -1)
        # of shape (steps, lanes, groups or 1, channels, 1), to meet rows
        values = to_values(weight, levels.permute(2, 0, 1).contiguous(), self.type)
        self._weights = values.reshape(-1, lanes, groups, mapped.group_channels, 1)
        self._multiplier, self._bias = (
            self._by_channel(torch.from_numpy(each)) for each in (mapped.multiplier, mapped.bias)
        )

    def _by_channel(self, ranks: Tensor) -> Tensor:
        """Return the value for each channel; where rows are shared, ``c % lanes`` serves ``c``."""
        channels = torch.arange(self.mapped.channels)
        own = ranks[channels % len(ranks) if self.mapped.shared else channels]
        return to_values(self.accumulator.format, own, self.type)

    def images_at_a_time(self, flags: bool) -> int:
        """Return how many images to give to `registers` so that it needs little memory."""
        patch = self.mapped.patch
        return max(1, WORDS // (patch.count * patch.groups * self.mapped.steps * self.lanes))

    def registers(self, tensors: Sequence[Tensor], *, flags: bool) -> Registers:
        """Run the layer on ranks; return the ranks of its sums, in the accumulator's format.

        Parameters
        ----------
        tensors : sequence of integer tensors of shape (images, height, width, channels)
            Ranks of its sources.
        flags : bool
            Whether to tell what overflowed: where a product or a sum of finite values is infinite.
        """
        patch, fmt = self.mapped.patch, self.accumulator.format
        with kept_subnormals():
            values = [to_values(self.input, tensor, self.type) for tensor in tensors]
            read = words(values, patch, self.lanes, 0, self.type)
            # of shape (steps, lanes, groups, 1, rows)
            groups, rows, _ = read.shape
            read = read.permute(2, 0, 1).contiguous().reshape(-1, self.lanes, groups, 1, rows)
            most = self.lanes * self.mapped.group_channels * read.shape[2]
            parts = read.split(max(1, TOGETHER // most), dim=4)
            sums = torch.cat([self._summed(part) for part in parts], dim=2)
            overflowed = None
            if flags:
                flagged = torch.cat([self._overflowed(part) for part in parts], dim=2)
                overflowed = self._places(flagged, len(tensors[0]))
            return Registers(
                to_ranks(fmt, self._places(sums, len(tensors[0])), torch.int32), overflowed
            )

    def levels(self, sums: Tensor) -> Tensor:
        """Return the output levels of ranks of sums, of shape (images, height, width, channels)."""
        layer, fmt = self.mapped.layer, self.accumulator.format
        assert isinstance(layer, Requantised)
        assert isinstance(layer.output, Float)
        with kept_subnormals():
            values = to_values(fmt, sums, self.type)
            scaled = self._round(self._round(values * self._multiplier) + self._bias)
            converted = rounding(layer.output, self.type)(scaled)
            return to_ranks(layer.output, converted, torch.int32).clip(*layer.clamp)

    def _summed(self, read: Tensor) -> Tensor:
        """Return the sums of values of shape (steps, lanes, groups, 1, rows), a row at the end."""
        turns, steps = self.accumulator.partial_sums, len(read)
        shape = read.shape[2], self.mapped.group_channels, read.shape[4]
        partial = torch.zeros(turns, *shape, dtype=self.type)
        for step in range(steps):
            products = self._round(read[step] * self._weights[step])
            turn = turns - 1 - (steps - 1 - step) % turns
            partial[turn] = self._round(partial[turn] + self._tree(products))
        return self._tree(partial)

    def _tree(self, values: Tensor) -> Tensor:
        """Add along the first dimension: neighbours in pairs, an odd one waits."""
        while len(values) > 1:
            pairs = len(values) // 2 * 2
            sums = self._round(values[0:pairs:2] + values[1:pairs:2])
            values = torch.cat([sums, values[pairs:]]) if pairs < len(values) else sums
        return values[0]

    def _overflowed(self, read: Tensor) -> Tensor:
        """Tell of which sums an operation on finite values was infinite.

        Nothing that is added to an infinity makes it finite again. So where all values are finite,
        it was if the sum is not; and elsewhere operations are looked at one by one.
        """
        sums = self._summed(read)
        if bool(sums.isfinite().all()):
            return torch.zeros_like(sums, dtype=torch.bool)
        if bool(read.isfinite().all()):
            return ~sums.isfinite()
        return _flags(self, read)

    def _places(self, sums: Tensor, images: int) -> Tensor:
        """Bring (groups, channels, rows) into the order of the output tensor."""
        shape = (images, *self.mapped.patch.positions, -1)
        together = sums.permute(2, 0, 1).reshape(shape)
        return together[..., : self.mapped.channels].contiguous()


def _flags(own: FloatSums, read: Tensor) -> Tensor:
    """Return what `FloatSums._overflowed` does, by a flag that follows each sum."""
    steps = len(read)
    turns, around = own.accumulator.partial_sums, own._round
    shape = read.shape[2], own.mapped.group_channels, read.shape[4]
    partial = [torch.zeros(shape, dtype=own.type) for _ in range(turns)]
    flag = torch.zeros(shape, dtype=torch.bool)

    def add(a: Tensor, b: Tensor) -> Tensor:
        total = around(a + b)
        flag.logical_or_(total.isinf() & a.isfinite() & b.isfinite())
        return total

    def tree(values: list[Tensor]) -> Tensor:
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=False)
            odd = values[len(values) // 2 * 2 :]
            values = [add(a, b) for a, b in pairs] + odd
        return values[0]

    for step in range(steps):
        products = around(read[step] * own._weights[step])
        flag.logical_or_((products.isinf() & read[step].isfinite()).any(dim=0))
        turn = turns - 1 - (steps - 1 - step) % turns
        partial[turn] = add(partial[turn], tree(list(products)))
    tree(partial)
    return flag
