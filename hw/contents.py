"""What the weight and parameter memories hold."""

from collections.abc import Sequence

import numpy as np

from .array import Geometry
from .mapping import MappedLayer
from .number import Bipolar, Format

__all__ = ["parameter_pairs", "weight_words"]


def weight_words(mapped: Sequence[MappedLayer], fmt: Format, geometry: Geometry) -> list[int]:
    """Return the words of the weight memory, of ``columns * lanes`` codes each.

    Layer by layer, group by group, tile by tile, step by step; column 0, lane 0 lowest. A missing
    channel repeats the last one: it may compute anything, since it is not written.
    """
    columns, lanes = geometry.columns, geometry.lanes
    words: list[int] = []
    for layer in mapped:
        if not layer.on_array:
            continue
        for rows in _groups(layer, layer.weights):
            levels = np.pad(rows, ((0, -len(rows) % columns), (0, 0)), mode="edge")
            codes = fmt.to_code(levels).reshape(-1, columns, levels.shape[1] // lanes, lanes)
            codes = codes.transpose(0, 2, 1, 3).reshape(-1, columns * lanes)
            words += _packed(codes, fmt.width)
    return words


def parameter_pairs(mapped: Sequence[MappedLayer], geometry: Geometry) -> list[tuple[int, int]]:
    """Return bias and multiplier of every channel of every tile, in the order of the weights.

    The half of the rounding shift has joined the bias.
    """
    pairs: list[tuple[int, int]] = []
    for layer in mapped:
        half = 0
        if layer.on_array and layer.shift and layer.layer.output != Bipolar():
            half = 1 << (layer.shift - 1)
        biases, multipliers = _groups(layer, layer.bias + half), _groups(layer, layer.multiplier)
        for bias, multiplier in zip(biases, multipliers, strict=True):
            pairs += zip(bias.tolist(), multiplier.tolist(), strict=True)
            pairs += [(0, 1)] * (-len(bias) % geometry.columns)
    return pairs


def _groups(layer: MappedLayer, rows: np.ndarray) -> list[np.ndarray]:
    """Split what belongs to output channels into groups; pools and sums have one for all."""
    if not layer.on_array:
        return []
    return np.split(rows, 1 if layer.shared else layer.patch.groups)


def _packed(codes: np.ndarray, width: int) -> list[int]:
    """Return rows of codes of ``width`` bits as integers, the first code lowest."""
    bits = (codes[:, :, None] >> np.arange(width)) & 1
    octets = np.packbits(bits.reshape(len(codes), -1).astype(np.uint8), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in octets]
