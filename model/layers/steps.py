"""Steps of a model that have weights; `unweighted` has the others.

Every step is a sum, a norm and an activation, and so is what hardware runs: an accumulator and its
requantisation. A step is float until `Step.quantize`.
"""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple, Unpack, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from ...hw.errors import NetworkError
from ...hw.network.window import Window
from ...hw.numbers.formats import Bipolar, Fixed, Float, Format
from .affine import constants
from .float_rounding import FloatActivation, FloatWeights
from .limits import NO_LIMITS, Limits
from .norm_limited import Constraint, NormLimitedQuantizer
from .quantize import ActivationQuantizer, QuantizerOptions, WeightQuantizer
from .rounding import straight_through

__all__ = [
    "BIAS",
    "NO_PADDING",
    "Block",
    "Head",
    "Magnitude",
    "PoolBefore",
    "SidedMaxPool",
    "Sides",
    "Step",
    "WeightedStep",
    "pair",
]

BIAS = Fixed(32)
"""Format of the last layer's bias, in units of its accumulator."""


Sides = tuple[int, int, int, int]
"""Rows and columns outside of an image: top, left, bottom, right."""
NO_PADDING: Sides = (0, 0, 0, 0)
"""Sides of an image that is not padded."""


class Step(nn.Module):
    """Base of all steps; alone it is not used.

    Attributes
    ----------
    norm : Module or None
        Maps sums to values; see `affine.constants`.
    activation : Module or None
        What keeps its values within bounds, or the quantiser that replaces it.
    limits : Limits
        The bounds of its values.
    inputs, output : Format
        Formats of what it reads and gives, once quantised.
    padding_value : float
        What a window reads outside of the image.
    """

    inputs: tuple[Format, ...] = ()
    output: Format
    padding_value = 0.0

    def __init__(self, limits: Limits = NO_LIMITS):
        super().__init__()
        self.limits = limits
        self.norm: nn.Module | None = None
        self.activation: nn.Module | None = limits.module()

    @property
    def relu(self) -> bool:
        """Whether its values are kept from being negative."""
        return self.limits.relu

    def quantize(
        self,
        weight: Format,
        activation: Format,
        inputs: tuple[Format, ...],
        **options: Unpack[QuantizerOptions],
    ) -> None:
        """Put quantisers on weights and output; ``options`` are those of `WeightQuantizer`."""
        self.inputs, self.output = inputs, activation
        if isinstance(activation, Float):
            self.activation = FloatActivation(activation, self.limits)
            return
        self.activation = ActivationQuantizer(
            activation,
            self.limits,
            rounding=options.get("rounding", "nearest"),
            generator=options.get("generator"),
        )

    def scale(self, scales: Sequence[Tensor]) -> Tensor:
        """Return the value of output level 1, given those of its inputs."""
        if isinstance(self.activation, ActivationQuantizer):
            return self.activation.scale
        return torch.ones_like(scales[0])

    def finish(self, sums: Tensor) -> Tensor:
        """Apply norm and activation."""
        x = sums if self.norm is None else self.norm(sums)
        return x if self.activation is None else self.activation(x)

    def pad(self, x: Tensor, padding: Sides) -> tuple[Tensor, tuple[int, int]]:
        """Pad with what torch's layers do not; return the rows and columns left to them."""
        top, left, bottom, right = padding
        if (top, left) == (bottom, right) and (self.padding_value == 0 or not any(padding)):
            return x, (top, left)
        return functional.pad(x, (left, right, top, bottom), value=self.padding_value), (0, 0)


class WeightedStep(Step):
    """A step with weights.

    Parameters
    ----------
    op : Conv2d or Linear
        The weights, without a bias.
    spatial : tuple of int
        Shape of the tensor that it reads: channels, height, width.
    limits : Limits
        See `Step`.
    padding : Sides
        Of a convolution.

    Attributes
    ----------
    constraint : Constraint or None
        What its weights are trained to keep to; set before they are quantised.
    """

    per_channel = True
    constraint: Constraint | None = None

    def __init__(
        self,
        op: nn.Conv2d | nn.Linear,
        spatial: tuple[int, ...],
        limits: Limits = NO_LIMITS,
        *,
        padding: Sides = NO_PADDING,
    ):
        super().__init__(limits)
        self.op, self.spatial, self.padding = op, spatial, padding
        self.weight_format: Format | None = None

    def quantize(
        self,
        weight: Format,
        activation: Format,
        inputs: tuple[Format, ...],
        **options: Unpack[QuantizerOptions],
    ) -> None:
        """Put quantisers on weights and output.

        Raises
        ------
        NetworkError
            For a dilated kernel of weights that have no zero to put between them.
        """
        if weight == Bipolar() and self.dilation != (1, 1):
            raise NetworkError(
                "a dilated convolution has zeros between its weights, and bipolar has none: "
                "give it int2 or wider"
            )
        super().quantize(weight, activation, inputs, **options)
        self.weight_format = weight
        quantizer = self._quantizer(weight, inputs, options)
        parametrize.register_parametrization(self.op, "weight", quantizer)

    def _quantizer(
        self, weight: Format, inputs: tuple[Format, ...], options: QuantizerOptions
    ) -> WeightQuantizer | FloatWeights:
        if isinstance(weight, Float):
            return FloatWeights(weight)
        own, shared = self.op.weight, self.per_channel
        if self.constraint is None:
            return WeightQuantizer(weight, own, per_channel=shared, **options)
        (read,), constraint = inputs, self.constraint
        return NormLimitedQuantizer(
            weight, own, inputs=read, constraint=constraint, per_channel=shared, **options
        )

    @property
    def dilation(self) -> tuple[int, int]:
        """Rows and columns from one weight to the next."""
        return (1, 1) if isinstance(self.op, nn.Linear) else pair(self.op.dilation)

    @property
    def window(self) -> Window:
        """The window of a convolution, with the zeros of a dilated kernel."""
        assert isinstance(self.op, nn.Conv2d)
        sizes = zip(pair(self.op.kernel_size), self.dilation, strict=True)
        rows, columns = ((size - 1) * apart + 1 for size, apart in sizes)
        return Window((rows, columns), pair(self.op.stride), self.padding)

    def spread(self, weights: Tensor) -> Tensor:
        """Return weights of shape (outputs, inputs, rows, columns) with the zeros between them."""
        rows, columns = self.dilation
        if (rows, columns) == (1, 1):
            return weights
        spread = weights.new_zeros(*weights.shape[:2], *self.window.kernel)
        spread[:, :, ::rows, ::columns] = weights
        return spread

    def weights(self) -> tuple[WeightQuantizer | FloatWeights, Tensor]:
        """Return the weight quantiser and the float shadow weights of a quantised step."""
        parametrizations = cast(nn.ModuleDict, self.op.parametrizations)
        found = cast(parametrize.ParametrizationList, parametrizations["weight"])
        return cast(WeightQuantizer | FloatWeights, found[0]), cast(Tensor, found.original)

    def sums(self, x: Tensor) -> Tensor:
        """Return the weighted sums."""
        if isinstance(self.op, nn.Linear):
            return self.op(x.flatten(1))
        if x.ndim == 2:  # values of a linear layer, each a channel
            x = x[:, :, None, None]
        x, padding = self.pad(x, self.padding)
        op = self.op
        return functional.conv2d(
            x, op.weight, None, pair(op.stride), padding, self.dilation, op.groups
        )


class SidedMaxPool(nn.MaxPool2d):
    """A max pool whose windows reach beyond the image on each side as far as is said.

    Parameters
    ----------
    kernel, stride : tuple of int
        Height and width.
    sides : Sides
        Rows and columns outside, none of which is ever the largest.
    """

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int], sides: Sides):
        super().__init__(kernel, stride)
        self.sides = sides

    def forward(self, input: Tensor) -> Tensor:
        """Return the largest values."""
        top, left, bottom, right = self.sides
        padded = functional.pad(input, (left, right, top, bottom), value=-inf)
        return functional.max_pool2d(padded, self.kernel_size, self.stride)


class PoolBefore(NamedTuple):
    """A max pool between a layer and its norm, and what names it in the network file."""

    pool: nn.MaxPool2d
    name: str


class Block(WeightedStep):
    """Convolution or linear layer, a max pool perhaps, norm and activation.

    Parameters
    ----------
    op, spatial, limits, padding
        See `WeightedStep`.
    norm : Module
        BatchNorm or `affine.Shift`.
    pooled : PoolBefore, optional
        A max pool between sums and norm. The norm's slopes are then used as their magnitudes, so
        that hardware may pool after requantising: a function that nowhere falls commutes with a
        maximum.
    """

    def __init__(
        self,
        op: nn.Conv2d | nn.Linear,
        spatial: tuple[int, ...],
        norm: nn.Module,
        limits: Limits,
        *,
        padding: Sides = NO_PADDING,
        pooled: PoolBefore | None = None,
    ):
        super().__init__(op, spatial, limits, padding=padding)
        self.norm = norm
        self.pool, self.pool_name = pooled or (None, "")
        if self.pool is not None and isinstance(norm, nn.BatchNorm2d):
            parametrize.register_parametrization(norm, "weight", Magnitude())

    def forward(self, values: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
        """Return the values that follow from those of its source."""
        x = self.sums(values[0])
        return self.finish(x if self.pool is None else self.pool(x))


class Magnitude(nn.Module):
    """Parametrisation: the magnitude of a parameter."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the magnitude."""
        return x.abs()


class Head(WeightedStep):
    """The last weighted layer, whose bias is an integer in units of the accumulator once quantised.

    One scale serves all classes, so that the largest integer is the largest logit. A norm behind it
    is trained in float, and folded into weights and bias when they are quantised.

    Parameters
    ----------
    op, spatial, padding
        See `WeightedStep`.
    bias : Tensor of shape (classes,)
        Added to the sums.
    norm : BatchNorm1d, optional
        Behind them.
    """

    per_channel = False

    def __init__(
        self,
        op: nn.Conv2d | nn.Linear,
        spatial: tuple[int, ...],
        bias: Tensor,
        norm: nn.Module | None = None,
        *,
        padding: Sides = NO_PADDING,
    ):
        super().__init__(op, spatial, padding=padding)
        self.bias, self.norm = nn.Parameter(bias.detach().clone()), norm

    def quantize(
        self,
        weight: Format,
        activation: Format,
        inputs: tuple[Format, ...],
        **options: Unpack[QuantizerOptions],
    ) -> None:
        """Put a quantiser on the weights; the output stays what it is."""
        self.fold()
        super().quantize(weight, activation, inputs, **options)
        self.activation = None

    @torch.no_grad()
    def fold(self) -> None:
        """Let weights and bias do what the norm does."""
        if self.norm is None:
            return
        mean, deviation, gamma, beta = constants(self.norm)
        slope = gamma / deviation
        self.bias.copy_((self.bias - mean) * slope + beta)
        self.op.weight.mul_(slope.reshape(-1, *[1] * (self.op.weight.ndim - 1)))
        self.norm = None

    def unit(self, input_scale: Tensor) -> Tensor:
        """Return the value of accumulator level 1, a scalar, for inputs of that scale."""
        quantizer, shadow = self.weights()
        return quantizer.scale(shadow).amin() * input_scale  # narrower channels have multiples

    def forward(self, values: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
        """Return logits of shape (images, classes)."""
        bias = self.bias
        if self.weight_format is not None and not isinstance(self.inputs[0], Float):
            bias = straight_through(bias, self.unit(scales[0]).detach(), BIAS)
        return self.finish(self.sums(values[0]).flatten(1) + bias)


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Return height and width of a torch size."""
    rows, columns = (size, size) if isinstance(size, int) else size
    return rows, columns
