"""CIFAR-10 in its binary version: records of a label and 3 planes of 32x32 pixels."""

import numpy as np

from ...hw.errors import DataError
from ...hw.numbers.formats import Fixed
from .dataset import Dataset
from .fetch import Remote, RemoteFiles, read_files

__all__ = ["CIFAR10", "decode_records", "load_cifar10"]

CIFAR10 = RemoteFiles(
    name="cifar10",
    folder="cifar-10-batches-bin",
    files={
        "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    },
    archive=Remote(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
    ),
)
_NAMES = "airplane automobile bird cat deer dog frog horse ship truck"
_RECORD = 1 + 3 * 32 * 32


def load_cifar10() -> Dataset:
    """Return CIFAR-10: photos of 32x32 pixels, 50000 for training, 10000 for testing."""
    contents = read_files(CIFAR10)
    test_images, test_labels = decode_records(contents.pop("test_batch.bin"), "test_batch.bin")
    parts = [decode_records(contents[name], name) for name in sorted(contents)]
    return Dataset(
        name="cifar10",
        train_images=np.concatenate([images for images, _ in parts]),
        train_labels=np.concatenate([labels for _, labels in parts]),
        test_images=test_images,
        test_labels=test_labels,
        classes=10,
        pixel_max=255,
        input=Fixed(8, signed=False),
        class_names=tuple(_NAMES.split()),
    )


def decode_records(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images, channels last, and labels of one file.

    Raises
    ------
    DataError
        For bytes that are not whole records with labels 0 to 9; the text calls the file ``name``.
    """
    if not content or len(content) % _RECORD:
        raise DataError(
            f"{name} of cifar10 has {len(content)} bytes, not a multiple of {_RECORD}, the length "
            f"of a record; replace it"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise DataError(f"{name} of cifar10 has label {labels.max()}, above 9; replace it")
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
