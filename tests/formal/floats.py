"""Floats: sums and products are the nearest ones, for all operands.

What is proven does not round. It says of the result that no other is nearer to the exact sum or
product, which is an integer: a multiple of the smallest subnormal, or of its square.
"""

from collections.abc import Iterator
from functools import partial

import pytest
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed

from narrowgauge.hw.gates import float_add, float_product, ieee
from narrowgauge.hw.gates.float_product import Factor
from narrowgauge.hw.gates.ieee import Parts
from narrowgauge.hw.gates.pipeline import Path
from narrowgauge.hw.numbers.formats import Fixed, Float, Format, parse

from .proof import Assert, Assume, Proof, Spec, delayed, edit, free

__all__ = ["PROOFS"]


class Number:
    """What a code means: an integer times the lowest bit of its format, unless it is special.

    The integer is a significand, shifted; of a format with levels its level, shifted by nothing.
    """

    def __init__(self, fmt: Format, code: Value):
        self.infinite, self.nan, self.shift = Const(0, 1), Const(0, 1), Const(0, 1)
        if isinstance(fmt, Float):
            field, mantissa = code[fmt.mantissa : -1], code[: fmt.mantissa]
            self.infinite = field.all() & ~mantissa.any()
            self.nan = field.all() & mantissa.any()
            self.significand, self.shift = taken_apart(fmt, code[:-1])
            self.sign = code[-1]
        else:
            levels = [int(fmt.to_level(each)) for each in range(1 << fmt.width)]
            width = max(map(abs, levels)).bit_length() + 1
            level = Array([Const(each, signed(width)) for each in levels])[code]
            self.sign = level < 0
            self.significand = Mux(self.sign, -level, level)[:width]
        self.zero = self.significand == 0

    @property
    def level(self) -> Value:
        """The integer."""
        magnitude = self.significand << self.shift
        return Mux(self.sign, -magnitude, magnitude)


def taken_apart(fmt: Float, code: Value) -> tuple[Value, Value]:
    """Return the significand of a code without its sign, and the places that it is shifted by."""
    field, mantissa = code[fmt.mantissa :], code[: fmt.mantissa]
    return Cat(mantissa, field.any()), (field - field.any())[: len(field)]


def magnitude(fmt: Float, code: Value) -> Value:
    """Return the magnitude of a code without its sign; infinity is the next power of two."""
    significand, shift = taken_apart(fmt, code)
    return significand << shift


def is_nearest(fmt: Float, code: Value, exact: Value, places: int) -> Value:
    """Return whether a code is that of the nearest number to ``exact * 2**-places``, or even."""
    found = code[:-1]
    here, above, below = (
        magnitude(fmt, each[: len(found)]) << places for each in (found, found + 1, found - 1)
    )
    size = Mux(exact < 0, -exact, exact)[: len(exact)]
    least, most = here + Mux(found.any(), below, 0), here + above
    twice = size << 1
    inside = ((twice > least) & (twice < most)) | (~found[0] & ((twice == least) | (twice == most)))
    # zero is the nearest of what is not above it, and infinity of all that is beyond
    inside |= ~found.any() & (twice <= most) | (found == fmt.infinity) & (twice >= least)
    return inside & (found <= fmt.infinity)


class FloatSpec(Spec):
    """A rounded result of two codes, through a pipeline."""

    def __init__(self, formats: tuple[str, ...], places: tuple[str, ...] = ()):
        super().__init__()
        first, second, result = map(parse, formats)
        assert isinstance(second, Float)
        assert isinstance(result, Float)
        self.formats = first, second, result
        self.places = places

    def properties(self, m: Module) -> None:
        codes = [Signal(fmt.width) for fmt in self.formats[:2]]
        m.d.comb += [code.eq(free(len(code))) for code in codes]
        if not isinstance(self.formats[0], Float | Fixed):
            # nothing writes minus zero where it has the level of plus zero
            m.d.comb += Assume(codes[0] != 1 << (self.formats[0].width - 1))
        m.submodules.gates = gates = Module()
        path, result = Path(gates, self.places), self.formats[2]
        code = Signal(result.width)
        gates.d.comb += code.eq(self.gates(path, *codes))
        before = [delayed(m, each, path.stage) for each in codes]
        a, b = (Number(*each) for each in zip(self.formats, before, strict=False))
        nan, infinite, sign, exact, places = self.meaning(a, b)
        finite = is_nearest(result, code, exact, places) & (code[-1] == sign)
        m.d.comb += Assert(
            Mux(
                nan,
                code == result.nan,
                Mux(infinite, code == Cat(Const(result.infinity, result.width - 1), sign), finite),
            )
        )

    def gates(self, path: Path, a: Value, b: Value) -> Value:
        """Return the code that is looked at."""
        raise NotImplementedError

    def meaning(self, a: Number, b: Number) -> tuple[Value, Value, Value, Value, int]:
        """Return what makes the result NaN, infinite and negative, and the exact one."""
        raise NotImplementedError


class AddSpec(FloatSpec):
    """A sum."""

    def gates(self, path, a, b):
        fmt = self.formats[2]
        return float_add.add(path, fmt, Parts.of(fmt, a), Parts.of(fmt, b)).code()

    def meaning(self, a, b):
        nan = a.nan | b.nan | (a.infinite & b.infinite & (a.sign ^ b.sign))
        exact = a.level + b.level
        finite = Mux(exact == 0, a.sign & b.sign, exact < 0)
        sign = Mux(a.infinite, a.sign, Mux(b.infinite, b.sign, finite))
        return nan, a.infinite | b.infinite, sign, exact, 0


class MultiplySpec(FloatSpec):
    """A product."""

    def gates(self, path, a, b):
        first, second, result = self.formats
        factors = Factor.of(first, a), Factor.of(second, b)
        return float_product.multiply(path, result, *factors, lambda _, x, y: x * y).code()

    def meaning(self, a, b):
        nan = a.nan | b.nan | (a.infinite & b.zero) | (a.zero & b.infinite)
        lowest = [each.min_exponent if isinstance(each, Float) else 0 for each in self.formats]
        # in places of the result's lowest bit
        places = lowest[2] - lowest[0] - lowest[1]
        exact = a.significand * b.significand << (a.shift + b.shift) << max(-places, 0)
        return nan, a.infinite | b.infinite, a.sign ^ b.sign, exact, max(places, 0)


# --- faults ------------------------------------------------------------------------------------


def forget_the_sticky_bit(patch: pytest.MonkeyPatch) -> None:
    edit(patch, float_add, "_align", "return word, sticky", "return word, Const(0, 1)")


def _edit_rounding(patch: pytest.MonkeyPatch, old: str, new: str) -> None:
    edit(patch, ieee, "round_and_pack", old, new)
    patch.setattr(float_product, "round_and_pack", ieee.round_and_pack)


def round_halves_up(patch: pytest.MonkeyPatch) -> None:
    _edit_rounding(patch, "guard & (sticky | mantissa[0])", "guard")


def infinite_too_late(patch: pytest.MonkeyPatch) -> None:
    _edit_rounding(patch, "special | (top & large)", "special")


def no_zero_is_looked_for(patch: pytest.MonkeyPatch) -> None:
    edit(patch, float_product, "multiply", "| (infinite[0] & b.zero) | (a.zero & infinite[1])", "")


def nothing_waits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Path, "later", lambda _, value: lambda: value)


# --- the list ----------------------------------------------------------------------------------


def _proofs() -> Iterator[Proof]:
    claim = "the nearest {}, or the even one of two; infinities, NaN and signs of zeros"
    of_sum, of_product = claim.format("sum"), claim.format("product")
    cuts = "align_2", "sum", "normalize_2"
    for name in ("float3_2", "float4_3"):
        yield Proof(
            f"Sum of floats, {name}",
            of_sum,
            partial(AddSpec, (name,) * 3),
            "window",
            1,
            forget_the_sticky_bit,
            "what is shifted out is forgotten",
            quick=name == "float3_2",
        )
        yield Proof(
            f"Product of floats, {name}",
            of_product,
            partial(MultiplySpec, (name,) * 3),
            "window",
            1,
            round_halves_up if name == "float3_2" else infinite_too_late,
            "halves go up" if name == "float3_2" else "what is too large keeps its exponent",
            quick=name == "float3_2",
        )
    yield Proof(
        "Sum of floats, float3_2, four stages",
        of_sum,
        partial(AddSpec, ("float3_2",) * 3, cuts),
        "window",
        4,
        nothing_waits,
        "what waits beside the path comes too early",
    )
    for weight in ("int4", "e2m1", "pow2_3"):
        yield Proof(
            f"Product of {weight} and float3_2, in float4_3",
            of_product,
            partial(MultiplySpec, (weight, "float3_2", "float4_3")),
            "window",
            1,
            round_halves_up if weight == "int4" else no_zero_is_looked_for,
            "halves go up" if weight == "int4" else "0 times infinity is infinite",
        )


PROOFS = list(_proofs())
