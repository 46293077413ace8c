"""Contents and widths of the memories of weights, parameters and thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from ..geometry import Geometry
from ..numbers.arithmetic import Accumulator, bits_for
from ..numbers.float_sum import FloatSum
from ..numbers.formats import Bipolar, Format
from ..numbers.mode import Mode
from .bounds import exact_bound
from .mapping import MappedLayer
from .records import runs_of

__all__ = [
    "Contents",
    "ThresholdTable",
    "parameter_pairs",
    "parameter_words",
    "scaled_width",
    "threshold_table",
    "weight_words",
]


@dataclass(frozen=True, eq=False)
class ThresholdTable:
    """The thresholds of all layers that have them, as a binary search reads them.

    Attributes
    ----------
    bits : int
        Bits of the widest output: stages of the search.
    width : int
        Bits of a threshold, in two's complement.
    rows : int64 array of shape (channels of all tiles, 2**bits - 1)
        Thresholds of each channel, ascending.
    """

    bits: int
    width: int
    rows: np.ndarray

    @cached_property
    def images(self) -> list[list[int]]:
        """Words of the memory of each stage.

        Stage ``j`` knows the upper ``j`` bits of the count, and asks for the next one. Its address
        is the row, and below it the bits that are known.
        """
        words = self.rows & ((1 << self.width) - 1)
        halves = [1 << (self.bits - 1 - stage) for stage in range(self.bits)]
        return [words[:, half - 1 :: 2 * half].reshape(-1).tolist() for half in halves]

    def memories(self, chains: int) -> dict[str, tuple[int, int]]:
        """Return width and depth of every memory; each chain has its own."""
        return {
            f"thresholds {stage}, chain {chain}": (self.width, len(image))
            for chain in range(chains)
            for stage, image in enumerate(self.images)
        }


@dataclass(frozen=True)
class Contents:
    """The contents of an accelerator's memories, each made when it is asked for.

    Parameters
    ----------
    mapped : tuple of MappedLayer
        The layers as the array runs them.
    geometry : Geometry
        Of the array.
    weight : Format
        The format in which the array reads weights.
    accumulator : Accumulator or FloatSum
        Of all sums.
    any_weights : bool
        Weights are loaded, and may be others: nothing is narrower because these reach less far.
    """

    mapped: tuple[MappedLayer, ...]
    geometry: Geometry
    weight: Format
    accumulator: Accumulator | FloatSum
    any_weights: bool = False

    @cached_property
    def weights(self) -> list[int]:
        """Words of the weight memory, as `weight_words` orders them."""
        return weight_words(self.mapped, self.weight, self.geometry)

    @cached_property
    def parameters(self) -> list[tuple[int, int]]:
        """Bias and multiplier of every channel; the rounding half has joined the bias."""
        return parameter_pairs(self.mapped, self.geometry, self._one)

    @property
    def _one(self) -> int:
        """The multiplier that leaves a sum as it is."""
        return self.accumulator.format.one if isinstance(self.accumulator, FloatSum) else 1

    @cached_property
    def multiplier_width(self) -> int:
        """Bits of the multipliers, codes of floats; 0 where all are 1 and nothing is multiplied."""
        if isinstance(self.accumulator, FloatSum):
            scales = any(multiplier != self._one for _, multiplier in self.parameters)
            return self.accumulator.width if scales else 0
        most = max(multiplier for _, multiplier in self.parameters)
        return most.bit_length() if most > 1 else 0

    @cached_property
    def bias_width(self) -> int:
        """Bits of the biases; those of floats are codes."""
        if isinstance(self.accumulator, FloatSum):
            return self.accumulator.width
        biases = [bias for bias, _ in self.parameters]
        return bits_for(min(biases), max(biases))

    def total_width(self, mode: Mode) -> int:
        """Return the bits of scaled sums, bias included, in the layers that use ``mode``.

        Raises
        ------
        FormatError
            For floats, whose sums have no bound.
        """
        layers = [each for each in self.mapped if each.on_array and each.mode == mode]
        sums = self.accumulator, self.any_weights
        return max(scaled_width(layer, self.geometry, *sums) for layer in layers)

    @cached_property
    def thresholds(self) -> ThresholdTable | None:
        """The thresholds of the layers that have them."""
        return threshold_table(self.mapped, self.geometry, self.accumulator, self.any_weights)

    @property
    def parameter_rows(self) -> int:
        """Rows that a layer's channels can have parameters, or thresholds, in."""
        return max(len(self.parameters), len(self.thresholds.rows) if self.thresholds else 0)

    @property
    def parameter_layout(self) -> data.StructLayout:
        """Layout of a word of the parameter memory."""
        return data.StructLayout(
            {"bias": signed(self.bias_width), "multiplier": unsigned(self.multiplier_width)}
        )

    @cached_property
    def parameter_words(self) -> list[int]:
        """Words of the parameter memory."""
        pairs = self.parameters
        if isinstance(self.accumulator, FloatSum):
            code = self.accumulator.format.to_code
            pairs = [(code(bias), code(multiplier)) for bias, multiplier in pairs]
        return parameter_words(pairs, self.bias_width, self.multiplier_width)


def weight_words(mapped: Sequence[MappedLayer], fmt: Format, geometry: Geometry) -> list[int]:
    """Return the words of the weight memory, of ``columns * lanes`` codes each.

    Layer by layer, group by group, tile by tile, slice by slice from the highest, step by step;
    column 0, lane 0 lowest. A missing channel repeats the last one: it may compute anything, since
    it is not written. Each layer is encoded in its own format, and its codes are widened to
    ``fmt``, which the array reads, or cut into slices of it.
    """
    columns, lanes = geometry.columns, geometry.lanes
    words: list[int] = []
    for layer in mapped:
        if layer.operands is None:
            continue
        stored, slices = layer.weights, runs_of(layer.slices(geometry))
        if geometry.slice is None:
            stored = _widened(layer.weight_codes, layer.operands.weight, fmt)
        for rows in _groups(layer, stored):
            whole = np.pad(rows, ((0, -len(rows) % columns), (0, 0)), mode="edge")
            tiles = iter(whole.reshape(-1, columns, whole.shape[1]))
            for count, planes in slices:
                codes = np.stack(list(islice(tiles, count)))
                if geometry.slice:
                    codes = _slices(codes, planes, geometry.slice)
                codes = codes.reshape(count, columns, -1, lanes).transpose(0, 2, 1, 3)
                words += _packed(codes.reshape(-1, columns * lanes), fmt.width)
    return words


def _slices(levels: np.ndarray, count: int, bits: int) -> np.ndarray:
    """Return the slices of weights in two's complement, those of a row after each other."""
    shifts = bits * np.arange(count)[::-1, None]
    found = (levels[..., None, :] >> shifts) & ((1 << bits) - 1)
    return found.reshape(*levels.shape[:-1], -1)


def _widened(codes: np.ndarray, own: Format, fmt: Format) -> np.ndarray:
    """Return codes of a layer's own format in the array's."""
    return codes if own == fmt else fmt.to_code(own.to_level(codes))


def parameter_pairs(
    mapped: Sequence[MappedLayer], geometry: Geometry, one: int = 1
) -> list[tuple[int, int]]:
    """Return bias and multiplier of every channel of every tile, in the order of the weights.

    A missing channel has a multiplier of ``one``. The half of the rounding shift has joined the
    bias. Layers with thresholds have no parameters.
    """
    pairs: list[tuple[int, int]] = []
    for layer in mapped:
        if layer.thresholds is not None:
            continue
        half = 0
        if layer.on_array and layer.shift and layer.layer.output != Bipolar():
            half = 1 << (layer.shift - 1)
        biases, multipliers = _groups(layer, layer.bias + half), _groups(layer, layer.multiplier)
        for bias, multiplier in zip(biases, multipliers, strict=True):
            pairs += zip(bias.tolist(), multiplier.tolist(), strict=True)
            pairs += [(0, one)] * (-len(bias) % geometry.columns)
    return pairs or [(0, one)]


def parameter_words(
    pairs: Sequence[tuple[int, int]], bias_width: int, multiplier_width: int
) -> list[int]:
    """Return the words of the parameter memory: the bias lowest; no multiplier where all are 1."""
    mask = (1 << bias_width) - 1
    return [
        (bias & mask) | (multiplier << bias_width if multiplier_width else 0)
        for bias, multiplier in pairs
    ]


def scaled_width(
    layer: MappedLayer,
    geometry: Geometry,
    accumulator: Accumulator | FloatSum,
    any_weights: bool = False,
) -> int:
    """Return the bits of the widest ``sum * multiplier + bias`` that a layer can reach.

    With ``any_weights`` it may have others than it has.
    """
    low, high = _reach(layer, accumulator, any_weights)
    pairs = parameter_pairs([layer], geometry)
    return bits_for(
        min(low * multiplier + bias for bias, multiplier in pairs),
        max(high * multiplier + bias for bias, multiplier in pairs),
    )


def threshold_table(
    mapped: Sequence[MappedLayer],
    geometry: Geometry,
    accumulator: Accumulator | FloatSum,
    any_weights: bool = False,
) -> ThresholdTable | None:
    """Return the thresholds of every channel of every tile, or None where no layer has any.

    What lies outside the sums that a layer can reach, with ``any_weights`` whatever its weights
    are, moves next to them, where it means the same and takes fewer bits. Layers with a narrower
    output are filled with what no sum reaches.
    """
    counts = [layer.thresholds.shape[1] for layer in mapped if layer.thresholds is not None]
    if not counts:
        return None
    rows: list[np.ndarray] = []
    for layer in mapped:
        if layer.thresholds is None:
            continue
        low, high = _reach(layer, accumulator, any_weights)
        missing = max(counts) - layer.thresholds.shape[1]
        clipped = layer.thresholds.clip(low, high + 1)
        filled = np.pad(clipped, ((0, 0), (0, missing)), constant_values=high + 1)
        for group in _groups(layer, filled):
            rows.append(np.pad(group, ((0, -len(group) % geometry.columns), (0, 0)), mode="edge"))
    table = np.concatenate(rows)
    width = bits_for(int(table.min()), int(table.max()))
    return ThresholdTable(max(counts).bit_length(), width, table)


def _reach(
    layer: MappedLayer, accumulator: Accumulator | FloatSum, any_weights: bool
) -> tuple[int, int]:
    """Return the lowest and the highest sum that a layer's requantiser can meet."""
    bound = exact_bound(layer)  # which refuses floats
    assert isinstance(accumulator, Accumulator)
    if any_weights or not bound.needed(accumulator.overflow).fits(accumulator):
        return accumulator.min_level, accumulator.max_level
    return bound.final.ends


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
