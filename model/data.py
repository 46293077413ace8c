"""Data sets: images as stored, a fixed split, and pixels as input levels.

A data set keeps its pixels as the integers they came as; `Dataset.levels` turns them into the
levels that a network of a given input format reads.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..hw.errors import DataError, FormatError
from ..hw.number import Bipolar, Fixed, Format

__all__ = ["DATASETS", "Dataset", "input_scale", "load"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, split once and for all.

    Attributes
    ----------
    name : str
        Its name in `DATASETS`.
    train_images, test_images : uint8 array of shape (images, inputs)
        Pixels, 0 to ``pixel_max``, row by row.
    train_labels, test_labels : int64 array of shape (images,)
        Classes, 0 to ``classes - 1``.
    classes : int
        Number of classes.
    pixel_max : int
        The pixel whose value is 1.
    image_shape : tuple of int
        Height and width of an image.
    input : Format
        Format in which hardware reads the pixels, unless told otherwise.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: int
    pixel_max: int
    image_shape: tuple[int, ...]
    input: Format

    @property
    def inputs(self) -> int:
        """Pixels of one image."""
        return self.train_images.shape[1]

    def values(self, images: np.ndarray) -> np.ndarray:
        """Return pixels as float32 values from 0 to 1, of the same shape."""
        return images.astype(np.float32) / np.float32(self.pixel_max)

    def levels(self, images: np.ndarray, fmt: Format) -> np.ndarray:
        """Return pixels as input levels of ``fmt``, int64 of the same shape.

        The largest level stands for the brightest pixel. A `Bipolar` input is +1 from half
        brightness on. Halves go up, computed without rounding errors.
        """
        pixels = images.astype(np.float64)
        if fmt == Bipolar():
            return fmt.quantize(2 * pixels - self.pixel_max)
        return fmt.quantize(pixels * fmt.max_level / self.pixel_max)


def input_scale(fmt: Format) -> float:
    """Return the value of input level 1, so that the brightest pixel has value 1.

    Raises
    ------
    FormatError
        For ``int1``, whose only levels are -1 and 0.
    """
    if fmt.max_level < 1:
        raise FormatError(f"input format {fmt} has no positive level; use uint1 or wider")
    return 1.0 / fmt.max_level


def _digits() -> Dataset:
    """Return scikit-learn's 1797 digits of 8x8 pixels; a quarter of each class is for testing."""
    from sklearn.datasets import load_digits  # here: the import takes a second

    pixels, target = load_digits(return_X_y=True)
    images, labels = np.asarray(pixels, np.uint8), np.asarray(target, np.int64)
    train, test = _stratified_split(labels, test_fraction=0.25, seed=0)
    return Dataset(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        classes=10,
        pixel_max=16,
        image_shape=(8, 8),
        input=Fixed(4, signed=False),
    )


def _stratified_split(
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


DATASETS: dict[str, Callable[[], Dataset]] = {"digits": _digits}
"""Loader of every data set, by name."""


def load(name: str) -> Dataset:
    """Return the data set called ``name``.

    Raises
    ------
    DataError
        For a name that is not in `DATASETS`; the text lists those that are.
    """
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}; there is {', '.join(sorted(DATASETS))}")
    return DATASETS[name]()
