"""Gates of IEEE floats: normalise and round, on floats that are taken apart.

Inside a multiply-accumulate a float travels as `Parts`, which spares each stage the gates that put
infinities and NaN into their final form. Only what leaves is a code (`Parts.code`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from ..numbers.ieee import Float
from .pipeline import Path, delay

__all__ = ["Parts", "Rounded", "Sum", "named", "normalize", "round_and_pack"]


@dataclass(frozen=True)
class Parts:
    """A float in a circuit.

    What compares exponents would first have to find out whether they are 0; here that is known.

    Attributes
    ----------
    mantissa, sign : Value
        Fields as in the code.
    biased : Value
        The biased exponent of the leading bit's place: the field, but 1 for subnormals, whose field
        is 0. All ones are infinity or NaN, whatever the mantissa.
    normal : Value
        Whether the significand has a leading one.
    nan : Value
        Which of the two it is.
    """

    mantissa: Value
    biased: Value
    normal: Value
    sign: Value
    nan: Value

    @classmethod
    def of(cls, fmt: Float, code: Value) -> "Parts":
        """Take a code apart."""
        mantissa, exponent = code[: fmt.mantissa], code[fmt.mantissa : -1]
        normal, nan = exponent.any(), exponent.all() & mantissa.any()
        return cls(mantissa, Cat(exponent[0] | ~normal, exponent[1:]), normal, code[-1], nan)

    @property
    def fields(self) -> tuple[Value, ...]:
        """All that it consists of."""
        return self.mantissa, self.biased, self.normal, self.sign, self.nan

    @property
    def special(self) -> Value:
        """Whether it is infinite or NaN."""
        return self.biased.all()

    @property
    def exponent(self) -> Value:
        """The field of the code."""
        return Cat(self.biased[0] & self.normal, self.biased[1:])

    @property
    def significand(self) -> Value:
        """The mantissa below its leading bit."""
        return Cat(self.mantissa, self.normal)

    def stored(self, m: Module, cycles: int = 1) -> "Parts":
        """Return the same some cycles later."""
        return Parts(*(delay(m, field, cycles) for field in self.fields))


@dataclass(frozen=True)
class Rounded:
    """A result.

    Attributes
    ----------
    parts : Parts
        The result, taken apart.
    overflow : Value
        Whether it is infinite though its operands were finite.
    """

    parts: Parts
    overflow: Value


@dataclass(frozen=True)
class Sum(Rounded):
    """A result that comes right out of the gates.

    Attributes
    ----------
    infinite : Value
        Whether it is infinite or NaN with a mantissa that does not count. This is known before the
        rounding's carry, which leaves no mantissa where it makes an infinity.
    """

    infinite: Value

    def code(self) -> Value:
        """Return the code; NaN is `Float.nan`."""
        parts = self.parts
        mantissa = parts.mantissa & ~self.infinite.replicate(len(parts.mantissa))
        quiet = Cat(Const(0, len(mantissa) - 1), parts.nan)
        return Cat(mantissa | quiet, parts.exponent, parts.sign & ~parts.nan)


def named(m: Module, value: Value, name: str) -> Signal:
    """Return ``value`` as a signal."""
    signal = Signal(value.shape(), name=name)
    m.d.comb += signal.eq(value)
    return signal


def normalize(
    path: Path, word: Value, sticky: Value, limit: Value, places: int, keep: int
) -> tuple[Value, Value, Value]:
    """Shift ``word`` left until its top bit is set, by at most ``limit`` places.

    Each level shifts by a power of two if that many bits at the top are zero and the limit has room
    for them. So zeros are not counted first, and the limit, where subnormals begin, takes a LUT a
    level and bit instead of a comparison behind the count.

    Parameters
    ----------
    path : Path
        Where signals are added; a register may follow each level, at ``normalize_N`` behind that
        of ``N`` places.
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
    m, levels = path.m, places.bit_length()
    held = ~limit[-1] if limit.shape().signed else Const(1, 1)
    upper = limit[levels:].any() if len(limit) > levels else Const(0, 1)
    room = [(limit[bit] | upper) & held for bit in range(min(levels, len(limit)))]
    room += [upper & held] * (levels - len(room))
    shift: list[Value] = []
    for level in reversed(range(levels)):
        step = 1 << level
        empty = ~word[-step:].any()
        chosen = named(m, empty & room[level], f"shift_{step}")
        # with room for this step and no need of it, there is room for all smaller ones
        spare = room[level] & ~empty
        room = [each | spare for each in room[:level]]
        shift.insert(0, chosen)
        moved = Mux(chosen, Cat(Const(0, step), word)[: len(word)], word)
        dropped = max(len(word) - keep - (step - 1), 0)
        lost = word[: max(dropped - step, 0)].any() | (~chosen & word[:dropped].any())
        sticky = sticky | lost if dropped else sticky
        word = named(m, moved[dropped:], f"word_{step}")
        word, sticky, *both = path.cut(f"normalize_{step}", word, sticky, *shift, *room)
        shift, room = both[: len(shift)], both[len(shift) :]
    return word, sticky, Cat(*shift)


def round_and_pack(
    path: Path,
    fmt: Float,
    word: Value,
    sticky: Value,
    limit: Value,
    places: int,
    beside: Sequence[Callable[[], Value]],
) -> Sum:
    """Normalise and round to nearest even.

    Parameters
    ----------
    path : Path
        Where signals are added. A register may come between both, at ``normalize_1``.
    fmt : Float
        Of the result.
    word, sticky, limit, places
        As in `normalize`; the top bit of ``word`` has the biased exponent ``limit + 1``.
    beside : three of callable
        What give `Parts.special`, `Parts.sign` and `Parts.nan` of the result (`Path.later`).
    """
    m, keep, limited = path.m, fmt.mantissa + 2, path.later(limit)
    kept, sticky, shift = normalize(path, word, sticky, limit, places, keep)
    limit, (special, sign, nan) = limited(), (each() for each in beside)
    guard, mantissa, top = kept[0], kept[1:-1], kept[-1]
    up = guard & (sticky | mantissa[0])
    # the exponent left by the limit; one less than the field, if the significand has its top bit
    rest = named(m, (limit - shift)[: len(limit)], "rest")
    zero = ~top & rest.any()  # nothing was there to normalise
    # with a carry or without, the exponent is all ones at least
    large = rest[1 : fmt.exponent].all() | rest[fmt.exponent :].any()
    infinite = named(m, special | (top & large), "infinite")
    packed = Signal(fmt.width - 1)
    m.d.comb += packed.eq(Cat(mantissa, rest) + Cat(up, Const(0, fmt.mantissa - 1), top))
    exponent = packed[fmt.mantissa :]
    # a carry out of the mantissa of a subnormal is its leading one
    normal = top | (exponent[0] & ~zero) | infinite
    kept_exponent = exponent[1:] & ~zero.replicate(fmt.exponent - 1)
    upper = kept_exponent | infinite.replicate(fmt.exponent - 1)
    biased = named(m, Cat(exponent[0] | ~top | infinite, upper), "biased")
    parts = Parts(packed[: fmt.mantissa], biased, normal, sign, nan)
    return Sum(parts, parts.special & ~special, infinite)
