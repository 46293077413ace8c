"""Computes accumulators of mapped layers, and whether they overflowed, in torch.

**At once.** Where no sum can leave the register, or a register wraps and nobody asks when, a layer
is one product: bit planes, passes and steps only split an exact sum.

**Step by step.** Otherwise the register is followed, in place, through every word of every pass,
for many positions at a time.

Products run in floating point, which is exact here: every sum of any of their terms is an integer
below 2**24 in float32, or below 2**53 in float64, and that is checked for each layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...hw.errors import NetworkError
from ...hw.network.layers import Weighted
from ...hw.numbers.arithmetic import Accumulator
from ...hw.program.bounds import any_order, exact_bound
from ...hw.program.mapping import MappedLayer
from .words import over_window, padded, words

__all__ = ["AccumulatorTrace", "Registers"]

EXACT32, EXACT64 = 1 << 24, 1 << 53
WORDS = 1 << 22  # levels that positions read, held at a time
FOLLOWED = 1 << 18  # registers followed at a time: with what they read, about a cache of level 2


@dataclass(frozen=True, eq=False)
class Registers:
    """Registers after the last step.

    Attributes
    ----------
    values : int32 or int64 tensor of shape (images, height, width, channels)
        What they hold.
    overflowed : bool tensor of that shape, or None
        Whether any step left the range; None where nobody asked.
    """

    values: Tensor
    overflowed: Tensor | None


class AccumulatorTrace:
    """The sums of one mapped layer.

    Parameters
    ----------
    mapped : MappedLayer
        A layer that runs on the array.
    lanes : int
        Pairs a step.
    accumulator : Accumulator
        The register.

    Attributes
    ----------
    fits : bool
        Whether no input can make any register overflow.
    held : int
        The largest magnitude that a register can end with.

    Raises
    ------
    NetworkError
        For sums that are too large for float64.
    """

    def __init__(self, mapped: MappedLayer, lanes: int, accumulator: Accumulator):
        self.mapped, self.lanes, self.accumulator = mapped, lanes, accumulator
        low, high = any_order(mapped)
        self.reach = max(-low, high)  # no sum of any of the terms is larger
        if self.reach + (1 << accumulator.width) >= EXACT64:
            raise NetworkError(
                f"layer {mapped.layer.name}: sums up to {self.reach} are beyond exact float64"
            )
        self.fits = exact_bound(mapped).partial.fits(accumulator)
        self.held = self.reach if self.fits else -accumulator.min_level
        # twice, for the doubling between planes, and room for the arithmetic that wraps
        largest = 2 * self.reach + (0 if self.fits else 1 << accumulator.width)
        self.integer = torch.int32 if largest < 1 << 31 else torch.int64
        self._at_once = self._float(self.reach)
        self._followed = self._float(2 * self.held + self._step_reach())
        patch = mapped.patch
        self._registers = patch.count * patch.groups * mapped.group_channels
        self._words = patch.count * patch.groups * mapped.steps * lanes
        self._prepare_weights()

    @staticmethod
    def _float(limit: int) -> torch.dtype:
        # torch may be told to round the operands of float32 products to bfloat16
        full = torch.get_float32_matmul_precision() == "highest"
        return torch.float32 if full and limit < EXACT32 else torch.float64

    def _step_reach(self) -> int:
        """Return a bound of the products of one step."""
        levels = [self.mapped.pad]
        for fmt in self.mapped.layer.inputs:
            levels += [fmt.min_level, fmt.max_level]
        largest = 1 if self.mapped.bitwise else max(map(abs, levels))
        steps = abs(self.mapped.weights).reshape(-1, self.lanes).sum(axis=1)
        return int(steps.max()) * largest

    def _prepare_weights(self) -> None:
        """Lay out the weights: for each pass, (groups or 1, steps * lanes, channels)."""
        mapped, groups = self.mapped, self.mapped.patch.groups
        passes = 1 if mapped.bitwise else mapped.planes
        weights = torch.from_numpy(mapped.weights)
        apart = 1 if mapped.shared else groups
        split = weights.reshape(apart, mapped.group_channels, passes, -1).permute(2, 0, 3, 1)
        self._step_weights = split.to(self._followed).contiguous()
        if isinstance(mapped.layer, Weighted):
            codes = mapped.patch.codes
            self._weights = split[0, :, :codes].to(self._at_once).contiguous()
            # what the lanes without a code add, and what bit planes add to twice the sum
            constant = weights[:, codes:].sum(dim=1) * mapped.pad
            if mapped.bitwise:
                constant = -((1 << mapped.planes) - 1) * weights.sum(dim=1)
            self._constant = constant.to(self.integer)
        else:
            # all lanes have the same weight for their own channel; what they have for others
            # cancels from pass to pass
            own = weights.reshape(mapped.group_channels, passes, mapped.steps, -1)[0, :, :, 0]
            self._own = [int(level) for level in own.sum(dim=0)]

    def images_at_a_time(self, flags: bool) -> int:
        """Return how many images to give to `registers` so that it is fast and needs little."""
        limit = WORDS // self._words
        if not self._exact(flags):
            limit = min(limit, FOLLOWED // self._registers)
        return max(1, limit)

    def registers(
        self,
        tensors: Sequence[Tensor],
        *,
        flags: bool,
        watch: Callable[[Tensor], None] | None = None,
    ) -> Registers:
        """Run the layer.

        Parameters
        ----------
        tensors : sequence of integer tensors of shape (images, height, width, channels)
            Levels of its sources.
        flags : bool
            Whether to tell what overflowed.
        watch : callable, optional
            Gets what all registers hold after each step, of the shape of `Registers.values`.
        """
        if watch is not None or not self._exact(flags):
            return self._step_by_step(tensors, flags, watch)
        total = self._total(tensors)
        if not self.fits:
            total = self.accumulator.fit(total)
        return Registers(total, torch.zeros_like(total, dtype=torch.bool) if flags else None)

    def _exact(self, flags: bool) -> bool:
        return self.fits or (self.accumulator.overflow == "wrap" and not flags)

    def _total(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the exact sums, as if the register had no end."""
        mapped, patch = self.mapped, self.mapped.patch
        if isinstance(mapped.layer, Weighted):
            read = words(tensors, patch, 1, mapped.pad, self._at_once)
            total = self._places(torch.bmm(read, self._weights), len(tensors[0])).to(self.integer)
            return (2 * total if mapped.bitwise else total) + self._constant
        if len(tensors) > 1:
            one, two = (tensor.to(self.integer) for tensor in tensors)
            return sum(self._own[: patch.inner]) * one + sum(self._own[patch.inner :]) * two
        image = padded(tensors[0], patch, mapped.channels, mapped.pad, self.integer)
        return self._own[0] * over_window(image, patch, torch.add)

    def _step_by_step(
        self, tensors: Sequence[Tensor], flags: bool, watch: Callable[[Tensor], None] | None
    ) -> Registers:
        """Follow the registers through every step of every pass."""
        mapped, patch, images = self.mapped, self.mapped.patch, len(tensors[0])
        rows = len(tensors[0]) * patch.count
        register = torch.zeros(patch.groups, rows, mapped.group_channels, dtype=self._followed)
        overflowed = torch.zeros_like(register, dtype=torch.bool) if flags else None
        for index in range(mapped.planes):
            if mapped.bitwise and index:
                # between planes the register doubles, and can overflow in doing so
                self._fit(register.mul_(2), overflowed)
                if watch is not None:
                    watch(self._places(register, images))
            read = self._pass(tensors, index)
            weights = self._step_weights[0 if mapped.bitwise else index]
            weights = weights.expand(patch.groups, -1, -1)
            for step in range(0, read.shape[2], self.lanes):
                chunk = slice(step, step + self.lanes)
                self._fit(register.baddbmm_(read[:, :, chunk], weights[:, chunk]), overflowed)
                if watch is not None:
                    watch(self._places(register, images))
        flagged = None if overflowed is None else self._places(overflowed, images)
        return Registers(self._places(register, images).to(self.integer), flagged)

    def _pass(self, tensors: Sequence[Tensor], index: int) -> Tensor:
        """Return what a pass reads: a bit plane, as -1 and +1, from the highest, or everything."""
        mapped, level = self.mapped, self.mapped.pad
        if mapped.bitwise:
            bit = mapped.planes - 1 - index
            tensors = [((tensor >> bit) & 1).to(torch.int8) * 2 - 1 for tensor in tensors]
            level = 2 * (level >> bit & 1) - 1
        return words(tensors, mapped.patch, self.lanes, level, self._followed)

    def _fit(self, register: Tensor, overflowed: Tensor | None) -> None:
        """Put exact sums into the register, in place."""
        if self.fits and overflowed is None:
            return
        exact = None if overflowed is None else register.clone()
        low, span = self.accumulator.min_level, 1 << self.accumulator.width
        if self.accumulator.overflow == "wrap":
            register.sub_(((register - low) / span).floor_().mul_(span))
        else:
            register.clamp_(low, self.accumulator.max_level)
        if exact is not None and overflowed is not None:
            overflowed.logical_or_(exact != register)

    def _places(self, registers: Tensor, images: int) -> Tensor:
        """Bring (groups, rows, channels) into the order of the output tensor."""
        shape = (images, *self.mapped.patch.positions, -1)
        if len(registers) == 1:
            return registers[0].reshape(*shape[:3], registers.shape[2])
        together = registers.transpose(0, 1).reshape(
            *shape[:3], len(registers) * registers.shape[2]
        )
        return together[..., : self.mapped.channels]
