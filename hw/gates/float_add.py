"""The addition of IEEE floats: compare exponents, align, add, normalise, round."""

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from ..numbers.ieee import Float
from .ieee import Parts, Sum, named, round_and_pack
from .pipeline import Path

__all__ = ["add", "alignments"]


def add(path: Path, fmt: Float, a: Parts, b: Parts) -> Sum:
    """Return the rounded sum, as many cycles late as the path has registers.

    The significand of the smaller exponent is shifted to the larger one, with two more places and a
    sticky bit; then add or subtract, normalise and round. Of equal exponents the larger significand
    is not known before the shift: while it is shifted by none, they are compared, and the one to be
    subtracted is inverted.

    Registers may come behind the comparison (``compare``), the shift by ``N`` places (``align_N``),
    the addition (``sum``), and where `round_and_pack` has them.
    """
    m = path.m
    subtract = named(m, a.sign ^ b.sign, "subtract")
    forward, backward = a.biased - b.biased, b.biased - a.biased
    swap = named(m, forward[-1], "swap")
    distance = named(m, Mux(swap, backward, forward)[: fmt.exponent], "distance")
    flip = named(m, subtract & (a.significand < b.significand) & ~distance.any(), "flip")
    top = path.later(named(m, Mux(swap, b.biased, a.biased), "top"))
    large = Cat(Const(0, 2), Mux(swap, b.significand, a.significand))
    small = Cat(Const(0, 2), Mux(swap, a.significand, b.significand))
    special, nan = a.special | b.special, a.nan | b.nan | (a.special & b.special & subtract)
    special, nan, sign = (
        path.later(each) for each in (special, nan, Mux(swap | flip, b.sign, a.sign))
    )
    flip, subtract, large = path.later(flip), path.later(subtract), path.later(large)
    shifted, sticky = _align(path, *path.cut("compare", small, distance))
    one, other = large(), shifted
    one = one ^ flip().replicate(len(one))
    other = other ^ (subtract() & ~flip()).replicate(len(other))
    # below the sum lies the sticky bit, which a difference borrows from
    total = Signal(len(one) + 2)
    m.d.comb += total.eq(Cat(Const(1, 1), one) + Cat(subtract() & ~sticky, other))
    word = named(m, Cat(total[1:-1], total[-1] & ~subtract()), "word")
    word, sticky = path.cut("sum", word, sticky)
    sign = path.later(sign() & ~(subtract() & ~word.any()))
    beside = special, sign, nan
    return round_and_pack(path, fmt, word, sticky, top(), fmt.mantissa + 3, beside)


def alignments(fmt: Float) -> int:
    """Return how many places ``align_N`` there are: for ``N`` of 1, 2, 4 and so on."""
    return _levels(fmt.mantissa + 3, fmt.exponent)


def _levels(places: int, distance: int) -> int:
    """Return the levels of a shift by up to so many places, of a distance of so many bits."""
    return min(places.bit_length(), distance)


def _align(path: Path, word: Value, distance: Value) -> tuple[Value, Value]:
    """Shift right; return what is left, and whether a one was shifted out."""
    m, levels = path.m, _levels(len(word), len(distance))
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
        word = named(m, moved, f"aligned_{step}")
        word, sticky, distance = path.cut(f"align_{1 << level}", word, sticky, distance)
    return word, sticky
