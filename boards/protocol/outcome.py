"""Outcomes at the host: a board's answers, and counts of events on the line."""

from dataclasses import astuple, dataclass
from typing import Self

import numpy as np

from ...hw.errors import LinkError
from .frame import Error, Flag

__all__ = ["STATUS_BYTES", "Answer", "Counts", "Inference", "Status"]

STATUS_BYTES = 4
"""Of the answer to `Type.STATUS`."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one image.

    Attributes
    ----------
    index : int
        Which image.
    label : int, tuple of int, or None
        Its class, where there are classes; of several outputs one each, 0 where that is values.
    levels : int array of shape (outputs,) or None
        The levels of the output, or of the outputs one after the other, where they were asked for
        or there are no classes.
    """

    index: int
    label: int | tuple[int, ...] | None
    levels: np.ndarray | None


@dataclass
class Counts:
    """Counts of events on the line.

    Attributes
    ----------
    sent : int
        Requests sent, repeated ones included.
    retries : int
        Requests that were repeated.
    timeouts : int
        Times that nothing came for as long as the timeout.
    refused : int
        Images that the device had no room for.
    damaged : int
        Times that what began like a frame was none.
    stale : int
        Right frames that answered nothing that was asked.
    """

    sent: int = 0
    retries: int = 0
    timeouts: int = 0
    refused: int = 0
    damaged: int = 0
    stale: int = 0

    def since(self, before: "Counts") -> "Counts":
        """Return what happened after ``before``."""
        pairs = zip(astuple(self), astuple(before), strict=True)
        return Counts(*(now - then for now, then in pairs))


@dataclass(frozen=True)
class Status:
    """The answer to `Type.STATUS`.

    Attributes
    ----------
    flags : Flag
    error : Error
        The last one since the last reset.
    damaged : int
        Frames that reached the device damaged, modulo 256.
    chunks : int
        Chunks of weights that were loaded, modulo 256.
    """

    flags: Flag
    error: Error
    damaged: int
    chunks: int

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload of an answer, `STATUS_BYTES` long.

        Raises
        ------
        LinkError
            For an error that is none of `Error`.
        """
        flags, error, damaged, chunks = payload
        if error not in set(Error):
            raise LinkError(
                f"the device had error {error} last, which this narrowgauge does not know; build "
                "its bitstream anew"
            )
        return cls(Flag(flags), Error(error), damaged, chunks)


@dataclass(frozen=True, eq=False)
class Inference:
    """All answers, in the order of the images.

    Attributes
    ----------
    labels : int array of shape (images,), or (images, outputs of the network), or None
        Where there are classes.
    levels : int array of shape (images, outputs) or None
        Where they were asked for, or there are no classes.
    seconds : float
        From the first request to the last answer.
    counts : Counts
        Of these images alone.
    """

    labels: np.ndarray | None
    levels: np.ndarray | None
    seconds: float
    counts: Counts
