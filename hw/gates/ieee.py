"""Gates of IEEE floats: multiply, add, normalise and round, on floats that are taken apart.

Inside a multiply-accumulate a float travels as `Parts`, which spares each stage the gates that put
infinities and NaN into their final form. Only what leaves is a code (`Parts.code`).
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from ..numbers.ieee import Float
from .pipeline import delay

__all__ = ["Parts", "Product", "Rounded", "add", "normalize", "round_and_pack"]


@dataclass(frozen=True)
class Parts:
    """A float in a circuit.

    Attributes
    ----------
    mantissa, exponent, sign, nan : Value
        Fields as in the code, but where the exponent is all ones: then it is NaN with ``nan``, and
        infinity without it, whatever the mantissa.
    """

    mantissa: Value
    exponent: Value
    sign: Value
    nan: Value

    @classmethod
    def of(cls, fmt: Float, code: Value) -> "Parts":
        """Take a code apart."""
        mantissa, exponent = code[: fmt.mantissa], code[fmt.mantissa : -1]
        return cls(mantissa, exponent, code[-1], exponent.all() & mantissa.any())

    def code(self) -> Value:
        """Return the code; NaN is `Float.nan`."""
        finite = ~self.exponent.all()
        mantissa = self.mantissa & finite.replicate(len(self.mantissa))
        quiet = Cat(Const(0, len(mantissa) - 1), self.nan)
        return Cat(mantissa | quiet, self.exponent, self.sign & ~self.nan)

    @property
    def special(self) -> Value:
        """Whether it is infinite or NaN."""
        return self.exponent.all()

    @property
    def normal(self) -> Value:
        """Whether the significand has a leading one."""
        return self.exponent.any()

    @property
    def significand(self) -> Value:
        """The mantissa below its leading bit."""
        return Cat(self.mantissa, self.normal)

    @property
    def biased(self) -> Value:
        """The biased exponent of the leading bit's place: 1 for subnormals, whose field is 0."""
        return Cat(self.exponent[0] | ~self.normal, self.exponent[1:])

    @property
    def magnitude(self) -> Value:
        """A number that grows with the absolute value."""
        return Cat(self.mantissa, self.exponent)

    def stored(self, m: Module) -> "Parts":
        """Return the same a cycle later."""
        fields = (self.mantissa, self.exponent, self.sign, self.nan)
        return Parts(*(delay(m, field) for field in fields))


@dataclass(frozen=True)
class Rounded:
    """A result, and whether it is infinite though its operands were finite."""

    parts: Parts
    overflow: Value


def _named(m: Module, value: Value, name: str) -> Signal:
    signal = Signal(value.shape(), name=name)
    m.d.comb += signal.eq(value)
    return signal


def normalize(
    m: Module, word: Value, sticky: Value, limit: Value, places: int, keep: int
) -> tuple[Value, Value, Value]:
    """Shift ``word`` left until its top bit is set, by at most ``limit`` places.

    Each level shifts by a power of two if that many bits at the top are zero and the limit has room
    for them. So zeros are not counted first, and the limit, where subnormals begin, takes a LUT a
    level and bit instead of a comparison behind the count.

    Parameters
    ----------
    m : Module
        Where signals are added.
    word : Value
        What is shifted.
    sticky : Value
        Whether there is anything below ``word``.
    limit : Value
        Places that it may be shifted by; none, where it is signed and negative.
    places : int
        Places that it may need: levels for as many are built.
    keep : int
        Bits of the result.

    Returns
    -------
    kept : Value
        The top ``keep`` bits.
    sticky : Value
        Whether there is anything below them.
    shift : Value
        Places shifted by.
    """
    levels = places.bit_length()
    held = ~limit[-1] if limit.shape().signed else Const(1, 1)
    upper = limit[levels:].any() if len(limit) > levels else Const(0, 1)
    room = [(limit[bit] | upper) & held for bit in range(min(levels, len(limit)))]
    room += [upper & held] * (levels - len(room))
    shift = []
    for level in reversed(range(levels)):
        step = 1 << level
        empty = ~word[-step:].any()
        chosen = _named(m, empty & room[level], f"shift_{step}")
        # with room for this step and no need of it, there is room for all smaller ones
        spare = room[level] & ~empty
        room = [each | spare for each in room[:level]]
        shift.insert(0, chosen)
        moved = Mux(chosen, Cat(Const(0, step), word)[: len(word)], word)
        dropped = max(len(word) - keep - (step - 1), 0)
        lost = word[: max(dropped - step, 0)].any() | (~chosen & word[:dropped].any())
        sticky = sticky | lost if dropped else sticky
        word = _named(m, moved[dropped:], f"word_{step}")
    return word, sticky, Cat(*shift)


def round_and_pack(
    m: Module, fmt: Float, word: Value, sticky: Value, limit: Value, places: int
) -> tuple[Value, Value, Value, Value]:
    """Normalise and round to nearest even.

    The top bit of ``word`` has the biased exponent ``limit + 1``; the rest is as in `normalize`.

    Returns
    -------
    mantissa, exponent : Value
        Fields of the result; those of an infinity have any mantissa.
    infinite : Value
        Whether the exponent is beyond its field, where it must be made all ones.
    zero : Value
        Whether the exponent must be made 0: nothing was there to normalise.
    """
    keep = fmt.mantissa + 2
    kept, sticky, shift = normalize(m, word, sticky, limit, places, keep)
    guard, mantissa, top = kept[0], kept[1:-1], kept[-1]
    up = guard & (sticky | mantissa[0])
    # the exponent left by the limit; one less than the field, if the significand has its top bit
    rest = _named(m, (limit - shift)[: len(limit)], "rest")
    zero = ~top & rest.any()
    carries = Cat(up, Const(0, fmt.mantissa - 1), top)
    packed = Signal(fmt.mantissa + len(rest))
    m.d.comb += packed.eq(Cat(mantissa, rest) + carries)
    exponent, beyond = packed[fmt.mantissa : fmt.width - 1], packed[fmt.width - 1 :]
    infinite = beyond.any() & ~zero if len(beyond) else Const(0, 1)
    return packed[: fmt.mantissa], exponent, infinite, zero


def _force(exponent: Value, ones: Value, zeros: Value) -> Value:
    width = len(exponent)
    return (exponent & ~zeros.replicate(width)) | ones.replicate(width)


@dataclass(frozen=True)
class Product:
    """An exact product, as it comes out of the multiplier.

    Attributes
    ----------
    significand : Value
        Product of the significands.
    limit : Value
        Signed: the biased exponent of its second place from the top, in the format of the result,
        above a pad of `pad` zeros.
    sign, special, nan : Value
        Of the result; special is infinite or NaN.
    """

    significand: Value
    limit: Value
    sign: Value
    special: Value
    nan: Value

    @staticmethod
    def pad(result: Float) -> int:
        """Zeros above a product: shifted by none, all of it lies below the rounding bit."""
        return result.mantissa + 2

    @classmethod
    def of(
        cls, a: Parts, b: Parts, significand: Value, formats: tuple[Float, Float, Float]
    ) -> "Product":
        """Return the product of two operands, whose significands' product is given."""
        first, second, result = formats
        offset = result.bias - first.bias - second.bias + cls.pad(result)
        limit = a.biased + b.biased + Const(offset)
        a_infinite, b_infinite = a.special & ~a.nan, b.special & ~b.nan
        a_zero, b_zero = ~a.magnitude.any(), ~b.magnitude.any()
        nan = a.nan | b.nan | (a_infinite & b_zero) | (a_zero & b_infinite)
        return cls(significand, limit, a.sign ^ b.sign, a.special | b.special, nan)

    def stored(self, m: Module) -> "Product":
        """Return the same a cycle later."""
        fields = (self.significand, self.limit, self.sign, self.special, self.nan)
        return Product(*(delay(m, field) for field in fields))

    def rounded(self, m: Module, formats: tuple[Float, Float, Float]) -> Rounded:
        """Round it to the format of the result."""
        first, second, result = formats
        pad = self.pad(result)
        word = Cat(self.significand, Const(0, pad))
        # zeros at the top: one subnormal operand leaves few; of two, the product may vanish
        zeros = max(first.mantissa, second.mantissa) + 1
        smallest = first.bias + second.bias - 2
        if smallest < result.bias + result.mantissa:
            zeros = first.mantissa + second.mantissa + 1
        mantissa, exponent, infinite, zero = round_and_pack(
            m, result, word, Const(0, 1), self.limit, pad + zeros
        )
        exponent = _named(m, _force(exponent, self.special | infinite, zero), "exponent")
        parts = Parts(mantissa, exponent, self.sign, self.nan)
        return Rounded(parts, parts.special & ~self.special)


def add(m: Module, fmt: Float, a: Parts, b: Parts) -> Rounded:
    """Return the rounded sum, combinationally.

    The significand of the smaller exponent is shifted to the larger one, with two more places and a
    sticky bit; then add or subtract, normalise and round. Of equal exponents the larger significand
    is not known before the shift: while it is shifted by none, they are compared, and the one to be
    subtracted is inverted.
    """
    subtract = _named(m, a.sign ^ b.sign, "subtract")
    forward, backward = a.biased - b.biased, b.biased - a.biased
    swap = _named(m, forward[-1], "swap")
    distance = _named(m, Mux(swap, backward, forward)[: fmt.exponent], "distance")
    flip = _named(m, subtract & (a.significand < b.significand) & ~distance.any(), "flip")
    top = _named(m, Mux(swap, b.biased, a.biased), "top")
    large = Cat(Const(0, 2), Mux(swap, b.significand, a.significand))
    small = Cat(Const(0, 2), Mux(swap, a.significand, b.significand))
    shifted, sticky = _align(m, small, distance)
    large = large ^ flip.replicate(len(large))
    shifted = shifted ^ (subtract & ~flip).replicate(len(shifted))
    # below the sum lies the sticky bit, which a difference borrows from
    total = Signal(len(large) + 2)
    m.d.comb += total.eq(Cat(Const(1, 1), large) + Cat(subtract & ~sticky, shifted))
    word = _named(m, Cat(total[1:-1], total[-1] & ~subtract), "word")
    mantissa, exponent, infinite, zero = round_and_pack(m, fmt, word, sticky, top, fmt.mantissa + 3)
    special = a.special | b.special
    nan = a.nan | b.nan | (a.special & b.special & subtract)
    sign = Mux(swap | flip, b.sign, a.sign) & ~(subtract & ~word.any())
    exponent = _named(m, _force(exponent, special | infinite, zero), "exponent")
    parts = Parts(mantissa, exponent, sign, nan)
    return Rounded(parts, parts.special & ~special)


def _align(m: Module, word: Value, distance: Value) -> tuple[Value, Value]:
    """Shift right; return what is left, and whether a one was shifted out."""
    levels = min(len(word).bit_length(), len(distance))
    far = distance[levels:].any() if len(distance) > levels else Const(0, 1)
    sticky: Value = Const(0, 1)
    for level in reversed(range(levels)):
        step = min(1 << level, len(word))
        chosen = distance[level]
        sticky = sticky | (chosen & word[:step].any())
        moved = Mux(chosen, Cat(word[step:], Const(0, step)), word)
        if level == levels - 1:
            sticky = sticky | (far & word.any())
            moved = moved & ~far.replicate(len(word))
        word = _named(m, moved, f"aligned_{step}")
    return word, sticky
