"""What a model would become: layers, what is not supported, memory and cycles on targets."""

from dataclasses import asdict, dataclass
from functools import cached_property

from ...hw.errors import GeometryError, NetworkError, Refusal
from ...hw.network.layers import Requantised, Weighted
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import bits_for
from ...hw.numbers.formats import Bipolar, Format
from ...hw.program.layout import Program
from ...hw.program.mapping import MappedLayer, map_network
from ...hw.synth.placement import fits, memory_use
from ...hw.synth.targets import TARGETS, Target
from ..terminal.options import ArrayOptions

__all__ = ["ExplainedLayer", "Explanation", "TargetUse", "requantisation"]


@dataclass(frozen=True, kw_only=True)
class ExplainedLayer:
    """What a layer becomes.

    Attributes
    ----------
    layer, kind, weight, input, output, size : str
        Name, kind, formats, and the size of its output; no weight where there are none.
    sum_bits : int
        Bits that its sums need; 0 for a max pool.
    method : str
        How sums become levels; see `requantisation`.
    macs : int
        Multiply-accumulates of an image.
    cycles : int or None
        That it keeps the array, or its fetching, busy, an image; None where it is not laid out.
    """

    layer: str
    kind: str
    weight: str
    input: str
    output: str
    size: str
    sum_bits: int
    method: str
    macs: int
    cycles: int | None


@dataclass(frozen=True, kw_only=True)
class TargetUse:
    """Memory of a target that a network takes, and the cycles of an image.

    Attributes
    ----------
    target : str
    bram, spram : int
        Block RAMs and single-port RAMs that its memories take.
    bram_available, spram_available : int
        Those of the target.
    fits : bool
        Whether all memories find a place.
    cycles_per_image : float
        Predicted, in steady state.
    """

    target: str
    bram: int
    bram_available: int
    spram: int
    spram_available: int
    fits: bool
    cycles_per_image: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was found of a model.

    Attributes
    ----------
    name, kind : str
        Of the model, and what it is.
    array : ArrayOptions
        What it is laid out for.
    network : Network or None
        What it becomes; None where something is not supported.
    refusals : tuple of Refusal
        All that is not.
    remarks : tuple of str
        What else there is to say.
    is_trained : bool
        Whether weights are what they will be; sums of others are bounded by their formats.
    """

    name: str
    kind: str
    array: ArrayOptions
    network: Network | None = None
    refusals: tuple[Refusal, ...] = ()
    remarks: tuple[str, ...] = ()
    is_trained: bool = True

    @cached_property
    def laid_out(self) -> "Program | GeometryError | NetworkError | None":
        """The program on the array, or why there is none."""
        if self.network is None:
            return None
        try:
            return self.array.program(self.network)
        except (GeometryError, NetworkError) as error:
            return error

    @cached_property
    def layers(self) -> tuple[ExplainedLayer, ...]:
        """What each layer becomes."""
        network, program = self.network, self.laid_out
        if network is None:
            return ()
        cycles: list[int | None] = [None] * len(network.layers)
        if isinstance(program, Program):
            model = program.cycles
            busy = [max(model.fetch(each), model.compute(each)) for each in program.records]
            cycles = [-(-each // program.batch) for each in busy]
        sliced = isinstance(program, Program) and program.geometry.slice is not None
        mapped = map_network(network, self.array.lanes, sliced=sliced)
        pairs = zip(mapped, cycles, strict=True)
        return tuple(self._layer(network, each, took) for each, took in pairs)

    def _layer(self, network: Network, mapped: MappedLayer, cycles: int | None) -> ExplainedLayer:
        layer = mapped.layer
        weight, bits = "", bits_for(*mapped.accumulator_range()) if mapped.on_array else 0
        if isinstance(layer, Weighted):
            weight = str(layer.weight)
            bits = bits if self.is_trained else _most_bits(layer)
        return ExplainedLayer(
            layer=layer.name,
            kind=layer.kind,
            weight=weight,
            input=str(layer.input),
            output=str(layer.output),
            size=str(network.sizes[layer.name]),
            sum_bits=bits,
            method=requantisation(layer) if isinstance(layer, Requantised) else "",
            macs=network.macs(layer),
            cycles=cycles,
        )

    @cached_property
    def targets(self) -> tuple[TargetUse, ...]:
        """What it takes of each target; nothing where it is not laid out."""
        if not isinstance(self.laid_out, Program):
            return ()
        return tuple(_use(self.laid_out, each) for each in map(TARGETS.find, TARGETS))

    def plain(self) -> dict[str, object]:
        """Return it as JSON data."""
        return {
            "model": self.name,
            "kind": self.kind,
            "layers": [asdict(each) for each in self.layers],
            "unsupported": [each._asdict() for each in self.refusals],
            "targets": [asdict(each) for each in self.targets],
            "remarks": list(self.remarks),
        }


def requantisation(layer: Requantised) -> str:
    """Return how a layer's sums become levels, in words."""
    if layer.thresholds is not None:
        return f"thresholds {layer.thresholds.shape[1]}"
    if layer.output == Bipolar():
        return "sign"
    even = ", even" if layer.rounding == "half_even" else ""
    if (layer.multiplier == 1).all():
        return f"shift {layer.shift}{even}" if layer.shift else "sums"
    return f"multiply {int(layer.multiplier.max()).bit_length()}{even}"


def _most_bits(layer: Weighted) -> int:
    """Return the bits of sums that no weights of the layer's format exceed."""
    most = layer.weights[0].size * _reach(layer.weight) * _reach(layer.input)
    return bits_for(-most, most)


def _reach(fmt: Format) -> int:
    return max(-fmt.min_level, fmt.max_level)


def _use(program: Program, target: Target) -> TargetUse:
    uses = memory_use(program, target)

    def blocks(kind: str) -> int:
        return sum(use.blocks for use in uses if use.kind == kind and use.certain)

    return TargetUse(
        target=target.name,
        bram=blocks("bram"),
        bram_available=target.budget.get("bram", 0),
        spram=blocks("spram"),
        spram_available=target.budget.get("spram", 0),
        fits=fits(program, target),
        cycles_per_image=float(program.cycles.per_image),
    )
