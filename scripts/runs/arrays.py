"""Images in files of NumPy arrays."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...hw.errors import DataError
from ...model.data.arrays import read_arrays
from .scores import Targets

__all__ = ["read_images", "read_levels"]


def read_images(
    path: Path, shape: Sequence[int], count: int | None, targets: Targets
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return images of a file, and labels where it has some.

    Parameters
    ----------
    path : Path
        ``.npy`` with images, or ``.npz`` with ``inputs`` and perhaps ``labels``.
    shape : sequence of int
        Of an image.
    count : int, optional
        How many.
    targets : Targets
        What labels are.

    Raises
    ------
    DataError
        For another file, images of another shape, or what is not a number; the text says which.
    """
    images, labels = _numbers(path, shape, count, targets)
    if images.dtype.kind == "f" and not (abs(images) <= np.finfo(np.float32).max).all():
        raise DataError(f"{path}: images hold infinities or what is not a number")
    return images if images.dtype == np.int8 else images.astype(np.float32), labels


def read_levels(
    path: Path, inputs: int, count: int | None, targets: Targets
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return images of a file that holds input levels, int64 of shape (images, ``inputs``).

    They may have height, width and channels of their own. Labels and all else are as `read_images`
    has them.

    Raises
    ------
    DataError
        As `read_images`, and for values that are not whole.
    """
    images, labels = _numbers(path, (inputs,), count, targets, is_flat=True)
    with np.errstate(invalid="ignore"):  # what does not fit differs below
        levels = images.astype(np.int64)
    if (levels != images).any():
        raise DataError(f"{path}: input levels are integers, these images have other values")
    return levels, labels


def _numbers(
    path: Path,
    shape: Sequence[int],
    count: int | None,
    targets: Targets,
    is_flat: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return images as the file has them, or each as one row, and labels."""
    found = read_arrays(path)
    images, labels = found.inputs, found.labels
    if is_flat and images.ndim in (3, 4) and images[:1].size == math.prod(shape):
        images = images.reshape(len(images), -1)
    if images.ndim < 1 or images.shape[1:] != tuple(shape) or not len(images):
        raise _other_images(path, shape, images)
    if images.dtype.kind not in "fiu":
        raise _other_images(path, shape, images)
    if labels is not None and not targets.classes:
        labels = _targets(path, labels, (len(images), *targets.shape))[:count]
    elif labels is not None:
        if labels.ndim < 1 or len(labels) != labels.size or labels.dtype.kind not in "iu":
            raise DataError(f"{path}: labels are integers, one an image, not {_described(labels)}")
        if len(labels) != len(images):
            raise DataError(f"{path}: {len(images)} images, but {len(labels)} labels")
        labels = labels[:count].reshape(-1)
        beyond = labels[(labels < 0) | (labels >= targets.classes)]
        if len(beyond):
            raise DataError(
                f"{path}: labels are classes, 0 to {targets.classes - 1}, and one of them is "
                f"{beyond[0]}"
            )
    return images[:count], labels


def _targets(path: Path, labels: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
    """Return labels that are values, float64 of the shape that is wanted."""
    is_flat = labels.shape == wanted[:1] and labels.size == np.prod(wanted)
    right = labels.dtype.kind in "fiu" and (labels.shape == wanted or is_flat)
    if right and not np.isfinite(labels).all():
        raise DataError(f"{path}: labels hold infinities or what is not a number")
    if not right:
        raise DataError(
            f"{path}: the network gives values, so labels are numbers of shape {wanted}, "
            f"not {_described(labels)}"
        )
    return labels.astype(np.float64).reshape(wanted)


def _other_images(path: Path, shape: Sequence[int], images: np.ndarray) -> DataError:
    wanted = ", ".join(map(str, shape))
    return DataError(
        f"{path}: the model reads numbers of shape (images, {wanted}), these are "
        f"{_described(images)}"
    )


def _described(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"
