"""Groups of channels, each of which has a width: a layer is one group, or several.

A tile of an array of slices takes the passes of its widest channel. So a group is so many whole
tiles, and what it costs depends on no other one. Groups have the channels of a layer in one order,
those first that lose most, and none is narrower than one behind it: then layers whose channels are
tied, because what they give is added, may have widths of their own in one order that is theirs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb
from typing import TypeAlias

import numpy as np

from .request import MIXABLE, weight_format

__all__ = [
    "Groups",
    "Widths",
    "channel_widths",
    "common",
    "cut",
    "formats_of",
    "orders_of",
    "short",
    "whole",
    "widest",
]

Widths: TypeAlias = Mapping[str, int | tuple[int, ...]]
"""By layer, the width of its weights, or of those of each channel that it gives."""

GROUPS, CHOICES = 8, 1000  # of a layer, at most


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of a layer's channels, and the widths that they may have together.

    Attributes
    ----------
    widths : tuple of int
        Widths, the narrowest first.
    channels : tuple of integer arrays
        Channels of each group, those first that lose most.
    choices : integer array of shape (choices, groups)
        Index of the width of each group. The first choices are the widths, for all groups.
    """

    widths: tuple[int, ...]
    channels: tuple[np.ndarray, ...]
    choices: np.ndarray

    @property
    def sizes(self) -> tuple[int, ...]:
        """Channels of each group: how many."""
        return tuple(map(len, self.channels))

    def split(self, costs: np.ndarray) -> list[np.ndarray]:
        """Return the rows of each group, given one for each channel."""
        return [costs[each] for each in self.channels]

    def picked(self, costs: np.ndarray) -> np.ndarray:
        """Return what each choice picks, of shape (choices, groups), of (groups, widths)."""
        return costs[np.arange(len(self.channels)), self.choices]

    def chosen(self, index: int) -> int | tuple[int, ...]:
        """Return a choice as the width that all channels have, or those that they have."""
        own = [self.widths[each] for each in self.choices[index]]
        if len(set(own)) == 1:
            return own[0]
        found = np.repeat(own, self.sizes)[np.concatenate(self.channels).argsort()]
        return tuple(found.tolist())


def whole(channels: int, widths: Sequence[int]) -> Groups:
    """Return the one group of a layer whose channels all have one width."""
    return Groups(tuple(widths), (np.arange(channels),), np.arange(len(widths))[:, None])


def cut(order: np.ndarray, widths: Sequence[int], columns: int) -> Groups:
    """Return groups of whole tiles of an array with so many columns.

    They are about equally large, at most `GROUPS`, and so few that there are at most `CHOICES`
    beside those of one width.
    """
    tiles = np.arange(-(-len(order) // columns))
    mixable = [index for index, width in enumerate(widths) if width >= MIXABLE]
    count = min(GROUPS, len(tiles))
    while comb(count + len(mixable) - 1, count) > CHOICES:
        count -= 1
    ends = [columns * int(part[-1] + 1) for part in np.array_split(tiles, count)]
    mixed = [
        each[::-1] for each in combinations_with_replacement(mixable, count) if each[0] != each[-1]
    ]
    uniform = [(index,) * count for index in range(len(widths))]
    return Groups(
        tuple(widths), tuple(np.split(order, ends[:-1])), np.array([*uniform, *mixed], int)
    )


def orders_of(free: Mapping[str, str], losses: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the order of the channels of layers: those first at which all layers of it lose most.

    Parameters
    ----------
    free : mapping
        Layers, and whose order they have (`ordering.free_orders`).
    losses : mapping
        What each channel of a layer loses, of shape (channels, widths).
    """
    lost: dict[str, np.ndarray] = {}
    for name, owner in free.items():
        lost[owner] = lost.get(owner, 0) + losses[name].sum(axis=1)
    return {name: np.argsort(-lost[owner], kind="stable") for name, owner in free.items()}


def widest(width: int | tuple[int, ...]) -> int:
    """Return the width of the widest channel."""
    return width if isinstance(width, int) else max(width)


def channel_widths(widths: Widths) -> dict[str, tuple[int, ...]]:
    """Return the widths of the channels of the layers that do not have one for all."""
    return {name: each for name, each in widths.items() if not isinstance(each, int)}


def common(widths: Widths) -> str:
    """Return the weight format that all weights have, or ``mixed``."""
    found = set(widths.values())
    one = found.pop()
    return "mixed" if found or not isinstance(one, int) else weight_format(one)


def formats_of(width: int | tuple[int, ...]) -> str:
    """Return the weight formats of a layer, and how many channels have each.

    >>> formats_of(1), formats_of((2, 4, 2))
    ('bipolar', '1 int4 + 2 int2')
    """
    if isinstance(width, int):
        return weight_format(width)
    return " + ".join(f"{count} {weight_format(each)}" for each, count in _counted(width))


def short(width: int | tuple[int, ...]) -> str:
    """Return the same for the name of a file.

    >>> short(3), short((2, 4, 2))
    ('3', '1x4_2x2')
    """
    if isinstance(width, int):
        return str(width)
    return "_".join(f"{count}x{each}" for each, count in _counted(width))


def _counted(width: tuple[int, ...]) -> list[tuple[int, int]]:
    return sorted(Counter(width).items(), reverse=True)
