"""QuantizeLinear and DequantizeLinear, the quantisers of the standard.

A QuantizeLinear gives codes, ``clip(round(v / scale) + zero_point)``, with ties to the even side
before the zero point is added; a DequantizeLinear gives ``scale * (code - zero_point)``. Between
the two a tensor's values are its codes, and pools and moves of codes are what they are elsewhere.
Levels are codes less the zero point where zeros may lie around a tensor, and otherwise the
narrowest integers that there are.
"""

from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from onnx import NodeProto, TensorProto, helper

from ...exact.quantizer import Quantizer
from ...exact.ranges import narrowest
from ...exact.tensors import Levels, Weights
from ...exact.transfer import fractions
from ..graph.node import attributes, refuse
from .consumers import padded_ahead, scores_behind
from .context import ImportContext, NetworkTensor, Raw, Watched
from .elementwise import affine
from .inputs import quantised_input
from .parameters import positive_scale, within_reach
from .quantise import quantised

__all__ = ["dequantize_linear", "quantize_linear"]

WIDEST = 16  # bits of codes of tensors
WIDEST_WEIGHT = 32


class _Codes(NamedTuple):
    """What a node says of codes.

    Attributes
    ----------
    scale : array
        Positive; broadcasts against the tensor.
    zero : int64 array
        Of the same shape, or of one element.
    low, high : int
        Of the type of its codes.
    dtype : dtype
        That.
    """

    scale: np.ndarray
    zero: np.ndarray
    low: int
    high: int
    dtype: np.dtype


# --- parameters ------------------------------------------------------------------------------


def _codes(context: ImportContext, node: NodeProto, shape: tuple[int, ...]) -> _Codes:
    """Return a node's parameters, for a tensor of ``shape``."""
    scale = np.asarray(positive_scale(context, node, 1))
    given = context.constant(node, 2, "zero point")
    dtype = _dtype(context, node, given)
    if attributes(node).get("precision", 0) not in (0, TensorProto.FLOAT):
        refuse(node, "divides in another precision than float32; only that is supported")
    if dtype.kind not in "iu":
        refuse(node, f"its codes are of {dtype}; only integers are supported")
    if given is not None and given.size != 1 and given.shape != scale.shape:
        refuse(node, f"zero points of {given.shape} do not fit scales of {scale.shape}")
    zero = np.zeros((), np.int64) if given is None else np.asarray(given, np.int64)
    ends = np.iinfo(dtype)
    scale, zero = (_along(node, each, shape) for each in (scale, zero))
    return _Codes(scale, zero, int(ends.min), int(ends.max), dtype)


def _dtype(context: ImportContext, node: NodeProto, zero: np.ndarray | None) -> np.dtype:
    """Return the type of codes; refuse a zero point of another one."""
    if node.op_type == "QuantizeLinear":
        stated = attributes(node).get("output_dtype", 0)
        found = np.dtype(np.uint8) if zero is None else zero.dtype
        if not stated:
            return found
        wanted = helper.tensor_dtype_to_np_dtype(stated)
        if zero is not None and found != wanted:
            refuse(node, f"its zero point is of {found}, its output_dtype {wanted}")
        return wanted
    found = _type_of(context, node.input[0])
    if zero is not None and zero.dtype != found:
        refuse(node, f"its zero point is of {zero.dtype}, its input of {found}; they must be equal")
    return found


def _type_of(context: ImportContext, tensor: str) -> np.dtype:
    """Return the type of a tensor in the graph."""
    value = context.values.get(tensor)
    if isinstance(value, np.ndarray):
        return value.dtype
    declared = context.model.get_tensor_valueinfo(tensor)
    kind = declared.type.tensor_type.elem_type if declared is not None else 0
    return helper.tensor_dtype_to_np_dtype(kind or 1)


def _along(node: NodeProto, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers that broadcast against a tensor: one, one along an axis, or one a block."""
    if values.size == 1 and values.ndim <= 1:
        return values.reshape(())
    axis, block = attributes(node).get("axis", 1), attributes(node).get("block_size", 0)
    if not -len(shape) <= axis < len(shape):
        refuse(node, f"its axis {axis} is not one of a tensor of {shape}")
    axis %= len(shape)
    if block:
        blocks = (*shape[:axis], -(-shape[axis] // block), *shape[axis + 1 :])
        if block > shape[axis] or values.shape != blocks:
            refuse(node, f"scales of {values.shape} in blocks of {block} do not fit {shape}")
        return np.repeat(values, block, axis).take(np.arange(shape[axis]), axis)
    if values.shape != shape[axis : axis + 1]:
        refuse(
            node,
            f"{values.size} scales along axis {axis} do not fit a tensor of {shape}; there is one "
            "for each of its elements, or one for the whole tensor",
        )
    return values.reshape([-1 if each == axis else 1 for each in range(len(shape))])


# --- quantise --------------------------------------------------------------------------------


def quantize_linear(context: ImportContext, node: NodeProto) -> None:
    """Run a QuantizeLinear, and the Clip of its codes behind it (QCDQ)."""
    value = context.operand(node, 0)
    if isinstance(value, np.ndarray | Weights):
        context.values[node.output[0]] = _constant_codes(context, node, value)
        return
    tensor = context.tensor(node)
    if scores_behind(context, node.input[0]):
        _drop(context, node)
        return
    codes = _codes(context, node, tensor.index.shape)
    scale = context.channels(node, tensor, codes.scale, "scale")
    if len({*codes.zero.ravel().tolist()}) > 1:
        refuse(
            node, "its zero points differ by channel; only one for the whole tensor is supported"
        )
    zero = int(codes.zero.ravel()[0])
    low, high, name = _clipped(context, node, codes)
    kernel = context.kernels.get(node.output[0])
    none = Fraction(0)
    if kernel is not None and kernel.adds_zero_first:
        found = Quantizer(scale, none + zero, low, high, "ROUND", False, scale, none + zero)
    else:
        ends = low - zero, high - zero
        found = Quantizer(scale, none, *ends, "ROUND", False, scale, none)
    found = within_reach(context, node, _stored(context, node, tensor, found), WIDEST + 1)
    meant, sums = quantised(context, node, tensor, found)
    ones = np.full(meant.size.channels, Fraction(1), object)
    levels = affine(node, meant, ones / scale, zero * ones)
    assert isinstance(levels, Levels)
    context.values[node.output[0]] = levels
    watched = Watched(levels, name, node.input[0], found, sums, kernel is not None, meant)
    context.watched.append(watched)


def _stored(
    context: ImportContext, node: NodeProto, tensor: NetworkTensor, quantizer: Quantizer
) -> Quantizer:
    """Let the lowest code be level 0 where that is narrower and no zeros lie around the tensor."""
    low, high, zero = quantizer.low, quantizer.high, quantizer.zero
    if narrowest(low - zero, high - zero).width <= narrowest(0, high - low).width:
        return quantizer
    # several quantisers of the input must agree
    name = context.model.graph.input[0].name if isinstance(tensor, Raw) else node.output[0]
    if any(tensor.padding) or padded_ahead(context, name, any_value=True):
        return quantizer
    return replace(quantizer, base=low)


def _clipped(context: ImportContext, node: NodeProto, codes: _Codes) -> tuple[int, int, str]:
    """Return the codes' ends within a Clip that alone reads them, and the tensor that has them."""
    output = node.output[0]
    readers = context.model.find_consumers(output) or []
    is_output = any(each.name == output for each in context.model.graph.output)
    if is_output or len(readers) != 1 or readers[0].op_type != "Clip":
        return codes.low, codes.high, output
    (clip,) = readers
    given = [context.constant(clip, place, "limit") for place in (1, 2)]
    ends = [None if each is None or each.size != 1 else int(each.ravel()[0]) for each in given]
    low = codes.low if ends[0] is None else max(codes.low, ends[0])
    high = codes.high if ends[1] is None else min(codes.high, ends[1])
    if low >= high:
        refuse(clip, f"leaves codes from {low} to {high}: at least two are needed")
    return low, high, clip.output[0]


def _drop(context: ImportContext, node: NodeProto) -> None:
    """Drop a quantiser of probabilities: the class is that of the logits."""
    context.drop(node)
    context.values[node.output[0]] = context.operand(node, 0)


def _constant_codes(
    context: ImportContext, node: NodeProto, value: np.ndarray | Weights
) -> np.ndarray:
    """Return the codes of constants, as float32 gives them."""
    values = value.values() if isinstance(value, Weights) else value
    given = np.asarray(values, np.float32)
    codes = _codes(context, node, given.shape)
    found = np.rint(given / codes.scale.astype(np.float32)).astype(np.float64) + codes.zero
    return found.clip(codes.low, codes.high).astype(codes.dtype)


# --- dequantise ------------------------------------------------------------------------------


def dequantize_linear(context: ImportContext, node: NodeProto) -> None:
    """Run a DequantizeLinear: of constant weights, of codes, or of an input of integers."""
    value = context.operand(node, 0)
    if isinstance(value, np.ndarray):
        context.values[node.output[0]] = _weights(context, node, value)
        return
    tensor = context.tensor(node)
    if scores_behind(context, node.input[0]):
        _drop(context, node)
        return
    codes = _codes(context, node, tensor.index.shape)
    scale, zero = (
        context.channels(node, tensor, fractions(each), what)
        for each, what in ((codes.scale, "scale"), (codes.zero, "zero point"))
    )
    if isinstance(tensor, Raw):
        tensor = _input(context, node, tensor, codes, zero)
        zero = 0 * zero
    context.values[node.output[0]] = affine(node, tensor, scale, -zero * scale)


def _weights(context: ImportContext, node: NodeProto, values: np.ndarray) -> Weights:
    """Return constants: weights, or a bias."""
    codes = _codes(context, node, values.shape)
    levels = values.astype(np.int64) - codes.zero
    low, high = int(levels.min(initial=0)), int(levels.max(initial=0))
    found = narrowest(max(low, -(1 << (WIDEST_WEIGHT - 1))), min(high, (1 << 31) - 1))
    return Weights.of(levels, fractions(codes.scale), found)


def _input(
    context: ImportContext, node: NodeProto, tensor: Raw, codes: _Codes, zero: np.ndarray
) -> Levels:
    """Return the levels of an input of integers, less their zero point."""
    if codes.high - codes.low >= 1 << WIDEST:
        refuse(node, f"reads an input of {codes.dtype}; up to {WIDEST} bits are supported")
    if len({*zero.tolist()}) > 1:
        refuse(
            node, "its zero points differ by channel; only one for the whole tensor is supported"
        )
    one, none, own = np.full(1, Fraction(1), object), Fraction(0), int(zero[0])
    shifted = tensor.through(lambda transfer: transfer.shifted(-zero))
    ends = codes.low - own, codes.high - own
    found = Quantizer(one, none, *ends, "ROUND", False, one, none)
    stored = _stored(context, node, tensor, found)
    return quantised_input(context, node, shifted, stored, rounds=False)
