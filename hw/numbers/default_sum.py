"""What floats are summed in where nobody says, or says no more than bits."""

from ..errors import GeometryError
from .float_sum import PARTIAL_SUMS, FloatSum
from .format import Format
from .ieee import Float

__all__ = ["default_sum", "sum_of_width"]

BF16, FP32 = Float(8, 7), Float(8, 23)


def default_sum(weight: Format, activation: Float) -> FloatSum:
    """Return the sum for products of two formats where none is asked for.

    It is fp32 for activations of bf16, whose 8 bits of significand lose what is added to a sum, and
    for weights that are no floats: they enter as their levels, of which a sum soon is beyond what
    fp16 holds. Others are summed in their own format.
    """
    is_float = isinstance(weight, Float)
    return FloatSum(activation if is_float and activation != BF16 else FP32, PARTIAL_SUMS)


def sum_of_width(activation: Float, bits: int) -> FloatSum:
    """Return the sum for activations of a format in ``bits`` bits: in that format, or in fp32.

    Raises
    ------
    GeometryError
        For other bits.
    """
    for fmt in (activation, FP32):
        if bits == fmt.width and fmt.holds_all(activation):
            return FloatSum(fmt, PARTIAL_SUMS)
    raise GeometryError(
        f"{activation} is not summed in {bits} bits: a sum of floats has its own format or, for "
        "formats of up to 16 bits, fp32"
    )
