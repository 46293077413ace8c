"""Element by element: scales, offsets, norms, activations, and sums of two tensors."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
from onnx import NodeProto, TensorProto, helper

from ....hw.errors import NetworkError
from ....hw.network.layers import MAX_SUMMAND
from ....hw.network.window import Size
from ...exact.tensors import Levels, Sums, Tensor, Weights
from ...exact.transfer import INFINITY, Number, Transfer, column, fractions
from ...exact.unsolved import Accumulation
from ..graph.node import Attributes, attributes, refuse
from .consumers import is_end, scores_behind
from .context import ImportContext, NetworkTensor, Raw
from .levels import levels_of, sums_of
from .placing import arranged, as_image, settled, upside_down
from .quantise import whole_levels

MOST_CHANNELS = 1 << 14  # elements that may have constants of their own

__all__ = [
    "NONLINEAR",
    "activation",
    "affine",
    "arithmetic",
    "batch_norm",
    "cast",
    "nonlinear",
    "same",
]


def same(context: ImportContext, node: NodeProto) -> None:
    """Pass a tensor or a constant on."""
    if node.op_type == "Dropout" and np.any(context.constant(node, 2, "training_mode")):
        refuse(node, "still trains; export the model for inference")
    context.values[node.output[0]] = context.operand(node, 0)


def cast(context: ImportContext, node: NodeProto) -> None:
    """Pass on a tensor whose values another type holds, too."""
    value, wanted = context.operand(node, 0), attributes(node)["to"]
    keeps = wanted in (TensorProto.FLOAT, TensorProto.DOUBLE) or (
        isinstance(value, Levels) and is_end(context, node.output[0]) and _are_whole(value, wanted)
    )
    if node.output[0] in context.kernels:  # which gives whole sums, as integers
        keeps = True
    if not keeps and isinstance(value, (Tensor, Weights)):
        refuse(node, "rounds a tensor of the network to another type; only a Quant node may")
    context.values[node.output[0]] = value


def _are_whole(tensor: Levels, wanted: int) -> bool:
    """Tell whether a type of integers holds all values of a quantised tensor."""
    dtype = helper.tensor_dtype_to_np_dtype(wanted)
    if dtype.kind not in "iu":
        return False
    parts = [*tensor.scale, *(tensor.scale * tensor.offset)]
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    return all(each.denominator == 1 for each in parts) and _is_inside(tensor, least, most)


# --- scales and offsets ----------------------------------------------------------------------


def arithmetic(context: ImportContext, node: NodeProto) -> None:
    """Run Add, Sub, Mul or Div: with a constant, or Add or Sub of two tensors."""
    one, two = context.value(node, 0), context.value(node, 1)
    moving = [isinstance(each, (Raw, Levels, Sums)) for each in (one, two)]
    if all(moving):
        if node.op_type not in ("Add", "Sub"):
            refuse(
                node,
                "of two tensors of the network there are only sums and differences, since hardware "
                "multiplies by constants alone; Add them, or multiply by one constant a channel",
            )
        _add(context, node)
        return
    if isinstance(one, Weights) or isinstance(two, Weights):
        if not any(moving):
            context.values[node.output[0]] = _scaled_weights(context, node)
            return
    place = 0 if moving[0] else 1
    tensor = context.tensor(node, place)
    values = context.constant(node, 1 - place, "operand")
    assert values is not None
    if isinstance(tensor, Levels):
        tensor = _by_element(context, node, tensor, values)
    constant = context.channels(node, tensor, fractions(values), "constant")
    ones = np.full(len(constant), Fraction(1), object)
    match node.op_type:
        case "Add":
            found = affine(node, tensor, ones, constant)
        case "Sub" if place == 0:
            found = affine(node, tensor, ones, -constant)
        case "Sub":
            found = affine(node, tensor, -ones, constant)
        case "Mul":
            found = affine(node, tensor, constant, 0 * ones)
        case _:
            if values.dtype.kind in "iu":
                refuse(node, "divides integers, which rounds; divide real numbers")
            if place or not all(constant):
                refuse(node, "divides by a tensor of the network, or by zero")
            found = affine(node, tensor, 1 / constant, 0 * ones)
    context.values[node.output[0]] = found


def _by_element(
    context: ImportContext, node: NodeProto, levels: Levels, values: np.ndarray
) -> Levels:
    """Return a tensor whose elements are channels of one pixel where a constant needs that."""
    shape = levels.index.shape
    fits = np.broadcast_shapes(values.shape, shape) == shape
    if not fits or levels.repeats or levels.per_channel(values) is not None:
        return levels
    levels = settled(context, node, levels)
    if levels.size.elements > MOST_CHANNELS or shape != levels.index.shape:
        refuse(
            node,
            f"its constant of shape {values.shape} differs within the channels of a tensor of "
            f"{shape}, which has more than {MOST_CHANNELS:,} elements; use one number a channel",
        )
    line = Size(1, 1, levels.size.elements)
    return arranged(context, node, levels, line, levels.index, what="changes elements that")


def _scaled_weights(context: ImportContext, node: NodeProto) -> Weights:
    """Return constant weights times a constant."""
    place = 0 if isinstance(context.value(node, 0), Weights) else 1
    weights = context.value(node, place)
    assert isinstance(weights, Weights)
    values = context.constant(node, 1 - place, "factor")
    if node.op_type not in ("Mul", "Div") or values is None or (node.op_type, place) == ("Div", 1):
        refuse(node, "quantised weights can only be multiplied by constants")
    factor = fractions(values)
    if not np.all(factor > 0):
        refuse(node, "multiplies quantised weights by what is not positive")
    scale = weights.scale * factor if node.op_type == "Mul" else weights.scale / factor
    try:
        return Weights.of(weights.levels, scale, weights.format, weights.bits)
    except ValueError as error:
        refuse(node, str(error))


def affine(
    node: NodeProto, tensor: NetworkTensor, factor: np.ndarray, amount: np.ndarray
) -> NetworkTensor:
    """Return ``tensor * factor + amount``, channel by channel."""
    if isinstance(tensor, Levels):
        if not all(factor):
            refuse(node, "multiplies a quantised tensor by zero")
        scale, around = tensor.scale * factor, tensor.pad_value
        return replace(
            tensor,
            scale=scale,
            offset=tensor.offset + amount / scale,
            pad_value=None if around is None else around * factor + amount,
        )
    return tensor.through(lambda transfer: transfer.scaled(factor).shifted(amount))


def batch_norm(context: ImportContext, node: NodeProto) -> None:
    """Run a BatchNormalization with constant statistics."""
    tensor = context.tensor(node)
    if attributes(node).get("training_mode", 0):
        refuse(node, "still trains; export the model for inference")
    names = ("scale", "offset", "mean", "variance")
    found = []
    for place, name in enumerate(names, 1):
        values = context.constant(node, place, name)
        assert values is not None
        along = values.reshape(-1, *[1] * (tensor.index.ndim - 2))  # its channels are axis 1
        found.append(context.channels(node, tensor, fractions(along), name))
    gamma, beta, mean, variance = found
    epsilon = float(attributes(node).get("epsilon", 1e-5))
    # the one constant that is no rational number: taken in float64
    if any(each + Fraction(epsilon) <= 0 for each in variance):
        refuse(node, "its variance is negative or zero")
    deviation = fractions(np.sqrt(variance.astype(np.float64) + epsilon))
    factor = gamma / deviation
    if isinstance(tensor, Levels) and not all(factor):
        tensor = sums_of(context, node, tensor)
    context.values[node.output[0]] = affine(node, tensor, factor, beta - mean * factor)


# --- activations -----------------------------------------------------------------------------


def activation(context: ImportContext, node: NodeProto) -> None:
    """Run Relu, Clip or HardSigmoid: what is a scale, an offset and a clip."""
    if node.op_type == "Clip" and scores_behind(context, node.input[0]):
        context.drop(node)
        context.values[node.output[0]] = context.operand(node, 0)
        return
    tensor, values = context.tensor(node), attributes(node)
    low: Number = Fraction(0)
    high: Number = INFINITY
    if node.op_type == "Clip":
        low, high = (_end(context, node, place, values) for place in (1, 2))
    elif node.op_type == "HardSigmoid":
        ones = np.full(tensor.size.channels, Fraction(1), object)
        alpha, beta = Fraction(float(values.get("alpha", 0.2))), Fraction(values.get("beta", 0.5))
        tensor = affine(node, tensor, alpha * ones, beta * ones)
        high = Fraction(1)
    if isinstance(tensor, Levels):
        if _is_inside(tensor, low, high):
            context.values[node.output[0]] = tensor
            return
        tensor = sums_of(context, node, tensor)
    context.values[node.output[0]] = tensor.through(lambda transfer: transfer.clipped(low, high))


def _end(context: ImportContext, node: NodeProto, place: int, values: Attributes) -> Number:
    """Return an end of a Clip, which is an input, or an attribute in old files."""
    given = context.constant(node, place, "limit")
    if given is not None and given.size:
        found = float(np.asarray(given, np.float64).ravel()[0])
    else:
        found = float(values.get(("min", "max")[place - 1], (-INFINITY, INFINITY)[place - 1]))
    return found if abs(found) == INFINITY or abs(found) > 3e38 else Fraction(found)


def _is_inside(tensor: Levels, low: Number, high: Number) -> bool:
    """Tell whether all values of a quantised tensor lie between two ends."""
    ends = [
        scale * (level + offset)
        for scale, offset in {*zip(tensor.scale, tensor.offset, strict=True)}
        for level in (tensor.low, tensor.high)
    ]
    if tensor.pad_value is not None:
        ends += tensor.pad_value.tolist()
    return low <= min(ends) and max(ends) <= high


def nonlinear(context: ImportContext, node: NodeProto) -> None:
    """Run a monotone function that is no straight line: its levels will be thresholds."""
    tensor = context.tensor(node)
    if isinstance(tensor, Raw):
        refuse(node, "of the input is not supported; quantise the input first")
    sums = sums_of(context, node, tensor)
    channels = sums.size.channels
    function, one = NONLINEAR[node.op_type](attributes(node)), True
    if node.op_type == "PRelu":
        given = context.constant(node, 1, "slope")
        if given is None:
            refuse(node, "its slope is left out")
        slope = context.channels(node, sums, fractions(given), "slope")
        if any(each < 0 for each in slope):
            refuse(node, "a negative slope makes it fall and rise, which no requantiser can")
        numbers = column(slope)
        one = len(numbers) == 1
        function = lambda x: np.where(x < 0, x * numbers, x)  # noqa: E731
    context.values[node.output[0]] = sums.through(
        lambda transfer: transfer.then(function, np.ones(channels, np.int64), one=one)
    )


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function; both branches are monotone, and nothing overflows."""
    small = np.exp(-abs(x))
    return np.where(x < 0, small, 1.0) / (1 + small)


def _rising(values: Attributes, default: float) -> float:
    """Return a slope below zero."""
    alpha = float(values.get("alpha", default))
    if alpha < 0:
        raise NetworkError("a negative slope makes it fall and rise, which no requantiser can")
    return alpha


def _elu(values: Attributes) -> Callable[[np.ndarray], np.ndarray]:
    alpha = _rising(values, 1.0)
    return lambda x: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


def _leaky(values: Attributes) -> Callable[[np.ndarray], np.ndarray]:
    alpha = _rising(values, 0.01)
    return lambda x: np.where(x < 0, x * alpha, x)


NONLINEAR: dict[str, Callable[[Attributes], Callable[[np.ndarray], np.ndarray]]] = {
    "Sigmoid": lambda values: _sigmoid,
    "Tanh": lambda values: np.tanh,
    "Softsign": lambda values: lambda x: x / (1 + abs(x)),
    "Softplus": lambda values: lambda x: np.logaddexp(x, 0),
    "Elu": _elu,
    "LeakyRelu": _leaky,
    "PRelu": _leaky,
}
"""Makers of functions of float64 that nowhere fall."""


# --- sums of two tensors ---------------------------------------------------------------------


def _add(context: ImportContext, node: NodeProto) -> None:
    """Add or subtract two quantised tensors: their levels, each times an integer."""
    one, two = (
        settled(context, node, _summand(context, node, context.tensor(node, place)))
        for place in (0, 1)
    )
    one, two = _broadcast(context, node, one, two)
    if one.size.positions > two.size.positions:
        two = arranged(context, node, two, one.size, one.index, what="adds elements that")
    else:
        one = arranged(context, node, one, two.size, two.index, what="adds elements that")
    if node.op_type == "Sub":
        two = replace(two, scale=-two.scale)
    ratios = {*(one.scale / two.scale).tolist()}
    if len(ratios) > 1:
        refuse(node, "the two tensors' scales differ by channel; use one scale for each")
    (ratio,) = ratios
    if ratio < 0:
        two, ratio = upside_down(context, node, two), -ratio
    parts = ratio.numerator, ratio.denominator
    summands = parts if max(parts) <= MAX_SUMMAND else ()
    sums = _sum(node, one, two, ratio, summands)
    offset = one.scale * one.offset + two.scale * two.offset
    gain = one.scale / (summands[0] if summands else 1)
    transfer = Transfer.linear(gain, offset)
    context.values[node.output[0]] = Sums(
        size=one.size, index=one.index, accumulation=sums, transfer=transfer
    )


def _broadcast(
    context: ImportContext, node: NodeProto, one: Levels, two: Levels
) -> tuple[Levels, Levels]:
    """Return two tensors of one shape; what is at several places becomes as many elements."""
    try:
        shape = np.broadcast_shapes(one.index.shape, two.index.shape)
    except ValueError:
        shape = ()
    if not shape or len(shape) != max(one.index.ndim, two.index.ndim) or shape[0] != 1:
        refuse(
            node,
            f"adds tensors of {one.index.shape} and {two.index.shape}, which do not broadcast",
        )
    wide = [replace(each, index=np.broadcast_to(each.index, shape)) for each in (one, two)]
    one, two = (
        each if wider.index.shape == each.index.shape else wider
        for each, wider in zip((one, two), wide, strict=True)
    )
    if one.size == two.size and np.array_equal(one.index, two.index):
        return one, two
    one, two = (as_image(context, node, each) if each.repeats else each for each in (one, two))
    return one, two


def _summand(context: ImportContext, node: NodeProto, tensor: NetworkTensor) -> Levels:
    """Return a tensor as levels: quantised, or sums that are levels as they are."""
    whole = whole_levels(context, node, tensor) if isinstance(tensor, Sums) else None
    return levels_of(context, node, tensor) if whole is None else whole


def _sum(
    node: NodeProto, one: Levels, two: Levels, ratio: Fraction, summands: tuple[int, ...]
) -> Accumulation:
    """Return how a sum is computed; without summands it counts in levels of the first tensor."""
    times = summands or (1, math.ceil(1 / ratio))
    channels = one.size.channels
    return Accumulation(
        name=node.name,
        sources=(one.source, two.source),
        inputs=(one.format, two.format),
        input_sizes=(one.size, two.size),
        size=one.size,
        low=np.full(channels, times[0] * one.low + times[1] * two.low),
        high=np.full(channels, times[0] * one.high + times[1] * two.high),
        summands=summands,
        ratio=ratio,
        ends=((one.low, one.high), (two.low, two.high)),
    )
