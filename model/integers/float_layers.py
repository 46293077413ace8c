"""Steps of a float network as layers: no integers are solved for, parameters are rounded once.

A layer's sum ``acc`` becomes ``acc * multiplier + bias``, both operations rounded in the format of
the sums, and then a level of its output. A norm is such a pair; so is the scale of weights that are
no floats.
"""

from typing import Any, NamedTuple

import numpy as np

from ...hw.errors import NetworkError
from ...hw.network.layers import Add, AveragePool, Conv2d, Dense, Layer, Weighted
from ...hw.numbers.float_sum import FloatSum
from ...hw.numbers.formats import Float
from ..layers.affine import constants
from ..layers.blocks import Model, Node
from ..layers.float_rounding import FloatActivation
from ..layers.norm import units
from ..layers.steps import Head, Step, WeightedStep
from ..layers.unweighted import AveragePoolStep
from .export_layers import channels_last, window_of

__all__ = ["float_layer"]


class _Line(NamedTuple):
    """What sums are multiplied by, and what is added then; float64, (channels,) or (1,)."""

    slope: np.ndarray
    offset: np.ndarray


def float_layer(
    model: Model,
    node: Node,
    step: Step,
    sources: tuple[str, ...],
    *,
    register: FloatSum,
    last: bool = False,
) -> Layer:
    """Return the layer of a step.

    Parameters
    ----------
    model : Model
        Whose activations are floats.
    node, step
        One of its steps that sums.
    sources : tuple of str
        What it reads.
    register : FloatSum
        What it sums in.
    last : bool
        Whether its sums come out, in the format that they have.

    Raises
    ------
    NetworkError
        For weights or parameters that are infinite or no number in their formats.
    """
    line, channels = _line(model, node, step), node.shape[0]
    if isinstance(step, WeightedStep):
        line = _Line(*(np.broadcast_to(each, channels) for each in line))
    output = register.format if last else step.output
    found: dict[str, Any] = {
        "name": node.name,
        "sources": sources,
        "input": step.inputs[0],
        "output": output,
        "multiplier": _levels(node.name, "a scale", register.format, line.slope),
        "bias": _levels(node.name, "an offset", register.format, line.offset),
    }
    if isinstance(step.activation, FloatActivation) and not last:
        found["low"], found["high"] = step.activation.ends
    if isinstance(step, WeightedStep):
        return _weighted(step, found)
    if isinstance(step, AveragePoolStep):
        window = None if step.whole else window_of(step.kernel, step.stride, step.padding)
        return AveragePool(**found, window=window)
    return Add(**found, other=step.inputs[1])


def _line(model: Model, node: Node, step: Step) -> _Line:
    """Return what becomes of the sums of weight levels."""
    unit = units(model)[node.name].numpy()
    if isinstance(step, Head):
        scale = float(step.unit(model.scales()[node.sources[0]]))
        return _Line(np.array([scale]), step.bias.detach().double().numpy())
    mean, deviation, gamma, beta = (each.numpy() for each in constants(step.norm))
    slope = gamma / deviation
    return _Line(slope * unit, beta - mean * slope)


def _weighted(step: WeightedStep, found: dict[str, Any]) -> Weighted:
    quantizer, shadow = step.weights()
    weights = channels_last(step, quantizer.levels(shadow))
    fmt = quantizer.format
    if isinstance(fmt, Float):
        _refuse_infinite(found["name"], "a weight", fmt, weights)
    found |= {"weights": weights, "weight": fmt, "widths": quantizer.widths}
    if weights.ndim == 2:
        return Dense(**found)
    return Conv2d(**found, window=step.window, groups=getattr(step.op, "groups", 1))


def _levels(name: str, what: str, fmt: Float, values: np.ndarray) -> np.ndarray:
    levels = fmt.quantize(np.asarray(values, np.float64))
    _refuse_infinite(name, what, fmt, levels)
    return levels


def _refuse_infinite(name: str, what: str, fmt: Float, levels: np.ndarray) -> None:
    if not fmt.is_finite(fmt.to_code(levels)).all():
        raise NetworkError(
            f"layer {name}: {what} is infinite or no number in {fmt}; take a format with more bits "
            "of exponent, such as bf16 or fp32, or train with a lower rate"
        )
