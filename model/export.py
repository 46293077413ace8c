"""Export: a trained torch model becomes the `hw.network.Network` that hardware runs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..hw.arithmetic import Accumulator, bits_for
from ..hw.errors import NetworkError
from ..hw.mapping import accumulator_bits
from ..hw.network import Dense, Network
from ..hw.number import MAX_WIDTH, Fixed, Format
from .fold import FoldedLayer, Integers, reach, solve_together
from .mlp import BIAS, Hidden, Mlp, activation_scale, weight_quantizer
from .norm import constants
from .recipe import Recipe, default_activation
from .train import Trained

__all__ = ["FoldReport", "export"]


@dataclass(frozen=True)
class FoldReport:
    """What folding a layer took.

    Attributes
    ----------
    layer : str
        Its name.
    channels : int
        Channels folded and compared.
    shift : int
        Rounding shift.
    multiplier_bits, bias_bits : int
        Width of the widest multiplier (unsigned) and bias (two's complement).
    levels_compared : int
        Accumulator levels, over all channels, at which integers and float function were compared;
        0 for the last layer, which has no function to compare.
    """

    layer: str
    channels: int
    shift: int
    multiplier_bits: int
    bias_bits: int
    levels_compared: int


def export(
    trained: Trained, *, lanes: int, accumulator: Accumulator | None = None, name: str | None = None
) -> tuple[Network, tuple[FoldReport, ...]]:
    """Turn a trained model into a network of integers, and say what that took.

    All hidden layers get one shift, so that the hardware needs no barrel shifter; with a bipolar
    output they need none. The last layer has multiplier 1, shift 0 and a format that holds all its
    sums: its levels are the logits.

    Parameters
    ----------
    trained : Trained
        A quantised network.
    lanes : int
        Lanes of the array, which decide how much padding the accumulator must hold.
    accumulator : Accumulator, optional
        Register of the dot products; None takes the narrowest that cannot overflow, wrapping.
        The integers do not depend on it.
    name : str, optional
        Name of the network; None makes one from data set, formats and widths.

    Raises
    ------
    NetworkError
        For a float network; or when no shift is exact, with the layer and the channel.
    """
    recipe, model = trained.recipe, trained.model
    if recipe.weight_format is None:
        raise NetworkError("a float network has no integers; train it with a weight format")
    with torch.no_grad():
        hidden = _hidden(model, trained.input)
        solutions = solve_together(hidden)
        layers = [
            _dense(layer, integers) for layer, (integers, _) in zip(hidden, solutions, strict=True)
        ]
        layers.append(_head(model, layers[-1].output if layers else trained.input))
    compared = [count for _, count in solutions] + [0]
    reports = tuple(_report(layer, count) for layer, count in zip(layers, compared, strict=True))
    network = Network(
        name=name or _name(recipe),
        layers=tuple(layers),
        accumulator=accumulator or Accumulator(48),
        about=_about(trained, reports),
    )
    if accumulator is None:
        network = network.with_accumulator(Accumulator(accumulator_bits(network, lanes)))
    return network, reports


def _hidden(model: Mlp, input: Format) -> list[FoldedLayer]:
    """Return the float functions of all hidden layers, at the start of which ``input`` is read."""
    layers = []
    scale = torch.tensor(model.input_scale, dtype=torch.float64)
    for index, module in enumerate(model.hidden_layers):
        layer = _folded(f"hidden{index}", module, input, scale.double())
        layers.append(layer)
        input, scale = layer.output, activation_scale(module)
    return layers


def _name(recipe: Recipe) -> str:
    """Return the name that tells a network from those of other recipes in the same study."""
    formats = [str(recipe.weight_format)]
    if recipe.weight_format and recipe.activation_format != default_activation(
        recipe.weight_format
    ):
        formats.append(str(recipe.activation_format))
    return "-".join([recipe.dataset, *formats, *map(str, recipe.widths)])


def _folded(name: str, module: Hidden, input: Format, input_scale: Tensor) -> FoldedLayer:
    """Return the float function of one hidden layer, with signs moved into the weights."""
    quantizer, shadow = weight_quantizer(module.linear)
    mean, deviation, gamma, beta = (constant.numpy() for constant in constants(module.norm))
    sign = np.where(gamma < 0, -1, 1)
    unit = (quantizer.scale(shadow).reshape(-1).double() * input_scale).numpy()
    return FoldedLayer(
        name=name,
        weight=quantizer.format,
        input=input,
        output=module.activation.format,  # type: ignore[arg-type]
        weights=quantizer.levels(shadow).numpy() * sign[:, None],
        unit=np.broadcast_to(unit, gamma.shape) * sign,
        mean=mean,
        deviation=deviation,
        gamma=gamma,
        beta=beta,
        step=float(activation_scale(module)),
    )


def _dense(layer: FoldedLayer, integers: Integers) -> Dense:
    return Dense(
        name=layer.name,
        weight=layer.weight,
        input=layer.input,
        output=layer.output,
        weights=layer.weights,
        bias=integers.bias,
        multiplier=integers.multiplier,
        shift=integers.shift,
    )


def _head(model: Mlp, input: Format) -> Dense:
    """Return the last layer: sums and bias in units of the accumulator, in a format for them all.

    Sums of more than 32 bits, which take 16-bit operands, lose their lowest bits.
    """
    quantizer, shadow = weight_quantizer(model.head.linear)
    weights = quantizer.levels(shadow).numpy()
    unit = model.head.unit(model.last_scale)
    bias = BIAS.quantize(model.head.bias.detach() / unit).numpy()
    low, high = (end + bias for end in reach(weights, input))
    width = bits_for(min(int(low.min()), -1), max(int(high.max()), 0))
    return Dense(
        name="head",
        weight=quantizer.format,
        input=input,
        output=Fixed(min(width, MAX_WIDTH)),
        weights=weights,
        bias=bias,
        multiplier=np.ones(len(bias), np.int64),
        shift=max(width - MAX_WIDTH, 0),
    )


def _report(layer: Dense, compared: int) -> FoldReport:
    return FoldReport(
        layer=layer.name,
        channels=layer.outputs,
        shift=layer.shift,
        multiplier_bits=int(layer.multiplier.max()).bit_length(),
        bias_bits=bits_for(min(int(layer.bias.min()), 0), max(int(layer.bias.max()), 0)),
        levels_compared=compared,
    )


def _about(trained: Trained, reports: Sequence[FoldReport]) -> dict[str, Any]:
    """Return the network's origin as plain JSON data."""
    about: dict[str, Any] = {
        "dataset": trained.recipe.dataset,
        "recipe": trained.recipe.plain(),
        "accuracy_trained": trained.accuracy,
        "fold": [asdict(report) for report in reports],
    }
    if trained.accuracy_float is not None:
        about["accuracy_float"] = trained.accuracy_float
    return about
