"""Counts the words that the feeder reads for a layer, position by position."""

from collections.abc import Iterable
from math import gcd

import numpy as np

from .records import Feed, Record

__all__ = ["aligned", "bank_cycles", "position_cycles"]


def aligned(records: Iterable[Record], lanes: int) -> bool:
    """Tell whether all runs of some layers begin at words, so that nothing is rotated."""
    return gcd(lanes, *(step for record in records for step in record.feed.steps)) == lanes


def position_cycles(feed: Feed, lanes: int, *, whole: bool) -> np.ndarray:
    """Return the cycles in which the feeder reads each position, or strip, of an image.

    A word a cycle: a run touches one more where it does not begin at one. Where some runs are not
    ``whole`` words, the last piece of each pass goes out in a cycle of its own.

    Returns
    -------
    array of shape (groups, positions)
    """
    down = feed.row_step + (feed.width - 1) * feed.x_step
    starts = (
        feed.start
        + feed.group_step * np.arange(feed.groups)[:, None, None]
        + down * np.arange(feed.height)[:, None]
        + feed.x_step * np.arange(feed.width)
    ) % lanes
    runs = (
        feed.outer_step * np.arange(feed.outer)[:, None] + feed.inner_step * np.arange(feed.inner)
    ).ravel() % lanes
    offsets, counts = np.unique(runs, return_counts=True)
    places = np.unique(starts)
    touched = -(-((places[:, None] + offsets) % lanes + feed.length) // lanes)
    cycles = np.zeros(lanes, np.int64)
    cycles[places] = touched @ counts + (not whole and not feed.separate)
    return feed.planes * cycles[starts].reshape(feed.groups, -1)


def bank_cycles(record: Record, cycles: np.ndarray, rows: int) -> list[int]:
    """Return the cycles in which each bank of a context is read, from those of its positions."""
    place = record.place
    if record.mapped.patch.count == 1:  # its positions are images
        return (cycles[:, 0] * place.positions).tolist()
    room = np.zeros((len(cycles), place.chunks * rows), np.int64)
    room[:, : cycles.shape[1]] = cycles
    chunks = room.reshape(len(cycles), 1, place.chunks, rows).sum(axis=3)
    return np.repeat(chunks, place.images, axis=1).ravel().tolist()
