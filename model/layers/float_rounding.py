"""Weights and activations of float networks: rounded to a format, with gradients that pass.

A float has its own exponent, so nothing is scaled: the value of level 1, which the scales of
integers are, is 1 throughout.
"""

from math import inf
from typing import cast

import torch
from torch import Tensor, nn

from ...hw.numbers.formats import Float
from .limits import NO_LIMITS, Limits

__all__ = ["FloatActivation", "FloatWeights", "rounded"]

_NATIVE = {(5, 10): torch.float16, (8, 7): torch.bfloat16, (8, 23): torch.float32}
"""Types of torch by exponent and mantissa, which convert in one pass over memory."""


class _Rounded(torch.autograd.Function):
    """See `rounded`."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, value: Tensor, fmt: Float
    ) -> Tensor:
        """Return the nearest values of the format."""
        native = _NATIVE.get((fmt.exponent, fmt.mantissa))
        if native is not None:
            return value.to(native).to(value.dtype)
        return fmt.dequantize(fmt.quantize(value)).to(value.dtype)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, *grads: Tensor
    ) -> tuple[Tensor, None]:
        """Return the gradient as it is."""
        return grads[0], None


def rounded(value: Tensor, fmt: Float) -> Tensor:
    """Return the values of ``fmt`` nearest to ``value``, of its shape and type, ties to even.

    Beyond the largest number there is infinity, as in hardware.
    """
    return cast(Tensor, _Rounded.apply(value, fmt))


class FloatWeights(nn.Module):
    """Parametrisation that rounds shadow weights to a float format.

    Parameters
    ----------
    fmt : Float
        Format of the weights.

    Attributes
    ----------
    format : Float
        The same.
    widths, log2_scale : None
        Channels have no widths of their own, and nothing is scaled.
    ends : tuple of float
        The lowest and the highest finite number.
    """

    widths = None
    log2_scale = None

    def __init__(self, fmt: Float):
        super().__init__()
        self.format = fmt

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest finite number."""
        highest = self.format.to_value(self.format.infinity - 1)
        return -highest, highest

    def scale(self, weight: Tensor) -> Tensor:
        """Return 1, of shape (1, 1, ...)."""
        return weight.new_ones((1,) * weight.ndim)

    def spread(self, scale: Tensor) -> Tensor:
        """Return ``scale``: all channels have the same."""
        return scale

    def levels(self, weight: Tensor) -> Tensor:
        """Return the levels of ``weight``, int64 of the same shape."""
        return self.format.quantize(weight.detach())

    def forward(self, weight: Tensor) -> Tensor:
        """Return the rounded values of ``weight``, of the same shape."""
        return rounded(weight, self.format)


class FloatActivation(nn.Module):
    """Clip to bounds, such as those of a ReLU, and round to a float format.

    Parameters
    ----------
    fmt : Float
        Format of the activations.
    limits : Limits
        The bounds.

    Attributes
    ----------
    format, limits
        The same.
    """

    def __init__(self, fmt: Float, limits: Limits = NO_LIMITS):
        super().__init__()
        self.format, self.limits = fmt, limits

    @property
    def ends(self) -> tuple[int | None, int | None]:
        """The lowest and the highest level that it gives; None where there is no bound."""
        low, high = self.limits
        return (
            None if low == -inf else self.format.quantize(low),
            None if high == inf else self.format.quantize(high),
        )

    def forward(self, value: Tensor) -> Tensor:
        """Return the values of ``value``, of the same shape."""
        return rounded(value.clamp(*self.limits) if self.limits.bounded else value, self.format)
