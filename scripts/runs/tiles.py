"""What tiles of output channels take in an array: slices of weights, and weight memory."""

from collections import Counter
from dataclasses import dataclass

from ...hw.network.layers import Weighted
from ...hw.program.layout import Program
from ...hw.program.records import Record

__all__ = ["TileUse", "tile_use"]


@dataclass(frozen=True, kw_only=True)
class TileUse:
    """What a layer's weights take.

    Attributes
    ----------
    bits_a_weight : float or None
        Bits of a weight, in the mean; None where there are none.
    slices : str
        How many tiles of a group have how many slices, the most first, such as ``2x4 1x2``; empty
        where weights are whole.
    weight_memory : int
        Bits of the weight memory that it takes, with what fills up words.
    """

    bits_a_weight: float | None
    slices: str
    weight_memory: int


def tile_use(program: Program) -> tuple[TileUse, ...]:
    """Return what the weights of each layer take."""
    return tuple(_use(program, record) for record in program.records)


def _use(program: Program, record: Record) -> TileUse:
    mapped, geometry = record.mapped, program.geometry
    layer, slices = mapped.layer, ""
    if geometry.slice is not None:
        counts = Counter(mapped.slices(geometry))
        slices = " ".join(f"{counts[each]}x{each}" for each in sorted(counts, reverse=True))
    width, _ = program.memories["weights"]
    return TileUse(
        bits_a_weight=layer.mean_bits if isinstance(layer, Weighted) else None,
        slices=slices,
        weight_memory=width * program.words_of(mapped),
    )
