"""Data sets: images as stored, a fixed split, and pixels as input levels.

`load` returns a `Dataset` by name. Its pixels are the integers they came as; `Dataset.levels` turns
them into the levels that a network of a given input format reads.
"""

from collections.abc import Callable

from ...hw.errors import DataError
from .arrays import is_file, load_arrays
from .cifar import load_cifar10
from .dataset import Dataset, input_scale
from .digits import load_digits
from .folder import load_folder
from .idx import load_fashion_mnist, load_mnist
from .kws import load_kws
from .svhn import load_svhn

__all__ = ["DATASETS", "Dataset", "input_scale", "is_file", "load"]

DATASETS: dict[str, Callable[[], Dataset]] = {
    "cifar10": load_cifar10,
    "digits": load_digits,
    "fashion-mnist": load_fashion_mnist,
    "kws": load_kws,
    "mnist": load_mnist,
    "svhn": load_svhn,
}
"""Loader of every data set that has a fixed name."""


def load(name: str) -> Dataset:
    """Return the data set called ``name``.

    That is one of `DATASETS`, ``folder:PATH[@SIZE]``, or a ``.npz`` file of images to train on.

    Raises
    ------
    DataError
        For a name that does not exist, and for files that are missing or damaged.
    """
    if name.startswith("folder:"):
        return load_folder(name)
    if is_file(name):
        return load_arrays(name)
    if name not in DATASETS:
        raise DataError(
            f"unknown data set {name!r}; there is {', '.join(sorted(DATASETS))}, "
            f"folder:PATH@SIZE for a folder of images, and FILE.npz for one of arrays"
        )
    return DATASETS[name]()
