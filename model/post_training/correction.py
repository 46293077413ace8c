"""Corrects offsets by what quantisation moves the mean of a channel by.

Nagel et al., "Data-free quantization through weight equalization and bias correction", 2019, with
means that are measured on images.
"""

import torch
from torch import Tensor

from ..layers.affine import Affine, Shift
from ..layers.blocks import Model
from ..layers.steps import Block, Head
from .progress import Say, work_before
from .walk import Pair, sums_before_bounds, walk

__all__ = ["correct_offset", "correct_offsets"]


@torch.no_grad()
def correct_offsets(
    exact: Model, model: Model, images: Tensor, quantised: Tensor, say: Say
) -> None:
    """Move the offsets of all layers with weights, one after the other.

    Each is measured behind those that are corrected already.

    Parameters
    ----------
    exact, model : Model
        In float, and quantised.
    images, quantised : Tensor of shape (images, channels, height, width)
        What either reads.
    say : callable
        Is told which layer it is.
    """
    pairs = zip(walk(exact, model, images, quantised), work_before(model), strict=True)
    for pair, done in pairs:
        say(f"correct the offsets of {pair.node.name}", done)
        correct_offset(pair)


def correct_offset(pair: Pair) -> None:
    """Move the offsets of one step, if it has weights."""
    if isinstance(pair.step, Head):
        pair.step.bias.add_(_moved(pair))
    elif isinstance(pair.step, Block) and pair.step.norm is not None:
        _offset(pair.step.norm).add_(_moved(pair))


def _moved(pair: Pair) -> Tensor:
    """Return the means of channels in float, less those of the quantised step."""
    wanted = sums_before_bounds(pair.exact, pair.exact_inputs, pair.scales)
    found = sums_before_bounds(pair.step, pair.inputs, pair.scales)
    difference = (wanted - found).double()
    others = [axis for axis in range(difference.ndim) if axis != 1]
    return difference.mean(dim=others).to(wanted.dtype)


def _offset(norm: torch.nn.Module) -> Tensor:
    """Return the offset of a norm, to be changed in place."""
    if isinstance(norm, Affine):
        return norm.beta
    assert isinstance(norm, Shift | torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)
    return norm.bias.data
