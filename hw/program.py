"""From a network to what the accelerator needs: layer records and memory images.

Every size and every limit is settled here, before any gate is built, and an error names the layer
and the limit.
"""

from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np
from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from .arithmetic import bits_for
from .array import Geometry
from .errors import GeometryError
from .mapping import MappedLayer, Operands, map_network, operands
from .network import Network
from .number import Bipolar, Format

__all__ = ["LayerRecord", "Mode", "Program"]

MAX_WORDS = 1 << 20
MAX_LAYERS = 64


@dataclass(frozen=True)
class LayerRecord:
    """One layer as the sequencer runs it; all bases are word addresses.

    ``input_base`` and ``output_base`` count from the start of an image's region of the activation
    memory. ``mode`` indexes `Program.modes`.
    """

    planes: int
    steps: int
    tiles: int
    outputs: int
    weight_base: int
    parameter_base: int
    input_base: int
    output_base: int
    mode: int

    @property
    def words(self) -> int:
        """Activation words of one image's input."""
        return self.planes * self.steps


@dataclass(frozen=True)
class Mode:
    """A requantisation that some layer uses: its output format and its shift."""

    output: Format
    shift: int


class Program:
    """A network laid out for one accelerator.

    Parameters
    ----------
    network : Network
        What to run.
    geometry : Geometry
        On which array.
    contexts : int
        Groups of ``rows`` images in flight. With two, one group's drain and fill hide behind the
        other one's computing; with one, half of the activation memory is saved.

    Attributes
    ----------
    operands : Operands
        Formats that the array multiplies.
    mapped : tuple of MappedLayer
        The layers as the array runs them.
    records : tuple of LayerRecord
        The program of the sequencer.
    modes : tuple of Mode
        The distinct requantisations; the last layer's is always the last.
    image_words : int
        Activation words an image: its input, and two areas that the layers use in turn.

    Raises
    ------
    GeometryError
        When the network needs more words than an accelerator can address.
    NetworkError
        When no operand formats fit the network.
    """

    def __init__(self, network: Network, geometry: Geometry, *, contexts: int = 2):
        if contexts not in (1, 2):
            raise GeometryError(f"contexts is 1 or 2, not {contexts}")
        if len(network.layers) > MAX_LAYERS:
            raise GeometryError(
                f"network {network.name} has {len(network.layers)} layers, "
                f"the limit is {MAX_LAYERS}"
            )
        self.network, self.geometry, self.contexts = network, geometry, contexts
        self.operands: Operands = operands(network)
        self.mapped: tuple[MappedLayer, ...] = map_network(network, geometry.lanes)
        self.modes = self._collect_modes()
        self.image_words, areas = self._allocate()
        self.records = self._make_records(areas)
        self._check_limits()

    def _collect_modes(self) -> tuple[Mode, ...]:
        """Return the hidden layers' modes without repetition, then the last layer's."""
        modes = [Mode(mapped.layer.output, mapped.shift) for mapped in self.mapped]
        return (*dict.fromkeys(modes[:-1]), modes[-1])

    def _allocate(self) -> tuple[int, list[int]]:
        """Return an image's activation words, and where each layer's input starts.

        The network's input has its own area, so the next image can arrive while this one is
        computed; hidden layers read and write two further areas in turn.
        """
        words = [mapped.planes * mapped.steps for mapped in self.mapped]
        first = words[0]
        odd = max(words[1::2], default=0)
        even = max(words[2::2], default=0)
        bases = [0] + [first if layer % 2 else first + odd for layer in range(1, len(words))]
        return first + odd + even, bases

    def _make_records(self, areas: list[int]) -> tuple[LayerRecord, ...]:
        columns = self.geometry.columns
        records, weight_base, parameter_base = [], 0, 0
        for index, mapped in enumerate(self.mapped):
            tiles = -(-mapped.layer.outputs // columns)
            last = index == len(self.mapped) - 1
            mode = Mode(mapped.layer.output, mapped.shift)
            records.append(
                LayerRecord(
                    planes=mapped.planes,
                    steps=mapped.steps,
                    tiles=tiles,
                    outputs=mapped.layer.outputs,
                    weight_base=weight_base,
                    parameter_base=parameter_base,
                    input_base=areas[index],
                    output_base=0 if last else areas[index + 1],
                    mode=len(self.modes) - 1 if last else self.modes.index(mode),
                )
            )
            weight_base += tiles * mapped.steps
            parameter_base += tiles * columns
        return tuple(records)

    def _check_limits(self) -> None:
        for what, words in (
            ("weight", self.weight_words),
            ("activation", self.activation_words),
            ("output", self.output_words),
        ):
            if words > MAX_WORDS:
                raise GeometryError(
                    f"network {self.network.name} needs {words} {what} words at {self.geometry}; "
                    f"the limit is {MAX_WORDS}: take more lanes or columns"
                )

    # --- sizes ---------------------------------------------------------------------------------

    @property
    def images(self) -> int:
        """Images in flight."""
        return self.contexts * self.geometry.rows

    @property
    def activation_words(self) -> int:
        """Words of the activation memory, of `Geometry.lanes` codes each."""
        return self.images * self.image_words

    @property
    def weight_words(self) -> int:
        """Words of the weight memory, of ``columns * lanes`` codes each."""
        last = self.records[-1]
        return last.weight_base + last.tiles * last.steps

    @property
    def output_words(self) -> int:
        """Words of the output memory, one level each."""
        return self.images * self.network.outputs

    @property
    def row_buffer_words(self) -> int:
        """Words of one bank of a row buffer."""
        return max(record.words for record in self.records)

    @property
    def segment(self) -> int:
        """Codes that are written to an activation word at once: what tiles and words share."""
        return gcd(self.geometry.columns, self.geometry.lanes)

    @property
    def doubling(self) -> bool:
        """Whether a layer reads bit planes."""
        return any(record.planes > 1 for record in self.records)

    # --- memory images -------------------------------------------------------------------------

    @cached_property
    def weight_image(self) -> list[int]:
        """Words of the weight memory: tile by tile, step by step; column 0, lane 0 lowest."""
        columns, lanes = self.geometry.columns, self.geometry.lanes
        words: list[int] = []
        for mapped, record in zip(self.mapped, self.records, strict=True):
            missing = record.tiles * columns - mapped.layer.outputs
            # a missing channel may compute anything, the writer discards it
            levels = np.pad(mapped.weights, ((0, missing), (0, 0)), mode="edge")
            codes = self.operands.weight.to_code(levels)
            codes = codes.reshape(record.tiles, columns, record.steps, lanes)
            codes = codes.transpose(0, 2, 1, 3).reshape(-1, columns * lanes)
            words += [_pack(word, self.operands.weight.width) for word in codes.tolist()]
        return words

    @cached_property
    def parameters(self) -> list[tuple[int, int]]:
        """Bias and multiplier of every channel; the rounding half has joined the bias."""
        pairs: list[tuple[int, int]] = []
        for mapped, record in zip(self.mapped, self.records, strict=True):
            half = 0
            if mapped.shift and mapped.layer.output != Bipolar():
                half = 1 << (mapped.shift - 1)
            pairs += zip((mapped.bias + half).tolist(), mapped.multiplier.tolist(), strict=True)
            missing = record.tiles * self.geometry.columns - record.outputs
            pairs += [(0, 1)] * missing
        return pairs

    @property
    def multiplier_width(self) -> int:
        """Bits of the multipliers; 0 where all are 1 and nothing is multiplied."""
        widest = max(multiplier for _, multiplier in self.parameters)
        return widest.bit_length() if widest > 1 else 0

    @property
    def bias_width(self) -> int:
        """Bits of the biases."""
        biases = [bias for bias, _ in self.parameters]
        return bits_for(min(biases), max(biases))

    @property
    def parameter_layout(self) -> data.StructLayout:
        """Layout of a word of the parameter memory."""
        return data.StructLayout(
            {"bias": signed(self.bias_width), "multiplier": unsigned(self.multiplier_width)}
        )

    @cached_property
    def parameter_image(self) -> list[int]:
        """Words of the parameter memory."""
        mask = (1 << self.bias_width) - 1
        used = self.multiplier_width > 0
        return [
            (bias & mask) | (multiplier << self.bias_width if used else 0)
            for bias, multiplier in self.parameters
        ]

    # --- predictions ---------------------------------------------------------------------------

    @property
    def memories(self) -> dict[str, tuple[int, int]]:
        """Width in bits and depth in words of every memory."""
        activation = self.geometry.lanes * self.operands.activation.width
        weight = self.geometry.columns * self.geometry.lanes * self.operands.weight.width
        rows = {
            f"row buffer {row}": (activation, 2 * self.row_buffer_words)
            for row in range(self.geometry.rows)
        }
        return rows | {
            "weights": (weight, self.weight_words),
            "parameters": (self.parameter_layout.size, len(self.parameters)),
            "activations": (activation, self.activation_words),
            "outputs": (self.network.output.width, self.output_words),
        }

    @property
    def fetch_cycles(self) -> int:
        """Cycles that the longest fetch of a job takes."""
        return self.geometry.rows * self.row_buffer_words + 3

    @property
    def cycles_per_image(self) -> float:
        """Cycles that an image takes at least, in steady state.

        The slowest of loading, fetching, computing and emitting a batch, which two contexts let
        overlap; a tile takes its steps, or as long as the drain of the tile before it. Jobs that
        wait for each other add a few per cent in small layers, and a single context adds more.
        """
        rows, first = self.geometry.rows, self.records[0]
        interval = self.geometry.elements + self.geometry.skew
        loading = first.steps * (self.geometry.lanes + first.planes - 1) + 1
        fetching = sum(rows * record.words + 3 for record in self.records) / rows
        computing = sum(1 + r.tiles * max(r.words, interval) for r in self.records) / rows
        emitting = 2 * self.network.outputs + 1 / rows
        return max(loading, fetching, computing, emitting)


def _pack(codes: list[int], width: int) -> int:
    """Return codes of ``width`` bits side by side, the first one lowest."""
    word = 0
    for code in reversed(codes):
        word = (word << width) | code
    return word
