"""Two slow readings of a network in Python integers, to compare the reference with.

`by_definition` is written from the docstrings of `hw.network.layers` and knows neither lanes nor
accumulators. `by_register` follows every accumulator through every word that `hw.program.patch` and
`hw.program.mapping` describe.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from narrowgauge.hw.network.layers import (
    Add,
    AveragePool,
    Conv2d,
    Dense,
    MaxPool,
    Move,
    Size,
    Window,
)
from narrowgauge.hw.network.network import INPUT
from narrowgauge.hw.numbers.formats import Bipolar
from narrowgauge.hw.program.mapping import map_network


class Trace(NamedTuple):
    """Lists of one image, in the order height, width, channel."""

    accumulators: list | None
    overflowed: list | None
    levels: list


def requantize_slowly(acc, c, layer, bias, multiplier, shift, rounding, thresholds):
    """Return the level of one sum of channel or row ``c``."""
    if thresholds is not None:
        return layer.output.min_level + len([t for t in thresholds[c].tolist() if acc >= t])
    scaled = acc * int(multiplier[c]) + int(bias[c])
    if layer.output == Bipolar():
        return 1 if scaled >= 0 else -1
    # round() of a fraction goes to the even side
    level = Fraction(scaled, 2**shift)
    level = round(level) if rounding == "half_even" else math.floor(level + Fraction(1, 2))
    low = layer.output.min_level if layer.low is None else layer.low
    high = layer.output.max_level if layer.high is None else layer.high
    return min(max(level, low), high)


def outside(fmt):
    """What a window reads outside the image."""
    return -1 if fmt == Bipolar() else 0


def by_definition(network, image):
    """Return the levels of every layer for one image of shape (height, width, channels)."""
    tensors = {INPUT: np.asarray(image).tolist()}
    for layer in network:
        read = [tensors[source] for source in network.sources(layer)]
        tensors[layer.name] = DEFINITIONS[type(layer)](layer, *read)
    return [np.array(tensors[layer.name]).reshape(-1).tolist() for layer in network]


def pixels(tensor, window, y, x, beyond):
    """Yield kernel row, kernel column and pixel of one window; ``beyond`` is a pixel outside."""
    top, left = window.padding[:2]
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            row, column = y * window.stride[0] + ky - top, x * window.stride[1] + kx - left
            inside = 0 <= row < len(tensor) and 0 <= column < len(tensor[0])
            yield ky, kx, tensor[row][column] if inside else beyond


def each_position(tensor, window, channels, level):
    size = Size(len(tensor), len(tensor[0]), len(tensor[0][0]))
    height, width = window.positions(size)
    return [
        [[level(y, x, c) for c in range(channels)] for x in range(width)] for y in range(height)
    ]


def finish(layer, acc, c):
    if len(layer.bias) == 1:
        c = 0
    return requantize_slowly(
        acc, c, layer, layer.bias, layer.multiplier, layer.shift, layer.rounding, layer.thresholds
    )


def define_dense(layer, tensor):
    inputs = [level for row in tensor for pixel in row for level in pixel]
    weights = layer.weights.tolist()
    accs = [sum(w * x for w, x in zip(each, inputs, strict=True)) for each in weights]
    return [[[finish(layer, acc, c) for c, acc in enumerate(accs)]]]


def define_conv(layer, tensor):
    channels, _, _, each = layer.weights.shape
    weights = layer.weights.tolist()
    beyond = [outside(layer.input)] * (each * layer.groups)

    def level(y, x, c):
        first = c // (channels // layer.groups) * each
        acc = 0
        for ky, kx, pixel in pixels(tensor, layer.window, y, x, beyond):
            for i in range(each):
                acc += weights[c][ky][kx][i] * pixel[first + i]
        return finish(layer, acc, c)

    return each_position(tensor, layer.window, channels, level)


def define_average(layer, tensor):
    window = layer.window or Window((len(tensor), len(tensor[0])))
    beyond = [outside(layer.input)] * len(tensor[0][0])

    def level(y, x, c):
        return finish(layer, sum(p[c] for _, _, p in pixels(tensor, window, y, x, beyond)), c)

    return each_position(tensor, window, len(beyond), level)


def define_max(layer, tensor):
    channels = len(tensor[0][0])

    def level(y, x, c):
        window = pixels(tensor, layer.window, y, x, None)
        return max(pixel[c] for _, _, pixel in window if pixel is not None)

    return each_position(tensor, layer.window, channels, level)


def define_add(layer, one, two):
    a, b = layer.summands

    def level(y, x, c):
        return finish(layer, a * one[y][x][c] + b * two[y][x][c], c)

    return each_position(one, Window((1, 1)), len(one[0][0]), level)


def define_move(layer, tensor):
    flat = [level for row in tensor for pixel in row for level in pixel]
    (rows, columns), (down, across) = layer.blocks, layer.steps
    starts = [i * down + j * across for i in range(rows) for j in range(columns)]
    found = [level for start in starts for level in flat[start : start + layer.length]]
    return np.array(found).reshape(layer.size).tolist()


DEFINITIONS = {
    Add: define_add,
    AveragePool: define_average,
    Conv2d: define_conv,
    Dense: define_dense,
    MaxPool: define_max,
    Move: define_move,
}


def by_register(network, image, lanes):
    """Return a `Trace` of every layer for one image of shape (height, width, channels)."""
    tensors, traces = {INPUT: np.asarray(image)}, []
    for mapped in map_network(network, lanes):
        read = [tensors[source] for source in network.sources(mapped.layer)]
        size = network.sizes[mapped.layer.name]
        if mapped.on_array:
            traces.append(follow(mapped, network.accumulator, lanes, read))
        else:
            define = DEFINITIONS[type(mapped.layer)]
            levels = np.array(define(mapped.layer, read[0].tolist()))
            traces.append(Trace(None, None, levels.reshape(-1).tolist()))
        tensors[mapped.layer.name] = np.array(traces[-1].levels).reshape(size)
    return traces


def follow(mapped, accumulator, lanes, tensors):
    registers, flags, levels = [], [], []
    for position in np.ndindex(*mapped.patch.positions):
        for c in range(mapped.channels):
            read = words(mapped, lanes, tensors, position, c // mapped.group_channels)
            row = c % lanes if mapped.shared else c
            register, flag = one_register(mapped, accumulator, read, mapped.weights[row].tolist())
            registers.append(register)
            flags.append(flag)
            levels.append(
                requantize_slowly(
                    register, row, mapped.layer, mapped.bias, mapped.multiplier, mapped.shift,
                    mapped.rounding, mapped.thresholds,
                )
            )  # fmt: skip
    return Trace(registers, flags, levels)


def words(mapped, lanes, tensors, position, group):
    """Return the words of one position and group, from the definition of a patch."""
    (y, x), patch, window = position, mapped.patch, mapped.patch.window
    top, left = y * window.stride[0] - window.padding[0], x * window.stride[1] - window.padding[1]

    def level(tensor, row, column, channel):
        known = 0 <= row < tensor.shape[0] and 0 <= column < tensor.shape[1]
        return int(tensor[row, column, channel]) if known and channel < tensor.shape[2] else pad

    pad, channels, codes = mapped.pad, tensors[0].shape[2], []
    for outer in range(patch.outer):
        for inner in range(patch.inner):
            if isinstance(mapped.layer, Dense):
                run = tensors[0].reshape(-1).tolist()
            elif isinstance(mapped.layer, Add):
                first = group * patch.group_step
                run = [level(tensors[outer], y, x, first + j) for j in range(patch.length)]
            elif patch.inner_step:  # a pixel
                first = group * patch.group_step
                place = top + outer, left + inner
                run = [level(tensors[0], *place, first + j) for j in range(patch.length)]
            else:  # a row of the kernel
                run = [
                    level(tensors[0], top + outer, left + j // channels, j % channels)
                    for j in range(patch.length)
                ]
            codes += run + [pad] * (lanes - len(run) if patch.separate else 0)
    codes += [pad] * (-len(codes) % lanes)
    return [codes[start : start + lanes] for start in range(0, len(codes), lanes)]


def one_register(mapped, accumulator, read, weights):
    lanes, register, overflowed = len(read[0]), 0, False

    def put(exact):
        nonlocal register, overflowed
        overflowed |= accumulator.overflows(exact)
        register = accumulator.fit(exact)

    for index in range(mapped.planes):
        if mapped.bitwise and index:
            put(2 * register)
        bit = mapped.planes - 1 - index
        for step, word in enumerate(read):
            if mapped.bitwise:
                word = [2 * (level >> bit & 1) - 1 for level in word]
            first = (step + (0 if mapped.bitwise else index * len(read))) * lanes
            products = zip(word, weights[first : first + lanes], strict=True)
            put(register + sum(level * weight for level, weight in products))
    return register, overflowed
