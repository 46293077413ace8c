"""Reads the parameters of quantiser nodes: scales, zero points, bit widths, rounding."""

from fractions import Fraction

import numpy as np
from onnx import NodeProto
from qonnx.custom_op.general.intquant import max_int, min_int

from ...exact.quantizer import QONNX, Quantizer
from ...exact.ranges import narrowest
from ...exact.tensors import Levels, Sums
from ...exact.transfer import fractions
from ..graph.node import Attributes, attributes, refuse
from .consumers import is_end
from .context import ImportContext, NetworkTensor

__all__ = [
    "WIDEST",
    "bit_width",
    "bit_widths",
    "one_number",
    "positive_scale",
    "quantizer_of",
    "reduced_axes",
    "rounding_mode",
    "within_reach",
]

WIDEST = 16  # bits of an activation
FARTHEST_ZERO = 1 << 16
WIDEST_RESULT = 32  # bits of what the last layer gives
WIDEST_BITS = 32  # of what QONNX says


def one_number(context: ImportContext, node: NodeProto, place: int, what: str) -> Fraction:
    """Return a constant that is one number."""
    value = context.constant(node, place, what)
    if value is not None and not np.isfinite(np.asarray(value, np.float64)).all():
        refuse(node, f"its {what} is infinite")
    if value is None or np.unique(fractions(value).ravel()).size != 1:
        refuse(node, f"its {what} is not one number; only one for the whole tensor can be folded")
    return fractions(value).ravel()[0]


def bit_width(context: ImportContext, node: NodeProto, place: int) -> int:
    """Return a constant bit width."""
    bits = one_number(context, node, place, "bit width")
    if bits.denominator != 1 or not 1 <= bits <= WIDEST_BITS:
        refuse(node, f"a bit width of {float(bits):g} is not an integer from 1 to {WIDEST_BITS}")
    return int(bits)


def bit_widths(
    context: ImportContext, node: NodeProto, place: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Return constant bit widths of weights of ``shape``, int64: one, or many that broadcast."""
    value = context.constant(node, place, "bit width")
    if value is None or np.unique(value).size < 2:
        return np.full(1, bit_width(context, node, place), np.int64)
    exact = np.asarray(value, np.float64)
    wrong = exact[(exact != np.rint(exact)) | (exact < 1) | (exact > WIDEST_BITS)]
    if wrong.size:
        refuse(node, f"a bit width of {wrong[0]:g} is not an integer from 1 to {WIDEST_BITS}")
    try:
        fits = np.broadcast_shapes(exact.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        refuse(
            node,
            f"bit widths of {exact.shape} do not fit weights of {shape}; there is one for each "
            "output channel, or one for all",
        )
    return exact.astype(np.int64)


def reduced_axes(context: ImportContext, node: NodeProto, count: int) -> list[int]:
    """Return which of ``count`` axes a Reduce node reduces, rising, none of which is the batch."""
    values = attributes(node)
    axes = values.get("axes")
    if axes is None:
        axes = context.constant(node, 1, "axes")
    given = [] if axes is None else [int(each) for each in np.ravel(axes)]
    if not given and values.get("noop_with_empty_axes", 0):
        return []
    if any(not -count <= each < count for each in given):
        refuse(node, f"its axes {given} are not of a tensor of {count} axes")
    found = sorted({each % count for each in given} or set(range(count)))
    if 0 in found:
        refuse(node, "reduces the batch: it would mix images; name the other axes")
    return found


def rounding_mode(node: NodeProto, values: Attributes, default: str) -> str:
    """Return the rounding mode that a node's attributes name."""
    rounding = values.get("rounding_mode", default).upper()
    if rounding not in QONNX:
        refuse(node, f"unknown rounding mode {rounding}; there are {', '.join(QONNX)}")
    return rounding


def positive_scale(context: ImportContext, node: NodeProto, place: int) -> np.ndarray:
    """Return a constant scale; refuse one that is not positive."""
    scale = context.constant(node, place, "scale")
    if scale is None or not np.all(np.asarray(scale, np.float64) > 0) or np.isinf(scale).any():
        refuse(node, "its scale is not a positive number")
    return scale


def _zero_point(context: ImportContext, node: NodeProto) -> Fraction:
    """Return the zero point of an activation; refuse one that float32 could not take."""
    zero = one_number(context, node, 2, "zero point")
    if abs(zero) > FARTHEST_ZERO:
        refuse(node, f"a zero point of {float(zero):g} is beyond {FARTHEST_ZERO}, the limit")
    return zero


def quantizer_of(context: ImportContext, node: NodeProto, tensor: NetworkTensor) -> Quantizer:
    """Return the quantiser of an activation."""
    if node.op_type == "FloatQuant":
        refuse(node, "floating point activations are not supported; FloatQuant may be on weights")
    if node.op_type == "MultiThreshold":
        return _table(context, node, tensor)
    values = attributes(node)
    scale = context.channels(node, tensor, positive_scale(context, node, 1), "scale")
    if node.op_type == "BipolarQuant":
        return _bipolar(scale)
    zero = _zero_point(context, node)
    if node.op_type == "Trunc":
        return _trunc(context, node, tensor, values, scale, zero)
    bits, signed = bit_width(context, node, 3), bool(values.get("signed", 1))
    if bits == 1 and signed:  # as the executor does
        if zero:
            refuse(node, "a zero point of a signed quantiser of 1 bit cannot be folded")
        return _bipolar(scale)
    narrow = bool(values.get("narrow", 0))
    low, high = int(min_int(signed, narrow, bits)), int(max_int(signed, narrow, bits))
    rounding = rounding_mode(node, values, "ROUND")
    found = Quantizer(scale, zero, low, high, rounding, False, scale, zero)
    return within_reach(context, node, found)


def _bipolar(scale: np.ndarray) -> Quantizer:
    none = Fraction(0)
    return Quantizer(scale, none, -1, 1, "FLOOR", True, scale, none)


def _table(context: ImportContext, node: NodeProto, tensor: NetworkTensor) -> Quantizer:
    """Return a `MultiThreshold`, whose value is ``out_scale * count + out_bias``."""
    values = attributes(node)
    table = context.constant(node, 1, "thresholds")
    channels = tensor.size.channels
    if table is None or table.ndim != 2 or len(table) not in (1, channels) or not table.size:
        refuse(node, f"its thresholds are not of shape ({channels}, any)")
    exact = fractions(table)
    if (exact[:, 1:] < exact[:, :-1]).any():
        refuse(node, "its thresholds do not rise")
    out_scale = Fraction(float(values.get("out_scale", 1.0)))
    bias = Fraction(float(values.get("out_bias", 0.0)))
    if out_scale <= 0:
        refuse(node, "its out_scale is not a positive number")
    if table.shape[1] == 1:  # signs: value = out_scale / 2 * sign + (out_scale / 2 + bias)
        half = out_scale / 2
        scale = np.full(channels, half, object)
        zero = -(half + bias) / half
        return Quantizer(scale, Fraction(0), -1, 1, "FLOOR", True, scale, zero, table=exact)
    scale = np.full(channels, out_scale, object)
    top = table.shape[1]
    found = Quantizer(
        scale, Fraction(0), 0, top, "FLOOR", False, scale, -bias / out_scale, table=exact
    )
    return within_reach(context, node, found)


def _trunc(
    context: ImportContext,
    node: NodeProto,
    tensor: NetworkTensor,
    values: Attributes,
    scale: np.ndarray,
    zero: Fraction,
) -> Quantizer:
    """Return a `Trunc` of version 1 (five inputs) or 2 (six)."""
    rounding = rounding_mode(node, values, "FLOOR")
    if len(node.input) < 6:
        bits, out_bits = bit_width(context, node, 3), bit_width(context, node, 4)
        if out_bits > bits:
            refuse(node, f"cannot truncate {bits} bits to {out_bits}")
        divisor = Fraction(2) ** (bits - out_bits)
        limit = 1 << 32  # this version does not clip
        low, high = _reached(tensor, scale, zero, divisor, limit)
        return Quantizer(scale, zero, low, high, rounding, False, scale, zero, divisor)
    signed, narrow = bool(values.get("signed", 1)), bool(values.get("narrow", 0))
    out_scale = context.channels(node, tensor, positive_scale(context, node, 4), "output scale")
    bits = bit_width(context, node, 5)
    ratios = {float(one / other) for one, other in zip(out_scale, scale, strict=True)}
    divisors = {Fraction(2) ** round(np.log2(ratio)) for ratio in ratios}
    if len(divisors) > 1:
        refuse(node, "its output scales are not one power of two times its scales")
    divisor = divisors.pop()
    low, high = int(min_int(signed, narrow, bits)), int(max_int(signed, narrow, bits))
    found = Quantizer(scale, zero, low, high, rounding, False, out_scale, zero / divisor, divisor)
    return within_reach(context, node, found)


def _reached(
    tensor: NetworkTensor, scale: np.ndarray, zero: Fraction, divisor: Fraction, limit: int
) -> tuple[int, int]:
    """Return ends of the codes that a quantiser which clips nothing can give."""
    if isinstance(tensor, Levels):
        ends = np.array([[tensor.low, tensor.high]], object)
        exact = (ends + tensor.offset[:, None]) * tensor.scale[:, None]
    elif isinstance(tensor, Sums):
        ends = np.stack([tensor.accumulation.low, tensor.accumulation.high], axis=1)
        exact = tensor.transfer.values(np.broadcast_to(ends, (len(scale), 2)))
    else:
        return -limit, limit
    values = exact.astype(np.float64)
    codes = (values / scale.astype(np.float64)[:, None] + float(zero)) / float(divisor)
    return int(np.floor(codes.min())) - 1, int(np.ceil(codes.max())) + 1


def within_reach(
    context: ImportContext, node: NodeProto, quantizer: Quantizer, widest: int = WIDEST
) -> Quantizer:
    """Refuse levels that hardware does not store: of more than ``widest`` bits, but at the end."""
    low, high = quantizer.low - quantizer.zero, quantizer.high - quantizer.zero
    limit = WIDEST_RESULT if is_end(context, node.output[0]) else widest
    if narrowest(low, high).width > limit:
        refuse(node, f"levels from {low} to {high} are wider than {limit} bits, the limit here")
    return quantizer
