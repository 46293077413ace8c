"""Functions of channels that follow sums: norms, biases and divisions, and their constants."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Affine", "Constants", "Divide", "Shift", "along_channels", "constants"]


class Constants(NamedTuple):
    """Constants of a norm, ``(x - mean) / deviation * gamma + beta``; float64, (channels,)."""

    mean: Tensor
    deviation: Tensor
    gamma: Tensor
    beta: Tensor


class Affine(nn.Module):
    """A norm whose slope and offset were rounded; float64, because float32 would undo it.

    Parameters
    ----------
    gamma, beta : float64 Tensor of shape (channels,)
        Slope and offset.
    """

    gamma: Tensor
    beta: Tensor

    def __init__(self, gamma: Tensor, beta: Tensor):
        super().__init__()
        self.register_buffer("gamma", gamma)
        self.register_buffer("beta", beta)

    def forward(self, x: Tensor) -> Tensor:
        """Map values of shape (images, channels, ...)."""
        gamma, beta = (along_channels(each, x) for each in (self.gamma, self.beta))
        return (x.double() * gamma + beta).to(x.dtype)


class Shift(nn.Module):
    """Bias of a module that has no BatchNorm, in its place.

    Parameters
    ----------
    bias : Tensor of shape (channels,)
        Added to the sums.
    """

    def __init__(self, bias: Tensor):
        super().__init__()
        self.bias = nn.Parameter(bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map values of shape (images, channels, ...)."""
        return x + along_channels(self.bias, x)


class Divide(nn.Module):
    """Division of an average pool's sums.

    Parameters
    ----------
    taps : int
        Pixels of the window.
    """

    def __init__(self, taps: int):
        super().__init__()
        self.taps = taps

    def forward(self, x: Tensor) -> Tensor:
        """Map values of any shape."""
        return x / self.taps


def along_channels(constant: Tensor, x: Tensor) -> Tensor:
    """Return a constant of shape (channels,) so that it broadcasts against ``x``."""
    return constant.reshape(-1, *[1] * (x.ndim - 2))


def constants(norm: nn.Module | None) -> Constants:
    """Return what ``norm``, in evaluation, computes; None computes nothing."""
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    if norm is None:
        return Constants(zero, one, one, zero)
    if isinstance(norm, Divide):
        return Constants(zero, one * norm.taps, one, zero)
    if isinstance(norm, Shift):
        beta = norm.bias.detach().double()
        return Constants(zero.expand_as(beta), one.expand_as(beta), one.expand_as(beta), beta)
    if isinstance(norm, Affine):
        zero = torch.zeros_like(norm.beta)
        return Constants(zero, zero + 1, norm.gamma, norm.beta)
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    gamma, beta = norm.weight.detach().double(), norm.bias.detach().double()
    return Constants(mean, torch.sqrt(variance + norm.eps), gamma, beta)
