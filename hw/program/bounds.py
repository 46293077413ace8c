"""Bounds the sums of mapped layers: how wide an accumulator has to be, channel by channel.

Four bounds, each inside the one before:

**type.** Formats alone: ``K`` products of the largest magnitudes. It holds whatever the weights.

**l1.** The l1 norm of a channel's weights times the largest magnitude of its input (Colbert et
al., "A2Q: accumulator-aware quantization with guaranteed overflow avoidance", 2023).

**exact.** The interval that a channel's sum takes over all inputs, by the signs of its weights;
some input attains each end. It knows the clamp of what the layer reads (which is where zero points
and thresholds leave their mark), what lies outside the image, bit planes, and lanes without a code.

**calibrated.** What was seen on images, with a margin. No guarantee.

**Which sums.** A register that wraps is right if the *last* sum fits, whatever happened on the way;
one that saturates only if *every* partial sum does, in the order of the array. Slices of weights
always wrap. Where every code is read once and its range holds 0, both are the same interval.

Floats have no bounds: their levels are no numbers, and their sums are rounded.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from ..network.layers import Weighted
from ..network.network import Network
from ..numbers.arithmetic import Accumulator, bits_for
from ..numbers.format import Format
from ..numbers.operands import check_integers
from .mapping import MappedLayer, map_network

__all__ = [
    "BOUNDS",
    "MARGIN",
    "Interval",
    "SumBound",
    "accumulator_bits",
    "any_order",
    "calibrated_bound",
    "exact_bound",
    "l1_bound",
    "layer_bounds",
    "type_bound",
]

BOUNDS = ("type", "l1", "exact", "calibrated")
MARGIN = 1.25
"""How much larger than what was seen on images the sums of others may be."""
ROOM = 1 << 62  # beyond which sums are Python's integers


@dataclass(frozen=True, eq=False)
class Interval:
    """The lowest and the highest sum of each channel.

    Attributes
    ----------
    low, high : integer arrays of shape (channels,)
        Of int64, or of objects where that would be too narrow.
    """

    low: np.ndarray
    high: np.ndarray

    @property
    def ends(self) -> tuple[int, int]:
        """The lowest and the highest of all channels."""
        return int(self.low.min()), int(self.high.max())

    @property
    def bits(self) -> int:
        """Bits of the narrowest register that holds it, at least 2."""
        return max(2, bits_for(*self.ends))

    @property
    def channel_bits(self) -> list[int]:
        """The same of each channel."""
        pairs = zip(self.low.tolist(), self.high.tolist(), strict=True)
        return [max(2, bits_for(low, high)) for low, high in pairs]

    def fits(self, accumulator: Accumulator) -> bool:
        """Tell whether a register holds it."""
        low, high = self.ends
        return not (accumulator.overflows(low) or accumulator.overflows(high))

    def within(self, other: "Interval") -> "Interval":
        """Return what is in both."""
        return Interval(np.maximum(self.low, other.low), np.minimum(self.high, other.high))


@dataclass(frozen=True, eq=False)
class SumBound:
    """A bound of a layer's sums; of pools and sums of tensors, rows are those of the mapped layer.

    Attributes
    ----------
    kind : str
        One of `BOUNDS`.
    is_guarantee : bool
        Whether no input can exceed it.
    final : Interval
        Of what a register ends with, if it does not overflow.
    partial : Interval
        Of what it holds after any step, and between bit planes.
    """

    kind: str
    is_guarantee: bool
    final: Interval
    partial: Interval

    def needed(self, overflow: str) -> Interval:
        """Return what a register that overflows in this way must hold, to be right."""
        return self.final if overflow == "wrap" else self.partial


def layer_bounds(mapped: MappedLayer) -> dict[str, SumBound]:
    """Return the bounds that need no images, by kind."""
    return {each.kind: each for each in (type_bound(mapped), l1_bound(mapped), exact_bound(mapped))}


def _check(mapped: MappedLayer) -> None:
    """Raise `FormatError` for a layer of floats."""
    check_integers(f"bound of the sums of layer {mapped.layer.name}", *mapped.layer.inputs)


def type_bound(mapped: MappedLayer) -> SumBound:
    """Return the bound of any weights of the layer's format.

    The weights of pools and sums of tensors are what they are, so it is that of their l1 norm.
    """
    _check(mapped)
    layer = mapped.layer
    if not isinstance(layer, Weighted):
        return _symmetric("type", _magnitudes(mapped))
    count, largest = layer.weights[0].size, _largest(layer.weight)
    own = np.full(len(mapped.weights), count * largest * _input_reach(mapped), object)
    return _symmetric("type", own + _constant_reach(mapped))


def l1_bound(mapped: MappedLayer) -> SumBound:
    """Return the bound by the l1 norm of each channel's weights."""
    _check(mapped)
    return _symmetric("l1", _magnitudes(mapped))


def exact_bound(mapped: MappedLayer) -> SumBound:
    """Return the interval of each channel's sums over all inputs."""
    _check(mapped)
    if not isinstance(mapped.layer, Weighted):
        return _exact(*_selected(mapped))
    if mapped.bitwise:
        return _exact(*_planes(mapped))
    return _exact(*_products(mapped))


def calibrated_bound(
    exact: SumBound, final: Interval, partial: Interval, margin: float = MARGIN
) -> SumBound:
    """Return what was seen, wider by ``margin``, and never wider than what is possible."""

    def times(ends: np.ndarray) -> np.ndarray:
        return np.array([round(end * margin) for end in ends.tolist()])

    seen = (  # an end on the other side of 0 would move inwards, and stays
        Interval(np.minimum(each.low, times(each.low)), np.maximum(each.high, times(each.high)))
        for each in (final, partial)
    )
    ends, steps = (
        each.within(most) for each, most in zip(seen, (exact.final, exact.partial), strict=True)
    )
    return SumBound("calibrated", False, ends, steps)


def any_order(mapped: MappedLayer) -> tuple[int, int]:
    """Return the ends of every sum of any of the layer's products, in whatever order."""
    _check(mapped)
    if mapped.bitwise:
        reach = ((1 << mapped.planes) - 1) * int(abs(mapped.weights).sum(axis=1).max())
        return -reach, reach
    lows = [min(low, mapped.pad, 0) for low, _ in mapped.ranges]
    highs = [max(high, mapped.pad, 0) for _, high in mapped.ranges]
    # every pass reads its sources one after the other, equally often; Python's integers, because
    # 32-bit weights and inputs leave no room in 64 bits
    shape = (len(mapped.weights), mapped.planes, len(lows), -1)
    by_source = mapped.weights.reshape(shape)
    positive, negative = (
        each.sum(axis=(1, 3)).astype(object)
        for each in (by_source.clip(min=0), by_source.clip(max=0))
    )
    least, most = np.array(lows, object), np.array(highs, object)
    return (
        int((positive * least + negative * most).sum(axis=1).min()),
        int((positive * most + negative * least).sum(axis=1).max()),
    )


def accumulator_bits(network: Network, lanes: int) -> int:
    """Return the narrowest accumulator that no input can overflow, at any step; at least 2.

    Raises
    ------
    FormatError
        For floats, as all bounds.
    """
    mapped = [each for each in map_network(network, lanes) if each.on_array]
    return max(exact_bound(each).partial.bits for each in mapped)


# --- magnitudes ----------------------------------------------------------------------------------


def _largest(fmt: Format) -> int:
    return max(abs(fmt.min_level), abs(fmt.max_level))


def _input_reach(mapped: MappedLayer) -> int:
    """Return the largest magnitude that a weight of 1 adds, in all bit planes."""
    reach = (1 << mapped.planes) - 1 if mapped.bitwise else 1
    return reach if mapped.bitwise else max(map(_largest, mapped.layer.inputs))


def _symmetric(kind: str, reach: np.ndarray) -> SumBound:
    both = Interval(-reach, reach)
    return SumBound(kind, True, both, both)


def _magnitudes(mapped: MappedLayer) -> np.ndarray:
    """Return the l1 norm of each row times the largest input, and what lanes without a code add."""
    weights = abs(mapped.weights)
    if isinstance(mapped.layer, Weighted):
        # only rows of the layer's own order have lanes without a code whose weight is not 0
        own = weights[:, : _codes(mapped)].sum(axis=1).astype(object)
        return own * _input_reach(mapped) + _constant_reach(mapped)
    return weights.sum(axis=1).astype(object) * max(_input_reach(mapped), abs(mapped.pad))


def _constant_reach(mapped: MappedLayer) -> np.ndarray:
    """Return the magnitude of what lanes without a code add, of shape (channels,)."""
    constant = abs(mapped.weights[:, _codes(mapped) :]).sum(axis=1).astype(object)
    return constant * (_input_reach(mapped) if mapped.bitwise else abs(mapped.pad))


def _codes(mapped: MappedLayer) -> int:
    """Return how many weights of a row meet codes; behind them are lanes without one."""
    return min(mapped.patch.codes, mapped.weights.shape[1])


# --- the exact interval --------------------------------------------------------------------------


def _exact(low: np.ndarray, high: np.ndarray) -> SumBound:
    """Return the bound of sums after each step, of shape (patterns, channels, steps)."""
    ends = Interval(low[:, :, -1].min(axis=0), high[:, :, -1].max(axis=0))
    steps = Interval(low.min(axis=(0, 2)), high.max(axis=(0, 2)))
    return SumBound("exact", True, ends, steps)


def _integers(mapped: MappedLayer) -> type:
    """Return the type of sums of the weights times levels."""
    norm = abs(mapped.weights.astype(np.float64)).sum(axis=1).max(initial=0)
    levels = [mapped.pad, *(end for ends in mapped.ranges for end in ends)]
    largest = (1 << mapped.planes) if mapped.bitwise else max(map(abs, levels))
    return np.int64 if 2 * norm * largest < ROOM else object


def _outside(mapped: MappedLayer) -> list[np.ndarray]:
    """Return which codes of a position lie outside the image, for each pattern of that.

    Where some position lies inside as a whole the others reach no further, if what is outside has a
    level that the codes have, too.
    """
    patch, window = mapped.patch, mapped.patch.window
    nothing = np.zeros(_codes(mapped), bool)
    if not patch.padded:
        return [nothing]
    sides = []
    for axis, size in enumerate((patch.size.height, patch.size.width)):
        strip = patch.shifts if axis else 1  # its sums are those of its positions
        stride = window.stride[axis] // strip
        kernel = window.kernel[axis] - (strip - 1) * stride
        places = np.arange(patch.positions[axis] * strip)[:, None] * stride
        read = places + np.arange(kernel) - window.padding[axis]
        sides.append(np.unique((read < 0) | (read >= size), axis=0))
    rows, columns = sides
    patterns = [row[:, None] | column[None, :] for row in rows for column in columns]
    if mapped.has_pad_level and not all(each.any() for each in patterns):
        return [nothing]
    codes = patch.codes // prod(window.kernel)
    order = "F" if patch.by_column else "C"
    return [np.repeat(each.ravel(order), codes) for each in patterns]


def _by_step(mapped: MappedLayer, terms: np.ndarray) -> np.ndarray:
    """Return sums of what each weight adds, after every step, of shape (channels, steps)."""
    return terms.reshape(len(terms), mapped.steps, -1).sum(axis=2).cumsum(axis=1)


def _fixed(mapped: MappedLayer, outside: np.ndarray) -> np.ndarray:
    """Return which weights of a row meet what no image changes."""
    fixed = np.ones(mapped.weights.shape[1], bool)
    fixed[: len(outside)] = outside
    return fixed


def _products(mapped: MappedLayer) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends after every step of a layer that reads its codes once."""
    ((low, high),) = mapped.ranges
    weights = mapped.weights.astype(_integers(mapped))
    found = []
    for outside in _outside(mapped):
        fixed, ends = _fixed(mapped, outside), (weights * low, weights * high)
        least = np.where(fixed, weights * mapped.pad, np.minimum(*ends))
        most = np.where(fixed, weights * mapped.pad, np.maximum(*ends))
        found.append((_by_step(mapped, least), _by_step(mapped, most)))
    lows, highs = zip(*found, strict=True)
    return np.array(lows), np.array(highs)


def _planes(mapped: MappedLayer) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends after every step of every bit plane, and after every doubling.

    A bit of a code is -1 or +1, whatever its others are; outside the image, and in lanes without a
    code, all are -1.
    """
    weights, found = mapped.weights.astype(_integers(mapped)), []
    for outside in _outside(mapped):
        fixed = _fixed(mapped, outside)
        middle = _by_step(mapped, np.where(fixed, -weights, 0))
        around = _by_step(mapped, np.where(fixed, 0, abs(weights)))
        parts = []
        for plane in range(mapped.planes):
            before = (2 << plane) - 2  # times a plane, all that are doubled
            doubled = ((0, 0), (1 if plane else 0, 0))
            parts.append(
                [each[:, -1:] * before + np.pad(each, doubled) for each in (middle, around)]
            )
        centre, reach = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
        found.append((centre - reach, centre + reach))
    lows, highs = zip(*found, strict=True)
    return np.array(lows), np.array(highs)


def _selected(mapped: MappedLayer) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends after every step of a pool, or of a sum of tensors.

    Passes read the same codes, and so do the steps of one tensor: what they add to a code's
    coefficient meets before it has an end.
    """
    whole, last = mapped.patch.length, mapped.last_group_channels
    lows, highs = [], []
    for outside in _outside_taps(mapped):
        low, high = _merged(mapped, outside, whole)
        lows.append(low)
        highs.append(high)
        if last < whole and not mapped.has_pad_level:
            # what the last group lacks has the pad level, and what it has is all of other rows
            for ends, each in zip((lows, highs), _merged(mapped, outside, last), strict=True):
                ends.append(np.concatenate([each[:last], ends[-1][last:]]))
    return np.array(lows), np.array(highs)


def _outside_taps(mapped: MappedLayer) -> list[np.ndarray]:
    """Return which steps of a pass read what is outside the image, for each pattern of that."""
    codes = mapped.patch.codes // mapped.steps
    return [each[::codes] for each in _outside(mapped)]


def _merged(
    mapped: MappedLayer, outside: np.ndarray, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends after every step, where steps ``outside`` read the pad level.

    They are those of a group of so many channels, and mean nothing for rows beyond these.
    """
    rows, sources = len(mapped.weights), len(mapped.ranges)
    weights = mapped.weights.reshape(rows, mapped.planes * mapped.steps, -1)
    lanes, exists = weights.shape[2], np.arange(weights.shape[2]) < channels
    repeats = mapped.steps // sources if sources > 1 else 1
    held = np.zeros((rows, mapped.steps // repeats, lanes), _integers(mapped))
    low = high = np.zeros(rows, held.dtype)
    lows, highs = [], []
    for index in range(weights.shape[1]):
        step = index % mapped.steps
        code = step // repeats
        least, most = mapped.ranges[code if sources > 1 else 0]
        free = exists & (not outside[step])
        for sign in (-1, 1):  # takes away what the code's coefficient gave, and adds what it gives
            if sign > 0:
                held[:, code] += weights[:, index]
            ends = held[:, code] * least, held[:, code] * most
            fixed = held[:, code] * mapped.pad
            low = low + sign * np.where(free, np.minimum(*ends), fixed).sum(axis=1)
            high = high + sign * np.where(free, np.maximum(*ends), fixed).sum(axis=1)
        lows.append(low)
        highs.append(high)
    return np.stack(lows, axis=1), np.stack(highs, axis=1)
