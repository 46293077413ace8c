"""Files of NumPy arrays: inputs of a network, and perhaps labels."""

import os
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...hw.errors import DataError
from ...hw.numbers.formats import Fixed
from .dataset import Dataset, stratified_split

__all__ = ["Arrays", "arrays_digest", "is_file", "load_arrays", "read_arrays"]

INPUTS = ("inputs", "images")
"""Names of the array of inputs; the second one is what it once was called."""
NAMES = (*INPUTS, "labels")


@dataclass(frozen=True, eq=False)
class Arrays:
    """Arrays of a file: what it has, not looked at yet."""

    inputs: np.ndarray
    labels: np.ndarray | None = None


def is_file(data: str) -> bool:
    """Tell whether the name of a data set is that of a file of arrays."""
    return Path(data).suffix in (".npy", ".npz")


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of a file.

    Parameters
    ----------
    path : Path
        ``.npy`` with inputs, or ``.npz`` with ``inputs`` and perhaps ``labels``.

    Raises
    ------
    DataError
        For another file, or arrays of other names.
    """
    try:
        with path.open("rb") as file:
            loaded = _loaded(file)
            if isinstance(loaded, np.ndarray) != (path.suffix == ".npy"):
                raise ValueError(f"its content is not that of a {path.suffix} file")
            if isinstance(loaded, np.ndarray):
                return Arrays(loaded)
            found = {name: loaded[name] for name in _checked(path, loaded.files)}
            if not all(isinstance(each, np.ndarray) for each in found.values()):
                raise ValueError("what it holds are no arrays")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: no file of arrays of inputs ({error})") from error
    labels = found.pop("labels", None)
    (inputs,) = found.values()
    return Arrays(inputs, labels)


def _loaded(file: BinaryIO) -> np.ndarray | np.lib.npyio.NpzFile:
    """Return what NumPy reads; it takes all that it does not know for a pickle, and says so."""
    try:
        return np.load(file, allow_pickle=False)
    except ValueError as error:
        text = "NumPy did not write it" if "pickle" in str(error) else error
        raise ValueError(text) from error


def _checked(path: Path, names: list[str]) -> list[str]:
    """Return the names of the arrays of a file, if they are right."""
    inputs = [name for name in names if name in INPUTS]
    if len(inputs) != 1 or set(names) - set(NAMES):
        raise DataError(
            f"{path}: no file of arrays of inputs: it holds inputs and perhaps labels, not "
            f"{', '.join(map(repr, names)) or 'nothing'}"
        )
    return names


def arrays_digest(name: str) -> str:
    """Return what tells the arrays of a file apart, whatever it is called; see `read_arrays`."""
    try:
        state = os.stat(name)
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error})") from error
    return _digest(os.path.abspath(name), state.st_mtime_ns, state.st_size)


@lru_cache(16)
def _digest(name: str, *state: int) -> str:
    """Return the digest of a file, which is read once for each ``state`` that it has."""
    found, digest = read_arrays(Path(name)), sha256()
    for each in (found.inputs, found.labels):
        if each is not None:
            digest.update(f"{each.dtype.str} {each.shape}".encode() + each.tobytes())
    return digest.hexdigest()


def load_arrays(name: str) -> Dataset:
    """Return the images of a file to train on; a quarter of each class is for testing.

    Parameters
    ----------
    name : str
        A ``.npz`` file of ``inputs``, bytes of shape (images, height, width, channels) or (images,
        height, width), and ``labels``, their classes from 0 on.

    Raises
    ------
    DataError
        For another file, or arrays of another shape or type; the text says which.
    """
    path = Path(name)
    found = read_arrays(path)
    images, labels = found.inputs, found.labels
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(
            f"{path}: to train on, inputs are uint8 of shape (images, height, width, channels), "
            f"not {images.dtype} of shape {images.shape}"
        )
    if labels is None or labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        what = "none" if labels is None else f"{labels.dtype} of shape {labels.shape}"
        raise DataError(
            f"{path}: to train on, labels are integers of shape ({len(images)},), not {what}"
        )
    labels = labels.astype(np.int64)
    train, test = stratified_split(labels, test_fraction=0.25, seed=0)
    if labels.min() < 0 or labels.max() >= len(labels) or not len(test):
        raise DataError(
            f"{path}: to train on, labels are classes from 0 on, with images enough that a quarter "
            f"of each is left out for testing; these are {labels.min()} to {labels.max()}, of "
            f"{len(labels)} images"
        )
    images = images.reshape(*images.shape[:3], -1)
    return Dataset(
        name=name,
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        classes=int(labels.max()) + 1,
        pixel_max=255,
        input=Fixed(8, signed=False),
    )
