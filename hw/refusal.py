"""What of a model is not supported, for a list of all of it."""

from typing import NamedTuple

__all__ = ["Refusal"]


class Refusal(NamedTuple):
    """A part of a model that is not supported.

    Attributes
    ----------
    where : str
        Its name and kind.
    reason : str
        Why.
    nearest : str
        The nearest thing that is supported; empty where nothing is near.
    """

    where: str
    reason: str
    nearest: str = ""

    @classmethod
    def of(cls, error: Exception, where: str = "") -> "Refusal":
        """Return that of an error: a name before its first colon, advice behind its last `;`."""
        text = " ".join(str(error).split())
        found, colon, rest = text.partition(": ")
        if colon and not where:
            where, text = found, rest
        reason, semicolon, nearest = text.rpartition("; ")
        return cls(where, reason if semicolon else text, nearest if semicolon else "")
