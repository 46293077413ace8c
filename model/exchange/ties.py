"""Finds ties: levels in which exact arithmetic and an executor in float32 may differ.

A difference of two levels is a **tie** where float32 decided it: what the quantiser reads is, in
the executor and exactly from the reference's sums, the same number but for float32's rounding, and
the borders between the two levels lie within that rounding.
"""

from fractions import Fraction

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch.nn import functional

from ...hw.network.window import Window
from ..exact.quantizer import Quantizer
from ..exact.tensors import Sums, Tensor
from ..exact.transfer import fractions
from ..exact.unsolved import Accumulation
from .nodes.context import Watched

__all__ = ["EPSILON", "ROUNDINGS", "in_order", "reads", "ties"]

EPSILON = 2.0**-24  # of float32
ROUNDINGS = 16  # errors of float32 that may add up, of the largest number on the way


def ties(
    watched: Watched,
    places: np.ndarray,
    pairs: np.ndarray,
    tensors: dict[str, np.ndarray],
    read: np.ndarray,
) -> list[float | None]:
    """Return how far each tie is from the border between two levels, None where there is no tie.

    The distance, in levels, is the largest one of three: from the border to what the executor's
    quantiser reads, and to the same number computed exactly, and between those two. It is a tie if
    float32 may have moved the number that far, across all borders between the two levels, and if it
    moved it at all: where it rounded nothing it decided nothing, however near the border.

    Parameters
    ----------
    watched : Watched
        The quantiser.
    places : int array of shape (differences, 4)
        Image, row, column and channel of what is different.
    pairs : int array of shape (differences, 2)
        The reference's level and the executor's.
    tensors : dict of str to int array of shape (images, height, width, channels)
        Levels that the layer read.
    read : float array of shape (images, ...)
        What the executor's quantiser read.
    """
    found: list[float | None] = []
    for image in np.unique(places[:, 0]):
        here = places[:, 0] == image
        levels = {name: each[image : image + 1] for name, each in tensors.items()}
        found += _of_an_image(watched, places[here][:, 1:], pairs[here], levels, read[image])
    return found


def _of_an_image(
    watched: Watched,
    places: np.ndarray,
    pairs: np.ndarray,
    tensors: dict[str, np.ndarray],
    read: np.ndarray,
) -> list[float | None]:
    """Return the distances of the ties of one image, whose places are row, column and channel."""
    at = tuple(places.T)
    numbers = read.reshape(-1)[_inverse(watched.levels)[at]]
    if watched.sums is None:
        exact, largest = numbers.astype(np.float64), abs(numbers.astype(np.float64))
    else:
        near, reach = reads(watched.sums, tensors)
        exact, largest = near[0][at], reach[places[:, 2]]
        if _sums_integers(watched):
            largest = abs(exact)
    quantizer, channels = watched.quantizer, places[:, 2]
    units = quantizer.unit.astype(np.float64)[channels % len(quantizer.unit)]
    zero = abs(float(quantizer.zero_point)) if watched.by_kernel else 0.0  # rounded with it
    allowed = ROUNDINGS * EPSILON * (largest / units + zero + 1)
    own = quantizer.of(channels)
    distance = _to_border(own, exact / units)
    if not watched.by_kernel:  # which computes no such number
        single = numbers.astype(np.float64) / units
        distance = np.maximum(distance, _to_border(own, single))
    doubtful = distance <= allowed
    doubtful &= _in_doubt(watched, pairs, channels, exact, allowed * units)
    if watched.sums is None or not doubtful.any():
        return [float(d) if tie else None for d, tie in zip(distance, doubtful, strict=True)]
    truth = _exactly(watched.sums, tensors, at)
    moved = [
        max(_moved(quantizer, *each), _by_kernel(watched, each[2], most)) if tie else Fraction(0)
        for *each, most, tie in zip(numbers, truth, channels, largest, doubtful, strict=True)
    ]
    return [
        max(float(d), float(by)) if tie and by and by <= most else None
        for d, by, most, tie in zip(distance, moved, allowed, doubtful, strict=True)
    ]


def _sums_integers(watched: Watched) -> bool:
    """Tell whether a kernel adds up integers: it rounds what is behind all products alone."""
    sums = watched.sums
    return bool(watched.by_kernel and sums and sums.accumulation.weights is not None)


def _in_doubt(
    watched: Watched, pairs: np.ndarray, channels: np.ndarray, exact: np.ndarray, by: np.ndarray
) -> np.ndarray:
    """Tell where a number, moved ``by`` so much at most, can become both levels of a pair."""
    quantizer = watched.quantizer.of(channels)
    levels = watched.meant or watched.levels
    scale, offset = (each.astype(np.float64)[channels] for each in (levels.scale, levels.offset))
    values = (pairs + offset[:, None]) * (scale / quantizer.out_scale.astype(np.float64))[:, None]
    codes = np.rint(values + float(quantizer.out_zero))
    low, high = (quantizer.codes((exact + each)[:, None]) for each in (-by, by))
    return np.all((low <= codes) & (codes <= high), axis=1)


def in_order(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """Return a graph's values, float64 of shape (images, height, width, channels)."""
    flat = values.reshape(-1, tensor.index.size)
    found = np.empty((len(flat), tensor.size.elements), np.float64)
    found[:, tensor.index.ravel()] = flat
    return found.reshape(-1, *tensor.size)


def _inverse(tensor: Tensor) -> np.ndarray:
    """Return where in the graph's order each element of a tensor, of the network's size, lies."""
    inverse = np.empty(tensor.size.elements, np.int64)
    inverse[tensor.index.ravel()] = np.arange(tensor.index.size)
    return inverse.reshape(tensor.size)


def _moved(quantizer: Quantizer, read: float, exact: Fraction | float, channel: int) -> Fraction:
    """Return how far float32 moved what is rounded to a level; the division by the scale counts."""
    scale = quantizer.scale[channel % len(quantizer.scale)]
    single = np.float32(read) / np.float32(float(scale))
    single = np.float32(single + np.float32(float(quantizer.zero_point)))
    real = Fraction(exact) / scale + quantizer.zero_point
    return abs(Fraction(float(single)) - real) / (quantizer.divisor or 1)


def _by_kernel(watched: Watched, channel: int, largest: float) -> Fraction:
    """Return how far an integer operator may move it, which has ratios of scales in float32."""
    if not watched.by_kernel or watched.sums is None:
        return Fraction(0)
    accumulation, unit = watched.sums.accumulation, watched.quantizer.unit
    unit = unit[channel % len(unit)]
    ratio = watched.sums.transfer.gain[channel] / unit
    ratios = [ratio * each for each in accumulation.summands or (1, 1 / accumulation.ratio)]
    rounds = any(Fraction(float(np.float32(float(each)))) != each for each in ratios)
    return Fraction(largest) / unit * Fraction(EPSILON) if rounds else Fraction(0)


def _to_border(quantizer: Quantizer, ratio: np.ndarray) -> np.ndarray:
    """Return the distance of values, in levels, from the nearest border between two levels.

    One value for each of the quantiser's channels.
    """
    if quantizer.table is not None:
        borders = quantizer.table.astype(np.float64) / quantizer.unit.astype(np.float64)[:, None]
        return abs(borders - ratio[:, None]).min(axis=1)
    if quantizer.divisor:  # what it rounds first; the second rounding is one of whole numbers
        divisor = float(quantizer.divisor)
        code = ratio * divisor + float(quantizer.zero_point) - 0.5
        return abs(code - np.round(code)) / divisor
    shifted = ratio + float(quantizer.zero_point)
    if quantizer.is_bipolar:
        return abs(shifted)
    half = 0.5 if quantizer.rounding in ("ROUND", "HALF_EVEN", "HALF_UP", "HALF_DOWN") else 0.0
    return abs(shifted - half - np.round(shifted - half))


def reads(
    sums: Sums, tensors: dict[str, np.ndarray], exact: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a quantiser reads, and how large it can be in each channel.

    In float64, or in Fractions where that is exact; a nonlinear transfer is float64 in any case. A
    max pool takes the smallest of what falls behind it.
    """
    transfer, accumulation = sums.transfer, sums.accumulation
    found = _summed(accumulation, [tensors[source] for source in accumulation.sources], exact)
    columns = np.moveaxis(found, -1, 0).reshape(accumulation.size.channels, -1)
    gain, offset = (each.astype(np.float64) for each in (transfer.gain, transfer.offset))
    if exact or not transfer.is_affine:
        whole = columns if columns.dtype == object else np.rint(columns).astype(np.int64)
        real = transfer.values(whole)
    else:
        low, high = (each.astype(np.float64)[:, None] for each in (transfer.low, transfer.high))
        real = (columns * gain[:, None] + offset[:, None]).clip(low, high)
    found = np.moveaxis(real.reshape(accumulation.size.channels, *found.shape[:3]), 0, -1)
    for pool in sums.pools:
        falls = pool.direction * transfer.direction < 0
        found = _pooled(found, pool.window, np.where(falls, -1, 1))
    reach = np.maximum(abs(accumulation.low), abs(accumulation.high)) * abs(gain) + abs(offset)
    return found, reach


def _exactly(sums: Sums, tensors: dict[str, np.ndarray], at: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return what a quantiser reads at some places of an image: rows, columns and channels."""
    accumulation, transfer = sums.accumulation, sums.transfer
    if sums.pools or not transfer.one_tail:
        return reads(sums, tensors, exact=True)[0][0][at]
    read = [tensors[source] for source in accumulation.sources]
    if accumulation.is_sum:
        found = _summed(accumulation, [each[0][at] for each in read], exact=True)
    else:
        found = np.rint(_summed(accumulation, read)[0][at]).astype(np.int64)
    return transfer.of(at[2]).values(found[:, None])[:, 0]


def _summed(
    accumulation: Accumulation, tensors: list[np.ndarray], exact: bool = False
) -> np.ndarray:
    """Return the sums of a layer, of shape (images, height, width, channels).

    In float64; in Fractions, if they are to be exact, where a sum of two scales is no integer.
    """
    if accumulation.is_sum:
        first, second = accumulation.summands or (1, 1 / accumulation.ratio)
        if exact:
            one, two = (fractions(tensor) for tensor in tensors)
            return one * first + two * second
        one, two = (tensor.astype(np.float64) for tensor in tensors)
        return one * float(first) + two * float(second)
    image = torch.from_numpy(tensors[0].astype(np.float64))
    if accumulation.weights is not None and accumulation.weights.ndim == 2:
        flat = image.flatten(1) @ torch.from_numpy(accumulation.weights.T.astype(np.float64))
        return flat.numpy()[:, None, None, :]
    image = image.permute(0, 3, 1, 2)
    window = accumulation.window or Window(tuple(image.shape[2:]))  # type: ignore[arg-type]
    top, left, bottom, right = window.padding
    level = float(accumulation.inputs[0].zero_level)
    image = functional.pad(image, (left, right, top, bottom), value=level)
    weights, groups = accumulation.weights, accumulation.groups
    if weights is None:
        groups = image.shape[1]
        weights = np.ones((groups, *window.kernel, 1))
    kernel = torch.from_numpy(weights.astype(np.float64)).permute(0, 3, 1, 2)
    sums = functional.conv2d(image, kernel, stride=window.stride, groups=groups)
    return sums.permute(0, 2, 3, 1).numpy()


def _pooled(values: np.ndarray, window: Window, sign: np.ndarray) -> np.ndarray:
    """Return the largest values in windows, or the smallest where ``sign`` is -1."""
    top, left, bottom, right = window.padding
    around = ((0, 0), (top, bottom), (left, right), (0, 0))
    image = np.pad(values * sign, around, constant_values=-np.inf)  # type: ignore[arg-type]
    windows = sliding_window_view(image, window.kernel, axis=(1, 2))
    down, across = window.stride
    return windows[:, ::down, ::across].max(axis=(-2, -1)) * sign
