"""The last layer, where nothing quantises it: its levels are logits."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ...hw.errors import NetworkError
from ...hw.numbers.arithmetic import bits_for
from ...hw.numbers.formats import MAX_WIDTH, Fixed
from .transfer import INFINITY, Number
from .unsolved import Clamp, Parameters, UnsolvedLayer

__all__ = ["LOGIT_BITS", "Logits", "Meaning", "logits"]

LOGIT_BITS = 16  # of the multipliers of logits, unless hidden layers have wider ones
FARTHEST_BIAS = 1 << 52


@dataclass(frozen=True)
class Meaning:
    """Real values of a last layer's levels: ``scale * (level + offset)``, in all channels.

    Attributes
    ----------
    scale, offset : Fraction
        The scale is positive.
    error : Fraction
        How far from that a logit can be; 0 where it is exact.
    """

    scale: Fraction
    offset: Fraction
    error: Fraction = Fraction(0)


@dataclass(frozen=True, eq=False)
class Logits:
    """Parameters of a last layer.

    Attributes
    ----------
    parameters : dict
        Of `hw.network.Requantised`; and its ``output``.
    is_rounded : bool
        Whether its multipliers are not the scales themselves.
    meaning : Meaning
        What its levels stand for.
    relative_error : float
        Its error, relative to the largest logit that can be.
    """

    parameters: Parameters
    is_rounded: bool
    meaning: Meaning
    relative_error: float


def logits(unsolved: UnsolvedLayer, bits: int) -> Logits:
    """Return parameters of a last layer without a quantiser.

    Where the scales of all channels are multiples of the least, by numbers of up to ``bits`` bits,
    and biases are whole sums at that one, they are exact; else multipliers have ``bits`` bits.
    Levels of more than 32 bits lose the lowest ones. Logits of one scale are given less the
    fraction of a sum that the first one's bias has. A clip becomes the clamp; one of exact logits
    that lies between two levels becomes the next level outside, which keeps the order of all
    logits, and which of them are equal.

    Raises
    ------
    NetworkError
        For a logit that is always the same, and for channels that are clipped differently.
    """
    transfer, accumulation = unsolved.transfer, unsolved.accumulation
    assert transfer is not None
    rows = slice(None) if accumulation.is_weighted else slice(1)
    gain, offset = transfer.gain[rows], transfer.offset[rows]
    low, high = accumulation.low[rows], accumulation.high[rows]
    if min(gain) <= 0:
        raise NetworkError(f"layer {unsolved.name}: a logit is multiplied by zero")
    clip = _clip(unsolved, rows)
    least = min(gain)
    times, units = gain / least, offset / least
    common = Fraction(0)
    if len(gain) > 1 and len({*gain.tolist()}) == 1:  # what all have in common changes no class
        common = units[0] % 1
        units = units - common
        offset = units * least
    room = 60 - bits_for(int(low.min()), int(high.max()))  # products stay within 64 bits
    most = (1 << max(min(bits, room), 1)) - 1
    exact = max(times) <= most and _are_whole([*times, *units])
    if _are_values(unsolved):  # and not an order: their clip must be exact, too
        exact = exact and _are_whole([end / least for end in _finite(clip)])
    unit = least if exact else max(gain) / most
    if max(abs(offset / unit)) > FARTHEST_BIAS:
        raise NetworkError(f"layer {unsolved.name}: a bias is far beyond all sums; not supported")
    if exact:
        multiplier, bias = times.astype(np.int64), units.astype(np.int64)
    else:
        multiplier = np.array([max(1, round(each / unit)) for each in gain], np.int64)
        bias = np.array([round(each / unit) for each in offset], np.int64)
    found = int((low * multiplier + bias).min()), int((high * multiplier + bias).max())
    shift = max(_width(found) - MAX_WIDTH, 0)  # the lowest bits of very wide sums are dropped
    is_rounded = not exact or bool(shift)
    scale = Fraction(unit) * 2**shift
    output = Fixed(_width(found) - shift)
    clamp, error = _clamp(unsolved.name, clip, scale, common * least, output, not is_rounded)
    low_high = np.stack([low, high], axis=1).astype(object)
    if not exact:
        own_gain, own = (each.astype(object) * unit for each in (multiplier, bias))
        wrong = abs(low_high * (own_gain - gain)[:, None] + (own - offset)[:, None])
        error = max(error, Fraction(wrong.max()))
    error += scale / 2 if shift else 0  # the bits that are dropped
    values = (low_high * gain[:, None] + offset[:, None]).ravel()
    largest = max(abs(float(_limited(each, *clip))) for each in values)
    parameters: Parameters = {
        "multiplier": multiplier, "bias": bias, "shift": shift, "output": output, **clamp
    }  # fmt: skip
    return Logits(
        parameters,
        is_rounded,
        Meaning(scale, common * least / scale, error),
        float(error) / max(largest, 1e-300),
    )


def _are_values(unsolved: UnsolvedLayer) -> bool:
    """Tell whether a last layer gives values and no classes."""
    assert unsolved.transfer is not None
    return len(unsolved.transfer.gain) == 1 or unsolved.accumulation.size.positions > 1


def _width(ends: tuple[int, int]) -> int:
    """Return the bits of signed levels."""
    return bits_for(min(ends[0], -1), max(ends[1], 0))


def _are_whole(numbers: list[Number]) -> bool:
    return all(Fraction(each).denominator == 1 for each in numbers)


def _finite(ends: tuple[Number, Number]) -> list[Number]:
    return [each for each in ends if abs(each) != INFINITY]


def _clip(unsolved: UnsolvedLayer, rows: slice) -> tuple[Number, Number]:
    """Return the ends between which all channels are clipped; infinite where none is.

    Raises
    ------
    NetworkError
        Where one pair of ends does not do what the layer does in all channels.
    """
    transfer, accumulation = unsolved.transfer, unsolved.accumulation
    assert transfer is not None
    gain, offset = transfer.gain[rows], transfer.offset[rows]
    bottom, top = (
        sums[rows].astype(object) * gain + offset for sums in (accumulation.low, accumulation.high)
    )
    low, high = transfer.low[rows], transfer.high[rows]
    ends = (
        max(
            (end for end, least in zip(low, bottom, strict=True) if end > least), default=-INFINITY
        ),
        min((end for end, most in zip(high, top, strict=True) if end < most), default=INFINITY),
    )
    for least, most, *own in zip(bottom, top, low, high, strict=True):
        # a monotone function of an interval is clipped alike if its ends are
        if any(_limited(each, *own) != _limited(each, *ends) for each in (least, most)):
            raise NetworkError(
                f"layer {unsolved.name}: the end of the network clips its channels at different "
                "values, and a layer has one clamp; put a Quant node behind it"
            )
    if ends[0] >= ends[1]:
        raise NetworkError(
            f"layer {unsolved.name}: the end of the network clips every logit to one value"
        )
    return ends


def _limited(value: Number, low: Number, high: Number) -> Number:
    return min(max(value, low), high)


def _clamp(
    name: str,
    clip: tuple[Number, Number],
    scale: Fraction,
    common: Fraction,
    output: Fixed,
    in_order: bool,
) -> tuple[Clamp, Fraction]:
    """Return ``low`` and ``high`` of a layer, and how far values are from what they stand for.

    ``in_order`` takes the levels outside the clip, else they are the nearest ones.
    """
    found, error = {"low": output.min_level, "high": output.max_level}, Fraction(0)
    for side, end in zip(found, clip, strict=True):
        if abs(end) != INFINITY:
            real = (end - common) / scale
            outside = math.floor if side == "low" else math.ceil
            level = outside(real) if in_order else round(real)
            found[side] = min(max(level, output.min_level), output.max_level)
            error = max(error, abs(Fraction(real) - level) * scale)
    if found["low"] >= found["high"]:
        raise NetworkError(
            f"layer {name}: the end of the network clips to less than one level of its logits"
        )
    clamp: Clamp = {}
    if found["low"] != output.min_level:
        clamp["low"] = found["low"]
    if found["high"] != output.max_level:
        clamp["high"] = found["high"]
    return clamp, error
