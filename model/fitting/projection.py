"""Keeps weights within limits of sums while they are trained, and when they are rounded at the end.

Before every step the weights of a channel that has left its limits are moved back to them, as real
numbers; rounding is to the nearest level, and only in the end within the limits. So scales and
rounding are those of any quantised training, and nothing but the limits is in its way.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import torch

from ...hw.errors import FormatError, NetworkError
from ...hw.numbers.formats import Fixed
from ..layers.blocks import Model
from ..layers.quantize import WeightQuantizer
from ..layers.rounding import within
from ..post_training.limited_rounding import limit_levels
from ..post_training.sum_limits import SumLimits

__all__ = ["LayerLimits", "layer_limits", "projected", "round_within"]

LayerLimits: TypeAlias = Mapping[str, SumLimits]
"""Limits of layers with weights, by name; those that are left out have none."""


def layer_limits(model: Model, bits: int, bound: str = "exact") -> dict[str, SumLimits]:
    """Return the limits of every layer with weights, by a bound: ``exact`` or ``l1``.

    Raises
    ------
    NetworkError
        Where a layer's inputs leave no room for weights of either sign.
    """
    make, found = getattr(SumLimits, bound), {}
    for node, step in model.weighted():
        assert isinstance(step.inputs[0], Fixed)
        try:
            found[node.name] = make(bits, step.inputs[0])
        except FormatError as error:
            raise NetworkError(f"layer {node.name}: {error}; it cannot be trained") from error
    return found


@contextmanager
def projected(model: Model, limits: LayerLimits) -> Iterator[None]:
    """Move weights back to their limits before every step of a training in here."""
    hook = model.register_forward_pre_hook(lambda *_: _move_back(model, limits))
    try:
        yield
    finally:
        hook.remove()


@torch.no_grad()
def _move_back(model: Model, limits: LayerLimits) -> None:
    if not model.training:
        return
    for node, step in model.weighted():
        if node.name not in limits:
            continue
        quantizer, shadow = step.weights()
        scale = quantizer.scale(shadow)
        real = within(shadow / scale, quantizer.ends).flatten(1)
        beyond = limits[node.name].share(real) > 1
        if bool(beyond.any()):
            moved = torch.where(beyond, limits[node.name].projected(real), real)
            kept = torch.where(beyond, moved, (shadow / scale).flatten(1))
            shadow.copy_(kept.reshape(shadow.shape) * scale)


@torch.no_grad()
def round_within(model: Model, limits: LayerLimits) -> None:
    """Put weights to levels that keep the limits, in place."""
    for node, step in model.weighted():
        if node.name in limits:
            quantizer, shadow = step.weights()
            assert isinstance(quantizer, WeightQuantizer)  # only integers have limits
            scale = quantizer.scale(shadow)
            shadow.copy_(limit_levels(shadow / scale, quantizer, limits[node.name]) * scale)
