"""Folders of images, kept as ImageNet is: ``ROOT/train/CLASS/IMAGE``, and ``test`` or ``val``."""

import os
import re
from pathlib import Path

import numpy as np

from ...hw.errors import DataError
from ...hw.numbers.formats import Fixed
from .dataset import Dataset

__all__ = ["load_folder"]

_DEFAULT_SIZE = 224
_SUFFIXES = (".png", ".jpg", ".jpeg")


def load_folder(name: str) -> Dataset:
    """Return the images below a folder, in colour, all of one size.

    The short side is resized to the size, and the middle is cut out. Classes are the folders in
    ``train``, by name.

    Parameters
    ----------
    name : str
        ``folder:PATH`` or ``folder:PATH@SIZE``; 224 pixels unless told otherwise.

    Raises
    ------
    DataError
        For another name, folders that are not like that, and images that cannot be read.
    """
    match = re.fullmatch("folder:(.+?)(?:@([0-9]{1,9}))?", name)
    size = int(match[2] or _DEFAULT_SIZE) if match else 0
    if match is None or size < 1:
        raise DataError(f"a folder of images is folder:PATH or folder:PATH@SIZE, not {name!r}")
    root = Path(os.path.expanduser(match[1]))
    if not os.path.isdir(root / "train"):
        raise DataError(
            f"{root} has no folder train; it needs train/CLASS/IMAGE and test/CLASS/IMAGE (or val)"
        )
    tests = [root / part for part in ("test", "val") if os.path.isdir(root / part)]
    if not tests:
        raise DataError(
            f"{root} has no folder test or val; put images that are not trained on into one of them"
        )
    class_names = tuple(_folders(root / "train"))
    if not class_names:
        raise DataError(f"{root / 'train'} has no folders; it needs one for each class")
    train_images, train_labels = _read(root / "train", class_names, size)
    test_images, test_labels = _read(tests[0], class_names, size)
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=len(class_names),
        pixel_max=255,
        input=Fixed(8, signed=False),
        class_names=class_names,
    )


def _entries(folder: Path) -> list[Path]:
    """Return what is in ``folder``, sorted, without hidden files."""
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); make it readable") from error


def _folders(parent: Path) -> list[str]:
    """Return the names of the folders in ``parent``, sorted."""
    return [path.name for path in _entries(parent) if path.is_dir()]


def _read(parent: Path, class_names: tuple[str, ...], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels of one half of the split, class by class, sorted by name."""
    others = sorted({*_folders(parent)} ^ {*class_names})
    if others:
        raise DataError(
            f"{parent} and {parent.parent / 'train'} need folders of the same names, one for each "
            f"class; only one has {', '.join(others)}"
        )
    paths, labels = [], []
    for label, class_name in enumerate(class_names):
        folder = parent / class_name
        found = [path for path in _entries(folder) if path.suffix.lower() in _SUFFIXES]
        if not found:
            raise DataError(f"{folder} has no images; it needs {', '.join(_SUFFIXES)} files")
        paths += found
        labels += [label] * len(found)
    try:
        images = np.empty((len(paths), size, size, 3), np.uint8)
    except (MemoryError, ValueError) as error:
        raise DataError(
            f"{len(paths)} images of {size}x{size} pixels are too many for memory; "
            f"give a smaller size, as in folder:PATH@64"
        ) from error
    for image, path in zip(images, paths, strict=True):
        image[:] = _read_image(path, size)
    return images, np.array(labels, np.int64)


def _read_image(path: Path, size: int) -> np.ndarray:
    """Return one image, ``size`` pixels in height and width."""
    from PIL import Image, ImageOps  # here: only folders need it

    square = (size, size)
    try:
        with Image.open(path) as image:
            image.verify()  # the checksums of a PNG; decoding does not look at them
        with Image.open(path) as image:
            fitted = ImageOps.fit(image.convert("RGB"), square, Image.Resampling.BILINEAR)
            return np.asarray(fitted)
    except Exception as error:  # a damaged file can raise nearly everything in Pillow
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path} is not an image that can be read ({reason}); replace it or remove it"
        ) from error
