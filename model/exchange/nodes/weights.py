"""Quantisers of constants: weights, as the executor quantises them, in float32."""

from fractions import Fraction

import numpy as np
from onnx import NodeProto
from qonnx.custom_op.general.floatquant import float_quant
from qonnx.custom_op.general.intquant import int_quant

from ....hw.errors import FormatError, NetworkError
from ....hw.numbers.formats import Bipolar, Fixed, Format, MiniFloat, PowerOfTwo
from ...exact.ranges import narrowest
from ...exact.tensors import Weights
from ...exact.transfer import fractions
from ..graph.node import attributes, refuse
from .context import ImportContext
from .parameters import bit_widths, one_number, positive_scale, rounding_mode

__all__ = ["quantised_weights"]


SLACK = 1 + 2.0**-20  # within which float32 gives a product of two of its numbers, and more


def quantised_weights(
    context: ImportContext, node: NodeProto, values: np.ndarray | Weights
) -> Weights:
    """Quantise a constant, or weights again, as the executor does, in float32."""
    if not isinstance(values, Weights):
        return _quantised(context, node, values)
    exact = values.values()
    found = _quantised(context, node, exact)
    if not np.array_equal(values.scale, fractions(values.scale.astype(np.float32))):
        # they were scaled: the executor rounded more than once
        for trial in (exact.astype(np.float64) * SLACK, exact.astype(np.float64) / SLACK):
            if not np.array_equal(_quantised(context, node, trial).levels, found.levels):
                refuse(node, "quantises weights that lie between two levels, as near as float32 is")
    return found


def _quantised(context: ImportContext, node: NodeProto, values: np.ndarray) -> Weights:
    given = np.asarray(values, np.float32)
    scale = np.asarray(positive_scale(context, node, 1), np.float32)
    if node.op_type in ("Trunc", "MultiThreshold"):
        refuse(node, f"{node.op_type} of a constant is not supported")
    try:
        if node.op_type == "FloatQuant":
            return _float_weights(context, node, given, scale)
        if node.op_type == "BipolarQuant":
            return Weights.of(np.where(given >= 0, 1, -1), fractions(scale), Bipolar())
        return _integer_weights(context, node, given, scale)
    except (FormatError, NetworkError):
        raise
    except ValueError as error:
        refuse(node, f"a scale of {scale.shape} does not fit weights of {given.shape} ({error})")


def _integer_weights(
    context: ImportContext, node: NodeProto, given: np.ndarray, scale: np.ndarray
) -> Weights:
    """Quantise to integers; their levels are codes less the zero point."""
    attribute = attributes(node)
    zero, bits = _zero_points(context, node), bit_widths(context, node, 3, given.shape)
    signed, narrow = bool(attribute.get("signed", 1)), bool(attribute.get("narrow", 0))
    rounding = rounding_mode(node, attribute, "ROUND")
    codes = np.empty(np.broadcast_shapes(given.shape, scale.shape, zero.shape), np.float32)
    for width in np.unique(bits):  # QONNX's own function takes one
        of_width = int_quant(
            given / scale, np.float32(1), zero, np.float32(width), signed, narrow, rounding
        )
        codes = np.where(bits == width, of_width, codes)
    levels = np.rint(codes).astype(np.int64)
    exact, widest = fractions(scale), int(bits.max())
    if widest == 1 and signed:
        return Weights.of(levels, exact, Bipolar())
    if zero.any():
        return Weights.of(levels, exact, narrowest(int(levels.min()), int(levels.max())))
    return Weights.of(levels, exact, Fixed(widest, signed), bits if bits.size > 1 else None)


def _zero_points(context: ImportContext, node: NodeProto) -> np.ndarray:
    """Return the zero points of weights as float32: integers."""
    zero = context.constant(node, 2, "zero point")
    found = np.zeros(1, np.float32) if zero is None else np.asarray(zero, np.float32)
    if (found != np.rint(found)).any():
        refuse(node, f"a zero point of {found.ravel()[0]:g} is no integer")
    return found


def _float_weights(
    context: ImportContext, node: NodeProto, given: np.ndarray, scale: np.ndarray
) -> Weights:
    """Quantise to a minifloat; its level 1 is the smallest subnormal."""
    exponent = _integer(context, node, 2, "exponent width", 1, 8)
    mantissa = _integer(context, node, 3, "mantissa width", 0, 23)
    bias = _integer(context, node, 4, "exponent bias", -100, 200)
    limit = one_number(context, node, 5, "largest value") if len(node.input) > 5 else None
    attribute = attributes(node)
    if not attribute.get("saturation", 1):
        refuse(node, "its saturation is 0; weights that overflow cannot be infinities")
    values = float_quant(
        given / scale, np.float32(1), np.float32(exponent), np.float32(mantissa),
        np.float32(bias), True, None if limit is None else np.float32(limit),
        rounding_mode=rounding_mode(node, attribute, "ROUND"),
    )  # fmt: skip
    power = 1 - bias - mantissa  # of the smallest subnormal
    exact = np.ldexp(values.astype(np.float64), -power)
    if (exact != np.rint(exact)).any() or abs(exact).max() >= 1 << 62:
        refuse(node, f"gives values that e{exponent}m{mantissa} with bias {bias} does not hold")
    levels = exact.astype(np.int64)
    stated = _float_format(exponent, mantissa, levels)
    return Weights.of(levels, fractions(scale) * Fraction(2) ** power, stated)


def _integer(
    context: ImportContext, node: NodeProto, place: int, what: str, low: int, high: int
) -> int:
    """Return a constant that is an integer within limits."""
    value = one_number(context, node, place, what)
    if value.denominator != 1 or not low <= value <= high:
        refuse(node, f"its {what}, {float(value):g}, is not an integer from {low} to {high}")
    return int(value)


def _float_format(exponent: int, mantissa: int, levels: np.ndarray) -> Format:
    """Return the minifloat format, or the integers that hold the levels where there is none."""
    try:
        found = PowerOfTwo(exponent + 1) if mantissa == 0 else MiniFloat(exponent, mantissa)
    except FormatError:
        found = narrowest(int(levels.min()), int(levels.max()))
    return found if np.all(found.holds(levels)) else narrowest(int(levels.min()), int(levels.max()))
