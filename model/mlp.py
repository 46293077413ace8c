"""The multilayer perceptron that is trained, in float and at every number format."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..hw.number import Fixed, Format
from .quantize import ActivationQuantizer, WeightQuantizer, straight_through

__all__ = ["BIAS", "Head", "Hidden", "Mlp", "activation_scale", "weight_quantizer"]

BIAS = Fixed(32)
"""Format of the last layer's bias, in units of its accumulator."""


class Hidden(nn.Module):
    """Linear layer without bias, BatchNorm, and the nonlinearity.

    Parameters
    ----------
    inputs, outputs : int
        Vector lengths.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm: nn.Module = nn.BatchNorm1d(outputs)
        self.activation: nn.Module = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map values of shape (images, inputs) to (images, outputs)."""
        return self.activation(self.norm(self.linear(x)))


class Head(nn.Module):
    """Last linear layer, whose bias is an integer in units of the accumulator once quantised.

    Parameters
    ----------
    inputs, outputs : int
        Vector lengths.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def unit(self, input_scale: Tensor) -> Tensor:
        """Return the value of accumulator level 1, a scalar, for inputs of that scale."""
        quantizer, shadow = weight_quantizer(self.linear)
        return quantizer.scale(shadow).reshape(()) * input_scale

    def forward(self, x: Tensor, input_scale: Tensor) -> Tensor:
        """Map values of shape (images, inputs) to logits of shape (images, outputs)."""
        bias = self.bias
        if parametrize.is_parametrized(self.linear):
            bias = straight_through(bias, self.unit(input_scale).detach(), BIAS)
        return self.linear(x) + bias


class Mlp(nn.Module):
    """Hidden layers and a head; float until `quantize` is called.

    Parameters
    ----------
    sizes : tuple of int
        Inputs, hidden widths, and classes.
    input_scale : float
        Value of input level 1; see `data.input_scale`.
    """

    def __init__(self, sizes: tuple[int, ...], input_scale: float = 1.0):
        super().__init__()
        *before, last, classes = sizes
        pairs = zip([*before, last], [*before[1:], last], strict=False)
        self.hidden = nn.ModuleList(Hidden(a, b) for a, b in pairs)
        self.head = Head(last, classes)
        self.input_scale = input_scale

    def quantize(
        self,
        weight: Format,
        activation: Format,
        *,
        scale: str = "learned",
        rounding: str = "nearest",
        generator: torch.Generator | None = None,
    ) -> None:
        """Put quantisers on all weights and activations; the parameters of `WeightQuantizer`.

        The last layer has one scale for all classes, so that the largest integer is the largest
        logit.
        """
        chance = {"rounding": rounding, "generator": generator}
        for layer in [*self.hidden_layers, self.head]:
            quantizer = WeightQuantizer(
                weight,
                layer.linear.weight,
                per_channel=isinstance(layer, Hidden),
                scale=scale,
                **chance,
            )
            parametrize.register_parametrization(layer.linear, "weight", quantizer)
            if isinstance(layer, Hidden):
                layer.activation = ActivationQuantizer(activation, **chance)

    @property
    def hidden_layers(self) -> list[Hidden]:
        """The hidden layers, in order."""
        return [layer for layer in self.hidden if isinstance(layer, Hidden)]

    @property
    def last_scale(self) -> Tensor:
        """Value of level 1 at the input of the head."""
        layers = self.hidden_layers
        return activation_scale(layers[-1]) if layers else torch.tensor(self.input_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Map input values of shape (images, inputs) to logits of shape (images, classes)."""
        for layer in self.hidden:
            x = layer(x)
        return self.head(x, self.last_scale)


def activation_scale(layer: Hidden) -> Tensor:
    """Return the value of output level 1 of a hidden layer; 1 while it is float."""
    if isinstance(layer.activation, ActivationQuantizer):
        return layer.activation.scale
    return torch.tensor(1.0)


def weight_quantizer(linear: nn.Linear) -> tuple[WeightQuantizer, Tensor]:
    """Return the weight quantiser of a quantised layer, and its float shadow weights."""
    weights: Any = linear.parametrizations["weight"]  # type: ignore[index]
    quantizer, shadow = weights[0], weights.original
    assert isinstance(quantizer, WeightQuantizer)
    return quantizer, shadow
