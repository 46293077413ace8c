"""The data set that needs no file: scikit-learn's handwritten digits."""

import numpy as np

from ...hw.numbers.formats import Fixed
from .dataset import Dataset, stratified_split

__all__ = ["load_digits"]


def load_digits() -> Dataset:
    """Return scikit-learn's 1797 digits of 8x8 pixels; a quarter of each class is for testing."""
    from sklearn import datasets  # here: the import takes a second

    pixels, target = datasets.load_digits(return_X_y=True)
    images = np.asarray(pixels, np.uint8).reshape(-1, 8, 8, 1)
    labels = np.asarray(target, np.int64)
    train, test = stratified_split(labels, test_fraction=0.25, seed=0)
    return Dataset(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        classes=10,
        pixel_max=16,
        input=Fixed(4, signed=False),
    )
