"""Figures of a quantisation: what every layer loses, and what that costs by itself."""

from dataclasses import dataclass
from math import inf, isnan, log10

import torch
from torch import Tensor
from torch.nn import functional

from ..layers.blocks import Model
from ..layers.float_rounding import FloatActivation
from ..layers.quantize import ActivationQuantizer
from ..layers.rounding import within
from ..layers.steps import Step, WeightedStep
from .progress import Say
from .walk import Pair, mixed, sums_before_bounds, walk

__all__ = ["LayerFigures", "measure", "noise_ratio"]

LOSS_IMAGES = 512  # on which the loss of a layer alone is taken


@dataclass(frozen=True)
class LayerFigures:
    """Figures of one layer, on the images of the calibration.

    Attributes
    ----------
    layer : str
        Its name.
    weight, activation : str
        Formats of its weights, empty without, and of what it gives; ``logits`` of the last layer.
    weight_bits : float or None
        Bits of a weight, in the mean over the channels.
    weight_noise : float or None
        Signal-to-quantisation-noise ratio of its weights, in dB.
    noise : float
        That of what it gives, with all layers before it quantised, too.
    clipped_weights : float or None
        Share of the weights beyond the outermost levels.
    clipped : float or None
        Share of what it gives beyond the outermost levels; what a ReLU takes off is none.
    loss : float
        Cross entropy with the labels, or else with the classes that the float network says, less
        that of the float network, where this layer alone is quantised.
    """

    layer: str
    weight: str
    activation: str
    weight_bits: float | None
    weight_noise: float | None
    noise: float
    clipped_weights: float | None
    clipped: float | None
    loss: float


@torch.no_grad()
def measure(
    exact: Model,
    model: Model,
    images: Tensor,
    quantised: Tensor,
    labels: Tensor | None,
    say: Say,
) -> tuple[LayerFigures, ...]:
    """Return the figures of every layer but max pools, which lose nothing.

    Parameters
    ----------
    exact, model : Model
        In float, and quantised, with as many weights.
    images, quantised : Tensor of shape (images, channels, height, width)
        What either reads.
    labels : int64 Tensor or None
        Classes.
    say : callable
        Is told which layer it is.
    """
    few = images[:LOSS_IMAGES]
    logits = exact(few)
    classes = logits.argmax(dim=1) if labels is None else labels[:LOSS_IMAGES]
    before = float(functional.cross_entropy(logits, classes))
    found = []
    for index, pair in enumerate(walk(exact, model, images, quantised)):
        name, step = pair.node.name, pair.step
        say(f"measure {name}", index / len(model.nodes))
        if step.norm is None and not isinstance(step, WeightedStep):
            if not isinstance(step.activation, ActivationQuantizer | FloatActivation):
                continue
        after = float(functional.cross_entropy(mixed(exact, model, few, name), classes))
        after = inf if isnan(after) else after  # of infinite logits
        found.append(_layer(pair, after - before, last=pair.node == model.nodes[-1]))
    return tuple(found)


def noise_ratio(signal: Tensor, noisy: Tensor) -> float:
    """Return the signal-to-noise ratio in dB; infinite without noise, or of infinite noise."""
    noise = float((signal.double() - noisy.double()).square().sum())
    power = float(signal.double().square().sum())
    if not noise:
        return inf
    return 10 * log10(power / noise) if power and noise < inf else -inf


def _layer(pair: Pair, loss: float, *, last: bool) -> LayerFigures:
    step, weight, bits, weight_noise, outside = pair.step, "", None, None, None
    if isinstance(step, WeightedStep) and isinstance(pair.exact, WeightedStep):
        quantizer, _ = step.weights()
        signal = pair.exact.op.weight.detach()
        if signal.shape == step.op.weight.shape:
            weight_noise = noise_ratio(signal, step.op.weight.detach())
            levels = signal / quantizer.scale(signal).detach()
            beyond = (levels - within(levels, quantizer.ends)).abs() > 0.5
            outside = float(beyond.float().mean())
        weight = str(quantizer.format)
        widths = quantizer.widths or (quantizer.format.width,)
        bits = sum(widths) / len(widths)
    return LayerFigures(
        layer=pair.node.name,
        weight=weight,
        activation="logits" if last else str(step.output),
        weight_bits=bits,
        weight_noise=weight_noise,
        noise=noise_ratio(*pair.outputs()),
        clipped_weights=outside,
        clipped=_clipped(step, pair),
        loss=loss,
    )


def _clipped(step: Step, pair: Pair) -> float | None:
    """Return the share of values beyond the outermost levels, but for what a ReLU takes off.

    Beyond those of a float there is infinity.
    """
    if isinstance(step.activation, FloatActivation):
        values = sums_before_bounds(pair.exact, pair.exact_inputs, pair.scales)
        return float(step.activation(values).isinf().float().mean())
    if not isinstance(step.activation, ActivationQuantizer) or step.output.max_level == 1:
        return None
    values = sums_before_bounds(pair.exact, pair.exact_inputs, pair.scales)
    low, high = step.activation.ends
    scale = float(step.activation.scale.detach())
    beyond = values > (min(high * scale, step.limits.high) + scale / 2)
    if low < 0:
        beyond |= values < (max(low * scale, step.limits.low) - scale / 2)
    return float(beyond.float().mean())
