"""Multiply-accumulates in vendors' DSP blocks, and how many blocks they take."""

from math import ceil

from amaranth.hdl import Cat, Elaboratable, Module, Signal, signed

from ..errors import GeometryError
from ..gates.adder import Term, adder_tree, extended, tree_latency
from ..numbers.arithmetic import Accumulator
from ..numbers.formats import Fixed
from ..numbers.operands import Operands
from .base import MAC
from .dsp_cells import SbMac16
from .dsp_packed import packing
from .fabric import Blocks

__all__ = [
    "BlockMAC",
    "Mac16",
    "blocks_of_element",
    "elements_in_blocks",
    "mac16s",
    "packed_lanes",
]


def blocks_of_element(
    blocks: Blocks, operands: Operands, lanes: int, accumulator: Accumulator
) -> float:
    """Return how many DSP blocks an element takes; two may share one.

    Raises
    ------
    GeometryError
        For formats or an accumulator that the blocks do not have.
    """
    if blocks.accumulate:
        return lanes / (1 if _needs_a_whole_block(operands, accumulator) else 2)
    if _signed_width(operands) <= blocks.halves:
        return lanes / 2
    return ceil(lanes / max(1, packed_lanes(blocks, operands, lanes)))


def packed_lanes(blocks: Blocks, operands: Operands, lanes: int) -> int:
    """Return how many lanes a DSP block takes by `PackedMultiply`; 0 where that is not for it."""
    integers = isinstance(operands.weight, Fixed) and isinstance(operands.activation, Fixed)
    if not blocks.packing or not integers:
        return 0
    return packing(operands, lanes, width=blocks.packing)[0]


def elements_in_blocks(
    blocks: Blocks, operands: Operands, lanes: int, accumulator: Accumulator, elements: int
) -> int:
    """Return how many of ``elements`` find room.

    Raises
    ------
    GeometryError
        Where not even one does.
    """
    each = blocks_of_element(blocks, operands, lanes, accumulator)
    if blocks.count is None:
        return elements
    if blocks.count < each:
        raise GeometryError(
            f"{blocks.count} DSP blocks are too few for one element of {lanes} lanes; "
            "take fewer lanes, or multiply in logic"
        )
    return min(int(blocks.count / each), elements)


class _Half:
    """A multiply-accumulate inside of a DSP block: its signals, which two modules connect."""

    def __init__(self, operands: Operands, width: int):
        self.weight = Signal(operands.weight.level_shape)
        self.activation = Signal(operands.activation.level_shape)
        self.hold, self.load = Signal(), Signal(init=1)
        self.total = Signal(signed(width))


class BlockMAC(MAC):
    """A multiply-accumulate inside of DSP blocks, products and partial sums; one place a lane.

    The sum is never cleared (`MAC.cumulative`): the totals of all lanes are added where there are
    several. The place itself is a part of a `Mac16`, which may hold the place of another element
    too. Overflow is not seen: the block has no flag for it.
    """

    cumulative = True
    observes_overflow = False

    def __init__(self, operands: Operands, lanes: int, accumulator: Accumulator, *, wide: bool):
        super().__init__(operands, lanes, accumulator)
        self.places = [_Half(operands, 32 if wide else 16) for _ in range(lanes)]
        self.latency = 2 if wide else 1
        self.delay = 2 + (tree_latency(lanes) if lanes > 1 else 0)

    def elaborate(self, platform) -> Module:
        m = Module()
        width = self.accumulator.width
        for lane, place in enumerate(self.places):
            m.d.comb += [
                place.weight.eq(self.i_weights[lane].level),
                place.activation.eq(self.i_activations[lane].level),
            ]
            # after reset the register, which reset does not reach, is loaded with 0 once
            m.d.sync += [place.hold.eq(~self.i_control.enable), place.load.eq(0)]
        terms = [Term.of(place.total[:width].as_signed()) for place in self.places]
        total = adder_tree(m, terms) if len(terms) > 1 else terms[0].value
        m.d.comb += self.o.eq(total)
        return m


class Mac16(Elaboratable):
    """An ``SB_MAC16`` with one or two places of `BlockMAC`, all of its registers in use.

    Two places are 8x8 bits with 16-bit accumulators; a wide one is 16x16 with 32.
    """

    def __init__(self, places: list[_Half], *, wide: bool):
        self.places, self.wide = places, wide
        place = places[0]
        common = {
            **{name: 1 for name in ("A_REG", "B_REG", "TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG")},
            **{f"{half}OUTPUT_SELECT": 1 for half in ("TOP", "BOT")},
            "A_SIGNED": int(place.weight.shape().signed),
            "B_SIGNED": int(place.activation.shape().signed),
        }
        if wide:
            own = {"TOPADDSUB_LOWERINPUT": 2, "BOTADDSUB_LOWERINPUT": 2}
            own |= {"PIPELINE_16x16_MULT_REG1": 1, "PIPELINE_16x16_MULT_REG2": 1}
            own |= {"TOPADDSUB_CARRYSELECT": 2}
        else:
            own = {"TOPADDSUB_LOWERINPUT": 1, "BOTADDSUB_LOWERINPUT": 1, "MODE_8x8": 1}
        self.block = SbMac16(**common, **own)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.block = block = self.block
        low, high = self.places[0], self.places[-1]
        bits = 16 if self.wide else 8
        weights = [extended(place.weight, bits) for place in self.places]
        activations = [extended(place.activation, bits) for place in self.places]
        m.d.comb += [
            block.a.eq(Cat(*weights)),
            block.b.eq(Cat(*activations)),
            block.oholdbot.eq(low.hold),
            block.oholdtop.eq(high.hold),
            block.oloadbot.eq(low.load),
            block.oloadtop.eq(high.load),
            Cat(place.total for place in self.places).eq(block.o),
        ]
        return m


def mac16s(
    operands: Operands, lanes: int, accumulator: Accumulator, count: int
) -> tuple[list[BlockMAC], list[Mac16]]:
    """Return ``count`` multiply-accumulates inside of DSP blocks, and the blocks' components.

    Raises
    ------
    GeometryError
        For formats or an accumulator that the blocks do not have.
    """
    wide = _needs_a_whole_block(operands, accumulator)
    of_block = 1 if wide else 2
    macs = [BlockMAC(operands, lanes, accumulator, wide=wide) for _ in range(count)]
    places = [place for each in macs for place in each.places]
    firsts = range(0, len(places), of_block)
    return macs, [Mac16(places[first : first + of_block], wide=wide) for first in firsts]


def _signed_width(operands: Operands) -> int:
    """Return the bits that either operand takes as a signed number."""
    shapes = [each.level_shape for each in (operands.weight, operands.activation)]
    return max(shape.width + (not shape.signed) for shape in shapes)


def _needs_a_whole_block(operands: Operands, accumulator: Accumulator) -> bool:
    """Tell whether a lane takes a whole DSP block; raises where it does not fit one either."""
    formats = operands.weight, operands.activation
    if not all(isinstance(each, Fixed) for each in formats):
        raise GeometryError(
            f"DSP blocks multiply integers, not {operands.weight} by {operands.activation}; "
            "multiply in logic"
        )
    if accumulator.overflow != "wrap":
        raise GeometryError(
            f"the accumulators of DSP blocks wrap; they do not {accumulator.overflow}: take "
            "wrap, or multiply in logic"
        )
    width = max(each.width for each in formats)
    if width > 16 or accumulator.width > 32:
        raise GeometryError(
            "a DSP block has 16x16 bits and an accumulator of 32, not "
            f"{operands.weight} x {operands.activation} with {accumulator.width}; multiply in logic"
        )
    return width > 8 or accumulator.width > 16
