"""Searches activation scales by what they cost at the end of the network.

Values of one image can be far larger than those of another, and then neither the mean square nor a
percentile says what matters to the classes.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ...hw.network.network import INPUT
from ..layers.blocks import Model
from ..layers.quantize import ActivationQuantizer
from .progress import Say

__all__ = ["search_scales"]

FACTORS = (0.125, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0)
"""Of the scale at which everything fits."""


@torch.no_grad()
def search_scales(exact: Model, model: Model, images: Tensor, quantised: Tensor, say: Say) -> None:
    """Choose the scales of all activations, one after the other.

    At each the probabilities of classes diverge least from those of the float network where all
    layers up to this one are quantised and the others are not.

    Parameters
    ----------
    exact, model : Model
        In float; and with quantised weights, and scales at which everything fits.
    images, quantised : Tensor of shape (images, channels, height, width)
        What either reads.
    say : callable
        Is told which layer it is.
    """
    wanted = exact(images).log_softmax(dim=1)
    values = {INPUT: quantised}
    for index, (node, step) in enumerate(model.items()):
        read = [values[source] for source in node.sources]
        quantizer = step.activation
        if isinstance(quantizer, ActivationQuantizer) and quantizer.log2_scale is not None:
            say(f"search the range of {node.name}", index / len(model.nodes))
            widest, losses = float(quantizer.log2_scale), {}
            for factor in torch.tensor(FACTORS).log2().tolist():
                quantizer.log2_scale.fill_(widest + factor)
                given = step(read, _scales(model, node.sources))
                logits = _rest(exact, index, values | {node.name: given})
                found = logits.log_softmax(dim=1)
                losses[widest + factor] = float(
                    functional.kl_div(found, wanted, reduction="batchmean", log_target=True)
                )
            quantizer.log2_scale.fill_(min(losses, key=losses.__getitem__))
        values[node.name] = step(read, _scales(model, node.sources))


def _scales(model: Model, sources: tuple[str, ...]) -> list[Tensor]:
    scales = model.scales()
    return [scales[source] for source in sources]


def _rest(exact: Model, index: int, values: dict[str, Tensor]) -> Tensor:
    """Return the logits that follow in float from values of the steps up to ``index``."""
    one = next(iter(values.values())).new_ones(())
    for node, step in exact.items()[index + 1 :]:
        read = [values[source] for source in node.sources]
        values[node.name] = step(read, [one] * len(read))
    return values[exact.nodes[-1].name].flatten(1)
