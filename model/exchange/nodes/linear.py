"""Products with constant weights: MatMul, Gemm, Conv."""

from fractions import Fraction

import numpy as np
from onnx import NodeProto

from ....hw.network.window import Size, Window
from ....hw.numbers.formats import Bipolar
from ...exact.ranges import channel_formats, narrowest, reach
from ...exact.tensors import Levels, Sums, Weights
from ...exact.transfer import Transfer, fractions
from ...exact.unsolved import Accumulation
from ..graph.node import FARTHEST, attributes, refuse, window_of
from .context import ImportContext, spread
from .levels import levels_of
from .placing import as_image, image_index, joined, padded_sides, padding_reason

__all__ = ["conv", "gemm", "matmul"]


def matmul(context: ImportContext, node: NodeProto) -> None:
    """Run a product of a tensor and a constant matrix of shape (inputs, outputs)."""
    _dense(context, node, _weights(context, node, 1).transposed(), None, Fraction(1))


def gemm(context: ImportContext, node: NodeProto) -> None:
    """Run ``alpha * x @ w + beta * c``."""
    values = attributes(node)
    if values.get("transA", 0):
        refuse(node, "transA is not supported")
    weights = _weights(context, node, 1)
    if not values.get("transB", 0):
        weights = weights.transposed()
    alpha, beta = (Fraction(float(values.get(name, 1.0))) for name in ("alpha", "beta"))
    bias = context.constant(node, 2, "bias")
    _dense(context, node, weights, None if bias is None else fractions(bias) * beta, alpha)


def _weights(context: ImportContext, node: NodeProto, place: int) -> Weights:
    """Return the weights that a node reads."""
    value = context.value(node, place)
    if isinstance(value, np.ndarray):
        value = _annotated(context, node, node.input[place], value)
    if not isinstance(value, Weights):
        refuse(node, "multiplies two tensors of the network; one of them must be constant weights")
    return value


def _annotated(context: ImportContext, node: NodeProto, name: str, values: np.ndarray) -> Weights:
    """Return constant weights that are integers of an annotated data type."""
    datatype = context.model.get_tensor_datatype(name)
    if not datatype.is_integer() or not np.all(values == np.rint(values)):
        refuse(
            node,
            f"its weights {name} are not quantised; they need a DequantizeLinear, Quant, "
            "BipolarQuant or FloatQuant node, or integers with a data type annotation",
        )
    if not all(map(datatype.allowed, np.unique(values))):
        refuse(node, f"its weights {name} do not fit their data type {datatype.name}")
    levels = np.rint(values).astype(np.int64)
    is_sign = datatype.name == "BIPOLAR"
    stated = Bipolar() if is_sign else narrowest(int(datatype.min()), int(datatype.max()))
    return Weights.of(levels, np.array([Fraction(1)], object), stated)


def _output_scale(node: NodeProto, scale: np.ndarray, outputs: int) -> np.ndarray:
    """Return the weights' scale of each output, from one that broadcasts to (outputs, ...)."""
    rows = scale.reshape(len(scale), -1)  # of as few numbers as it was given in
    if any(len({*row.tolist()}) > 1 for row in rows):
        refuse(
            node,
            "its weights have scales that differ between inputs; only one scale, or one for each "
            "output, can be folded",
        )
    return spread(rows[:, 0], outputs)


def _output_bits(node: NodeProto, bits: np.ndarray | None) -> np.ndarray | None:
    """Return the bits of each output's weights, from those of all in the shape (outputs, ...)."""
    if bits is None:
        return None
    rows = bits.reshape(len(bits), -1)
    if (rows != rows[:, :1]).any():
        refuse(
            node,
            "its weights have bit widths that differ between inputs; there is one for each output "
            "channel, or one for all",
        )
    return rows[:, 0]


def _dense(
    context: ImportContext,
    node: NodeProto,
    weights: Weights,
    bias: np.ndarray | None,
    factor: Fraction,
) -> None:
    """Run a dense layer; ``weights`` have shape (outputs, inputs) in the order of ONNX."""
    levels = weights.levels
    tensor = levels_of(context, node, context.tensor(node))
    if (
        levels.ndim != 2
        or levels.shape[1] != tensor.index.size
        or tensor.index.shape[-1] != (levels.shape[1])
    ):
        refuse(
            node,
            f"weights of {levels.shape[::-1]} do not fit a tensor of {tensor.index.shape}",
        )
    levels = _by_element(tensor, levels)
    channel = np.arange(tensor.size.elements) % tensor.size.channels
    gain, constant, levels = _folded_input(node, tensor, levels, channel[None, :])
    out = _output_scale(node, weights.scale, len(levels)) * factor
    fmt, widths = channel_formats(weights.format, _output_bits(node, weights.bits), levels)
    gain, offset = gain * out, constant * out
    size = Size(1, 1, len(levels))
    low, high = reach(levels, tensor.low, tensor.high)
    accumulation = Accumulation(
        name=node.name,
        sources=(tensor.source,),
        inputs=(tensor.format,),
        input_sizes=(tensor.size,),
        size=size,
        low=low,
        high=high,
        weights=levels,
        weight=fmt,
        widths=widths,
    )
    index = np.arange(len(levels)).reshape(*tensor.index.shape[:-1], -1)
    _give(context, node, accumulation, gain, offset, bias, index)


def _by_element(tensor: Levels, levels: np.ndarray) -> np.ndarray:
    """Return weights in the order of a tensor's elements; those of an element's places add up."""
    found = np.zeros((tensor.size.elements, len(levels)), np.int64)
    np.add.at(found, tensor.index.ravel(), levels.T)
    return found.T


def conv(context: ImportContext, node: NodeProto) -> None:
    """Run a convolution in one or two dimensions, grouped or not."""
    tensor, weights = levels_of(context, node, context.tensor(node)), _weights(context, node, 1)
    levels, scale = weights.levels, weights.scale
    is_line = levels.ndim == 3
    if is_line:
        levels, scale = levels[:, :, None, :], scale[:, :, None, :]
    if levels.ndim != 4 or tensor.index.ndim != weights.levels.ndim:
        refuse(
            node,
            f"weights of {weights.levels.shape} over a tensor of {tensor.index.shape}: "
            "a convolution reads images of shape (1, channels, height, width)",
        )
    tensor = as_image(context, node, tensor)
    size, groups = tensor.size, attributes(node).get("group", 1)
    if groups < 1 or levels.shape[1] * groups != size.channels or len(levels) % groups:
        refuse(
            node,
            f"weights of {levels.shape} in {groups} groups do not fit {size.channels} channels",
        )
    kernel = weights.levels.shape[2:]
    if tuple(attributes(node).get("kernel_shape", kernel)) != kernel:
        refuse(node, f"its kernel_shape is not that of its weights, {kernel}")
    levels = _dilated(node, levels, len(kernel))
    kernel = levels.shape[4 - len(kernel) :]
    tensor, window, own = _padded_window(context, node, tensor, kernel)
    size = tensor.size
    levels = levels.transpose(0, 2, 3, 1)
    each = np.arange(len(levels)) // (len(levels) // groups)
    channel = each[:, None] * levels.shape[3] + np.arange(levels.shape[3])
    gain, constant, levels = _folded_input(
        node, tensor, levels, channel[:, None, None, :], padded=own
    )
    out = _output_scale(node, scale, len(levels))
    zero = (0,) if any(window.padding) else ()
    fmt, widths = channel_formats(weights.format, _output_bits(node, weights.bits), levels)
    low, high = reach(levels, min([tensor.low, *zero]), max([tensor.high, *zero]))
    positions = window.positions(size)
    accumulation = Accumulation(
        name=node.name,
        sources=(tensor.source,),
        inputs=(tensor.format,),
        input_sizes=(size,),
        size=Size(positions[0], positions[1], len(levels)),
        low=low,
        high=high,
        weights=levels,
        weight=fmt,
        widths=widths,
        window=window,
        groups=groups,
    )
    index = image_index(accumulation.size, is_line)
    bias = context.constant(node, 2, "bias")
    _give(context, node, accumulation, gain * out, constant * out, bias, index)


def _dilated(node: NodeProto, levels: np.ndarray, axes: int) -> np.ndarray:
    """Return weights of shape (outputs, inputs, height, width) with zeros between their taps."""
    steps = [int(each) for each in attributes(node).get("dilations", [1] * axes)]
    if len(steps) != axes or min(steps) < 1:
        refuse(node, f"dilations {steps} are not {axes} numbers of at least 1")
    down, across = [1, *steps][-2:]
    *outer, height, width = levels.shape
    sides = (height - 1) * down + 1, (width - 1) * across + 1
    if max(sides) > FARTHEST:
        refuse(node, f"dilations {steps} make a kernel of {sides}, beyond {FARTHEST}")
    if sides == (height, width):
        return levels
    found = np.zeros((*outer, *sides), np.int64)
    found[:, :, ::down, ::across] = levels
    return found


def _padded_window(
    context: ImportContext, node: NodeProto, tensor: Levels, kernel: tuple[int, ...]
) -> tuple[Levels, Window, bool]:
    """Return the tensor, the window with what a Pad put around it, and whether it pads itself."""
    window = window_of(node, kernel, padded_sides(tensor), dilated=True)
    own = any(window.padding)
    if any(tensor.padding):
        if tensor.pad_level != tensor.format.zero_level:
            refuse(node, padding_reason(tensor, tensor.pad_value))
        if own and any(tensor.pad_value):  # type: ignore[arg-type]
            refuse(node, "pads with zeros what a Pad node put another value around")
        return (*joined(context, node, tensor, window), own)
    if own and tensor.format == Bipolar():
        refuse(
            node,
            "it pads signs with zeros, and no sign is 0; pad with -1 by a Pad node, or use 2 bits",
        )
    return tensor, window, own


def _folded_input(
    node: NodeProto,
    tensor: Levels,
    levels: np.ndarray,
    channel: np.ndarray,
    *,
    padded: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fold scales and offsets of the input's channels into the weights.

    Parameters
    ----------
    levels : int64 array of shape (outputs, ...)
        Weights.
    channel : int array that broadcasts against it
        The input channel that each weight meets.

    Returns
    -------
    tuple
        Gain and constant of each output, Fractions of shape (outputs,), and the weights with the
        signs of the channels.
    """
    falling = np.array([each < 0 for each in tensor.scale])
    if falling.any():
        levels = levels * np.where(falling, -1, 1)[channel]
    sizes = abs(tensor.scale)
    rows = np.broadcast_to(channel.reshape(len(channel), -1), (len(levels), channel[0].size))
    firsts = sizes[rows[:, 0]]
    if len({*sizes.tolist()}) > 1 and any(len({*sizes[row].tolist()}) > 1 for row in rows):
        refuse(
            node,
            "the channels of its input have different scales, which cannot be folded into integer "
            "weights; use one scale for the whole tensor",
        )
    constant = np.full(len(levels), Fraction(0), object)
    if any(tensor.offset):
        if padded:
            refuse(
                node,
                "it pads with zeros a tensor whose zero point cannot be folded; use symmetric "
                "quantisation, or no padding",
            )
        products = levels * tensor.offset[channel]  # the weights have the channels' signs already
        constant = products.reshape(len(levels), -1).sum(axis=1) * firsts
    return firsts, constant, levels


def _give(
    context: ImportContext,
    node: NodeProto,
    accumulation: Accumulation,
    gain: np.ndarray,
    offset: np.ndarray,
    bias: np.ndarray | None,
    index: np.ndarray,
) -> None:
    """Store the sums of a layer as what the node gives."""
    transfer = Transfer.linear(gain, offset)
    sums = Sums(size=accumulation.size, index=index, accumulation=accumulation, transfer=transfer)
    if bias is not None:
        values = fractions(bias).ravel()
        if values.size not in (1, len(gain)):
            refuse(node, f"a bias of shape {bias.shape} does not fit {len(gain)} outputs")
        spread = np.broadcast_to(values, (len(gain),))
        sums = Sums(
            size=accumulation.size,
            index=index,
            accumulation=accumulation,
            transfer=transfer.shifted(spread),
        )
    context.values[node.output[0]] = sums
