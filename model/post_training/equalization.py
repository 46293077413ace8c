"""Equalises channels across layers, and folds BatchNorm into weights.

Nagel et al., "Data-free quantization through weight equalization and bias correction", 2019: what
a ReLU gives may be divided by a factor a channel, and the weights that read this channel multiplied
by it. The network stays what it was, and one scale serves all channels better.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn

from ..layers.affine import Shift, constants
from ..layers.blocks import Model
from ..layers.limits import NO_LIMITS, RELU
from ..layers.steps import Block, WeightedStep
from ..layers.unweighted import AveragePoolStep, MaxPoolStep

__all__ = ["equalize", "fold_norms"]

SWEEPS = 40  # over all pairs
SETTLED = 1e-3  # change of a factor, below which they stand


@dataclass(frozen=True)
class _Neighbours:
    """Two layers with weights, of which one alone reads the other, behind pools at most.

    Attributes
    ----------
    first : Block
        Gives channels.
    second : WeightedStep
        Reads them.
    channels : int
        How many.
    """

    first: Block
    second: WeightedStep
    channels: int

    def read(self) -> Tensor:
        """Return the weights that read each channel, of shape (channels, weights), as a view."""
        weight = self.second.op.weight.data
        if isinstance(self.second.op, nn.Linear):
            # flattened images have the pixels of a channel beside each other
            return weight.reshape(len(weight), self.channels, -1)
        groups = self.second.op.groups
        split = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
        return split.transpose(0, 1).reshape(len(weight) // groups, self.channels, -1)

    def multiply(self, factors: Tensor) -> None:
        """Divide what the first layer gives by ``factors``, and multiply what reads it."""
        _scale_rows(self.first, 1 / factors)
        op = self.second.op
        weight = op.weight.data
        if isinstance(op, nn.Linear):
            each = factors.repeat_interleave(weight.shape[1] // self.channels)
            weight.mul_(each)
            return
        per_group = factors.reshape(op.groups, 1, weight.shape[1], 1, 1)
        split = weight.reshape(op.groups, -1, *weight.shape[1:])
        weight.copy_((split * per_group).reshape(weight.shape))


@torch.no_grad()
def fold_norms(model: Model) -> None:
    """Let the weights of a float model do what the slopes of their norms do."""
    for _, step in model.weighted():
        if isinstance(step, Block) and not isinstance(step.norm, Shift):
            mean, deviation, gamma, beta = constants(step.norm)
            slope = gamma / deviation
            _multiply_rows(step.op.weight.data, slope)
            step.norm = Shift((beta - mean * slope).float())


@torch.no_grad()
def equalize(model: Model) -> int:
    """Equalise the channels of a float model without norms, and return how many pairs of layers.

    The largest weights that give a channel, and the largest that read it, become equal. A layer
    whose values are clipped from above, or read at several places, stays as it is.
    """
    pairs = list(_neighbours(model))
    for _ in range(SWEEPS):
        farthest = 0.0
        for pair in pairs:
            given = pair.first.op.weight.data.flatten(1).abs().amax(dim=1)
            read = pair.read().abs().amax(dim=(0, 2))
            live = (given > 0) & (read > 0)
            factors = torch.where(live, (given / read.clamp(min=1e-30)).sqrt(), 1.0)
            pair.multiply(factors)
            farthest = max(farthest, float(factors.log().abs().max()))
        if farthest < SETTLED:
            break
    return len(pairs)


def _neighbours(model: Model) -> Iterator[_Neighbours]:
    """Yield the pairs, in order."""
    steps = {node.name: (node, step) for node, step in model.items()}
    readers: dict[str, list[str]] = {}
    for node in model.nodes:
        for source in node.sources:
            readers.setdefault(source, []).append(node.name)
    for node, step in model.items():
        if not (isinstance(step, Block) and isinstance(step.norm, Shift)):
            continue
        name, passed = node.name, step.limits
        while passed in (RELU, NO_LIMITS) and len(readers.get(name, ())) == 1:
            (name,) = readers[name]
            reader = steps[name][1]
            if isinstance(reader, WeightedStep):
                yield _Neighbours(step, reader, node.shape[0])
                break
            if not isinstance(reader, AveragePoolStep | MaxPoolStep) or reader.limits.high < inf:
                break


def _scale_rows(step: Block, factors: Tensor) -> None:
    """Multiply what a layer gives, channel by channel, by what is above 0."""
    assert isinstance(step.norm, Shift)
    _multiply_rows(step.op.weight.data, factors)
    step.norm.bias.mul_(factors)


def _multiply_rows(weight: Tensor, factors: Tensor) -> None:
    weight.mul_(factors.to(weight.dtype).reshape(-1, *[1] * (weight.ndim - 1)))
