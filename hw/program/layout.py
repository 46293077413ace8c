"""Lays a network out for an accelerator: where everything lies, and layer records.

Every size and every limit is settled here, before any gate is built, and an error names the layer
and the limit.
"""

from dataclasses import replace
from functools import cached_property
from math import gcd

from ..errors import GeometryError
from ..geometry import Geometry
from ..network.network import INPUT, Network
from ..numbers.arithmetic import Accumulator, address_width
from ..numbers.float_sum import FloatSum
from ..numbers.formats import Fixed
from ..numbers.mode import Mode
from ..numbers.operands import Operands, widest
from .allocation import allocate
from .bounds import exact_bound, type_bound
from .contents import Contents
from .cycles import CycleModel, compute_cycles, fetch_cycles, usual_latencies
from .fetching import aligned
from .mapping import MappedLayer, map_network
from .records import Feed, OutputArea, Place, Record, Tiles, feed_of, runs_of
from .regrouping import alternatives
from .timeline import TimelineConfig

__all__ = ["Program"]

MAX_WORDS = 1 << 20
MAX_LAYERS = 256
WORTH = 1 / 8  # of a network's cycles, that strips save where they take gates


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
    regroup : bool
        Convolutions may run in other groups and in strips (`regrouping`), where that is faster;
        False runs each as the layer says, and so do floats.

    Attributes
    ----------
    operands : Operands
        Formats that the array reads: the widest of those of its layers (`MappedLayer.operands`), or
        slices of weights.
    mapped : tuple of MappedLayer
        The layers as the array runs them.
    records : tuple of Record
        The program of the sequencer.
    modes : tuple of Mode
        The distinct requantisations; the last layer's is always the last.
    segment : int
        Codes that are written to the activation memory at once.
    image_words : int
        Activation words of an image's region.
    weight_words : int
        Words of the weight memory, of ``columns * lanes`` codes, or slices of codes, each.
    contents : Contents
        What the memories hold.
    cycles : CycleModel
        How long everything takes.

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
        regroup: bool = True,
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
        self.mapped: tuple[MappedLayer, ...] = map_network(
            network, geometry.lanes, sliced=geometry.slice is not None
        )
        self.operands = self._find_operands()
        self._check_slices()
        self.modes = self._collect_modes()
        self._allocation = allocate(network, self._tensor_words())
        self.image_words = self._allocation.words
        if regroup and not network.is_float:  # whose sums depend on their order
            self.mapped = self._regroup()
        self.segment = self._find_segment()
        self.records, self.weight_words = self._make_records()
        self._check_limits()

    def _find_operands(self) -> Operands:
        """Return what the array reads: the widest operands of its layers, or slices of weights."""
        found = widest(each.operands for each in self.mapped if each.operands)
        bits = self.geometry.slice
        return replace(found, weight=Fixed(bits, signed=False)) if bits else found

    def _check_slices(self) -> None:
        """Raise `GeometryError` where slices would saturate other sums than whole products do."""
        bits = self.geometry.slice
        if bits is None or self.network.integer_accumulator.overflow == "wrap":
            return
        accumulator = self.network.integer_accumulator
        for mapped in self.mapped:
            if not mapped.on_array:
                continue
            bound = type_bound(mapped) if self.any_weights else exact_bound(mapped)
            if not bound.partial.fits(accumulator):
                raise GeometryError(
                    f"layer {mapped.layer.name}: sums can saturate in {accumulator.width} bits, "
                    f"and slices of {bits} bits would do it elsewhere; take a wider accumulator, "
                    "the overflow wrap, or no slice"
                )

    @cached_property
    def _output_names(self) -> set[str]:
        return {end.name for end in self.network.ends}

    def _is_stored(self, mapped: MappedLayer) -> bool:
        """Return whether a layer reads what this one gives."""
        return mapped.layer.name in self._allocation.bases

    def _collect_modes(self) -> tuple[Mode, ...]:
        """Return the hidden layers' modes without repetition, then the last layer's."""
        modes = [each.mode for each in self.mapped if each.on_array]
        return (*dict.fromkeys(modes[:-1]), modes[-1])

    def _regroup(self) -> tuple[MappedLayer, ...]:
        """Return the ways to run the layers that take the fewest cycles.

        Strips take gates, of which those of a depthwise convolution are always worth it; where only
        others would have them, they have to save `WORTH` of the network's cycles.
        """
        ways = tuple(map(self._regrouped, self.mapped))
        pairs = list(zip(self.mapped, ways, strict=True))
        without = tuple(own if own.patch.groups == 1 else way for own, way in pairs)
        if any(way.patch.shifts > 1 for way in without):
            return ways
        before, after = (sum(max(self._work(way)) for way in all_) for all_ in (without, ways))
        return ways if after <= (1 - WORTH) * before else without

    def _regrouped(self, mapped: MappedLayer) -> MappedLayer:
        """Return the way to run a layer that takes the fewest cycles; the layer's own among equals.

        Where several chains write side by side, a group that gives them too few channels is none.
        A layer without groups only gains where fetching takes longer than computing.
        """
        fetching, computing = self._work(mapped)
        if mapped.patch.groups == 1 and fetching <= computing:
            return mapped
        others = alternatives(
            mapped,
            self.geometry.lanes,
            self.network.integer_accumulator,
            any_weights=self.any_weights,
            # levels go to the output memory position by position
            strips=mapped.layer.name not in self._output_names,
        )
        ways = [mapped, *others]
        writable = [way for way in ways if self._segment_of(way) >= self.geometry.chains]
        return min(writable or [mapped], key=self._cycles_of)

    def _cycles_of(self, mapped: MappedLayer) -> tuple[float, int]:
        """Return the cycles that a layer takes a context, and the words of a row buffer.

        Banks overlap, but the jobs of two contexts hardly do where they are long: each takes the
        longer one of fetching and computing. The other one counts an eighth, since not all of it is
        hidden.
        """
        shorter, longer = sorted(self._work(mapped))
        return longer + shorter / 8, mapped.words

    def _work(self, mapped: MappedLayer) -> tuple[int, int]:
        """Return the cycles a context of fetching, and of computing."""
        geometry, record = self.geometry, self._record(mapped, 0, 0)
        whole = aligned([record], geometry.lanes)
        return (
            fetch_cycles(record, geometry, whole=whole, batch=self.batch),
            compute_cycles(record, geometry.drain_cycles + geometry.skew),
        )

    def _segment_of(self, mapped: MappedLayer) -> int:
        """Return the codes of a layer that can be written at once."""
        counts = [mapped.channels] if mapped.patch.count > 1 else []
        if mapped.patch.groups > 1 and not mapped.shared:
            counts.append(mapped.group_channels)
        return gcd(self.geometry.columns, self.geometry.lanes, *counts)

    def _find_segment(self) -> int:
        """Return the codes that are written at once: what tiles, words and channels share."""
        segment, reason = gcd(self.geometry.columns, self.geometry.lanes), ""
        for mapped in self.mapped:
            if not self._is_stored(mapped):
                continue
            narrower = gcd(segment, self._segment_of(mapped))
            if narrower < segment:
                apart = mapped.patch.groups > 1 and not mapped.shared
                channels = mapped.group_channels if apart else mapped.channels
                reason = f", because layer {mapped.layer.name} gives {channels} channels a group"
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

    def _make_records(self) -> tuple[tuple[Record, ...], int]:
        """Return the records, and the words of the weight memory."""
        records, weight_base = [], 0
        parameter_bases = {False: 0, True: 0}  # thresholds are in memories of their own
        for mapped in self.mapped:
            thresholds = mapped.thresholds is not None
            record = self._record(mapped, weight_base, parameter_bases[thresholds])
            copies = 1 if mapped.shared else mapped.patch.groups
            weight_base += self.words_of(mapped)
            parameter_bases[thresholds] += copies * record.tiles.tiles * self.geometry.columns
            records.append(record)
        return tuple(records), weight_base

    def words_of(self, mapped: MappedLayer) -> int:
        """Return the words of the weight memory that a layer takes."""
        return (1 if mapped.shared else mapped.patch.groups) * self._stored_words(mapped)

    def _stored_words(self, mapped: MappedLayer) -> int:
        """Return the words of weights of a group of channels."""
        slices = sum(mapped.slices(self.geometry))
        return slices * (mapped.weights.shape[1] // self.geometry.lanes) if mapped.on_array else 0

    def _record(self, mapped: MappedLayer, weight_base: int, parameter_base: int) -> Record:
        slices = mapped.slices(self.geometry)
        own = 0 if mapped.shared else 1
        return Record(
            mapped,
            self._feed(mapped),
            Tiles(
                runs=runs_of([mapped.planes * count for count in slices]),
                bitwise=mapped.bitwise,
                steps=mapped.steps,
                weight_base=weight_base,
                group_weights=own * self._stored_words(mapped),
                parameter_base=parameter_base,
                group_parameters=own * len(slices) * self.geometry.columns,
                shifts=mapped.patch.shifts,
                shift_words=mapped.shift_words,
                bank_words=mapped.words,
                signed=mapped.operands is not None and mapped.operands.weight.min_level < 0,
            ),
            self._place(mapped),
        )

    def _feed(self, mapped: MappedLayer) -> Feed:
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
        is_last, stored = mapped.layer is self.network.layers[-1], self._is_stored(mapped)
        single = positions == 1 and mapped.on_array
        row_step = mapped.patch.shifts * mapped.channels if positions > 1 else image
        if not mapped.on_array:
            index = 0
        else:
            index = len(self.modes) - 1 if is_last else self.modes.index(mapped.mode)
        return Place(
            start=self._allocation.bases[name] * lanes if stored else 0,
            stored=stored,
            mode=index,
            channels=mapped.channels,
            group_channels=mapped.group_channels,
            groups=mapped.patch.groups,
            images=1 if single else self.batch,
            chunks=1 if single else -(-positions // rows),
            positions=self.batch if single else positions,
            shifts=mapped.patch.shifts,
            row_step=row_step,
            chunk_step=0 if single else rows * row_step,
            image_step=0 if single else image,
            group_step=mapped.group_channels if mapped.patch.groups > 1 else 0,
            shift_step=mapped.channels if mapped.patch.shifts > 1 else 0,
        )

    def _check_limits(self) -> None:
        thresholds = self.contents.thresholds
        for what, words in (
            ("weight", self.weight_words),
            ("activation", self.activation_words),
            ("output", self.output_words),
            (
                "threshold",
                len(thresholds.images[-1]) if thresholds else 0,
            ),
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

    @cached_property
    def output_areas(self) -> tuple[OutputArea, ...]:
        """Where the output memory keeps each output of a context."""
        names, chains = [layer.name for layer in self.network], self.geometry.chains
        areas: list[OutputArea] = []
        for end in self.network.ends:
            positions = end.size.positions
            image_rows = -(-positions // chains) if positions > 1 else 0
            area = OutputArea(
                layer=names.index(end.name),
                start=sum(each.words for each in areas),
                channels=end.size.channels,
                positions=positions,
                classes=end.classes,
                rows=self.batch * image_rows or -(-self.batch // chains),
                image_rows=image_rows,
            )
            areas.append(area)
        return tuple(areas)

    @property
    def output_context_words(self) -> int:
        """Words of the output memory that a context has: one level a chain each."""
        return sum(area.words for area in self.output_areas)

    @property
    def output_words(self) -> int:
        """Words of the output memory."""
        return self.contexts * self.output_context_words

    @property
    def row_buffer_words(self) -> int:
        """Words of one bank of a row buffer."""
        return max(record.tiles.bank_words for record in self.array_records)

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
        positions = ((r, r.mapped.patch.count * r.place.shifts) for r in self.array_records)
        return sum(record.place.channels * count for record, count in positions)

    @property
    def doubling(self) -> bool:
        """Whether sums are doubled, or shifted: a layer reads bit planes, or has several slices."""
        slices = max(max(each.slices(self.geometry), default=1) for each in self.mapped)
        return slices > 1 or any(record.tiles.bitwise for record in self.records)

    @property
    def accumulator(self) -> Accumulator | FloatSum:
        """The accumulator as it is built; where no sum of whole products overflows, slices wrap."""
        if self.geometry.slice is None:
            return self.network.accumulator
        return replace(self.network.integer_accumulator, overflow="wrap")

    @property
    def last_input_layer(self) -> int:
        """Index of the last layer that reads the network's input."""
        layers = enumerate(self.network)
        return max(index for index, layer in layers if INPUT in self.network.sources(layer))

    # --- what the memories hold, and when things happen ------------------------------------------

    @cached_property
    def contents(self) -> Contents:
        """Contents of the memories of weights, parameters and thresholds."""
        return Contents(
            self.mapped,
            self.geometry,
            self.operands.weight,
            self.network.accumulator,
            self.any_weights,
        )

    @cached_property
    def cycles(self) -> CycleModel:
        """The cycles that everything takes."""
        geometry = self.geometry
        factors = [each.multiplier.max(initial=1) for each in self.mapped if each.on_array]
        config = TimelineConfig(
            geometry=geometry,
            records=self.records,
            latencies=usual_latencies(geometry, self.network.accumulator, int(max(factors))),
            contexts=self.contexts,
            batch=self.batch,
            segment=self.segment,
            elements=self.network.inputs,
            planes=self.input_planes,
            levels=self.network.outputs,
            outputs=len(self.network.ends),
            last_input_layer=self.last_input_layer,
            first_output_layer=min(area.layer for area in self.output_areas),
            loads_weights=self.any_weights,
        )
        return CycleModel(config)

    @property
    def memories(self) -> dict[str, tuple[int, int]]:
        """Width in bits and depth in words of every memory."""
        activation = self.geometry.lanes * self.operands.activation.width
        weight = self.geometry.columns * self.geometry.lanes * self.operands.weight.width
        rows = {
            f"row buffer {row}": (activation, 2 << address_width(self.row_buffer_words))
            for row in range(self.geometry.rows)
        }
        thresholds = self.contents.thresholds
        searches = thresholds.memories(self.geometry.chains) if thresholds else {}
        return (
            rows
            | searches
            | {
                "weights": (weight, self.weight_words),
                "parameters": (self.contents.parameter_layout.size, len(self.contents.parameters)),
                "activations": (activation, self.activation_words),
                "outputs": (self.geometry.chains * self.network.output.width, self.output_words),
            }
        )
