"""Chooses multiply-accumulates: by the formats, and by what a fabric does best."""

from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import NamedTuple

from amaranth.hdl import Module

from ..errors import GeometryError
from ..numbers.arithmetic import Accumulator
from ..numbers.float_sum import FloatSum
from ..numbers.format import Format
from ..numbers.formats import Bipolar, Fixed, MiniFloat, PowerOfTwo
from ..numbers.ieee import Float
from ..numbers.operands import Operands
from .base import MAC, DotMAC
from .dot import DOT_PRODUCTS, DotProduct
from .dsp import Mac16, blocks_of_element, elements_in_blocks, mac16s, packed_lanes
from .dsp_packed import PackedMultiply
from .fabric import ANY, Fabric
from .ieee import FloatMAC, blocks_of_lane
from .slices import SliceProduct

__all__ = [
    "COMPUTES",
    "Elements",
    "computing",
    "dot_product",
    "in_blocks",
    "mac",
    "macs",
    "multiplied",
]

COMPUTES: dict[tuple[type[Format], type[Format]], type[DotProduct] | type[FloatMAC]] = {
    **DOT_PRODUCTS,
    **{(weight, Float): FloatMAC for weight in (Float, Fixed, MiniFloat, PowerOfTwo, Bipolar)},
}
"""What computes with weights and activations of two kinds of formats."""


class Elements(NamedTuple):
    """Multiply-accumulates, and the DSP blocks that they share."""

    macs: list[MAC]
    blocks: list[Mac16]


def computing(operands: Operands) -> type[DotProduct] | type[FloatMAC]:
    """Return the component that computes with a pair of formats.

    Raises
    ------
    GeometryError
        Where there is none.
    """
    found = COMPUTES.get((type(operands.weight), type(operands.activation)))
    if found is None:
        pairs = (" x ".join(kind.names.partition(" (")[0] for kind in pair) for pair in COMPUTES)
        raise GeometryError(
            f"nothing multiplies {operands.weight} weights by {operands.activation} activations; "
            f"there are {'; '.join(pairs)}"
        )
    return found


def multiplied(weight: Format) -> bool:
    """Tell whether there are products of such weights that a DSP block could take."""
    # what others are multiplied with in a float is the same as without
    kinds = DOT_PRODUCTS if not isinstance(weight, Float) else COMPUTES
    return any(kind.multiplies for (each, _), kind in kinds.items() if each is type(weight))


def dot_product(
    operands: Operands, lanes: int, *, fabric: Fabric = ANY, dsp: bool = False
) -> DotProduct:
    """Return the dot product for these formats.

    Raises
    ------
    GeometryError
        Where there is none.
    """
    kind = computing(operands)
    if issubclass(kind, MAC):
        raise GeometryError(
            f"{operands.weight} x {operands.activation} is accumulated as it is multiplied; take a "
            "multiply-accumulate"
        )
    return kind(operands, lanes, fabric=fabric, dsp=dsp)


def in_blocks(
    operands: Operands,
    lanes: int,
    accumulator: Accumulator | FloatSum,
    count: int,
    *,
    fabric: Fabric,
) -> tuple[int, int]:
    """Return how many of ``count`` elements are in DSP blocks, and how many blocks they take.

    Formats without products take none. Where those of floats are, synthesis finds.

    Raises
    ------
    GeometryError
        As `macs` does.
    """
    blocks, kind = fabric.blocks, computing(operands)
    # blocks that accumulate refuse by name what they do not have
    if not blocks.used or not (kind.multiplies or blocks.accumulate):
        return 0, 0
    if issubclass(kind, MAC):
        each = lanes * blocks_of_lane(operands)
        inside = _with_room(blocks.count, each, count) if each else 0
        return inside, inside * each
    parts = operands, lanes, _integer(operands, accumulator)
    inside = elements_in_blocks(blocks, *parts, count)
    return inside, ceil(inside * blocks_of_element(blocks, *parts))


def _with_room(room: int | None, each: int, count: int) -> int:
    """Return how many of ``count`` elements of ``each`` blocks find room.

    Raises
    ------
    GeometryError
        Where not even one does.
    """
    if room is not None and room < each:
        raise GeometryError(
            f"{room} DSP blocks are too few for one element, which takes {each}; take fewer lanes, "
            "or multiply in logic"
        )
    return count if room is None else min(count, room // each)


def macs(
    operands: Operands,
    lanes: int,
    accumulator: Accumulator | FloatSum,
    count: int,
    *,
    doubling: bool = False,
    sliced: bool = False,
    fabric: Fabric = ANY,
) -> Elements:
    """Return the multiply-accumulates of an array, and the DSP blocks that they are in.

    With DSP blocks the first ones are in blocks, as many as find room, and the others of
    logic cells; so are all where the formats have no products (`in_blocks`).

    Parameters
    ----------
    operands : Operands
        Formats of weights and activations.
    lanes : int
        Pairs a step.
    accumulator : Accumulator or FloatSum
        Width and overflow mode of the partial sums; of floats, their format and how many there are.
    count : int
        How many.
    doubling : bool
        Whether steps may double the partial sum (bit planes), or shift it (slices).
    sliced : bool
        Whether weights are slices (`SliceProduct`).
    fabric : Fabric
        Whose structures and DSP blocks are taken.

    Raises
    ------
    GeometryError
        Where nothing computes with the formats, in the accumulator or in the blocks; where blocks
        do not double, or are too few for one element; for slices that would be in blocks, or in
        an accumulator that saturates.
    """
    if sliced:
        make_slices = partial(_sliced, operands, lanes, accumulator, doubling=doubling)
        return Elements([make_slices(fabric=fabric) for _ in range(count)], [])
    make = partial(_element, operands, lanes, accumulator, doubling=doubling)
    blocks = fabric.blocks
    inside, _ = in_blocks(operands, lanes, accumulator, count, fabric=fabric)
    if not inside or issubclass(computing(operands), MAC):
        return Elements([make(fabric=fabric, dsp=index < inside) for index in range(count)], [])
    accumulator = _integer(operands, accumulator)
    if blocks.accumulate:
        if doubling:
            raise GeometryError(
                "the accumulators of DSP blocks do not double, as bit planes need it; "
                "multiply in logic"
            )
        found, used = mac16s(operands, lanes, accumulator, inside)
        # with the register as its output, a sum would leave another cycle after those in blocks
        beyond = [make(cumulative=True, fabric=ANY) for _ in range(count - inside)]
        return Elements([*found, *beyond], used)
    if packed_lanes(blocks, operands, lanes):
        dots = [PackedMultiply(operands, lanes, fabric=fabric) for _ in range(inside)]
        packed = [DotMAC(dot, accumulator, doubling=doubling) for dot in dots]
        return Elements([*packed, *(make(fabric=fabric) for _ in range(count - inside))], [])
    return Elements([make(fabric=fabric, dsp=index < inside) for index in range(count)], [])


def mac(
    operands: Operands,
    lanes: int,
    accumulator: Accumulator | FloatSum,
    *,
    doubling: bool = False,
    sliced: bool = False,
    fabric: Fabric = ANY,
) -> MAC:
    """Return a multiply-accumulate alone, with what it needs of a block inside; see `macs`."""
    options = {"doubling": doubling, "sliced": sliced}
    (only,), blocks = macs(operands, lanes, accumulator, 1, **options, fabric=fabric)
    if not fabric.blocks.used or issubclass(computing(operands), MAC):
        return only
    return _WithBlocks(only, blocks)  # on every fabric, so that their hierarchies are alike


def _element(
    operands: Operands,
    lanes: int,
    accumulator: Accumulator | FloatSum,
    *,
    doubling: bool,
    fabric: Fabric,
    cumulative: bool = False,
    dsp: bool = False,
) -> MAC:
    kind = computing(operands)
    if issubclass(kind, MAC):
        return kind(operands, lanes, accumulator, doubling=doubling, dsp=dsp)
    dot = dot_product(operands, lanes, fabric=fabric, dsp=dsp)
    total = _integer(operands, accumulator)
    return DotMAC(dot, total, doubling=doubling, cumulative=cumulative)


def _sliced(
    operands: Operands,
    lanes: int,
    accumulator: Accumulator | FloatSum,
    *,
    doubling: bool,
    fabric: Fabric,
) -> MAC:
    dot = SliceProduct(operands, lanes, fabric=fabric, dsp=fabric.blocks.used)
    total = _integer(operands, accumulator)
    if total.overflow != "wrap":
        raise GeometryError(
            "sums of slices are not those of whole products, step by step: their accumulator wraps,"
            f" it does not {total.overflow}"
        )
    return DotMAC(dot, total, doubling=doubling)


def _integer(operands: Operands, accumulator: Accumulator | FloatSum) -> Accumulator:
    if not isinstance(accumulator, Accumulator):
        raise GeometryError(
            f"{operands.weight} x {operands.activation} is summed in an integer accumulator, "
            f"not in {accumulator.format}"
        )
    return accumulator


class _WithBlocks(MAC):
    """A multiply-accumulate, and the DSP blocks that it is made of."""

    def __init__(self, inner: MAC, blocks: Sequence[Mac16]):
        super().__init__(inner.operands, inner.lanes, inner.accumulator)
        self.inner, self.blocks = inner, blocks
        self.latency, self.delay = inner.latency, inner.delay
        self.cumulative, self.observes_overflow = inner.cumulative, inner.observes_overflow

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.inner = inner = self.inner
        for index, block in enumerate(self.blocks):
            m.submodules[f"block_{index}"] = block
        m.d.comb += [
            inner.i_weights.eq(self.i_weights),
            inner.i_activations.eq(self.i_activations),
            inner.i_control.eq(self.i_control),
            self.o.eq(inner.o),
            self.o_overflow.eq(inner.o_overflow),
        ]
        return m
