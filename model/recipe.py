"""Recipes: everything that decides what a training gives."""

from dataclasses import asdict, dataclass
from typing import Any

from ..hw.errors import FormatError, NetworkError
from ..hw.number import Bipolar, Fixed, Format, PowerOfTwo, parse
from .data import Dataset, input_scale
from .quantize import SCALES, check_activation, check_weight

__all__ = ["Recipe", "default_activation"]

ROUNDINGS = ("nearest", "stochastic")


def default_activation(weight: Format) -> Format:
    """Return the activation format that goes with a weight format.

    Bipolar goes with bipolar, ``intN`` with ``uintN``, and powers of two with ``uint8``: a
    shift-add multiplier costs by the bits of the activation, not by those of the exponent.
    """
    if weight == Bipolar():
        return Bipolar()
    if isinstance(weight, PowerOfTwo):
        return Fixed(8, signed=False)
    return Fixed(weight.width, signed=False)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training gives; formats are named as in `hw.number.parse`.

    Parameters
    ----------
    dataset : str
        Name in `data.DATASETS`.
    widths : tuple of int
        Widths of the hidden layers.
    weight : str, optional
        Weight format; None trains in float.
    activation : str, optional
        Format of hidden activations; None takes `default_activation`.
    input : str, optional
        Format of the pixels; None takes the data set's own.
    epochs, batch : int
        Passes over the training images, and images a step.
    rate : float, optional
        Peak learning rate of Adam, under one-cycle annealing; None takes 0.004 where everything is
        to be learned (float and bipolar), and 0.001 where float weights need little change.
    decay : float
        Weight decay.
    scale : str
        ``learned`` or ``statistics``: where weight scales come from.
    rounding : str
        ``nearest`` or ``stochastic``, in training; evaluation is always nearest.
    multiplier_bits : int, optional
        Width that requantisation multipliers may have: BatchNorm's slopes are rounded to it when
        training ends (`norm.round_norms`). None leaves them, and the fold takes what it needs.
    seed : int
        Seed of initial weights, order of images and stochastic rounding.

    Raises
    ------
    FormatError
        For a format, scale or rounding that does not exist or cannot be used in its place.
    NetworkError
        For widths, epochs or a batch that are not positive, or multipliers beyond 1 to 24 bits.
    """

    dataset: str = "digits"
    widths: tuple[int, ...] = (64, 32)
    weight: str | None = None
    activation: str | None = None
    input: str | None = None
    epochs: int = 40
    batch: int = 32
    rate: float | None = None
    decay: float = 1e-4
    scale: str = "learned"
    rounding: str = "nearest"
    multiplier_bits: int | None = 10
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        if min((self.epochs, self.batch, *self.widths)) < 1:
            raise NetworkError(
                f"widths, epochs and batch are positive; got widths {self.widths}, "
                f"epochs {self.epochs}, batch {self.batch}"
            )
        if self.multiplier_bits is not None and not 1 <= self.multiplier_bits <= 24:
            raise NetworkError(f"multipliers have 1 to 24 bits, not {self.multiplier_bits}")
        if self.scale not in SCALES or self.rounding not in ROUNDINGS:
            raise FormatError(
                f"scale is {' or '.join(SCALES)} and rounding {' or '.join(ROUNDINGS)}, "
                f"not {self.scale!r} and {self.rounding!r}"
            )
        if self.input is not None:
            input_scale(parse(self.input))
        if self.weight_format is not None:
            check_weight(self.weight_format)
            check_activation(self.activation_format)

    @property
    def weight_format(self) -> Format | None:
        """Format of the weights, or None for float."""
        return None if self.weight is None else parse(self.weight)

    @property
    def activation_format(self) -> Format:
        """Format of the hidden activations of a quantised network."""
        if self.activation is not None:
            return parse(self.activation)
        return default_activation(self.weight_format or Fixed(8))

    @property
    def peak_rate(self) -> float:
        """The learning rate that ``rate`` stands for."""
        if self.rate is not None:
            return self.rate
        return 4e-3 if self.weight_format in (None, Bipolar()) else 1e-3

    def input_format(self, dataset: Dataset) -> Format:
        """Format of the pixels of ``dataset`` in this recipe."""
        return dataset.input if self.input is None else parse(self.input)

    def plain(self) -> dict[str, Any]:
        """Return all fields as plain JSON data, default formats resolved to their names."""
        fields = asdict(self) | {"widths": list(self.widths), "rate": self.peak_rate}
        if self.weight is not None:
            fields["activation"] = str(self.activation_format)
        return fields
