"""Turns real images into the input levels of an imported network."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...hw.errors import DataError, NetworkError
from ...hw.numbers.formats import parse
from ..exact.quantizer import ROUNDINGS

__all__ = ["KEY", "Preparation"]

KEY = "preparation"
"""Where a network's ``about`` has it."""

NEAR = 2.0**-20  # of a value: a few roundings of float32, and a scale that was typed with 7 digits

STRANGE = 0.2  # share of the input beyond the range of its quantiser that no training leaves
FEW, FINE = 2, 32  # levels that black and white have, and how many more there are at hand


@dataclass(frozen=True)
class Preparation:
    """Map of an image of real numbers to input levels, as plain data.

    A value ``v`` becomes the code ``round(clip(v' / scale + zero_point, low, high))``, where
    ``v' = v * gain[c] + offset[c]``, and the level ``code - zero``; a bipolar one its sign, and a
    float one the nearest number.

    Attributes
    ----------
    shape : tuple of int
        An image, as the model that was imported reads it.
    order : tuple of int, or None
        Where in such an image each element of the network's input is; None for the same order.
    size : tuple of int
        Height, width and channels of the network's input.
    gain, offset : tuple of float
        One a channel, or one for all.
    limits : tuple
        Ends of ``v'``, or None.
    scale, zero_point : float
        Of the quantiser.
    low, high, zero : int
        Of its codes.
    rounding : str
        Its rounding mode, as QONNX calls it.
    is_bipolar : bool
        Whether it gives signs.
    float_format : str
        Name of the float format that it rounds to; empty of others.
    mean, deviation : tuple of float
        What is taken off pixels of data sets, 0 to 1, and what they are divided by then; one a
        channel, or one for all.
    rounds : bool
        Whether a node of the model quantises its input. Where none does the input was stated to be
        levels, and images must hold nothing else.
    int8_zero : int, or None
        Code of level 0, where the model reads int8: then images of this type are codes already.
    before : mapping, or None
        What makes the model's input of pixels instead: the preparation, as plain data, of a network
        that was imported and exported again. Its model reads the levels that this one gives.
    """

    shape: tuple[int, ...]
    size: tuple[int, ...]
    scale: float
    zero_point: float
    low: int
    high: int
    zero: int = 0
    rounding: str = "ROUND"
    is_bipolar: bool = False
    float_format: str = ""
    order: tuple[int, ...] | None = None
    gain: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    limits: tuple[float | None, float | None] = (None, None)
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    rounds: bool = True
    int8_zero: int | None = None
    before: Mapping[str, object] | None = None

    def plain(self) -> dict[str, object]:
        """Return it as JSON data."""
        data: dict[str, object] = {
            name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()
        }
        if not self.float_format:  # as it was before there was any
            del data["float_format"]
        return data

    @classmethod
    def from_about(cls, about: Mapping[str, object]) -> "Preparation | None":
        """Return what a network's ``about`` has, if it has one.

        Raises
        ------
        NetworkError
            For a damaged entry.
        """
        return cls.from_plain(about[KEY]) if KEY in about else None

    @classmethod
    def from_plain(cls, plain: object) -> "Preparation":
        """Return what `plain` made data of; raises `NetworkError` for damaged data."""
        try:
            if not isinstance(plain, Mapping):
                raise TypeError(f"{plain!r:.40} is no mapping")
            values: dict[str, Any] = {
                name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()
            }
            return cls(**values)
        except (TypeError, AttributeError) as error:
            raise NetworkError(f"the network's {KEY} is damaged ({error})") from error

    def levels(self, images: np.ndarray) -> np.ndarray:
        """Return input levels of shape (images, height, width, channels).

        Parameters
        ----------
        images : array of shape (images, *shape)

        Raises
        ------
        DataError
            For images of another shape, or that are not numbers; and for values that are no levels
            where the model does not make levels of them.
        """
        zero = self.int8_zero if np.asarray(images).dtype == np.int8 else None
        images = np.asarray(images, np.float32)
        if images.shape[1:] != self.shape:
            raise DataError(
                f"the network reads images of shape {self.shape}, not {images.shape[1:]}"
            )
        if zero is not None:
            return images.astype(np.int64).reshape(-1, *self.size) - zero
        if not np.isfinite(images).all():
            raise DataError("images hold infinities or what is not a number")
        flat = images.reshape(len(images), -1)
        if self.order is not None:
            flat = flat[:, np.array(self.order)]
        values = flat.reshape(len(images), *self.size)
        if self.gain != (1.0,) or self.offset != (0.0,):
            values = values * np.array(self.gain) + np.array(self.offset)
        low, high = self.limits
        if low is not None or high is not None:
            values = np.clip(values, low, high)
        levels = self._quantised(values)
        if not self.rounds:
            self._check_levels(images, values, levels)
        return levels

    def images(self, values: np.ndarray) -> np.ndarray:
        """Return images as the imported model reads them.

        Parameters
        ----------
        values : float array of shape (images, height, width, channels)
            Pixels of a data set, 0 to 1. They are normalised by mean and deviation, and brought
            into the order of the model: channels first where its shape does not say otherwise.

        Raises
        ------
        DataError
            Where images are of another size, or have other channels than mean and deviation.
        """
        channels = values.shape[3]
        if any(len(each) not in (1, channels) for each in (self.mean, self.deviation)):
            raise DataError(
                f"images of {channels} channels need one mean and deviation, or {channels} each"
            )
        if self.before is not None:
            first = Preparation.from_plain(self.before)
            normal = first.levels(first.images(values)).astype(np.float32)
            return self._arranged(normal.reshape(-1, *self.size))
        mean, deviation = (np.array(each, np.float32) for each in (self.mean, self.deviation))
        return self._arranged((values - mean) / deviation)

    def _arranged(self, normal: np.ndarray) -> np.ndarray:
        """Bring images of shape (images, height, width, channels) into the order of the model."""
        if self.shape == normal.shape[1:] and self.shape != _first(normal.shape):
            return normal
        if int(np.prod(self.shape)) != normal[0].size or (
            len(self.shape) == 3 and self.shape != _first(normal.shape)
        ):
            raise DataError(
                f"the network reads images of shape {self.shape}, which images of "
                f"{'x'.join(map(str, normal.shape[1:]))} are not"
            )
        return normal.transpose(0, 3, 1, 2).reshape(len(normal), *self.shape)

    def outside(self, images: np.ndarray) -> float:
        """Return the share of values beyond the range of the quantiser: 0 of images as in training.

        Parameters
        ----------
        images : float array of shape (images, *shape)
            As the imported model reads them.
        """
        if self.is_bipolar or self.float_format:
            return 0.0
        if self.gain != (1.0,) or self.offset != (0.0,):
            return 0.0
        if self.int8_zero is not None and images.dtype == np.int8:
            return 0.0
        codes = images / self.scale + self.zero_point
        return float(((codes < self.low - 1) | (codes > self.high + 1)).mean())

    def doubt(self, images: np.ndarray) -> str:
        """Return what is strange about images, as they are prepared; empty where nothing is.

        Parameters
        ----------
        images : float array of shape (images, *shape)
            As the imported model reads them.
        """
        outside = self.outside(images)
        if outside > STRANGE:
            return f"{100 * outside:.0f} % of the input lies beyond what its quantiser holds"
        if images.dtype == np.int8 or self.is_bipolar or self.float_format:
            return ""
        if self.high - self.low < FEW * FINE:
            return ""
        used = len(np.unique(self.levels(images)))
        if 1 < used <= FEW:
            return f"the images use {used} of the {self.high - self.low + 1} levels of the input"
        return ""

    def _check_levels(self, images: np.ndarray, values: np.ndarray, levels: np.ndarray) -> None:
        """Refuse values that are not those of their levels, but for float32's rounding."""
        wrong = abs(values / self.scale - levels) > NEAR * (abs(levels) + 1)
        if not wrong.any():
            return
        image, *place = np.argwhere(wrong)[0]
        flat = int(np.ravel_multi_index(place, self.size))
        at = flat if self.order is None else self.order[flat]
        where = ", ".join(str(each) for each in np.unravel_index(at, self.shape))
        kinds = "-1 and 1" if self.is_bipolar else f"{self.low} to {self.high}"
        value = images[image].ravel()[at]
        raise DataError(
            f"{int(wrong.sum()):,} of {wrong.size:,} input values are no levels of the input, "
            f"which nothing in the model quantises: {kinds}, times {self.scale:.9g}. The first is "
            f"{value:.9g}, image {image}, element ({where})"
        )

    def _quantised(self, values: np.ndarray) -> np.ndarray:
        """Return the levels of values; in float32 where they are, as QONNX's executor does."""
        if self.float_format:
            return parse(self.float_format).quantize(values, self.scale)
        ratio = values / values.dtype.type(self.scale) + values.dtype.type(self.zero_point)
        if self.is_bipolar:
            return np.where(ratio >= 0, 1, -1).astype(np.int64)
        codes = ROUNDINGS[self.rounding](ratio.clip(self.low, self.high))
        return codes.astype(np.int64) - self.zero


def _first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of one image with its channels first."""
    return (shape[3], shape[1], shape[2])
