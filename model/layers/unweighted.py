"""Steps without weights: pools, enlarged images, and sums of two tensors."""

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor, nn
from torch.nn import functional

from ...hw.numbers.formats import Float, Format
from .float_rounding import rounded
from .limits import Limits
from .quantize import QuantizerOptions
from .rounding import straight_through
from .steps import Step

__all__ = ["AddStep", "AveragePoolStep", "MaxPoolStep", "UpsampleStep", "summands"]

SMALL_SUMMAND = 15  # two tensors meet in a ratio of integers up to this, where one is near enough
LARGE_SUMMAND = 255  # of one of the two, where the other is 1


class _KeepingStep(Step):
    """A step that gives some of the values of its source, in its format and at its scale."""

    def __init__(self, limits: Limits):
        super().__init__(limits)
        self.activation = None

    def quantize(
        self,
        weight: Format,
        activation: Format,
        inputs: tuple[Format, ...],
        **options: Unpack[QuantizerOptions],
    ) -> None:
        """Keep the format of its source."""
        self.inputs, self.output = inputs, inputs[0]

    def scale(self, scales: Sequence[Tensor]) -> Tensor:
        """Return the scale of its source."""
        return scales[0]


class MaxPoolStep(_KeepingStep):
    """The largest value in a window.

    Parameters
    ----------
    pool : MaxPool2d
        The window.
    limits : Limits
        What its source is kept within.
    """

    def __init__(self, pool: nn.MaxPool2d, limits: Limits):
        super().__init__(limits)
        self.pool = pool

    def forward(self, values: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
        """Return the values that follow from those of its source."""
        return self.pool(values[0])


class UpsampleStep(_KeepingStep):
    """An image of which each pixel is repeated.

    Parameters
    ----------
    factors : tuple of int
        How many rows and columns each becomes.
    limits : Limits
        What its source is kept within.
    """

    def __init__(self, factors: tuple[int, int], limits: Limits):
        super().__init__(limits)
        self.factors = factors

    def forward(self, values: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
        """Return the values that follow from those of its source."""
        rows, columns = self.factors
        return values[0].repeat_interleave(rows, 2).repeat_interleave(columns, 3)


class AveragePoolStep(Step):
    """The mean of a window, in the format and at the scale of its source; padding counts.

    Parameters
    ----------
    kernel, stride, padding : tuple of int
        The window: height and width.
    norm : Module
        `affine.Divide` by the taps; rounded when training ends.
    whole : bool
        Whether the window is the whole image.
    limits : Limits
        What its source is kept within.
    """

    def __init__(
        self,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        norm: nn.Module,
        limits: Limits,
        *,
        whole: bool,
    ):
        super().__init__(limits)
        self.kernel, self.stride, self.padding, self.whole = kernel, stride, padding, whole
        self.norm, self.activation = norm, None

    def quantize(
        self,
        weight: Format,
        activation: Format,
        inputs: tuple[Format, ...],
        **options: Unpack[QuantizerOptions],
    ) -> None:
        """Keep the format of its source."""
        self.inputs, self.output = inputs, inputs[0]
        self.activation = nn.Identity()  # rounds at the scale of the source; see `forward`

    def scale(self, scales: Sequence[Tensor]) -> Tensor:
        """Return the scale of its source."""
        return scales[0]

    def forward(self, values: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
        """Return the values that follow from those of its source."""
        assert self.norm is not None
        x, padding = self.pad(values[0], (*self.padding, *self.padding))
        x = self.norm(
            functional.avg_pool2d(x, self.kernel, self.stride, padding, divisor_override=1)
        )
        if not self.inputs or self.activation is None:
            return x
        if isinstance(self.output, Float):
            return rounded(x, self.output)
        return straight_through(x, scales[0], self.output)


class AddStep(Step):
    """The sum of two tensors, and an activation.

    Once quantised, ``unit * (a * level + b * other level)`` with small integers ``a`` and ``b``:
    `summands` of the two scales, in training already.
    """

    def forward(self, values: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
        """Return the values that follow from those of its sources."""
        one, two = values
        two = two.reshape(one.shape)  # a vector may have rows and columns, one of each
        if not self.inputs:
            return self.finish(one + two)
        first, second = (float(scale.detach()) for scale in scales)
        a, b, unit = summands(first, second)
        return self.finish(one * (a * unit / first) + two * (b * unit / second))


def summands(one: float, two: float) -> tuple[int, int, float]:
    """Return integers whose ratio is about that of two scales, and the unit of both.

    ``one`` is about ``a * unit`` and ``two`` about ``b * unit``; the unit is their geometric mean.
    """
    ratio = one / two
    pairs = [(a, b) for a in range(1, SMALL_SUMMAND + 1) for b in range(1, SMALL_SUMMAND + 1)]
    if ratio > SMALL_SUMMAND:
        pairs = [(min(round(ratio), LARGE_SUMMAND), 1)]
    elif ratio < 1 / SMALL_SUMMAND:
        pairs = [(1, min(round(1 / ratio), LARGE_SUMMAND))]
    # of equal ratios the smallest, which comes first
    a, b = min(pairs, key=lambda pair: max(pair[0] / pair[1] / ratio, ratio * pair[1] / pair[0]))
    return a, b, float((one / a * two / b) ** 0.5)
