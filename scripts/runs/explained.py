"""What a model would become: layers, what is not supported, memory and cycles on targets."""

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from ...hw.errors import GeometryError, NetworkError, Refusal
from ...hw.network.layers import Requantised, Weighted
from ...hw.network.network import Network
from ...hw.numbers.formats import Bipolar, Float
from ...hw.program.bounds import exact_bound, type_bound
from ...hw.program.layout import Program
from ...hw.program.mapping import MappedLayer, map_network
from ...hw.synth.estimate import Estimate, estimate
from ...hw.synth.placement import fits, memory_use
from ...hw.synth.targets import TARGETS, Target
from ..terminal.options import ArrayOptions
from .sums import sums_rows
from .tiles import TileUse, tile_use

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
    utilisation : float or None
        MACs, by what the array multiplies in these cycles; None where there are none.
    bits_a_weight : float or None
        In the mean; None where there are no weights.
    sparsity : float or None
        Share of weights that are 0; None where there are none, or they are not trained.
    slices : str
        How many tiles have how many slices, such as ``2x4 1x2``; empty where weights are whole.
    weight_memory : int or None
        Bits of it that the layer takes; None where it is not laid out.
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
    utilisation: float | None
    bits_a_weight: float | None
    sparsity: float | None
    slices: str
    weight_memory: int | None


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
    images : integer array of shape (images, height, width, channels), or None
        Input levels on which sums are looked at.
    """

    name: str
    kind: str
    array: ArrayOptions
    network: Network | None = None
    refusals: tuple[Refusal, ...] = ()
    remarks: tuple[str, ...] = ()
    is_trained: bool = True
    images: np.ndarray | None = None

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
        network = self.network
        if network is None:
            return ()
        mapped = map_network(network, self.array.lanes, sliced=self._sliced)
        return tuple(self._layer(network, index, each) for index, each in enumerate(mapped))

    @cached_property
    def _cycles(self) -> list[int] | None:
        """The cycles of each layer, an image; None where it is not laid out."""
        program = self.laid_out
        if not isinstance(program, Program):
            return None
        model = program.cycles
        busy = [max(model.fetch(each), model.compute(each)) for each in program.records]
        return [-(-each // program.batch) for each in busy]

    @cached_property
    def _tiles(self) -> tuple[TileUse, ...] | None:
        """What the weights of each layer take; None where it is not laid out."""
        return tile_use(self.laid_out) if isinstance(self.laid_out, Program) else None

    def _layer(self, network: Network, index: int, mapped: MappedLayer) -> ExplainedLayer:
        layer, macs = mapped.layer, network.macs(mapped.layer)
        cycles = self._cycles[index] if self._cycles else None
        tiles = self._tiles[index] if self._tiles else None
        weight, bits, sparsity = "", 0, None
        if mapped.on_array and network.is_float:
            bits = network.accumulator.width
        elif mapped.on_array:
            bound = exact_bound(mapped) if self.is_trained else type_bound(mapped)
            bits = bound.partial.bits
        if isinstance(layer, Weighted):
            weight = str(layer.weight)
            sparsity = layer.sparsity if self.is_trained else None
        return ExplainedLayer(
            layer=layer.name,
            kind=layer.kind,
            weight=weight,
            input=str(layer.input),
            output=str(layer.output),
            size=str(network.sizes[layer.name]),
            sum_bits=bits,
            method=requantisation(layer) if isinstance(layer, Requantised) else "",
            macs=macs,
            cycles=cycles,
            utilisation=macs / (self.array.geometry.macs * cycles) if macs and cycles else None,
            bits_a_weight=layer.mean_bits if isinstance(layer, Weighted) else None,
            sparsity=sparsity,
            slices=tiles.slices if tiles else "",
            weight_memory=tiles.weight_memory if tiles else None,
        )

    @property
    def _sliced(self) -> bool:
        program = self.laid_out
        return isinstance(program, Program) and program.geometry.slice is not None

    @cached_property
    def sums(self) -> list[dict[str, str | int | None]]:
        """Bits of sums by each bound, see `sums_rows`; nothing where weights are not trained."""
        if self.network is None or not self.is_trained:
            return []
        return sums_rows(self.network, self.array.lanes, self.images, sliced=self._sliced)

    @cached_property
    def targets(self) -> tuple[TargetUse, ...]:
        """What it takes of each target; nothing where it is not laid out."""
        if not isinstance(self.laid_out, Program):
            return ()
        return tuple(_use(self.laid_out, each) for each in map(TARGETS.find, TARGETS))

    def estimate(self, target: Target) -> Estimate | None:
        """Return what it should take of a target; None where it is not laid out, and of floats.

        Raises
        ------
        FitError
            For a target of which nothing was measured.
        """
        program = self.laid_out
        if not isinstance(program, Program) or program.network.is_float:
            return None
        return estimate(program, target)

    def plain(self) -> dict[str, object]:
        """Return it as JSON data."""
        return {
            "model": self.name,
            "kind": self.kind,
            "layers": [asdict(each) for each in self.layers],
            "sums": self.sums,
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
    if isinstance(layer.output, Float):
        return f"scale to {layer.output}"
    even = ", even" if layer.rounding == "half_even" else ""
    if (layer.multiplier == 1).all():
        return f"shift {layer.shift}{even}" if layer.shift else "sums"
    return f"multiply {int(layer.multiplier.max()).bit_length()}{even}"


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
