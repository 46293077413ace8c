"""Weights whose l1 norm is limited while they are trained, so that an accumulator holds their sums.

A channel's weights are a direction times a learned norm, which never exceeds what `norm_limits`
allows, and rounding toward zero never adds to it. So the integers keep to the limit at every step
of a training, not only at its end. That is how they are trained; that they do is proven from the
integers that are exported.
"""

from typing import NamedTuple, Unpack

import torch
from torch import Tensor, nn

from ...hw.errors import FormatError
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Bipolar, Format
from .norm_limits import norm_limits, project
from .quantize import QuantizerOptions, WeightQuantizer
from .rounding import toward_zero, within

__all__ = ["CONSTRAINTS", "Constraint", "NormLimitedQuantizer", "norm_penalty"]

CONSTRAINTS = ("a2q", "a2q+")
PENALTY = 1e-3  # of a norm beyond its limit; the learning rate of a norm that the limit hides
ROOM = 1e-6  # of a level: what float32 takes from a norm at its limit does not take a level
TINY = 1e-30
STARTS_AN_OCTAVE = 2  # scales that are tried for the start


class Constraint(NamedTuple):
    """What weights are trained to keep to.

    Attributes
    ----------
    kind : str
        ``a2q`` limits the norm of weights of any signs; ``a2q+`` centres every channel about 0
        first, and then about twice the norm fits.
    bits : int
        Of the accumulator.
    """

    kind: str
    bits: int

    def check(self) -> None:
        """Refuse what does not exist.

        Raises
        ------
        FormatError
            For another kind.
        GeometryError
            For another accumulator.
        """
        if self.kind not in CONSTRAINTS:
            raise FormatError(
                f"weights are constrained by {' or '.join(CONSTRAINTS)}, not {self.kind!r}"
            )
        Accumulator(self.bits)

    def limit(self, inputs: Format) -> int:
        """Return the largest l1 norm of a channel's levels.

        Raises
        ------
        FormatError
            Where none fits.
        """
        limits = norm_limits(self.bits, inputs.min_level, inputs.max_level)
        return limits.norm if self.kind == "a2q" else 2 * limits.side


class NormLimitedQuantizer(WeightQuantizer):
    """Parametrisation that turns float shadow weights into levels whose l1 norm is limited.

    Level ``w`` of a channel is ``g / s * v / norm1(v)``, rounded toward zero: ``v`` are its shadow
    weights, less their mean for ``a2q+``, ``s`` the learned value of level 1, and ``g`` the learned
    norm, at most ``s`` times the limit (Colbert et al., 2023 and 2024). The start is the scale at
    which rounded weights within the limit lose least; for ``a2q+`` these are the Euclidean
    projection of the float ones, for ``a2q`` they shrink alike.

    Parameters
    ----------
    fmt : Format
        Format of the weights. Any that has a 0.
    weight : Tensor of shape (outputs, ...)
        Shadow weights at the start; they are changed to a start that fits.
    inputs : Format
        Of what they are multiplied with.
    constraint : Constraint
        What they keep to.
    **options
        As in `WeightQuantizer`: scales are learned, and rounding is toward zero whatever is said.

    Raises
    ------
    FormatError
        For bipolar weights, single ones that would be centred, statistical scales, stochastic
        rounding, and an accumulator that holds no product at all.
    """

    def __init__(
        self,
        fmt: Format,
        weight: Tensor,
        *,
        inputs: Format,
        constraint: Constraint,
        per_channel: bool = True,
        **options: Unpack[QuantizerOptions],
    ):
        _check(fmt, options)
        super().__init__(fmt, weight, per_channel=per_channel, **options)
        self.centred, self.limit = constraint.kind == "a2q+", constraint.limit(inputs)
        if self.centred and weight[0].numel() == 1:
            raise FormatError(
                "a2q+ centres the weights of a channel, and of a single one leaves 0: use a2q"
            )
        with torch.no_grad():
            self._begin(weight)

    def _begin(self, weight: Tensor) -> None:
        """Start scales and norms, and put weights within the limit."""
        rows, chosen = self._rows_of(weight.double()), self._best_scales(weight)
        assert self.log2_scale is not None
        self.log2_scale.copy_(chosen.log2().reshape(self.log2_scale.shape))
        scales = self.spread(chosen.reshape(self.log2_scale.shape)).double().reshape(-1, 1)
        kept = self._within_limit(rows / scales) * scales
        weight.copy_(kept.reshape(weight.shape))
        norms = self._rows_of(weight).abs().sum(dim=1).clamp(min=TINY).log2()
        shape = (-1, *[1] * (weight.ndim - 1))
        self.log2_norm = nn.Parameter(norms.to(weight.dtype).reshape(shape))

    def _rows_of(self, weight: Tensor) -> Tensor:
        """Return the weights of each output, about 0 where they are centred."""
        rows = weight.flatten(1)
        return rows - rows.mean(dim=1, keepdim=True) if self.centred else rows

    def _within_limit(self, levels: Tensor) -> Tensor:
        """Return real levels of each output that keep to the limit, near to those given."""
        limit = levels.new_full((len(levels),), self.limit)
        if self.centred:
            return project(levels, limit)
        norms = levels.abs().sum(dim=1).clamp(min=TINY)
        return levels * (limit / norms).clamp(max=1)[:, None]

    def _best_scales(self, weight: Tensor) -> Tensor:
        """Return the scales, one or one an output, at which the start loses least."""
        least = self.widest(weight).double().clamp(min=TINY)
        rows, best = self._rows_of(weight.double()), least
        lost = torch.full_like(least, torch.inf)
        shape = (-1, *[1] * (weight.ndim - 1))
        for step in range(STARTS_AN_OCTAVE * max(self.largest_start, 1).bit_length() + 1):
            tried = least * 2 ** (step / STARTS_AN_OCTAVE)
            scales = self.spread(tried.reshape(shape)).reshape(-1, 1)
            real = self._within_limit(rows / scales).reshape(weight.shape)
            error = (self._rounded(real).flatten(1) * scales - rows).square().sum(dim=1)
            error = error if self.per_channel else error.sum().reshape(1)
            best, lost = torch.where(error < lost, tried, best), torch.minimum(error, lost)
        return best.clamp(min=TINY).to(weight.dtype)

    def _rounded(self, real: Tensor) -> Tensor:
        return toward_zero(within(real * (1 + ROOM), self.ends), self.format)

    def _norm(self, scale: Tensor) -> Tensor:
        """Return the norms in levels, of shape (outputs, 1, ...), float64; at most the limit."""
        return (torch.exp2(self.log2_norm.double()) / scale.double()).clamp(max=self.limit)

    def _real(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Return what is rounded to levels, of the shape of ``weight``."""
        rows = self._rows_of(weight)
        sums = rows.abs().sum(dim=1, dtype=torch.float64).clamp(min=TINY)
        factors = self._norm(scale) / sums.reshape(self.log2_norm.shape)
        return rows.reshape(weight.shape) * factors.to(weight.dtype)

    def levels(self, weight: Tensor) -> Tensor:
        """Return the integer levels of ``weight``, int64 of the same shape."""
        with torch.no_grad():
            return self._rounded(self._real(weight, self.scale(weight))).long()

    def forward(self, weight: Tensor) -> Tensor:
        """Return the quantised values of ``weight``, of the same shape."""
        scale = self.scale(weight)
        real = within(self._real(weight, scale), self.ends)
        levels = real + (self._rounded(real) - real).detach()  # exact: they are within a factor 2
        return levels * scale

    def penalty(self) -> Tensor:
        """Return by how much learned norms are beyond their limits, a scalar.

        There the limit hides them from the loss, so nothing else would bring them back.
        """
        assert self.log2_scale is not None
        limit = self.limit * self.spread(torch.exp2(self.log2_scale))
        return (torch.exp2(self.log2_norm) - limit).relu().sum()


def norm_penalty(model: nn.Module) -> Tensor | None:
    """Return what is added to the loss of a training; None where no norm is limited."""
    limited = [each for each in model.modules() if isinstance(each, NormLimitedQuantizer)]
    return PENALTY * torch.stack([each.penalty() for each in limited]).sum() if limited else None


def _check(fmt: Format, options: QuantizerOptions) -> None:
    if fmt == Bipolar():
        raise FormatError(
            "bipolar weights have no 0, so that the norm of a channel is the number of its weights "
            "and nothing can limit it: give the layer int2 or wider, or train without a constraint"
        )
    if options.get("scale", "learned") != "learned":
        raise FormatError("weights of limited norms have learned scales, not those of statistics")
    if options.get("rounding", "nearest") != "nearest":
        raise FormatError(
            "weights of limited norms round toward zero, because another rounding could add to "
            "the norm; leave stochastic rounding out"
        )
