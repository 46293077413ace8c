"""Quantisers with straight-through gradients, for weights and for activations.

A quantiser rounds in the forward pass and lets gradients pass as if it had not. Weights keep their
float shadow through `torch.nn.utils.parametrize`; the optimiser moves the shadow, the network
computes with its quantised image.
"""

from collections.abc import Sequence
from math import inf
from typing import TypedDict

import torch
from torch import Tensor, nn

from ...hw.errors import FormatError
from ...hw.numbers.formats import Bipolar, Fixed, Float, Format, MiniFloat, PowerOfTwo
from .limits import NO_LIMITS, RELU, Limits
from .rounding import Chance, Ends, nearest, straight_through, within
from .widths import check_widths

__all__ = [
    "MAX_ACTIVATION_WIDTH",
    "SCALES",
    "ActivationQuantizer",
    "QuantizerOptions",
    "WeightQuantizer",
    "check_activation",
    "check_pair",
    "check_weight",
]

SCALES = ("learned", "statistics")
ACTIVATION_RANGE = 3.0  # after BatchNorm, about the 99.9th percentile of a unit normal
MAX_ACTIVATION_WIDTH = 16
POW2_OCTAVES = 14  # between the smallest and the largest power of two at the start
MINIFLOAT_OCTAVES = 7  # of normal numbers below the largest weight at the start
SAMPLE = 100_000  # values from which a scale is fitted


class QuantizerOptions(TypedDict, total=False):
    """Options of `WeightQuantizer`; those of chance are of `ActivationQuantizer`, too."""

    scale: str
    rounding: str
    generator: torch.Generator | None
    widths: Sequence[int] | None


def check_weight(fmt: Format) -> Format:
    """Return ``fmt`` if weights can have it: its levels must be symmetric about zero.

    Raises
    ------
    FormatError
        For unsigned integers and for ``int1``.
    """
    if fmt.max_level < 1 or (isinstance(fmt, Fixed) and not fmt.signed):
        raise FormatError(
            f"weights are bipolar, pow2_N, eEmM, floats or intN with N of at least 2, not {fmt}"
        )
    return fmt


def check_activation(fmt: Format, derived_from: Format | None = None) -> Format:
    """Return ``fmt`` if activations can have it: bipolar, floats, integers with a level above 0.

    Parameters
    ----------
    fmt : Format
        Format of activations.
    derived_from : Format, optional
        The weights that it goes with, where nobody asked for it: the error says so.

    Raises
    ------
    FormatError
        For powers of two, minifloats, ``int1`` and integers wider than 16 bits.
    """
    integer = isinstance(fmt, (Bipolar, Fixed))
    if isinstance(fmt, Float):
        return fmt
    if fmt.max_level >= 1 and integer and fmt.width <= MAX_ACTIVATION_WIDTH:
        return fmt
    allowed = (
        f"activations are bipolar, floats, uintN or intN up to {MAX_ACTIVATION_WIDTH} bits "
        "with a level above 0"
    )
    if derived_from is None:
        raise FormatError(f"{allowed}, not {fmt}")
    widest = Fixed(MAX_ACTIVATION_WIDTH, signed=False)
    raise FormatError(
        f"weights {derived_from} go with activations {fmt} where none are given, but {allowed}: "
        f"give them, such as {derived_from}/{widest}, or --activation {widest}"
    )


def check_pair(weight: Format, activation: Format) -> None:
    """Refuse float weights of activations that are none; floats take weights of any format.

    Raises
    ------
    FormatError
        For those.
    """
    if isinstance(weight, Float) and not isinstance(activation, Float):
        raise FormatError(
            f"{weight} weights multiply float activations, not {activation}: take "
            f"{weight}/{weight.activations}, or integer weights"
        )


class WeightQuantizer(nn.Module):
    """Parametrisation that turns float shadow weights into values of a format.

    The range is symmetric (-127 to 127 for ``int8``), so that a channel's sign can be flipped when
    BatchNorm is folded. `Bipolar` weights have the scale ``mean(abs(w))`` (Rastegari et al.,
    "XNOR-Net", 2016) and gradients that always pass, because clipping them there would freeze half
    of the weights.

    Channels of their own widths have fewer levels, at scales of their own. Where there is one scale
    for all, level 1 of a channel that is ``n`` bits narrower than the widest is ``2**n`` times as
    much, so that all reach about equally far.

    Parameters
    ----------
    fmt : Format
        Format of the weights; see `check_weight`.
    weight : Tensor of shape (outputs, ...)
        Shadow weights at the start; a learned scale begins at their statistics.
    per_channel : bool
        One scale for each output, or one for all.
    scale : str
        ``learned`` or ``statistics``.
    rounding : str
        ``nearest`` or ``stochastic``, the latter in training mode only.
    generator : torch.Generator, optional
        Source of chance for ``stochastic``.
    widths : sequence of int, optional
        Bits of each output's weights, of an integer format at least as wide; see `check_widths`.

    Attributes
    ----------
    format : Format
        Format of the widest channel.
    widths : tuple of int or None
        Where not all channels are as wide.
    """

    most: Tensor | None
    steps: Tensor | None

    def __init__(
        self,
        fmt: Format,
        weight: Tensor,
        *,
        per_channel: bool = True,
        scale: str = "learned",
        rounding: str = "nearest",
        generator: torch.Generator | None = None,
        widths: Sequence[int] | None = None,
    ):
        super().__init__()
        if scale not in SCALES:
            raise FormatError(f"scale is {' or '.join(SCALES)}, not {scale!r}")
        self.format, self.per_channel = check_weight(fmt), per_channel
        self.rounding, self.generator = rounding, generator
        self._set_widths(widths, weight)
        self.log2_scale: nn.Parameter | None = None
        if scale == "learned" and fmt != Bipolar():
            # a logarithm stays positive, and its steps are relative under Adam
            self.log2_scale = nn.Parameter(self._statistics(weight.detach()).log2())

    def _set_widths(self, given: Sequence[int] | None, weight: Tensor) -> None:
        """Keep the widths of channels, and what follows from them: no state of a training."""
        self.widths = most = steps = None
        if given is not None:
            widths = check_widths(self.format, given, len(weight))
            self.format = Fixed(max(widths))
            if len(set(widths)) > 1:
                self.widths, shape = widths, (-1, *[1] * (weight.ndim - 1))
                bits = torch.tensor(widths, device=weight.device).reshape(shape)
                most = torch.exp2(bits - 1.0) - 1
                if not self.per_channel:
                    steps = torch.exp2(float(max(widths)) - bits)
        self.register_buffer("most", most, persistent=False)
        self.register_buffer("steps", steps, persistent=False)

    def _rows(self, values: Tensor) -> Tensor:
        """Return the values that share a scale, of shape (scales, values of each)."""
        return values.flatten(1) if self.per_channel else values.reshape(1, -1)

    def _statistics(self, weight: Tensor) -> Tensor:
        """Return the scale that the weights themselves suggest, of shape (outputs or 1, 1, ...)."""
        rows, most = self._rows(weight.abs()), self.format.max_level
        if self.format == Bipolar() or rows.shape[1] == 1:  # a single weight is one level
            scale = rows.mean(dim=1)
        elif self.most is not None and self.per_channel:
            own = self.most.flatten()
            scale = torch.where(own < 16, 2 * rows.mean(dim=1) / own**0.5, self.widest(weight))
        elif most < 16:
            # few levels: clip the tails rather than spend levels on them
            scale = 2 * rows.mean(dim=1) / most**0.5
        else:
            scale = self.widest(weight)
        return scale.clamp(min=1e-8).reshape(-1, *[1] * (weight.ndim - 1))

    def widest(self, weight: Tensor) -> Tensor:
        """Return the scales at which the largest weights start, of shape (outputs or 1,)."""
        if self.most is None:
            return self._rows(weight.abs()).amax(dim=1) / self.largest_start
        reached = self.most if self.steps is None else self.most * self.steps
        return self._rows(weight.abs() / reached).amax(dim=1)

    @property
    def largest_start(self) -> int:
        """The level at which the largest weight starts.

        Not the largest level of pow2_6, 2**30: weights that far below the largest add nothing, and
        accumulators would have to hold both. Minifloats need fewer octaves, because their
        subnormals go on below, as far apart as integers.
        """
        if isinstance(self.format, PowerOfTwo):
            return min(self.format.max_level, 1 << POW2_OCTAVES)
        if isinstance(self.format, MiniFloat):
            return min(self.format.max_level, 1 << (self.format.mantissa + MINIFLOAT_OCTAVES))
        return self.format.max_level

    def scale(self, weight: Tensor) -> Tensor:
        """Return the value of level 1, of shape (outputs, 1, ...), or (1, 1, ...) for one scale."""
        if self.log2_scale is None:
            return self.spread(self._statistics(weight.detach()))
        return self.spread(torch.exp2(self.log2_scale))

    def spread(self, scale: Tensor) -> Tensor:
        """Return the value of level 1 in all channels, given that of the widest."""
        return scale if self.steps is None else scale * self.steps

    @property
    def ends(self) -> Ends:
        """The lowest and the highest level; of shape (outputs, 1, ...) where channels differ."""
        if self.most is not None:
            return -self.most, self.most
        return -self.format.max_level, self.format.max_level

    def nearest(self, levels: Tensor) -> Tensor:
        """Return the levels nearest to real ones, as floats, within the ends."""
        return nearest(within(levels, self.ends), self.format)

    def levels(self, weight: Tensor) -> Tensor:
        """Return the integer levels of ``weight``, int64 of the same shape."""
        with torch.no_grad():
            return self.nearest(weight / self.scale(weight)).long()

    def _chance(self) -> Chance | None:
        if self.training and self.rounding == "stochastic":
            return Chance(self.generator)
        return None

    def forward(self, weight: Tensor) -> Tensor:
        """Return the quantised values of ``weight``, of the same shape."""
        return straight_through(
            weight,
            self.scale(weight),
            self.format,
            ends=self.ends,
            passes=self.format == Bipolar(),
            chance=self._chance(),
        )


class ActivationQuantizer(nn.Module):
    """Nonlinearity and quantiser in one: clamping to the range of the format.

    For unsigned formats the clamp is a ReLU with a ceiling; for `Bipolar` it is the sign, with the
    gradient of a hard hyperbolic tangent (Courbariaux et al., "Binarized neural networks", 2016).

    Parameters
    ----------
    fmt : Format
        Format of the activations; see `check_activation`.
    limits : Limits
        What values are clipped to. No level is beyond them, and the last one to either side is
        less than one level from its bound, or the last of the format; see `ends`.
    rounding, generator
        As in `WeightQuantizer`.
    """

    def __init__(
        self,
        fmt: Format,
        limits: Limits = NO_LIMITS,
        *,
        rounding: str = "nearest",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.format = check_activation(fmt)
        self.rounding, self.generator = rounding, generator
        self.limits, self.largest = limits, limits.largest_scale(fmt)
        self.log2_scale: nn.Parameter | None = None
        if fmt != Bipolar():
            start = min(ACTIVATION_RANGE / fmt.max_level, self.largest)
            self.log2_scale = nn.Parameter(torch.tensor(start).log2())

    @property
    def scale(self) -> Tensor:
        """Value of level 1; a scalar, always 1 for `Bipolar`."""
        if self.log2_scale is None:
            return torch.tensor(1.0)
        scale = torch.exp2(self.log2_scale)
        if self.largest == inf:
            return scale
        # the gradient passes, so that a scale at its bound can leave it
        return scale + (scale.clamp(max=self.largest) - scale).detach()

    @property
    def ends(self) -> tuple[int, int]:
        """The lowest and the highest level that it gives at its scale."""
        return self._ends(self.scale)

    def _ends(self, scale: Tensor) -> tuple[int, int]:
        if self.limits in (NO_LIMITS, RELU):  # most often, and no number has to leave the device
            return self.format.min_level, self.format.max_level
        return self.limits.levels(self.format, float(scale.detach()))

    def forward(self, value: Tensor) -> Tensor:
        """Return the quantised values of ``value``, of the same shape."""
        chance = None
        if self.training and self.rounding == "stochastic":
            chance = Chance(self.generator)
        scale = self.scale
        ends = self._ends(scale)
        return straight_through(value, scale, self.format, ends=ends, chance=chance)

    @torch.no_grad()
    def fit(self, sample: Tensor) -> None:
        """Start the scale where the values of ``sample`` lose least, in the mean square."""
        if self.log2_scale is None or not bool((sample > 0).any()):
            return
        sample = sample[torch.linspace(0, len(sample) - 1, min(len(sample), SAMPLE)).long()]
        low, high = self.format.min_level, self.format.max_level
        wanted = sample if low < 0 else sample.clamp(min=0)
        farthest = sample.max() / high
        if -inf < self.limits.low < 0 and low < 0:  # the lower bound may be the farther one
            farthest = torch.maximum(farthest, sample.min() / low)
        losses = {}
        for share in range(2, 21):
            scale = (farthest * share / 20).clamp(max=self.largest)
            levels = nearest((sample / scale).clamp(*self._ends(scale)), self.format)
            losses[float(scale)] = float((levels * scale - wanted).square().mean())
        self.log2_scale.fill_(torch.tensor(min(losses, key=losses.__getitem__)).log2())
