"""Dot products: the exact integer sum of products of levels, for all operands.

They are pipelines without feedback, so what comes out depends on the operands of ``latency`` cycles
and nothing else. From any state at all, that many cycles later the sum is right: that is complete.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, signed

from narrowgauge.hw.gates import adder, popcount
from narrowgauge.hw.gates import multiplier as recoding
from narrowgauge.hw.gates.adder import Term
from narrowgauge.hw.gates.multiplier import recoded_product
from narrowgauge.hw.mac import dot
from narrowgauge.hw.mac import dsp_packed as blocks_dot
from narrowgauge.hw.mac.choice import dot_product
from narrowgauge.hw.mac.dot import DotProduct
from narrowgauge.hw.mac.dsp_packed import PackedMultiply
from narrowgauge.hw.mac.slices import SliceProduct
from narrowgauge.hw.numbers.formats import Fixed, Format, parse
from narrowgauge.hw.numbers.operands import Operands

from ..hw.fabrics import FABRICS
from .proof import Assert, Proof, Spec, delayed, edit, free

__all__ = ["PROOFS"]

PACKED = partial(PackedMultiply, fabric=FABRICS["ecp5"])


def level(fmt: Format, code: Value) -> Value:
    """Return the level of a code: of integers the code itself, of others from their definition."""
    if isinstance(fmt, Fixed):
        return code.as_signed() if fmt.signed else code
    levels = [int(fmt.to_level(each)) for each in range(1 << fmt.width)]
    width = max(abs(each) for each in levels).bit_length() + 1
    return Array([Const(each, signed(width)) for each in levels])[code]


class DotSpec(Spec):
    """The sum of products, ``latency`` cycles late."""

    def __init__(self, make: Callable[[Operands, int], DotProduct], pair: str, lanes: int):
        super().__init__()
        weight, activation = pair.split(" x ")
        self.make = partial(make, Operands(parse(weight), parse(activation)), lanes)

    def properties(self, m: Module) -> None:
        m.submodules.dot = gates = self.make()
        formats = gates.operands.weight, gates.operands.activation
        levels = []
        for port, fmt in zip((gates.i_weights, gates.i_activations), formats, strict=True):
            word = Signal(len(Value.cast(port)))
            m.d.comb += [word.eq(free(len(word))), port.as_value().eq(word)]
            before = delayed(m, word, gates.latency)
            levels.append(
                [level(fmt, before.word_select(lane, fmt.width)) for lane in range(gates.lanes)]
            )
        m.d.comb += Assert(gates.o == sum(w * a for w, a in zip(*levels, strict=True)))


class SliceSpec(DotSpec):
    """The same of slices, whose top bit is negative where they are signed."""

    def properties(self, m: Module) -> None:
        m.submodules.dot = gates = self.make()
        sign, words = Signal(), []
        for port in (gates.i_weights, gates.i_activations):
            word = Signal(len(Value.cast(port)))
            m.d.comb += [word.eq(free(len(word))), port.as_value().eq(word)]
            words.append(delayed(m, word, gates.latency))
        m.d.comb += [sign.eq(free(1)), gates.i_signed.eq(sign)]
        before = delayed(m, sign, gates.latency - gates.sign_latency)
        bits, activation = gates.operands.weight.width, gates.operands.activation
        total: Value = Const(0)
        for lane in range(gates.lanes):
            code = words[0].word_select(lane, bits)
            weight = Mux(before, code.as_signed(), code)
            total = total + weight * level(activation, words[1].word_select(lane, activation.width))
        m.d.comb += Assert(gates.o == total)


class RecodedSpec(Spec):
    """`recoded_product` of two unsigned values."""

    def __init__(self, a_width: int, b_width: int):
        super().__init__()
        self.widths = a_width, b_width

    def properties(self, m: Module) -> None:
        a, b = (Signal(width) for width in self.widths)
        m.d.comb += [value.eq(free(len(value))) for value in (a, b)]
        m.d.comb += Assert(recoded_product(m, a, b) == a * b)


def _latency(make: Callable[[Operands, int], DotProduct], pair: str, lanes: int) -> int:
    weight, activation = pair.split(" x ")
    return make(Operands(parse(weight), parse(activation)), lanes).latency


# --- faults ------------------------------------------------------------------------------------


def forget_the_borrow(patch: pytest.MonkeyPatch) -> None:
    right = dot._signs

    def wrong(value, negate):
        return right(value, negate)[0], Term(Const(0, 1), 0, 1)

    patch.setattr(dot, "_signs", wrong)


def exchange_selects(patch: pytest.MonkeyPatch) -> None:
    right = dot.selected_terms

    def wrong(m, pairs, **options):
        if len(pairs) == 1:
            return right(m, pairs, **options)
        (a, select_a), (b, select_b) = pairs
        return right(m, [(a, select_b), (b, select_a)], **options)

    patch.setattr(dot, "selected_terms", wrong)


def leave_out_a_register(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dot, "delay", lambda m, value: value)


def subtract_nothing(patch: pytest.MonkeyPatch) -> None:
    right = adder._flipped
    patch.setattr(adder, "_flipped", lambda term, flip: right(term, Const(0, 1)))
    edit(patch, SliceProduct, "_subtracted", "other.eq(self.i_signed)", "other.eq(0)")


def forget_a_carry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(popcount, "_majority", lambda a, b, c: a & b)


def miscount_three(patch: pytest.MonkeyPatch) -> None:
    right = popcount._Tree._triples

    def wrong(tree, triples):
        return [(total, total) for total, _ in right(tree, triples)]

    patch.setattr(popcount._Tree, "_triples", wrong)


def forget_the_pending_one(patch: pytest.MonkeyPatch) -> None:
    right = recoding._row

    def wrong(m, a, digit):
        group = right(m, a, digit)
        return replace(group, pending=Const(0, 1))

    patch.setattr(recoding, "_row", wrong)


def pack_without_borrows(patch: pytest.MonkeyPatch) -> None:
    def wrong(levels, field):
        *lower, top = levels
        shapes = [(each.as_signed() if each.shape().signed else each) for each in lower]
        return blocks_dot.Cat(
            *((each | Const(0, field))[:field] for each in shapes), top
        ).as_signed()

    patch.setattr(blocks_dot, "_packed", wrong)


# --- the list ----------------------------------------------------------------------------------

SUM = "equals the sum of the products of all levels"
LOST = "a negative row's one is lost"
POPCOUNTS = {
    "any fabric": (3, 16, 33),
    "ice40": (4, 12, 33),
    "ecp5": (16, 33),
    "gowin": (7, 20),
    "xc7": (3, 16, 33),
}
SLICED = [
    ("ice40", 1, "uint3", 2),
    ("ice40", 2, "uint3", 2),
    ("ice40", 4, "int2", 2),
    ("ecp5", 1, "uint3", 2),
    ("ecp5", 2, "int3", 2),
    ("ecp5", 4, "uint2", 2),
]
INTEGERS = [
    (dot_product, "AddSubtract", "bipolar x uint3", 4, forget_the_borrow, "no one is added"),
    (dot_product, "AddSubtract", "bipolar x int3", 3, forget_the_borrow, "no one is added"),
    (dot_product, "ShiftAdd", "pow2_3 x uint3", 2, forget_the_borrow, "no one is added"),
    (dot_product, "ShiftAdd", "pow2_4 x int3", 2, forget_the_borrow, "no one is added"),
    (dot_product, "MiniFloatMultiply", "e2m1 x uint3", 2, forget_the_borrow, "no one is added"),
    (dot_product, "MiniFloatMultiply", "e2m2 x int3", 1, leave_out_a_register, "a register less"),
    (dot_product, "Multiply, two lanes shared", "int3 x uint3", 2,
     exchange_selects, "selects are exchanged"),
    (dot_product, "Multiply, two lanes shared", "int4 x uint4", 2,
     exchange_selects, "selects are exchanged"),
    (dot_product, "Multiply, two lanes shared", "int4 x int2", 2,
     exchange_selects, "selects are exchanged"),
    (dot_product, "Multiply, a shared pair and a lane", "uint2 x int3", 3, exchange_selects,
     "selects are exchanged"),
    (dot_product, "Multiply, one lane", "int4 x int4", 1, forget_the_pending_one, LOST),
    (dot_product, "Multiply, one lane", "int4 x uint5", 1, forget_the_pending_one, LOST),
    (dot_product, "Multiply, one lane", "uint5 x int5", 1, forget_the_pending_one, LOST),
    (partial(dot_product, dsp=True), "Multiply with `dsp`", "int3 x uint3", 2,
     leave_out_a_register, "a register less"),
    (PACKED, "PackedMultiply, three lanes a block", "int2 x uint2", 3,
     pack_without_borrows, "no borrows"),
    (PACKED, "PackedMultiply, two lanes a block", "int4 x uint3", 2,
     pack_without_borrows, "no borrows"),
]  # fmt: skip


def _proofs() -> Iterator[Proof]:
    for fabric, sizes in POPCOUNTS.items():
        make = partial(dot_product, fabric=FABRICS[fabric])
        for lanes in sizes:
            small = lanes < 5
            yield Proof(
                f"XnorPopcount on {fabric}, {lanes} lanes",
                SUM,
                partial(DotSpec, make, "bipolar x bipolar", lanes),
                "window",
                _latency(make, "bipolar x bipolar", lanes) + 1,
                miscount_three if small else forget_a_carry,
                "a carry is the sum" if small else "a carry forgets a lane",
                quick=lanes == 4,
            )
    for make, name, pair, lanes, fault, broken in INTEGERS:
        yield Proof(
            f"{name}, {pair}, {lanes} {'lanes' if lanes > 1 else 'lane'}",
            SUM,
            partial(DotSpec, make, pair, lanes),
            "window",
            _latency(make, pair, lanes) + 1,
            fault,
            broken,
            quick=pair == "bipolar x int3",
        )
    for fabric, bits, activation, lanes in SLICED:
        make = partial(SliceProduct, fabric=FABRICS[fabric])
        pair = f"uint{bits} x {activation}"
        yield Proof(
            f"SliceProduct on {fabric}, {pair}, {lanes} lanes",
            f"{SUM}, signed or not",
            partial(SliceSpec, make, pair, lanes),
            "window",
            _latency(make, pair, lanes) + 1,
            subtract_nothing,
            "no slice is signed",
            quick=fabric == "ice40" and bits == 2,
        )
    for widths in [(4, 4), (5, 3)]:
        yield Proof(
            f"recoded_product, {widths[0]} x {widths[1]} bits",
            "equals the product",
            partial(RecodedSpec, *widths),
            "window",
            1,
            forget_the_pending_one,
            LOST,
        )


PROOFS = list(_proofs())
