"""From a network to what the accelerator needs: where everything lies, and layer records.

Every size and every limit is settled here, before any gate is built, and an error names the layer
and the limit.
"""

from functools import cached_property
from math import gcd

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from ..errors import GeometryError
from ..geometry import Geometry
from ..network.network import INPUT, Network
from ..numbers.arithmetic import address_width, bits_for
from ..numbers.mode import Mode
from ..numbers.operands import Operands
from .allocation import allocate
from .contents import (
    ThresholdTable,
    parameter_pairs,
    parameter_words,
    scaled_width,
    threshold_table,
    weight_words,
)
from .mapping import MappedLayer, map_network, operands
from .records import Place, Record, Tiles, feed_of, mode_of

__all__ = ["Program"]

MAX_WORDS = 1 << 20
MAX_LAYERS = 64


class Program:
    """A network laid out for one accelerator.

    Parameters
    ----------
    network : Network
        What to run.
    geometry : Geometry
        On which array.
    contexts : int
        Groups of images in flight. With two, one group's drain and fill hide behind the other one's
        computing; with one, half of the activation memory is saved.
    batch : int, optional
        Images of a group, at most ``rows``; None takes as many. Layers with a single position, as
        dense ones, use a row of the array for each image of the batch; convolutions use all rows
        for any batch.
    any_weights : bool
        The weights are loaded, and may be others than the network's: nothing is made narrower
        because these weights do not reach further.

    Attributes
    ----------
    operands : Operands
        Formats that the array multiplies.
    mapped : tuple of MappedLayer
        The layers as the array runs them.
    records : tuple of Record
        The program of the sequencer.
    modes : tuple of Mode
        The distinct requantisations; the last layer's is always the last.
    image_words : int
        Activation words of an image's region.

    Raises
    ------
    GeometryError
        When the network needs more words than an accelerator can address, or the geometry cannot
        run it.
    NetworkError
        When no operand formats fit the network.
    """

    def __init__(
        self,
        network: Network,
        geometry: Geometry,
        *,
        contexts: int = 2,
        batch: int | None = None,
        any_weights: bool = False,
    ):
        batch = geometry.rows if batch is None else batch
        if contexts not in (1, 2):
            raise GeometryError(f"contexts is 1 or 2, not {contexts}")
        if not 1 <= batch <= geometry.rows:
            raise GeometryError(f"batch is 1 to the array's {geometry.rows} rows, not {batch}")
        if len(network.layers) > MAX_LAYERS:
            raise GeometryError(
                f"network {network.name} has {len(network.layers)} layers, "
                f"the limit is {MAX_LAYERS}"
            )
        self.network, self.geometry = network, geometry
        self.contexts, self.batch, self.any_weights = contexts, batch, any_weights
        self.operands: Operands = operands(network)
        self.mapped: tuple[MappedLayer, ...] = map_network(network, geometry.lanes)
        self.modes = self._collect_modes()
        self.segment = self._find_segment()
        self._allocation = allocate(network, self._tensor_words())
        self.image_words = self._allocation.words
        self.records = self._make_records()
        self._check_limits()

    def _collect_modes(self) -> tuple[Mode, ...]:
        """Return the hidden layers' modes without repetition, then the last layer's."""
        modes = [mode_of(each) for each in self.mapped if each.on_array]
        return (*dict.fromkeys(modes[:-1]), modes[-1])

    def _find_segment(self) -> int:
        """Return the codes that are written at once: what tiles, words and channels share."""
        segment, reason = gcd(self.geometry.columns, self.geometry.lanes), ""
        for mapped in self.mapped:
            counts = [mapped.channels] if mapped.patch.count > 1 else []
            if mapped.patch.groups > 1 and not mapped.shared:
                counts.append(mapped.group_channels)
            narrower = gcd(segment, *counts)
            if narrower < segment:
                reason = f", because layer {mapped.layer.name} gives {min(counts)} channels a group"
            segment = narrower
        if self.geometry.chains > segment:
            raise GeometryError(
                f"network {self.network.name} at {self.geometry} writes {segment} codes at once"
                f"{reason}: chains is at most {segment}, not {self.geometry.chains}"
            )
        return segment

    def _tensor_words(self) -> dict[str, int]:
        """Return the activation words of every tensor, by name."""
        lanes = self.geometry.lanes
        words = {name: -(-size.elements // lanes) for name, size in self.network.sizes.items()}
        return words | {INPUT: words[INPUT] * self.input_planes}

    @property
    def input_planes(self) -> int:
        """Bit planes in which the input is stored; 1 where it is stored as codes."""
        return max(mapped.planes if mapped.bitwise else 1 for mapped in self.mapped)

    @property
    def plane_words(self) -> int:
        """Words of the input, or of one bit plane of it."""
        return -(-self.network.inputs // self.geometry.lanes)

    def _make_records(self) -> tuple[Record, ...]:
        records, weight_base = [], 0
        parameter_bases = {False: 0, True: 0}  # thresholds are in memories of their own
        columns = self.geometry.columns
        for mapped in self.mapped:
            tiles = -(-mapped.group_channels // columns) if mapped.on_array else 0
            stored = mapped.weights.shape[1] // self.geometry.lanes if mapped.on_array else 0
            own = 0 if mapped.shared else 1
            thresholds = mapped.thresholds is not None
            record = Record(
                mapped,
                self._feed(mapped),
                Tiles(
                    planes=mapped.planes,
                    bitwise=mapped.bitwise,
                    steps=mapped.steps,
                    tiles=tiles,
                    weight_base=weight_base,
                    group_weights=own * tiles * stored,
                    parameter_base=parameter_bases[thresholds],
                    group_parameters=own * tiles * columns,
                ),
                self._place(mapped),
            )
            copies = mapped.patch.groups if own else 1
            weight_base += copies * tiles * stored
            parameter_bases[thresholds] += copies * tiles * columns
            records.append(record)
        return tuple(records)

    def _feed(self, mapped: MappedLayer):
        lanes, bases = self.geometry.lanes, self._allocation.bases
        first, *others = (lanes * bases[name] for name in self.network.sources(mapped.layer))
        return feed_of(
            mapped,
            base=first,
            other=others[0] if others else None,
            image=self.image_words * lanes,
            plane=self.plane_words * lanes,
            lanes=lanes,
            pad=0 if mapped.bitwise else self.operands.activation.to_code(mapped.pad),
        )

    def _place(self, mapped: MappedLayer) -> Place:
        lanes, rows = self.geometry.lanes, self.geometry.rows
        name, positions = mapped.layer.name, mapped.patch.count
        image = self.image_words * lanes
        is_last = mapped is self.mapped[-1]
        single = positions == 1 and mapped.on_array
        row_step = mapped.channels if positions > 1 else image
        if not mapped.on_array:
            index = 0
        else:
            index = len(self.modes) - 1 if is_last else self.modes.index(mode_of(mapped))
        return Place(
            start=0 if is_last else self._allocation.bases[name] * lanes,
            mode=index,
            channels=mapped.channels,
            group_channels=mapped.group_channels,
            groups=mapped.patch.groups,
            images=1 if single else self.batch,
            chunks=1 if single else -(-positions // rows),
            positions=self.batch if single else positions,
            row_step=row_step,
            chunk_step=0 if single else rows * row_step,
            image_step=0 if single else image,
            group_step=mapped.group_channels if mapped.patch.groups > 1 else 0,
        )

    def _check_limits(self) -> None:
        for what, words in (
            ("weight", self.weight_words),
            ("activation", self.activation_words),
            ("output", self.output_words),
            ("threshold", len(self.thresholds.images[-1]) if self.thresholds else 0),
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
        return self.contexts * self.batch

    @property
    def activation_words(self) -> int:
        """Words of the activation memory, of `Geometry.lanes` codes each."""
        return self.images * self.image_words

    @property
    def weight_words(self) -> int:
        """Words of the weight memory, of ``columns * lanes`` codes each."""
        return len(self.weight_image)

    @property
    def output_rows(self) -> int:
        """Rows of sums, one a chain, that the output memory keeps for a context."""
        return -(-self.batch // self.geometry.chains)

    @property
    def output_words(self) -> int:
        """Words of the output memory: one level a chain each."""
        return self.contexts * self.output_rows * self.network.outputs

    @property
    def row_buffer_words(self) -> int:
        """Words of one bank of a row buffer."""
        return max(record.tiles.words for record in self.array_records)

    @property
    def array_records(self) -> list[Record]:
        """The records of layers that run on the array."""
        return [record for record in self.records if record.on_array]

    @property
    def pools(self) -> list[Record]:
        """The records of max pools."""
        return [record for record in self.records if not record.on_array]

    @property
    def sums(self) -> int:
        """Sums that an image takes, over all layers."""
        return sum(r.place.channels * r.mapped.patch.count for r in self.array_records)

    @property
    def doubling(self) -> bool:
        """Whether a layer reads bit planes."""
        return any(record.tiles.bitwise for record in self.records)

    @property
    def last_input_layer(self) -> int:
        """Index of the last layer that reads the network's input."""
        layers = enumerate(self.network)
        return max(index for index, layer in layers if INPUT in self.network.sources(layer))

    # --- memory images -------------------------------------------------------------------------

    @cached_property
    def weight_image(self) -> list[int]:
        """Words of the weight memory: tile by tile, step by step; column 0, lane 0 lowest."""
        return weight_words(self.mapped, self.operands.weight, self.geometry)

    @cached_property
    def parameters(self) -> list[tuple[int, int]]:
        """Bias and multiplier of every channel; the rounding half has joined the bias."""
        return parameter_pairs(self.mapped, self.geometry)

    @cached_property
    def multiplier_width(self) -> int:
        """Bits of the multipliers; 0 where all are 1 and nothing is multiplied."""
        widest = max(multiplier for _, multiplier in self.parameters)
        return widest.bit_length() if widest > 1 else 0

    @cached_property
    def bias_width(self) -> int:
        """Bits of the biases."""
        biases = [bias for bias, _ in self.parameters]
        return bits_for(min(biases), max(biases))

    def total_width(self, mode: Mode) -> int:
        """Return the bits of scaled sums, bias included, in the layers that use ``mode``."""
        layers = [each for each in self.mapped if each.on_array and mode_of(each) == mode]
        sums = self.network.accumulator, self.any_weights
        return max(scaled_width(layer, self.geometry, *sums) for layer in layers)

    @cached_property
    def thresholds(self) -> ThresholdTable | None:
        """The thresholds of the layers that have them."""
        sums = self.network.accumulator, self.any_weights
        return threshold_table(self.mapped, self.geometry, *sums)

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
    def parameter_image(self) -> list[int]:
        """Words of the parameter memory."""
        return parameter_words(self.parameters, self.bias_width, self.multiplier_width)

    # --- predictions ---------------------------------------------------------------------------

    @property
    def memories(self) -> dict[str, tuple[int, int]]:
        """Width in bits and depth in words of every memory."""
        activation = self.geometry.lanes * self.operands.activation.width
        weight = self.geometry.columns * self.geometry.lanes * self.operands.weight.width
        rows = {
            f"row buffer {row}": (activation, 2 << address_width(self.row_buffer_words))
            for row in range(self.geometry.rows)
        }
        searches = self.thresholds.memories(self.geometry.chains) if self.thresholds else {}
        return (
            rows
            | searches
            | {
                "weights": (weight, self.weight_words),
                "parameters": (self.parameter_layout.size, len(self.parameters)),
                "activations": (activation, self.activation_words),
                "outputs": (self.geometry.chains * self.network.output.width, self.output_words),
            }
        )

    def fetch_cycles(self, record: Record) -> int:
        """Return the cycles that fetching a layer's input takes a context, at least."""
        feed, lanes = record.feed, self.geometry.lanes
        unit = gcd(lanes, *feed.steps)
        # words that a run touches, on average over the places where it can begin
        touched = (feed.length + lanes - unit) / lanes
        positions = feed.groups * self.batch * feed.width * feed.height
        runs = feed.planes * feed.outer * feed.inner
        overhead = 3 * record.banks if record.on_array else 3
        return int(positions * max(runs * touched, record.tiles.words)) + overhead

    def compute_cycles(self, record: Record) -> int:
        """Return the cycles that a layer keeps the array busy a context, at least."""
        if not record.on_array:
            return 0
        interval = self.geometry.drain_cycles + self.geometry.skew
        return record.banks * (1 + record.tiles.tiles * max(record.tiles.words, interval))

    @property
    def cycles_per_image(self) -> float:
        """Cycles that an image takes at least, in steady state.

        The slowest of loading, fetching, computing and emitting a batch, which two contexts let
        overlap; a tile takes its steps, or as long as the drain of the tile before it. Jobs that
        wait for each other add a few per cent in small layers, and a single context adds more.
        """
        loading = self.plane_words * (self.geometry.lanes + self.input_planes - 1) + 1
        fetching = sum(map(self.fetch_cycles, self.records)) / self.batch
        computing = sum(map(self.compute_cycles, self.records)) / self.batch
        emitting = 2 * self.network.outputs + 1 + 2 / self.batch
        return max(loading, fetching, computing, emitting)

    @property
    def longest_job(self) -> int:
        """Cycles that the longest layer takes a context, as a bound for standing still."""
        return max(2 * self.fetch_cycles(each) + self.compute_cycles(each) for each in self.records)
