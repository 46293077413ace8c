"""Rounding to the levels of a format, with gradients as if it were the identity."""

from typing import NamedTuple, cast

import torch
from torch import Tensor

from ...hw.numbers.formats import Bipolar, Fixed, Format

__all__ = ["Chance", "Ends", "nearest", "straight_through", "toward_zero", "within"]

Ends = tuple[float, float] | tuple[Tensor, Tensor]
"""Lowest and highest level: of all values, or tensors that broadcast against them."""


class Chance(NamedTuple):
    """Stochastic rounding, and its source of chance; None is torch's own."""

    generator: torch.Generator | None


def within(x: Tensor, ends: Ends) -> Tensor:
    """Return ``x`` clamped to ends."""
    low, high = cast("tuple[float, float]", ends)  # tensors as well
    return x.clamp(low, high)


def nearest(x: Tensor, fmt: Format) -> Tensor:
    """Return the levels nearest to ``x``, which is clamped already, as floats; halves go up.

    Those of `Format.quantize` in fewer passes over memory, which is what training spends its time
    on. They differ at the float just below one half, and at bipolar values that vanish beside 1.
    """
    if isinstance(fmt, Fixed):
        return (x + 0.5).floor_()
    if fmt == Bipolar():
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)
    return fmt.quantize(x).to(x.dtype)


def toward_zero(x: Tensor, fmt: Format) -> Tensor:
    """Return the levels next to ``x``, which is clamped already, on the side of 0, as floats."""
    if isinstance(fmt, Fixed):
        return x.trunc()
    lower, upper = fmt.neighbours(x)
    return torch.where(x < 0, upper, lower)


class _Context(torch.autograd.function.FunctionCtx):
    """Values that the gradient needs."""

    saved_tensors: tuple[Tensor, Tensor, Tensor]
    needs_input_grad: tuple[bool, ...]
    ends: Ends
    passes: bool


class _StraightThrough(torch.autograd.Function):
    """See `straight_through`; one function, so that only two tensors are kept for the gradient."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: _Context,
        value: Tensor,
        scale: Tensor,
        fmt: Format,
        ends: Ends,
        passes: bool,
        chance: Chance | None,
    ) -> Tensor:
        """Return ``scale * level``."""
        x = value / scale
        clamped = within(x, ends)
        if chance is None:
            levels = nearest(clamped, fmt)
        else:
            drawn = fmt.quantize(clamped, rounding="stochastic", generator=chance.generator)
            levels = drawn.to(x.dtype)
        ctx.save_for_backward(x, levels, scale)
        ctx.ends, ctx.passes = ends, passes
        return levels * scale

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: _Context, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of value and scale."""
        (grad,) = grads
        x, levels, scale = ctx.saved_tensors
        low, high = ctx.ends
        of_value = grad
        inside = None if ctx.passes else (x >= low) & (x <= high)
        if inside is not None:
            of_value = grad * inside
        of_scale = None
        if ctx.needs_input_grad[1]:
            slope = levels - (x if inside is None else x * inside)
            of_scale = (grad * slope).float().sum_to_size(scale.shape).to(scale.dtype)
        return of_value, of_scale, None, None, None, None


def straight_through(
    value: Tensor,
    scale: Tensor,
    fmt: Format,
    *,
    ends: Ends | None = None,
    passes: bool = False,
    chance: Chance | None = None,
) -> Tensor:
    """Quantise ``value`` to ``fmt``, with gradients as if rounding were the identity.

    Within the range the gradient of ``value`` is 1 and outside it is 0; ``scale`` gets the gradient
    of learned step sizes (Esser et al., "Learned step size quantization", 2020, equation 3).

    Parameters
    ----------
    value : Tensor
        Any shape.
    scale : Tensor
        Value of level 1; broadcasts against ``value``.
    fmt : Format
        Target format.
    ends : pair of int or of Tensor, optional
        Smallest and largest level used, where those are not the format's own.
    passes : bool
        Let gradients pass outside the range too.
    chance : Chance, optional
        Rounds stochastically.

    Returns
    -------
    Tensor
        ``scale * level``, of the shape of ``value``.
    """
    ends = ends or (fmt.min_level, fmt.max_level)
    return cast(Tensor, _StraightThrough.apply(value, scale, fmt, ends, passes, chance))
