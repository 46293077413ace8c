"""Constants that a module adds, subtracts, multiplies with or divides by, channel by channel."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .calls import Refuse

__all__ = ["Scaling", "fold_before", "per_channel", "scale_behind"]


class Scaling(NamedTuple):
    """Affine map of each channel's values, ``slope * x + offset``; float64 of shape (channels,)."""

    slope: Tensor
    offset: Tensor

    @classmethod
    def none(cls, channels: int) -> "Scaling":
        """Return what changes nothing."""
        zeros = torch.zeros(channels, dtype=torch.float64)
        return cls(zeros + 1, zeros)

    def then(self, other: "Scaling") -> "Scaling":
        """Return what both do, one after the other."""
        return Scaling(self.slope * other.slope, self.offset * other.slope + other.offset)

    def negative(self) -> "Scaling":
        """Return the same of the other sign."""
        return Scaling(-self.slope, -self.offset)

    @property
    def keeps_zero(self) -> bool:
        """Whether zeros stay zeros."""
        return not bool(self.offset.any())

    @property
    def rises(self) -> bool:
        """Whether the larger value stays the larger one, in every channel."""
        return bool((self.slope > 0).all())


def per_channel(constant: object, shape: tuple[int, ...], channels: int, refuse: Refuse) -> Tensor:
    """Return a constant as one number a channel.

    Parameters
    ----------
    constant : number or Tensor
        Broadcasts against a tensor of ``shape``.
    shape : tuple of int
        Of the tensor that it meets: images, then channels first, flattened or not.
    channels : int
        Channels there.
    refuse : callable
        Called for what differs within a channel.

    Returns
    -------
    float64 Tensor of shape (channels,)
    """
    if isinstance(constant, bool) or not isinstance(constant, int | float | Tensor):
        refuse(f"reads a {type(constant).__name__}, which is no number and no tensor")
    found = torch.as_tensor(constant, dtype=None if isinstance(constant, Tensor) else torch.float64)
    found = found.detach().double()
    if not bool(found.isfinite().all()):
        refuse("reads a constant with elements that are not finite")
    try:
        whole = found.broadcast_to(shape)
    except RuntimeError:
        refuse(f"reads a constant of shape {tuple(found.shape)}, which makes the tensor larger")
    rows = whole.reshape(shape[0], channels, -1)
    first = rows[0, :, :1]
    if not torch.equal(rows, first.expand_as(rows)):
        refuse("reads a constant that differs within a channel: give one number a channel")
    return first[:, 0].clone()


@torch.no_grad()
def fold_before(op: nn.Conv2d | nn.Linear, scaling: Scaling) -> None:
    """Let a layer read what is not scaled yet, and give the same."""
    groups = op.groups if isinstance(op, nn.Conv2d) else 1
    outputs, inputs, *_ = op.weight.shape
    if isinstance(op, nn.Linear):  # a channel is flattened to as many inputs as it has positions
        repeats = inputs // len(scaling.slope)
        slope, offset = (each.repeat_interleave(repeats) for each in scaling)
    else:
        slope, offset = scaling
    # the inputs of every output, which are those of its group
    slope, offset = (
        each.reshape(groups, 1, inputs).expand(-1, outputs // groups, -1).reshape(outputs, inputs)
        for each in (slope, offset)
    )
    along = (outputs, inputs, *[1] * (op.weight.ndim - 2))
    added = (op.weight * offset.reshape(along)).flatten(1).sum(dim=1)
    op.weight.mul_(slope.reshape(along))
    _add_bias(op, added)


@torch.no_grad()
def scale_behind(op: nn.Module, scaling: Scaling) -> None:
    """Let a layer or norm with a weight a channel give what is scaled."""
    assert isinstance(op.weight, nn.Parameter)
    op.weight.mul_(scaling.slope.reshape(-1, *[1] * (op.weight.ndim - 1)))
    if isinstance(op.bias, nn.Parameter):
        op.bias.mul_(scaling.slope)
    _add_bias(op, scaling.offset)


def _add_bias(op: nn.Module, added: Tensor) -> None:
    """Add to a bias, or give one where something is added."""
    if isinstance(op.bias, nn.Parameter):
        op.bias.add_(added)
    elif bool(added.any()):
        op.bias = nn.Parameter(added.clone())
