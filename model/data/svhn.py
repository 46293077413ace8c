"""SVHN, house numbers seen from the street: the cropped digits, two MATLAB files."""

from io import BytesIO

import numpy as np

from ...hw.errors import DataError
from ...hw.numbers.formats import Fixed
from .dataset import Dataset
from .fetch import Remote, RemoteFiles, read_files

__all__ = ["SVHN", "decode_mat", "load_svhn"]

_URL = "http://ufldl.stanford.edu/housenumbers"
_FILES = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}
SVHN = RemoteFiles(
    name="svhn",
    folder="svhn",
    files=_FILES,
    remotes={name: Remote(f"{_URL}/{name}", md5) for name, md5 in _FILES.items()},
)


def load_svhn() -> Dataset:
    """Return SVHN: digits of 32x32 pixels, 73257 for training, 26032 for testing."""
    contents = read_files(SVHN)
    train_images, train_labels = decode_mat(contents.pop("train_32x32.mat"), "train_32x32.mat")
    test_images, test_labels = decode_mat(contents.pop("test_32x32.mat"), "test_32x32.mat")
    return Dataset(
        name="svhn",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=10,
        pixel_max=255,
        input=Fixed(8, signed=False),
    )


def decode_mat(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels of one file; its label 10 means 0.

    Raises
    ------
    DataError
        For bytes that are not such a file; the text calls it ``name``.
    """
    from scipy.io import loadmat  # here: only this data set needs it

    try:
        variables = loadmat(BytesIO(content), variable_names=["X", "y"])
        pixels, labels = variables["X"], variables["y"].reshape(-1)
    except Exception as error:  # a damaged file can raise nearly everything in scipy
        raise DataError(
            f"{name} of svhn is not a MATLAB file with images X and labels y "
            f"({type(error).__name__}); replace it"
        ) from error
    if pixels.dtype != np.uint8 or pixels.shape != (32, 32, 3, len(labels)):
        raise DataError(
            f"{name} of svhn needs uint8 images of shape (32, 32, 3, {len(labels)}), one a label; "
            f"they are {pixels.dtype} of shape {pixels.shape}; replace it"
        )
    if len(labels) == 0 or not np.isin(labels, range(1, 11)).all():
        raise DataError(f"{name} of svhn needs labels 1 to 10, where 10 means 0; replace it")
    return np.ascontiguousarray(pixels.transpose(3, 0, 1, 2)), labels.astype(np.int64) % 10
