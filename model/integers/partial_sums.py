"""Observes the sums of a network on images: how far they reach, and which of them fit a register.

The network runs as if its accumulators had no end. So a sum that does not fit is counted where it
would first have done harm; behind it a real register gives other levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...hw.network.network import INPUT, Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.program.bounds import Interval, SumBound, calibrated_bound, layer_bounds
from ...hw.program.mapping import MappedLayer, map_network
from .accumulate import AccumulatorTrace
from .reference import evaluate

__all__ = ["SeenSums", "layer_sums", "network_bounds", "seen_sums"]

WIDE = Accumulator(48)
IMAGES = 32  # at a time


@dataclass(frozen=True, eq=False)
class SeenSums:
    """Sums of a layer on some images.

    Attributes
    ----------
    final, partial : Interval
        The lowest and the highest that registers ended with, and that they held after any step;
        rows are those of the mapped layer.
    beyond : int
        Sums that a register would not have held: the last one of its steps where it wraps, any of
        them where it saturates.
    """

    final: Interval
    partial: Interval
    beyond: int


def seen_sums(
    network: Network,
    images: np.ndarray,
    lanes: int,
    *,
    steps: bool | None = None,
    sliced: bool = False,
) -> dict[str, SeenSums]:
    """Return the sums of every layer that runs on the array, by its name.

    Parameters
    ----------
    network : Network
        Its accumulator is the register in question.
    images : integer array of shape (images, height, width, channels)
        Input levels.
    lanes : int
        Pairs a step.
    steps : bool, optional
        Whether to look at partial sums, which takes longer; else they are as the last ones. By
        default where the accumulator saturates.
    sliced : bool
        As `evaluate` takes it.

    Raises
    ------
    FormatError, NetworkError
        As `evaluate`.
    """
    register = network.integer_accumulator
    steps = register.overflow == "saturate" if steps is None else steps
    wide = network.with_accumulator(WIDE)
    mapped = [each for each in map_network(network, lanes, sliced=sliced) if each.on_array]
    watched = {each.layer.name: _Watched(each, lanes, register, steps) for each in mapped}
    for start in range(0, len(images), IMAGES):
        batch = torch.as_tensor(images[start : start + IMAGES])
        traced = evaluate(wide, batch, lanes, sliced=sliced, trace=True)
        levels = {INPUT: batch.reshape(-1, *network.sizes[INPUT])}
        levels |= {
            each.name: each.levels.reshape(-1, *network.sizes[each.name]) for each in traced.layers
        }
        for each in mapped:
            sources = network.sources(each.layer)
            watched[each.layer.name].run([levels[source] for source in sources])
    return {name: each.seen for name, each in watched.items()}


def layer_sums(
    mapped: MappedLayer, tensors: Sequence[Tensor], lanes: int, *, steps: bool
) -> SeenSums:
    """Return the sums of one layer that reads such levels, (images, height, width, channels)."""
    watched = _Watched(mapped, lanes, WIDE, steps)
    for parts in zip(*(each.split(IMAGES) for each in tensors), strict=True):
        watched.run(parts)
    return watched.seen


def network_bounds(
    network: Network, lanes: int, images: np.ndarray | None = None, *, sliced: bool = False
) -> dict[str, dict[str, SumBound]]:
    """Return all bounds of every layer that runs on the array, by its name, and by their kind.

    Parameters
    ----------
    network : Network
        Its accumulator says whether partial sums are looked at on images.
    lanes : int
        Pairs a step.
    images : integer array of shape (images, height, width, channels), optional
        Input levels for the calibrated bounds; without any there are none.
    sliced : bool
        Whether the array multiplies slices of weights.

    Raises
    ------
    FormatError, NetworkError
        As `evaluate`.
    """
    mapped = [each for each in map_network(network, lanes, sliced=sliced) if each.on_array]
    found = {each.layer.name: layer_bounds(each) for each in mapped}
    seen = {} if images is None else seen_sums(network, images, lanes, sliced=sliced)
    for name, sums in seen.items():
        bound = calibrated_bound(found[name]["exact"], sums.final, sums.partial)
        found[name][bound.kind] = bound
    return found


class _Watched:
    """One layer on registers without an end, and what they held."""

    def __init__(self, mapped: MappedLayer, lanes: int, register: Accumulator, steps: bool):
        self.register, self.steps = register, steps
        self._trace = AccumulatorTrace(mapped, lanes, WIDE)
        self._at_once = self._trace.images_at_a_time(steps)
        rows = len(mapped.weights)
        self._rows = torch.arange(mapped.channels) % rows if mapped.shared else None
        self._final, self._partial = (
            (torch.full((rows,), 0), torch.full((rows,), 0)) for _ in "fp"
        )
        self._started = False
        self._beyond = 0

    @property
    def seen(self) -> SeenSums:
        """What was seen so far."""
        final, partial = (
            Interval(low.numpy(), high.numpy()) for low, high in (self._final, self._partial)
        )
        return SeenSums(final, partial, self._beyond)

    def run(self, tensors: Sequence[Tensor]) -> None:
        """Run levels of shape (images, height, width, channels)."""
        for parts in zip(*(each.split(self._at_once) for each in tensors), strict=True):
            self._run(parts)

    def _run(self, tensors: Sequence[Tensor]) -> None:
        over: list[Tensor] = []  # of any step, in one tensor
        most: list[tuple[Tensor, Tensor]] = []

        def watch(held: Tensor) -> None:
            most.append(self._ends(held))
            flags = self.register.overflows(held)
            over[:] = [over[0] | flags] if over else [flags]

        registers = self._trace.registers(
            tensors, flags=False, watch=watch if self.steps else None
        ).values
        final = self._ends(registers)
        if not over or self.register.overflow == "wrap":
            over = [self.register.overflows(registers)]
        self._beyond += int(over[0].sum())
        lows, highs = zip(*(most or [final]), strict=True)
        partial = torch.stack(lows).amin(dim=0), torch.stack(highs).amax(dim=0)
        self._final = self._joined(self._final, final)
        self._partial = self._joined(self._partial, partial)
        self._started = True

    def _joined(
        self, known: tuple[Tensor, Tensor], found: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        if not self._started:
            return found
        return torch.minimum(known[0], found[0]), torch.maximum(known[1], found[1])

    def _ends(self, held: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of each row of registers of shape (images, height, width, channels)."""
        flat = held.flatten(0, 2)
        low, high = flat.amin(dim=0).long(), flat.amax(dim=0).long()
        if self._rows is None:
            return low, high
        rows = len(self._final[0])
        ends = torch.zeros(rows, dtype=torch.long)
        return (
            ends.scatter_reduce(0, self._rows, low, "amin", include_self=False),
            ends.scatter_reduce(0, self._rows, high, "amax", include_self=False),
        )
