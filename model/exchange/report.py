"""Figures of imported layers, whatever file they came from."""

from dataclasses import dataclass

from ...hw.network.layers import AveragePool, Layer, Requantised, Weighted, Window
from ...hw.network.network import Network
from ...hw.program.bounds import exact_bound
from ...hw.program.mapping import map_network
from ..exact.solving import Solution

__all__ = ["ImportedLayer", "imported_layers"]


@dataclass(frozen=True)
class ImportedLayer:
    """Figures of an imported layer: formats, accumulator, and how its sums become levels.

    Attributes
    ----------
    layer, kind : str
        Its name, which is its node's, and its kind; ``requantise`` is an average of one pixel.
    weight, input, output : str
        Formats; no weight where there are none.
    weight_bits : float or None
        Bits of a weight, in the mean over the channels.
    accumulator_bits : int
        Bits that its sums need, from the weights themselves; 0 for a max pool.
    method : str
        How sums become levels: ``sign``, ``shift``, ``multiplier``, ``thresholds``, or ``sums``
        where they are levels as they are; empty for a max pool.
    multiplier_bits, shift : int
        Of the requantiser.
    rounding : str
        How it rounds ties.
    levels_compared : int
        Accumulator levels, over all channels, at which integers and graph were compared; every one
        at which either steps, and both ends. Where steps are too many, some of them; all are proven
        equal in closed form, see `narrowgauge.model.exact.staircase`.
    logit_error : float
        Of a last layer without a quantiser: the largest rounding of a logit over the largest logit.
    """

    layer: str
    kind: str
    weight: str
    weight_bits: float | None
    input: str
    output: str
    accumulator_bits: int
    method: str
    multiplier_bits: int
    shift: int
    rounding: str
    levels_compared: int
    logit_error: float


def imported_layers(
    network: Network, lanes: int, solutions: dict[str, Solution]
) -> tuple[ImportedLayer, ...]:
    """Return the figures of all layers, given how their integers were found."""
    found = []
    for layer, mapped in zip(network, map_network(network, lanes), strict=True):
        solution = solutions.get(layer.name)
        found.append(
            ImportedLayer(
                layer=layer.name,
                kind=_kind(layer),
                weight=str(layer.weight) if isinstance(layer, Weighted) else "",
                weight_bits=layer.mean_bits if isinstance(layer, Weighted) else None,
                input=str(layer.input),
                output=str(layer.output),
                accumulator_bits=exact_bound(mapped).partial.bits if mapped.on_array else 0,
                method=solution.method if solution else "",
                multiplier_bits=_multiplier_bits(layer),
                shift=layer.shift if isinstance(layer, Requantised) else 0,
                rounding=getattr(layer, "rounding", ""),
                levels_compared=solution.compared if solution else 0,
                logit_error=solution.error if solution else 0.0,
            )
        )
    return tuple(found)


def _kind(layer: Layer) -> str:
    """Return what a layer is; an average of one pixel only requantises."""
    is_point = isinstance(layer, AveragePool) and layer.window == Window((1, 1))
    return "requantise" if is_point else layer.kind


def _multiplier_bits(layer: Layer) -> int:
    return int(layer.multiplier.max()).bit_length() if isinstance(layer, Requantised) else 0
