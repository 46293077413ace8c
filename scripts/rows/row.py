"""The columns of a result row, registered by who measures them.

Units are in the names; what was not measured is absent in files, never 0, and None here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

from ...hw.errors import ToolFailure
from ...hw.geometry import Geometry
from .columns import JSON, Column, ColumnError, Kind, Part, column, columns_of

if TYPE_CHECKING:
    from ...hw.synth.measure import Measurement  # what tools do decides no row of others

__all__ = [
    "COLUMNS",
    "PARTS",
    "Asked",
    "Compared",
    "Ended",
    "Energised",
    "Hardware",
    "LayerRow",
    "ResultRow",
    "Sized",
    "geometry_columns",
]

COUNT, NUMBER, SHARE, TEXT = Kind.COUNT, Kind.NUMBER, Kind.SHARE, Kind.TEXT


@dataclass(frozen=True, kw_only=True)
class Asked(Part):
    """Request of a row: formats, array, network, images."""

    weight: str = column(
        TEXT, "format of the weights ([Numbers](numbers.md))", label="weights", required=True
    )
    activation: str | None = column(TEXT, "format of the hidden activations", label="activations")
    accumulator_bits: int | None = column(
        COUNT, "width of the accumulator", unit="bits", label="sum, bits"
    )
    overflow: str | None = column(TEXT, "`wrap` or `saturate`: what an accumulator does then")
    rows: int | None = column(
        COUNT,
        "rows of the array: images or positions; it multiplies `rows * columns * lanes` pairs a "
        "cycle",
    )
    columns: int | None = column(COUNT, "columns of the array: output channels")
    lanes: int | None = column(COUNT, "products a cycle in each element")
    hop: int | None = column(
        COUNT, "pipeline distance: elements that share a register ([The array](array.md#geometry))"
    )
    chains: int | None = column(COUNT, "chains by which partial sums leave the array")
    slice: int | None = column(
        COUNT,
        "bits of a weight that an element multiplies a step, where it does not multiply whole ones "
        "([The array](array.md#slices))",
        unit="bits",
    )
    multiplier: str | None = column(
        TEXT,
        "`logic` where the array multiplies in logic cells, `block` where it does so in DSP blocks",
        label="multiplier",
    )
    contexts: int | None = column(
        COUNT,
        "groups of images in flight; two take turns, as ping-pong buffers do "
        "([Architecture](architecture.md#jobs-and-contexts))",
    )
    batch: int | None = column(COUNT, "images of a group", unit="images")
    network: str | None = column(
        TEXT,
        "name of the network: data set, shape where it is no multilayer perceptron, formats, "
        "widths of the hidden layers where it is one",
        label="network",
    )
    dataset: str | None = column(TEXT, "data set")
    structure: str | None = column(
        TEXT,
        "how the popcount of a bipolar multiply-accumulate is built, in rows that compare "
        "[popcounts](popcount.md); the kind of an element, in rows that compare "
        "[slices](array.md#other-kinds-of-slices)",
        label="structure",
        always=False,
    )
    products: Mapping[str, float] | None = column(
        Kind.NUMBERS,
        "products of a weight and an activation that an element for several widths does a cycle, "
        "by the widths",
        label="products a cycle",
        always=False,
    )


@dataclass(frozen=True, kw_only=True)
class Compared(Part):
    """Comparison of simulated hardware with the reference on test images, and the accuracy."""

    images: int | None = column(
        NUMBER, "test images that were simulated: all, or as many as `--images` says", unit="images"
    )
    accuracy_float: float | None = column(
        SHARE,
        "the float network in PyTorch on all test images, the same in all rows",
        unit="share",
    )
    accuracy_reference: float | None = column(
        SHARE,
        "the integers of the network file in the integer reference, on the `images` that were "
        "simulated; in a sweep that simulates none, on all test images, as the network's card says",
        unit="share",
    )
    accuracy_hardware: float | None = column(
        SHARE,
        "labels that came out of the simulated accelerator, on the same images",
        unit="share",
        label="accuracy",
    )
    mismatches: int | None = column(
        NUMBER,
        "images that differ anywhere between hardware and reference: a label, an output level, and "
        "in traced images a partial sum, a flag or a level of any layer. Anything but 0 is an "
        "error, and the command ends with status 1",
        unit="images",
    )
    overflows: int | None = column(
        NUMBER,
        "sums of all layers and images of which at least one step did not fit the accumulator, "
        "counted in hardware",
        unit="sums",
    )


@dataclass(frozen=True, kw_only=True)
class LayerRow(Part):
    """Description and figures of a layer: an entry of ``layers``."""

    layer: str = column(TEXT, "its name", required=True)
    kind: str = column(
        TEXT, "`dense`, `conv2d`, `max_pool`, `average_pool`, `add` or `move`", required=True
    )
    weight: str | None = column(TEXT, "format of its weights, null where it has none")
    input: str = column(TEXT, "format of the levels that it reads", required=True)
    output: str = column(TEXT, "format of the levels that it gives", required=True)
    size: str = column(TEXT, "height, width and channels of its output", required=True)
    weights: int = column(NUMBER, "how many there are", unit="weights", required=True)
    weight_bits: int = column(NUMBER, "their width in all", unit="bits", required=True)
    macs: int = column(NUMBER, "multiply-accumulates of an image", required=True)
    cycles_per_image: float = column(
        NUMBER,
        "simulated cycles in which the layer had the array, or the max pool, or was waited for, "
        "divided by images",
        unit="cycles",
        required=True,
    )
    utilisation: float = column(
        SHARE,
        "`macs` divided by `rows * columns * lanes` times these cycles",
        unit="share",
        required=True,
    )


@dataclass(frozen=True, kw_only=True)
class Sized(Part):
    """Sizes of a network: parameters, cycles, the share of the array that it uses."""

    parameter_bits: int | None = column(
        NUMBER, "weights times their width; without biases and multipliers", unit="bits"
    )
    activation_bits: int | None = column(
        NUMBER,
        "of the activation memory, for one image: all tensors that are there at the same time, in "
        "whole words",
        unit="bits",
    )
    weight_traffic: float | None = column(
        NUMBER,
        "weights that the array takes from their memory for an image, in all lanes; rows share "
        "them, and so do images in the rows",
        unit="bits",
    )
    activation_traffic: float | None = column(
        NUMBER,
        "activations that are written to their memory and read from it for an image; what row "
        "buffers replay is not counted again",
        unit="bits",
    )
    cycles_per_image: float | None = column(
        NUMBER,
        "simulated cycles from the first element offered to the last level taken, divided by "
        "images. Filling the pipeline is included",
        unit="cycles",
    )
    utilisation: float | None = column(
        SHARE,
        "multiply-accumulates of the network times images, divided by `rows * columns * lanes` "
        "times cycles. Multiply-accumulates are those of weights: pools and sums have none",
        unit="share",
    )
    layers: Sequence[LayerRow] | None = column(
        Kind.LAYERS, "a list with an entry for each layer, below; in `results.csv` it is JSON"
    )


@dataclass(frozen=True, kw_only=True)
class Hardware(Part):
    """Resources that a design takes of a target and its speed there, as the tools report them."""

    target: str | None = column(TEXT, "device", label="device")
    lut: int | None = column(
        NUMBER,
        "after packing by nextpnr: what a device runs out of. iCE40: logic cells, each a 4-input "
        "LUT, a register, a carry bit, or all three. ECP5: `TRELLIS_COMB`, each a 4-input LUT, "
        "half a carry cell, or a quarter of a small memory",
        unit="logic cells",
        label="LUT",
    )
    lut4: int | None = column(
        NUMBER,
        "as mapped by Yosys, before packing: the number that is compared between families and with "
        "the literature. The LUTs of `xc7` have up to 6 inputs, all others up to 4",
        unit="LUTs",
        label="LUT4",
    )
    ff: int | None = column(
        NUMBER,
        "iCE40: as mapped by Yosys; ECP5: as packed by nextpnr",
        unit="registers",
        label="FF",
    )
    carry: int | None = column(
        NUMBER,
        "as mapped by Yosys: of one bit on iCE40, of two on ECP5",
        unit="carry cells",
        label="carry",
    )
    bram: int | None = column(
        NUMBER,
        "block RAMs: 4 kbit on iCE40, 18 kbit on ECP5",
        unit="blocks",
        label="block RAM",
    )
    spram: int | None = column(
        NUMBER,
        "single-port RAMs of 256 kbit, where the device has them",
        unit="blocks",
        label="SPRAM",
    )
    dsp: int | None = column(
        NUMBER,
        "DSP blocks: the requantisers', and the array's where `multiplier` says so",
        unit="blocks",
        label="DSP",
    )
    fmax_mhz: float | None = column(
        Kind.CLOCK,
        "highest clock frequency by nextpnr, median over the seeds",
        unit="MHz",
        label="Fmax, MHz",
    )
    fmax_mhz_min: float | None = column(Kind.CLOCK, "that of the slowest seed", unit="MHz")
    fmax_mhz_max: float | None = column(Kind.CLOCK, "that of the fastest seed", unit="MHz")
    seeds: Sequence[int] | None = column(Kind.LIST, "the seeds of the placements that were routed")
    images_per_second: float | None = column(
        NUMBER,
        "`fmax_mhz` times a million, divided by `cycles_per_image`",
        unit="1/s",
        label="images/s",
    )
    tools: Mapping[str, str] | None = column(
        Kind.NAMES,
        "versions of Yosys, nextpnr, Amaranth and narrowgauge, and where the tools came from",
    )
    routed: bool | None = column(
        Kind.FLAG, "whether the design was placed and routed", label="routed"
    )
    remark: str | None = column(
        TEXT,
        "what was done in another way than for other rows, and [why](synthesis.md#when-yosys-dies)",
    )

    @classmethod
    def of_measurement(cls, found: "Measurement") -> Self:
        """Return the columns of a measurement."""
        row = found.row()
        return cls(**{name: row[name] for name in columns_of(cls) if name in row})


@dataclass(frozen=True, kw_only=True)
class Energised(Part):
    """Energy of an image, modelled from what toggles in the accelerator that was routed."""

    energy_uj: float | None = column(
        NUMBER,
        "of an image, the core alone, as [the model](energy.md) has it: static power, clock, "
        "toggles on their wires, memories, DSP blocks",
        unit="microjoules",
        label="energy, uJ",
        always=False,
    )
    energy_uj_low: float | None = column(
        NUMBER,
        "the same where all coefficients err to its favour; most of it moves all rows together: "
        "ratios are better known ([how much](energy.md#what-moves-with-the-placement))",
        unit="microjoules",
        always=False,
    )
    energy_uj_high: float | None = column(
        NUMBER, "the same where all err against it", unit="microjoules", always=False
    )
    power_mw: float | None = column(
        NUMBER,
        "while images are computed, at `energy_mhz`",
        unit="milliwatts",
        label="power, mW",
        always=False,
    )
    energy_mhz: float | None = column(
        Kind.CLOCK,
        "the clock that both are at: that of the placement they are of",
        unit="MHz",
        always=False,
    )
    energy_parts: Mapping[str, float] | None = column(
        Kind.NUMBERS, "parts of `energy_uj` by component, in microjoules", always=False
    )


@dataclass(frozen=True, kw_only=True)
class Ended(Part):
    """Reason for which a row ended early, if it did."""

    failure: str | None = column(
        TEXT, "why the row ends early, or which of several placements were not routed"
    )
    kept: str | None = column(
        TEXT,
        "where design, script and log of a mapping that [failed](synthesis.md#when-yosys-dies) are",
        always=False,
    )

    @classmethod
    def of_error(cls, error: BaseException) -> Self:
        """Return the outcome of what ended with an error."""
        if isinstance(error, ToolFailure):
            return cls(failure=error.reason, kept=error.kept or None)
        return cls(failure=str(error))

    @classmethod
    def of_measurement(cls, found: "Measurement") -> Self:
        """Return the outcome of a measurement, some of whose placements may have failed."""
        return cls(failure="; ".join(found.failed.values()) or None)


def geometry_columns(geometry: Geometry) -> dict[str, int | None]:
    """Return the columns that say how large an array is."""
    names = ("rows", "columns", "lanes", "hop", "chains", "slice")
    return {name: getattr(geometry, name) for name in names}


PARTS: tuple[type[Part], ...] = (Asked, Compared, Sized, Hardware, Energised, Ended)
"""What registers columns, in the order of a file."""


@dataclass(frozen=True, kw_only=True)
class ResultRow(Ended, Energised, Hardware, Sized, Compared, Asked):
    """A row: a design on a target, or a network, as far as it was measured.

    Attributes
    ----------
    more : mapping of str to JSON
        What a file has beside the columns.
    """

    more: Mapping[str, JSON] = field(default_factory=dict)

    def __or__(self, part: Part | Mapping[str, object]) -> "ResultRow":
        """Return the row with the columns that a part has measured, or that are given."""
        found = part.measured() if isinstance(part, Part) else part
        return replace(self, **{name: each for name, each in found.items() if each is not None})

    def with_rate(self) -> "ResultRow":
        """Return the row with the images a second that clock and cycles come to."""
        if not self.fmax_mhz or not self.cycles_per_image:
            return self
        return self | {"images_per_second": 1e6 * self.fmax_mhz / self.cycles_per_image}

    @property
    def failed(self) -> str:
        """Report of a failure: its reason, and where to look."""
        return "; ".join(filter(None, [self.failure, self.kept]))

    def plain(self) -> dict[str, Any]:
        """Return the row as a file has it: plain data, in the order of the columns."""
        found = self.measured()
        if self.layers is not None:
            found["layers"] = [asdict(layer) for layer in self.layers]
        if self.seeds is not None:
            found["seeds"] = list(self.seeds)
        if self.tools is not None:
            found["tools"] = dict(self.tools)
        return found | dict(self.more)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Self:
        """Return the row that `plain` gave.

        Raises
        ------
        ColumnError
            For a value that its column cannot hold.
        """
        known = {name: value for name, value in plain.items() if name in COLUMNS}
        for name, value in known.items():
            if wanted := COLUMNS[name].kind.wanted(value):
                raise ColumnError(name, wanted)
        if "layers" in known:
            known["layers"] = _layers(known["layers"])
        more = {name: value for name, value in plain.items() if name not in COLUMNS}
        return cls(**known, more=more)


def _layers(entries: Sequence[Any]) -> tuple[LayerRow, ...]:
    names = {each.name for each in fields(LayerRow)}
    if not all(isinstance(entry, dict) and entry.keys() == names for entry in entries):
        raise ColumnError("layers", Kind.LAYERS.value)
    return tuple(LayerRow(**entry) for entry in entries)


COLUMNS: Mapping[str, Column] = columns_of(ResultRow)
"""Every column by its name, in the order of a file."""
