"""Floats of any format as torch's floating-point numbers, rounded as IEEE 754 does.

A value of every format is one of float32, so ranks become float32 or float64 and back without loss.
What an operation gives is rounded by `rounding`: of two numbers that are held exactly, torch's sum
or product is the exact one rounded once to its own type, which is either the format, or so much
wider that rounding it again gives what rounding once would. (A sum needs ``2 * p + 2`` bits for one
of ``p``: S. A. Figueroa, "When is double rounding innocuous?", 1995; a product of two has to be
exact.)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ...hw.numbers.formats import Bipolar, Fixed, Float, Format, MiniFloat, PowerOfTwo

__all__ = [
    "kept_subnormals",
    "rounding",
    "significand_bits",
    "to_ranks",
    "to_values",
    "type_of_products",
]

NATIVE = {
    Float(8, 23): (torch.float32, torch.int32),
    Float(5, 10): (torch.float16, torch.int16),
    Float(8, 7): (torch.bfloat16, torch.int16),
}
SIGNIFICAND32, BIAS64, MANTISSA64 = 24, 1023, 52


@contextmanager
def kept_subnormals() -> Iterator[None]:
    """Keep subnormals in this thread, whatever it was told."""
    flushes = bool(torch.tensor(2.0**-149) * 1 == 0)
    if flushes:
        torch.set_flush_denormal(False)
    try:
        yield
    finally:
        if flushes:
            torch.set_flush_denormal(True)


def significand_bits(fmt: Format) -> int:
    """Return the bits of the significand of any level or value of a format."""
    match fmt:
        case Float() | MiniFloat():
            return fmt.mantissa + 1
        case Fixed():
            return fmt.width - fmt.signed
        case PowerOfTwo() | Bipolar():
            return 1
        case _:
            raise AssertionError(fmt)


def type_of_products(result: Float, weight: Format, activation: Float) -> torch.dtype:
    """Return the type in which products are rounded to ``result`` once, and sums of it are."""
    if result not in NATIVE:
        return torch.float64
    bits = significand_bits(weight), significand_bits(activation)
    exact = sum(bits) <= SIGNIFICAND32 and 2 * (result.mantissa + 1) + 2 <= SIGNIFICAND32
    own = NATIVE[result][0] == torch.float32 and max(bits) <= SIGNIFICAND32
    return torch.float32 if exact or own else torch.float64


def rounding(fmt: Float, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Return what rounds numbers of a type to the values of a format, and leaves NaN."""
    native, _ = NATIVE.get(fmt, (None, None))
    if native == dtype:
        return lambda values: values
    if native is not None and (dtype == torch.float32 or native == torch.float32):
        # torch goes from float64 to the narrow ones by way of float32, and rounds twice
        return lambda values: values.to(native).to(dtype)
    return lambda values: _rounded(fmt, values.double()).to(dtype)


def _rounded(fmt: Float, values: Tensor) -> Tensor:
    """Round float64 to a format of at most 24 bits of significand."""
    field = (values.view(torch.int64) >> MANTISSA64) & 0x7FF
    lowest = (field - BIAS64 - fmt.mantissa).clamp(fmt.min_exponent, fmt.bias + 1)
    rounded = (values * _power(-lowest)).round() * _power(lowest)  # to the even one, of two
    largest = fmt.to_value(fmt.max_finite)
    rounded = torch.where(rounded.abs() > largest, rounded.sign() * torch.inf, rounded)
    return torch.where(values.isfinite(), rounded, values)


def _power(exponent: Tensor) -> Tensor:
    """Return powers of two as float64."""
    return ((exponent + BIAS64) << MANTISSA64).view(torch.float64)


def to_values(fmt: Format, levels: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the values of ranks; of other formats the numbers that levels are."""
    if not isinstance(fmt, Float):
        return levels.to(dtype)
    if fmt in NATIVE:
        native, integer = NATIVE[fmt]
        ranks, lowest = levels.to(integer), torch.iinfo(integer).min
        return torch.where(ranks < 0, lowest - ranks, ranks).view(native).to(dtype)
    magnitude = levels.long().abs()
    field, fraction = magnitude >> fmt.mantissa, magnitude & ((1 << fmt.mantissa) - 1)
    significand = fraction + ((field > 0).long() << fmt.mantissa)
    values = significand.double() * _power(field.clamp(min=1) - 1 + fmt.min_exponent)
    values = torch.where(magnitude == fmt.infinity, torch.inf, values)
    values = torch.where(magnitude > fmt.infinity, torch.nan, values)
    return torch.where(levels < 0, -values, values).to(dtype)


def to_ranks(fmt: Float, values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the ranks, as integers of a type, of values that a format has."""
    if fmt in NATIVE:
        native, integer = NATIVE[fmt]
        codes, lowest = values.to(native).view(integer), torch.iinfo(integer).min
        ranks = torch.where(codes < 0, lowest - codes, codes)
    else:
        bits = values.double().abs().view(torch.int64)
        exponent = (bits >> MANTISSA64) - BIAS64
        lowest = (exponent - fmt.mantissa).clamp(fmt.min_exponent, fmt.bias + 1)
        significand = (values.double().abs() * _power(-lowest)).nan_to_num(0, 0).long()
        ranks = ((lowest - fmt.min_exponent) << fmt.mantissa) + significand
        ranks = torch.where(values.isinf(), fmt.infinity, ranks)
        ranks = torch.where(values < 0, -ranks, ranks)
    return torch.where(values.isnan(), fmt.nan, ranks).to(dtype)
