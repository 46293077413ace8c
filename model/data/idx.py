"""MNIST and Fashion-MNIST: four files in the idx format.

An idx file is two zero bytes, a type (8 is uint8), the number of dimensions, each dimension as four
bytes with the highest first, and the elements.
"""

import math
import struct

import numpy as np

from ...hw.errors import DataError
from ...hw.numbers.formats import Fixed
from .dataset import Dataset
from .fetch import Remote, RemoteFiles, read_files

__all__ = ["FASHION_MNIST", "MNIST", "decode_idx", "load_fashion_mnist", "load_mnist"]

_TRAIN = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
_TEST = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def _source(name: str, url: str, unpacked: list[str], packed: list[str]) -> RemoteFiles:
    """Return the source of a set whose MD5s are in the order of `_TRAIN` and `_TEST`."""
    files = _TRAIN + _TEST
    downloads = zip(files, packed, strict=True)
    return RemoteFiles(
        name=name,
        folder=name,
        files=dict(zip(files, unpacked, strict=True)),
        remotes={file: Remote(f"{url}/{file}.gz", md5) for file, md5 in downloads},
    )


MNIST = _source(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    unpacked=[
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ],
    packed=[
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ],
)
FASHION_MNIST = _source(
    "fashion-mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    unpacked=[
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ],
    packed=[
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ],
)
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_mnist() -> Dataset:
    """Return MNIST: handwritten digits of 28x28 pixels, 60000 for training, 10000 for testing."""
    return _load(MNIST)


def load_fashion_mnist() -> Dataset:
    """Return Fashion-MNIST: clothes, in as many images of the same size as MNIST."""
    return _load(FASHION_MNIST, _CLOTHES)


def _load(source: RemoteFiles, class_names: tuple[str, ...] = ()) -> Dataset:
    contents = read_files(source)
    train_images, train_labels = _part(source, contents, *_TRAIN)
    test_images, test_labels = _part(source, contents, *_TEST)
    return Dataset(
        name=source.name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=10,
        pixel_max=255,
        input=Fixed(8, signed=False),
        class_names=class_names,
    )


def _part(
    source: RemoteFiles, contents: dict[str, bytes], images_file: str, labels_file: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels of one half of the split."""
    images = decode_idx(contents.pop(images_file), 3, f"{images_file} of {source.name}")
    labels = decode_idx(contents.pop(labels_file), 1, f"{labels_file} of {source.name}")
    if len(images) != len(labels) or labels.max(initial=0) > 9:
        raise DataError(
            f"{labels_file} of {source.name} needs a label from 0 to 9 for each of the "
            f"{len(images)} images; it has {len(labels)}, up to {labels.max(initial=0)}; "
            f"replace it"
        )
    return images[..., np.newaxis], labels.astype(np.int64)


def decode_idx(content: bytes, dimensions: int, name: str) -> np.ndarray:
    """Return the uint8 array in an idx file.

    Raises
    ------
    DataError
        For bytes that are not such a file; the text calls it ``name``.
    """
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes([0, 0, 8, dimensions]):
        raise DataError(
            f"{name} is not an idx file of uint8 with {dimensions} dimensions: it begins with "
            f"{content[:4].hex(' ') or 'nothing'}, not 00 00 08 {dimensions:02x}; replace it"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{name} has {len(content) - start} elements, its head says {math.prod(shape)}; "
            f"replace it"
        )
    elements = np.frombuffer(content, np.uint8, offset=start)
    return elements.reshape(shape).copy()  # torch warns of arrays that cannot be written
