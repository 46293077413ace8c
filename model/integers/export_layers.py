"""Export of single steps: their exact step functions for folding, and their layers of integers."""

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...hw.errors import NetworkError
from ...hw.network import layers
from ...hw.network.layers import Layer, Window
from ...hw.numbers.arithmetic import bits_for
from ...hw.numbers.formats import MAX_WIDTH, Fixed, Format
from ..exact.curve import Curve, fractions
from ..exact.formats import reach
from ..exact.quantizer import Quantizer
from ..exact.search import Integers
from ..exact.steps import Steps
from ..layers.blocks import Model, Node
from ..layers.norm import constants, units
from ..layers.steps import BIAS, Head, Step, WeightedStep
from ..layers.unweighted import AddStep, AveragePoolStep, summands
from ..lowering.supported import pair

__all__ = ["final_layer", "folded", "max_pool", "requantised"]


def folded(model: Model, node: Node, step: Step) -> Steps:
    """Return what one hidden step does to its sums, exactly, with signs moved into the weights.

    Raises
    ------
    NetworkError
        For parameters that are no numbers.
    """
    norm = constants(step.norm)
    numbers = torch.broadcast_tensors(units(model)[node.name], *norm)
    try:
        unit, mean, deviation, gamma, beta = (fractions(each.numpy()) for each in numbers)
        scale = Fraction(float(model.scales()[node.name]))
    except (OverflowError, ValueError) as error:
        raise NetworkError(
            f"layer {node.name}: a norm or a scale is infinite or no number; the training has "
            "diverged: train with a lower rate"
        ) from error
    slope, (low, high) = gamma / deviation, _reach(model, node, step)
    curve, flipped = Curve.linear(unit * slope, beta - mean * slope), numbers[3].numpy() < 0
    return Steps(
        name=node.name,
        output=step.output,
        low=np.where(flipped, -high, low),
        high=np.where(flipped, -low, high),
        curve=curve.flipped(flipped),
        quantizer=Quantizer.nearest(step.output, scale),
        mirrored=np.zeros(len(flipped), bool),
        ends=(step.output.min_level, step.output.max_level),
    )


def _reach(model: Model, node: Node, step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of a step's accumulator, before any sign is flipped."""
    if isinstance(step, WeightedStep):
        quantizer, shadow = step.weights()
        return _ends(quantizer.levels(shadow).cpu().numpy(), step.inputs[0])
    if isinstance(step, AveragePoolStep):
        taps = step.kernel[0] * step.kernel[1]
        return _ends(np.array([[taps]]), step.inputs[0])
    ends = [
        _ends(np.array([[times]]), fmt)
        for times, fmt in zip(_summands(model, node.name), step.inputs, strict=True)
    ]
    return ends[0][0] + ends[1][0], ends[0][1] + ends[1][1]


def _ends(weights: np.ndarray, fmt: Format) -> tuple[np.ndarray, np.ndarray]:
    return reach(weights, fmt.min_level, fmt.max_level)


def _summands(model: Model, name: str) -> tuple[int, int]:
    scales = model.scales()
    (sources,) = [node.sources for node in model.nodes if node.name == name]
    one, two, _ = summands(*(float(scales[source]) for source in sources))
    return one, two


def requantised(
    model: Model, name: str, step: Step, integers: Integers, sources: tuple[str, ...]
) -> Layer:
    """Return the layer of a hidden step."""
    common: dict[str, Any] = {
        "name": name,
        "input": step.inputs[0],
        "output": step.output,
        "sources": sources,
        "bias": integers.bias,
        "multiplier": integers.multiplier,
        "shift": integers.shift,
    }
    if isinstance(step, WeightedStep):
        sign = torch.where(constants(step.norm).gamma < 0, -1, 1)
        return _weighted(step, sign, common)
    if isinstance(step, AveragePoolStep):
        return layers.AveragePool(**common, window=_average_window(step))
    assert isinstance(step, AddStep)
    return layers.Add(**common, other=step.inputs[1], summands=_summands(model, name))


def _weighted(step: WeightedStep, sign: Tensor, common: dict[str, Any]) -> Layer:
    """Return a dense layer or convolution, its weights in the order channels last."""
    quantizer, shadow = step.weights()
    levels = quantizer.levels(shadow)
    levels = levels * sign.reshape(-1, *[1] * (levels.ndim - 1))
    common |= {"weight": quantizer.format}
    if isinstance(step.op, nn.Linear):
        if len(step.spatial) == 3:
            levels = levels.reshape(-1, *step.spatial).permute(0, 2, 3, 1).flatten(1)
        return layers.Dense(**common, weights=levels.numpy())
    window = _window(step.op.kernel_size, step.op.stride, step.op.padding)
    weights = levels.permute(0, 2, 3, 1).numpy()
    return layers.Conv2d(**common, weights=weights, window=window, groups=step.op.groups)


def _window(kernel: Any, stride: Any, padding: Any) -> Window:
    rows, columns = pair(padding)
    return Window(pair(kernel), pair(stride), (rows, columns, rows, columns))


def _average_window(step: AveragePoolStep) -> Window | None:
    return None if step.whole else _window(step.kernel, step.stride, step.padding)


def max_pool(name: str, pool: nn.MaxPool2d, fmt: Format, sources: tuple[str, ...]) -> Layer:
    """Return the layer of a max pool."""
    window = _window(pool.kernel_size, pool.stride, pool.padding)
    return layers.MaxPool(name=name, input=fmt, output=fmt, sources=sources, window=window)


def final_layer(model: Model, name: str, step: Step, sources: tuple[str, ...]) -> Layer:
    """Return the last layer: plain sums, and a bias in their units, in a format for them all.

    Sums of more than 32 bits, which take 16-bit operands, lose their lowest bits.
    """
    (node,) = [node for node in model.nodes if node.name == name]
    low, high = _reach(model, node, step)
    bias = np.zeros(1, np.int64)
    if isinstance(step, Head):
        unit = step.unit(model.scales()[node.sources[0]])
        bias = BIAS.quantize(step.bias.detach() / unit).numpy()
    width = bits_for(min(int((low + bias).min()), -1), max(int((high + bias).max()), 0))
    common: dict[str, Any] = {
        "name": name,
        "input": step.inputs[0],
        "output": Fixed(min(width, MAX_WIDTH)),
        "sources": sources,
        "bias": bias,
        "multiplier": np.ones(len(bias), np.int64),
        "shift": max(width - MAX_WIDTH, 0),
    }
    if isinstance(step, Head):
        return _weighted(step, torch.ones(len(bias), dtype=torch.int64), common)
    assert isinstance(step, AveragePoolStep)
    return layers.AveragePool(**common, window=_average_window(step))
