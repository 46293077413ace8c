"""The fused multiply-accumulate of floats: exact products in a wide register, rounded once."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from ..errors import GeometryError
from ..gates.float_product import Factor
from ..gates.ieee import named, round_and_pack
from ..gates.multiplier import recoded_product
from ..gates.pipeline import Path, delay
from ..numbers.fixed_sum import FixedSum, product_range
from ..numbers.formats import Float
from ..numbers.operands import Operands
from .base import MAC

__all__ = ["FusedMAC"]


@dataclass(frozen=True)
class _Term:
    """A product in the places of the register, or a sum of such; one is pending where it says so.

    Attributes
    ----------
    value, pending : Value
        Signed, and a bit that is still to be added.
    flags : Value
        NaN, plus infinity and minus infinity among them, and whether that was finite.
    """

    value: Value
    pending: Value
    flags: Value

    def plus(self, other: "_Term") -> "_Term":
        """Return the sum, with all of its bits."""
        total = (
            Cat(Const(1, 1), self.value).as_signed() + Cat(self.pending, other.value).as_signed()
        )
        return _Term(total[1:].as_signed(), other.pending, self.flags | other.flags)

    def stored(self, m: Module) -> "_Term":
        """Return the same a cycle later."""
        fields = self.value, self.pending, self.flags
        return _Term(*(delay(m, each, name="term") for each in fields))


class FusedMAC(MAC):
    """Add exact products of floats in a wide fixed-point register, and round the sum at its end.

    A product is shifted to its place in the register, which is one addition a cycle: sums follow
    each other without a gap, and no partial sums have to take turns. What leaves is normalised and
    rounded in a pipeline. This is `numbers.fixed_sum.fixed_total`, to the bit.

    Parameters
    ----------
    operands : Operands
        A float activation, and a weight of any format.
    lanes : int
        Pairs a step.
    accumulator : FixedSum
        The register, and what its sums are rounded to.
    dsp : bool
        Whether significands are multiplied by one ``*``, which synthesis maps to DSP blocks.

    Raises
    ------
    GeometryError
        For an activation that is no float, or without lanes.
    """

    def __init__(
        self, operands: Operands, lanes: int, accumulator: FixedSum, *, dsp: bool = False
    ) -> None:
        if not isinstance(operands.activation, Float):
            raise GeometryError(
                f"floats are summed of products with float activations; got {operands.weight} x "
                f"{operands.activation}"
            )
        if lanes < 1:
            raise GeometryError(f"a multiply-accumulate has at least 1 lane, not {lanes}")
        super().__init__(operands, lanes, accumulator)
        self.dsp, self.register = dsp, accumulator
        # behind the multiplier, in the middle of the shift, behind it, and behind each sum
        self.latency = 3 + (lanes - 1).bit_length()
        limit = accumulator.lowest + accumulator.width - 2 + accumulator.format.bias
        self._limit, self._shifted = limit, min(limit, accumulator.width - 1)
        levels = range(self._shifted.bit_length())[::-1]
        self._places = ("magnitude", *(f"normalize_{1 << level}" for level in levels[::2]))
        # in front of the rounding, within, and behind it
        self.delay = 2 + len(self._places)

    def elaborate(self, platform) -> Module:
        m = Module()
        level = [self._term(m, lane) for lane in range(self.lanes)]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=False)
            sums = [a.plus(b) for a, b in pairs] + level[len(level) // 2 * 2 :]
            level = [each.stored(m) for each in sums]
        width = self.register.width
        register, seen = Signal(signed(width)), Signal(4)
        after = level[0].plus(_Term(register, Const(0, 1), seen))
        total = named(m, after.value, "total")
        over, sign = ~(total[width - 1 :].all() | ~total[width - 1 :].any()), total[-1]
        flags = named(m, after.flags | Cat(Const(0, 1), over & ~sign, over & sign, over), "flags")
        with m.If(self.i_control.enable):
            m.d.sync += [register.eq(total), seen.eq(flags)]
            with m.If(self.i_control.last):
                m.d.sync += [register.eq(0), seen.eq(0)]
        finished = delay(m, total[:width], name="finished").as_signed()
        self._round(m, finished, delay(m, flags, name="finished_flags"))
        return m

    def _term(self, m: Module, lane: int) -> _Term:
        """Return a lane's product in its place, three cycles late."""
        weight, activation = self.operands.weight, self.operands.activation
        register = self.register
        assert isinstance(activation, Float)
        a = Factor.of(weight, Value.cast(self.i_weights[lane]))
        b = Factor.of(activation, Value.cast(self.i_activations[lane]))
        path = Path(m, ("product", "middle", "shifted"))
        special, nan, sign = a.special | b.special, a.nan | b.nan, a.sign ^ b.sign
        nan = nan | (a.special & ~a.nan & b.zero) | (a.zero & b.special & ~b.nan)
        infinite = special & ~nan
        bits = len(a.significand) + len(b.significand)
        lowest, top = product_range(weight, activation)
        # places in the register: of the lowest bit of the least and of the greatest product
        least, most = lowest - register.lowest, top - register.lowest - bits
        base, last = max(least, -bits), min(most, register.width - 1)
        places = a.exponent + b.exponent + Const(a.lowest + b.lowest - register.lowest - base)
        outside = (places < 0) | special if least < base else special
        large = (places > last - base) & ~special if most > last else Const(0, 1)
        seen = Cat(nan, infinite & ~sign, infinite & sign, Const(0, 1))
        product = self._significands(m, a.significand, b.significand)
        product = Mux(outside | large, 0, product)[:bits]
        large = large & a.significand.any() & b.significand.any()
        word, distance, sign, seen, large = path.cut(
            "product", product, places[: max(1, (last - base).bit_length())], sign, seen, large
        )
        for level in reversed(range(len(distance))):
            moved = Mux(distance[level], Cat(Const(0, 1 << level), word), word)
            word = named(m, moved[: last - base + bits], f"moved_{1 << level}")
            if level == len(distance) // 2:
                word, distance, sign, seen, large = path.cut(
                    "middle", word, distance, sign, seen, large
                )
        placed = Cat(Const(0, max(base, 0)), word)[max(-base, 0) :]
        large = large | placed[register.width - 1 :].any()
        seen = seen | Cat(Const(0, 1), large & ~sign, large & sign, large)
        value = Cat(placed[: register.width - 1], Const(0, 1)) ^ sign.replicate(register.width)
        value, sign, seen = path.cut("shifted", value, sign, seen)
        return _Term(value.as_signed(), sign, seen)

    def _significands(self, m: Module, a: Value, b: Value) -> Value:
        """Return the product of two significands."""
        if len(a) == 1:
            return b & a.replicate(len(b))
        return a * b if self.dsp else recoded_product(m, a, b)

    def _round(self, m: Module, total: Value, flags: Value) -> None:
        """Drive ``o`` and ``o_overflow`` with a finished sum."""
        path, fmt = Path(m, self._places), self.register.format
        infinite, nan = flags[1] | flags[2], flags[0] | (flags[1] & flags[2])
        sign = Mux(infinite, flags[2], total[-1])
        before = path.later(flags[3])
        beside = [path.later(each) for each in (infinite | nan, sign, nan)]
        (size,) = path.cut("magnitude", Mux(total[-1], -total, total)[: len(total)])
        limit = Const(self._limit, max(self._limit.bit_length(), fmt.exponent))
        rounded = round_and_pack(path, fmt, size, Const(0, 1), limit, self._shifted, beside)
        code = delay(m, rounded.code(), name="code")
        overflow = delay(m, before() | rounded.overflow, name="overflow")
        # a sum that rounds to zero is plus zero
        positive = Cat(code[:-1], code[-1] & code[:-1].any())
        m.d.comb += [Value.cast(self.o).eq(positive), self.o_overflow.eq(overflow)]
