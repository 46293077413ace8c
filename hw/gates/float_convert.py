"""The conversion of a float to a narrower one: normalise where it is subnormal, and round."""

from amaranth.hdl import Cat, Const

from ..numbers.ieee import Float
from .ieee import Parts, Sum, named, round_and_pack
from .pipeline import Path

__all__ = ["convert"]


def convert(path: Path, source: Float, result: Float, parts: Parts) -> Sum:
    """Return a float rounded to ``result``, as many cycles late as the path has registers.

    ``source`` holds every value of ``result`` (`Float.holds_all`). Registers may come where
    `round_and_pack` has them.
    """
    beside = [path.later(each) for each in (parts.special, parts.sign, parts.nan)]
    # of fewer exponents, what is below the normal numbers is shifted by none, behind zeros
    pad = result.mantissa + 2 if source.bias > result.bias else 0
    keep = result.mantissa + 2  # of equally many, nothing is ever shifted, and so nothing cut
    below = max(0, keep - pad - source.mantissa - 1)
    word, sticky = Cat(Const(0, below), parts.significand, Const(0, pad)), Const(0, 1)
    if not pad:
        word, sticky = word[-keep:], word[:-keep].any()
    limit = parts.biased + Const(result.bias - source.bias + pad - 1)
    return round_and_pack(path, result, word, sticky, named(path.m, limit, "limit"), pad, beside)
