"""MLPerf Tiny's keyword spotting: the 1,000 clips that its benchmark asks about."""

from hashlib import sha256

import numpy as np

from ...hw.errors import DataError
from ...hw.numbers.formats import Fixed
from .arrays import read_arrays
from .dataset import Dataset
from .fetch import find_file

__all__ = ["load_kws"]

FOLDER, FILE = "mlperf-tiny/kws01", "kws01_int8.npz"
SHAPE = (1000, 49, 10, 1)
DIGEST = "662871bf0416a3d22a65d7890c1772a98e402b32ad3cd40aa7862801b1fe33ff"
"""SHA-256 of the clips, and behind them their classes, a byte each."""
UNIT, ZERO = 0.5847029089927673, 83
WORDS = (
    *("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes"),
    *("silence", "unknown"),
)
MADE_OF = (
    "make it of the clips of MLPerf Tiny's kws01: inputs, int8 of shape (1000, 49, 10, 1), and "
    "labels, 0 to 11, in the order of its y_labels.csv"
)


def load_kws() -> Dataset:
    """Return the clips of 12 classes, for testing only: 10 cepstral coefficients of 49 frames each.

    They are codes of 8 bits: ``c`` stands for the value ``(c - 83) * 0.5847029089927673``.

    Raises
    ------
    DataError
        Where the file is missing, or holds anything but these clips.
    """
    path = find_file(FOLDER, FILE, made_of=MADE_OF)
    found = read_arrays(path)
    clips, labels = found.inputs, found.labels
    is_whole = labels is not None and (clips.shape, clips.dtype) == (SHAPE, np.int8)
    if labels is None or not is_whole or _digest(clips, labels) != DIGEST:
        raise DataError(f"{path} does not hold the clips of kws; {MADE_OF}")
    none = np.zeros(0, np.int64)
    return Dataset(
        name="kws",
        train_images=clips[:0],
        train_labels=none,
        test_images=clips,
        test_labels=labels.astype(np.int64),
        classes=len(WORDS),
        pixel_max=127,
        input=Fixed(8),
        class_names=WORDS,
        unit=UNIT,
        zero=ZERO,
    )


def _digest(clips: np.ndarray, labels: np.ndarray) -> str:
    return sha256(clips.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
