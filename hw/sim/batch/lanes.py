"""Images in lanes: which image goes where, and bits of numbers as vectors."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Share", "equal_shares", "numbers", "shares", "vectors"]


@dataclass(frozen=True)
class Share:
    """Images of one pass: each lane takes one, then each another one, and so on.

    Attributes
    ----------
    start, stop : int
        Images of the pass.
    lanes : int
        Lanes that have images. The last place of some may be empty.
    width : int
        Lanes of a vector.
    """

    start: int
    stop: int
    lanes: int
    width: int

    @property
    def images(self) -> int:
        """Images of the pass."""
        return self.stop - self.start

    @property
    def length(self) -> int:
        """Images of a lane."""
        return -(-self.images // self.lanes)

    def masks(self) -> np.ndarray:
        """Return the lanes that have an image at each place; uint64, of shape (length, words)."""
        full = np.arange(self.length)[:, None] * self.lanes + np.arange(self.width)
        there = (np.arange(self.width) < self.lanes) & (full < self.images)
        return np.packbits(there, axis=1, bitorder="little").view("<u8").astype(np.uint64)

    def spread(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of images, of shape (images, n), as one of shape (length, n, width).

        Lanes without an image have zeros.
        """
        filled = np.zeros((self.length * self.lanes, rows.shape[1]), rows.dtype)
        filled[: len(rows)] = rows
        lanes = filled.reshape(self.length, self.lanes, -1).transpose(0, 2, 1)
        return np.pad(lanes, ((0, 0), (0, 0), (0, self.width - self.lanes)))

    def gather(self, lanes: np.ndarray) -> np.ndarray:
        """Undo `spread`."""
        rows = lanes[:, :, : self.lanes].transpose(0, 2, 1)
        return rows.reshape(-1, lanes.shape[1])[: self.images]


def shares(images: int, width: int, batch: int, workers: int, limit: int) -> list[Share]:
    """Divide images into passes, as many a lane as all workers need, in whole batches.

    Parameters
    ----------
    images : int
    width : int
        Lanes of a vector.
    batch : int
        Images that are computed together: a lane has a multiple of them.
    workers : int
        Passes that run side by side.
    limit : int
        Images of a lane at most, but a batch is always allowed.
    """
    each = -(-images // workers)
    length = min(-(-each // (width * batch)), max(1, limit // batch)) * batch
    lanes = min(width, -(-each // length))
    starts = range(0, images, length * lanes)
    stops = [min(images, start + length * lanes) for start in starts]
    return [
        Share(start, stop, min(lanes, -(-(stop - start) // length)), width)
        for start, stop in zip(starts, stops, strict=True)
    ]


def equal_shares(images: int, width: int, batch: int) -> list[Share]:
    """Divide images into lanes that are full at every place; what is left has a lane of its own.

    Parameters
    ----------
    images, width, batch : int
        As `shares` takes them.
    """
    length = -(-images // (width * batch)) * batch
    lanes = images // length
    parts = (0, length * lanes, lanes), (length * lanes, images, 1)
    return [Share(start, stop, count, width) for start, stop, count in parts if start < stop]


def vectors(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Return numbers of shape (n, lanes) as their bits, uint64 of shape (n, bits, words)."""
    octets = np.empty((len(numbers), bits, numbers.shape[1] // 8), np.uint8)
    for bit in range(bits):
        octets[:, bit] = np.packbits((numbers >> bit) & 1, axis=1, bitorder="little")
    return octets.view("<u8").astype(np.uint64, copy=False)


def numbers(vectors: np.ndarray) -> np.ndarray:
    """Return bits of shape (n, bits, words) as numbers, int64 of shape (n, lanes)."""
    octets = vectors.astype("<u8", copy=False).view(np.uint8)
    found = np.zeros((len(vectors), 8 * octets.shape[2]), np.int64)
    for bit in range(octets.shape[1]):
        plane = np.unpackbits(octets[:, bit], axis=1, bitorder="little")
        found |= plane.astype(np.int64) << bit
    return found
