"""Images that a quantisation is calibrated on and tested with, as values and as input levels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...hw.errors import DataError
from ...hw.numbers.formats import Bipolar, Fixed, Float, Format
from ..data import Dataset, input_scale, is_file, load
from ..data.arrays import Arrays, read_arrays
from ..exchange.preparation import Preparation

__all__ = ["FEWEST", "NetworkImages"]

FEWEST = 8
"""Images that a calibration takes at least: of fewer no range can be told."""


@dataclass(frozen=True, eq=False)
class NetworkImages:
    """Images to calibrate on, and images to test with.

    Attributes
    ----------
    name : str
        The data set, or the file.
    calibration : array of shape (images, ...)
        Pixels of a data set, else values; they come from the training images where there are any.
    calibration_labels : int64 array or None
        Their classes.
    test, test_labels
        The same of the images that accuracy is told of.
    held_out : int
        How many of the first test images are those of the calibration, for want of others.
    shape : tuple of int
        An image as the network reads it: channels first, or height, width and channels.
    image_shape : tuple of int
        Height, width and channels.
    pixels : Dataset or None
        What makes values and levels of pixels; None where the images are values.
    default : Format
        Format of the input where none is asked for.
    """

    name: str
    calibration: np.ndarray
    calibration_labels: np.ndarray | None
    test: np.ndarray
    test_labels: np.ndarray | None
    held_out: int
    shape: tuple[int, ...]
    image_shape: tuple[int, int, int]
    pixels: Dataset | None
    default: Format

    @classmethod
    def load(cls, data: str, count: int = 200, validation: int | None = None) -> "NetworkImages":
        """Return the images of a data set or of a file.

        Parameters
        ----------
        data : str
            What `data.load` takes; or a ``.npy`` or ``.npz`` file of values as the network reads
            them, channels first.
        count : int
            Images to calibrate on. They are spread evenly over the training images; of a data set
            without any, and of a file of values, they are the first ones.
        validation : int, optional
            Images that are taken with them, to choose by.

        Raises
        ------
        DataError
            For data that is missing, has too few images, or others than numbers.
        """
        if count < FEWEST:
            raise DataError(f"a calibration takes at least {FEWEST} images, not {count}")
        if validation is not None and validation < FEWEST:
            raise DataError(f"choices are made on at least {FEWEST} images, not {validation}")
        if is_file(data):
            arrays = read_arrays(Path(data))
            if arrays.labels is None or arrays.inputs.dtype != np.uint8:
                return cls.of_arrays(data, arrays, count, validation or 0)
        return cls.of_dataset(load(data), count, validation or 0)

    @classmethod
    def of_dataset(cls, dataset: Dataset, count: int, validation: int = 0) -> "NetworkImages":
        """Return the images of a data set, ``count`` of them to calibrate on; see `load`."""
        found = len(dataset.train_images)
        codes = dataset.unit is not None
        asked, count = (count, validation), count + validation
        if not found:
            values = dataset.values(dataset.test_images) if codes else dataset.test_images
            images, labels, held_out = values[:count], dataset.test_labels[:count], count
            _check_count(dataset.name, asked, len(values) - 1, "test images beside one to test")
        else:
            _check_count(dataset.name, asked, found, "training images")
            chosen = np.linspace(0, found - 1, count).round().astype(int)
            images, labels, held_out = dataset.train_images[chosen], dataset.train_labels[chosen], 0
            images = dataset.values(images) if codes else images
            values = dataset.values(dataset.test_images) if codes else dataset.test_images
        return cls(
            name=dataset.name,
            calibration=images,
            calibration_labels=labels,
            test=values,
            test_labels=dataset.test_labels,
            held_out=held_out,
            shape=dataset.image_shape,
            image_shape=dataset.image_shape,
            pixels=None if codes else dataset,
            default=dataset.input,
        )

    @classmethod
    def of_arrays(
        cls, name: str, arrays: Arrays, count: int, validation: int = 0
    ) -> "NetworkImages":
        """Return the images of arrays of values, the first ``count`` to calibrate on."""
        values, labels = arrays.inputs, arrays.labels
        if values.ndim not in (2, 3, 4) or values.dtype.kind not in "fiu" or 0 in values.shape:
            raise DataError(
                f"{name}: images are numbers of shape (images, channels, height, width), (images, "
                f"height, width) or (images, inputs), not {values.dtype} of shape {values.shape}"
            )
        _check_count(name, (count, validation), len(values), "images")
        count += validation
        values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise DataError(f"{name}: images hold infinities or what is not a number")
        if labels is not None and (
            labels.shape != values.shape[:1] or labels.dtype.kind not in "iu"
        ):
            raise DataError(f"{name}: labels are integers, one an image, of {len(values)} images")
        shape = values.shape[1:]
        channels, height, width = {1: (*shape, 1, 1), 2: (1, *shape), 3: shape}[len(shape)]
        labels = None if labels is None else labels.astype(np.int64)
        return cls(
            name=name,
            calibration=values[:count],
            calibration_labels=None if labels is None else labels[:count],
            test=values,
            test_labels=labels,
            held_out=count,
            shape=shape,
            image_shape=(height, width, channels),
            pixels=None,
            default=Fixed(8, signed=bool((values < 0).any())),
        )

    def values(self, images: np.ndarray) -> Tensor:
        """Return values of shape (images, channels, height, width), float32."""
        if self.pixels is not None:
            images = self.pixels.values(images)
        height, width, channels = self.image_shape
        if self._channels_last:
            images = images.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(images)).reshape(-1, channels, height, width)

    def levels(self, images: np.ndarray, fmt: Format, scale: float) -> np.ndarray:
        """Return input levels of shape (images, height, width, channels)."""
        preparation = self.preparation(fmt, scale)
        if preparation is not None:
            return preparation.levels(images)
        assert self.pixels is not None
        return self.pixels.levels(images, fmt)

    def quantised(self, images: np.ndarray, fmt: Format, scale: float) -> Tensor:
        """Return the values of the levels, of shape (images, channels, height, width)."""
        found = self.levels(images, fmt, scale)
        if isinstance(fmt, Float):
            found = fmt.dequantize(found)
        levels = torch.from_numpy(found.astype(np.float32))
        return levels.permute(0, 3, 1, 2).contiguous() * scale

    def scale(self, fmt: Format) -> float | None:
        """Return the value of input level 1 where the data says it, as pixels do."""
        return None if self.pixels is None else input_scale(fmt)

    def preparation(self, fmt: Format, scale: float) -> Preparation | None:
        """Return what makes levels of values, for a network's ``about``; pixels need none."""
        if self.pixels is not None:
            return None
        order = None
        if not self._channels_last:
            channels, height, width = self.image_shape[2], *self.image_shape[:2]
            flat = np.arange(channels * height * width).reshape(channels, height, width)
            order = tuple(flat.transpose(1, 2, 0).ravel().tolist())
            if order == tuple(range(len(order))):
                order = None
        return Preparation(
            shape=self.shape,
            size=self.image_shape,
            scale=scale,
            zero_point=0.0,
            low=fmt.min_level,
            high=fmt.max_level,
            is_bipolar=fmt == Bipolar(),
            float_format=str(fmt) if isinstance(fmt, Float) else "",
            order=order,
        )

    def some(self, count: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return ``count`` images of the calibration at most, evenly spread, and their labels."""
        found = len(self.calibration)
        chosen = np.linspace(0, found - 1, min(count, found)).round().astype(int)
        labels = self.calibration_labels
        return self.calibration[chosen], None if labels is None else labels[chosen]

    @property
    def _channels_last(self) -> bool:
        return self.shape == self.image_shape


def _check_count(name: str, asked: tuple[int, int], found: int, kind: str) -> None:
    count, validation = asked
    if count + validation <= found:
        return
    more, option = "", "--calibration"
    if validation:
        more, option = f" and the {validation} to validate on", "--calibration or --validation"
    raise DataError(
        f"{name} has {max(found, 0)} {kind}, fewer than the {count} to calibrate on{more}; ask for "
        f"fewer with {option}"
    )
