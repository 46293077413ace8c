"""Base of the data sets: images, labels, and pixels as input levels."""

import math
from dataclasses import dataclass

import numpy as np

from ...hw.errors import DataError, FormatError
from ...hw.numbers.formats import Bipolar, Float, Format

__all__ = ["Dataset", "input_scale", "stratified_split"]

_CHUNK = 1 << 22  # pixels looked up at a time: NumPy makes 8 bytes of each index


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, split once and for all.

    Attributes
    ----------
    name : str
        What `load` was called with.
    train_images, test_images : uint8 array of shape (images, height, width, channels)
        Pixels, 0 to ``pixel_max``; channels last, which is the order in which hardware reads them.
        Of a data set with a ``unit`` codes of another kind of integer. None for training where
        there are none.
    train_labels, test_labels : int64 array of shape (images,)
        Classes, 0 to ``classes - 1``.
    classes : int
        Number of classes.
    pixel_max : int
        The pixel whose value is 1.
    input : Format
        Format in which hardware reads the pixels, unless told otherwise.
    class_names : tuple of str
        A name for each class, or empty where the classes are digits.
    unit : float, optional
        Value of a step of code, where images are codes of values and no pixels.
    zero : int
        The code of value 0, there.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: int
    pixel_max: int
    input: Format
    class_names: tuple[str, ...] = ()
    unit: float | None = None
    zero: int = 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.test_images.shape[1:]
        return height, width, channels

    @property
    def inputs(self) -> int:
        """Elements of one image: pixels times channels."""
        return math.prod(self.image_shape)

    def check_trainable(self) -> None:
        """Refuse to train on what has test images only; raises `DataError`."""
        if not len(self.train_images):
            raise DataError(
                f"data set {self.name} has test images only, none to train on; check, simulate and "
                "verify take it"
            )

    def values(self, images: np.ndarray) -> np.ndarray:
        """Return pixels as float32 values from 0 to 1, or what codes stand for; the shape stays."""
        if self.unit is not None:
            return ((images.astype(np.int64) - self.zero) * self.unit).astype(np.float32)
        values = images.astype(np.float32)
        values /= np.float32(self.pixel_max)
        return values

    def levels(self, images: np.ndarray, fmt: Format) -> np.ndarray:
        """Return pixels as input levels of ``fmt``, of the same shape.

        The largest level stands for the brightest pixel, so pixels are their own levels where
        ``fmt.max_level`` is ``pixel_max``. A `Bipolar` input is +1 from half brightness on. Halves
        go up, computed without rounding errors.

        Returns
        -------
        int16, int32 or int64 array
            The narrowest of these that holds every level of ``fmt``.

        Raises
        ------
        DataError
            For a data set of codes, of which only an imported network knows what to make.
        """
        if self.unit is not None:
            raise DataError(
                f"images of {self.name} are no pixels: they are for an imported network, which "
                "says how values become levels"
            )
        table = self._level_of_pixel(fmt)
        levels = np.empty(images.shape, table.dtype)
        pixels, found = images.reshape(-1), levels.reshape(-1)
        for start in range(0, pixels.size, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            found[chunk] = table[pixels[chunk]]
        return levels

    def _level_of_pixel(self, fmt: Format) -> np.ndarray:
        """Return the level of each pixel from 0 to 255."""
        pixels = np.arange(256, dtype=np.float64)
        if fmt == Bipolar():
            levels = fmt.quantize(2 * pixels - self.pixel_max)
        elif isinstance(fmt, Float):
            levels = fmt.quantize(pixels / self.pixel_max)
        else:
            levels = fmt.quantize(pixels * fmt.max_level / self.pixel_max)
        for dtype in (np.int16, np.int32):
            if np.iinfo(dtype).min <= fmt.min_level and fmt.max_level <= np.iinfo(dtype).max:
                return levels.astype(dtype)
        return levels


def input_scale(fmt: Format) -> float:
    """Return the value of input level 1, so that the brightest pixel has value 1; 1 of floats.

    Raises
    ------
    FormatError
        For ``int1``, whose only levels are -1 and 0.
    """
    if isinstance(fmt, Float):
        return 1.0
    if fmt.max_level < 1:
        raise FormatError(f"input format {fmt} has no positive level; use uint1 or wider")
    return 1.0 / fmt.max_level


def stratified_split(
    labels: np.ndarray, test_fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return ascending indices of training and test items, the same share of every class."""
    generator = np.random.default_rng(seed)
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        count = round(test_fraction * len(members))
        test[generator.permutation(members)[:count]] = True
    return np.nonzero(~test)[0], np.nonzero(test)[0]
