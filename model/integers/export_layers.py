"""Steps of a trained model as layers whose integers are still to be solved, in exact fractions."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from ...hw.errors import NetworkError
from ...hw.network.layers import Layer, MaxPool, Move, Window
from ...hw.network.moving import moves_of
from ...hw.network.network import INPUT
from ...hw.network.window import Size
from ...hw.numbers.formats import Format
from ..exact.quantizer import Quantizer
from ..exact.ranges import reach
from ..exact.requantisation import Steps
from ..exact.transfer import Transfer, fractions
from ..exact.unsolved import Accumulation, UnsolvedLayer
from ..layers.affine import constants
from ..layers.blocks import Model, Node
from ..layers.norm import units
from ..layers.quantize import ActivationQuantizer
from ..layers.steps import BIAS, Head, SidedMaxPool, Step, WeightedStep, pair
from ..layers.unweighted import AddStep, AveragePoolStep, summands

__all__ = ["channels_last", "enlarged", "hidden_layer", "last_layer", "max_pool", "window_of"]

Lengths = int | tuple[int, ...]


def hidden_layer(model: Model, node: Node, step: Step, sources: tuple[str, ...]) -> UnsolvedLayer:
    """Return a hidden step: a norm of its sums, quantised, with signs moved into the weights.

    Raises
    ------
    NetworkError
        For parameters that are no numbers.
    """
    numbers = torch.broadcast_tensors(units(model)[node.name], *constants(step.norm))
    try:
        unit, mean, deviation, gamma, beta = (fractions(each.numpy()) for each in numbers)
        scale = Fraction(float(model.scales()[node.name]))
    except (OverflowError, ValueError) as error:
        raise NetworkError(
            f"layer {node.name}: a norm or a scale is infinite or no number; the training has "
            "diverged: train with a lower rate"
        ) from error
    slope, falling = gamma / deviation, numbers[3].numpy() < 0
    sums = _accumulation(model, node, step, sources).flipped(falling)
    ends = step.output.min_level, step.output.max_level
    if isinstance(step.activation, ActivationQuantizer):
        ends = step.activation.ends
    steps = Steps(
        name=node.name,
        output=step.output,
        low=sums.low,
        high=sums.high,
        transfer=Transfer.linear(unit * slope, beta - mean * slope).flipped(falling),
        quantizer=Quantizer.nearest(step.output, scale, ends),
        mirrored=np.zeros(len(falling), bool),
        ends=ends,
    )
    return UnsolvedLayer(node.name, sums, step.output, steps=steps)


def last_layer(model: Model, node: Node, step: Step, sources: tuple[str, ...]) -> UnsolvedLayer:
    """Return the last step: its logits are plain sums, and a bias in their units.

    Sums of narrower channels are multiplied by powers of two first.
    """
    sums, bias = _accumulation(model, node, step, sources), np.zeros(1, np.int64)
    gain = np.ones(1)
    if isinstance(step, Head):
        unit = step.unit(model.scales()[node.sources[0]])
        bias = BIAS.quantize(step.bias.detach() / unit).numpy()
        quantizer, shadow = step.weights()
        gain = quantizer.spread(torch.ones(len(bias), *[1] * (shadow.ndim - 1))).numpy().ravel()
    transfer = Transfer.linear(fractions(gain), fractions(bias))
    return UnsolvedLayer(node.name, sums, None, transfer=transfer)


def max_pool(name: str, pool: nn.MaxPool2d, fmt: Format, sources: tuple[str, ...]) -> Layer:
    """Return the layer of a max pool."""
    if isinstance(pool, SidedMaxPool):
        window = Window(pair(pool.kernel_size), pair(pool.stride), pool.sides)
    else:
        window = window_of(pool.kernel_size, pool.stride, pool.padding)
    return MaxPool(name=name, input=fmt, output=fmt, sources=sources, window=window)


def enlarged(
    name: str, factors: tuple[int, int], fmt: Format, source: str, shape: tuple[int, ...]
) -> list[Layer]:
    """Return the moves that repeat rows and columns.

    Parameters
    ----------
    name : str
        Of the last of them.
    factors : tuple of int
        Rows and columns that each becomes.
    fmt : Format
        Of its levels.
    source : str
        What it reads.
    shape : tuple of int
        Channels, height and width that it gives.
    """
    (rows, columns), size = factors, _size(shape)
    few = Size(size.height // rows, size.width // columns, size.channels)
    order = np.arange(few.elements).reshape(few).repeat(rows, 0).repeat(columns, 1)
    found: list[Layer] = []
    for place, move in enumerate(moves := moves_of(order, few.elements) or ()):
        last = place == len(moves) - 1
        each = Move(
            name=name if last else f"{name}/columns",
            sources=(source,),
            input=fmt,
            output=fmt,
            size=size if last else Size(*move.blocks, move.length),
            **move._asdict(),
        )
        found.append(each)
        source = each.name
    return found


def _accumulation(model: Model, node: Node, step: Step, sources: tuple[str, ...]) -> Accumulation:
    """Return the sums of a step, before any sign is flipped."""
    height, width, channels = model.image_shape
    shapes = {INPUT: (channels, height, width)} | {each.name: each.shape for each in model.nodes}
    times: tuple[int, ...] = (1,)
    if isinstance(step, AddStep):
        one, two, _ = summands(*(float(model.scales()[source]) for source in node.sources))
        times = one, two
    elif isinstance(step, AveragePoolStep):
        times = (step.kernel[0] * step.kernel[1],)
    pairs = zip(times, step.inputs, strict=True)
    ends = [reach(np.array([[each]]), fmt.min_level, fmt.max_level) for each, fmt in pairs]
    found = Accumulation(
        name=node.name,
        sources=sources,
        inputs=step.inputs,
        input_sizes=tuple(_size(shapes[source]) for source in node.sources),
        size=_size(node.shape),
        low=sum((low for low, _ in ends), np.zeros(1, np.int64)),
        high=sum((high for _, high in ends), np.zeros(1, np.int64)),
        summands=times if isinstance(step, AddStep) else (),
    )
    if isinstance(step, WeightedStep):
        return _weighted(step, found)
    if isinstance(step, AveragePoolStep) and not step.whole:
        return replace(found, window=window_of(step.kernel, step.stride, step.padding))
    return found


def _weighted(step: WeightedStep, sums: Accumulation) -> Accumulation:
    """Return the sums of a dense layer or a convolution, its weights in the order channels last."""
    quantizer, shadow = step.weights()
    weights, (fmt,) = channels_last(step, quantizer.levels(shadow)), step.inputs
    if not isinstance(step.op, nn.Linear):
        sums = replace(sums, window=step.window, groups=step.op.groups)
    low, high = reach(weights, fmt.min_level, fmt.max_level)
    return replace(
        sums, weights=weights, weight=quantizer.format, widths=quantizer.widths, low=low, high=high
    )


def channels_last(step: WeightedStep, levels: Tensor) -> np.ndarray:
    """Return weight levels in the order of `Dense` or `Conv2d`, with the zeros of a dilation."""
    if not isinstance(step.op, nn.Linear):
        levels = step.spread(levels).permute(0, 2, 3, 1)
    elif len(step.spatial) == 3:
        levels = levels.reshape(-1, *step.spatial).permute(0, 2, 3, 1).flatten(1)
    return levels.cpu().numpy()


def window_of(kernel: Lengths, stride: Lengths, padding: Lengths) -> Window:
    """Return the window of torch's sizes, padded alike on opposite sides."""
    rows, columns = pair(padding)
    return Window(pair(kernel), pair(stride), (rows, columns, rows, columns))


def _size(shape: tuple[int, ...]) -> Size:
    """Return the size of a tensor of channels, and height and width if it has them."""
    channels, height, width = (*shape, 1, 1)[:3]
    return Size(height, width, channels)
