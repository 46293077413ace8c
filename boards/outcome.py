"""What the host learns from a board: answers, and what happened on the line."""

from dataclasses import astuple, dataclass

import numpy as np

from .frame import Error, Flag

__all__ = ["Answer", "Counts", "Inference", "Status"]


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one image.

    Attributes
    ----------
    index : int
        Which image.
    label : int
        Its class.
    levels : int array of shape (outputs,) or None
        The levels of the last layer, where they were asked for.
    """

    index: int
    label: int
    levels: np.ndarray | None


@dataclass
class Counts:
    """What happened on the line.

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


@dataclass(frozen=True, eq=False)
class Inference:
    """All answers, in the order of the images.

    Attributes
    ----------
    labels : int array of shape (images,)
    levels : int array of shape (images, outputs) or None
        Where they were asked for.
    seconds : float
        From the first request to the last answer.
    counts : Counts
        Of these images alone.
    """

    labels: np.ndarray
    levels: np.ndarray | None
    seconds: float
    counts: Counts
