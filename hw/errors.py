"""Every error that narrowgauge raises on purpose.

::

    NarrowgaugeError          one line: what was given, what is allowed, what to do
    ├── FormatError           a number format's name, or a level that it does not hold
    ├── NetworkError          a network that is malformed, or a network file that cannot be read
    ├── GeometryError         an array or memory shape that cannot be built
    ├── FitError              a design larger than its target
    ├── ToolError             an external tool that is missing or failed
    │   ├── EngineRefusal     a design that one simulation engine does not run, though others do
    │   ├── ToolMissing       an external tool that is not there, or too old to be used
    │   ├── ToolFailure       an external tool that ended by itself, and refused what it was given
    │   └── ToolTimeout       an external tool that did not end
    ├── DataError             a data set that is missing or damaged
    ├── LinkError             a board that does not answer, or not as it should
    └── MismatchError         hardware and reference disagree

`ToolWarning` is what is said of a tool that is used, or not, though nothing fails; a `Refusal` is
one of several things that are wrong with a model, for a list of all of them.
"""

from typing import NamedTuple

__all__ = [
    "DataError",
    "EngineRefusal",
    "FitError",
    "FormatError",
    "GeometryError",
    "LinkError",
    "MismatchError",
    "NarrowgaugeError",
    "NetworkError",
    "Refusal",
    "ToolError",
    "ToolFailure",
    "ToolMissing",
    "ToolTimeout",
    "ToolWarning",
]


class NarrowgaugeError(Exception):
    """Base of all deliberate errors; its text is one line for the person at the terminal."""


class FormatError(NarrowgaugeError, ValueError):
    """A number format that does not exist, or a level that its format cannot hold."""


class NetworkError(NarrowgaugeError, ValueError):
    """A malformed network, or a network file that cannot be read."""


class GeometryError(NarrowgaugeError, ValueError):
    """An array or memory shape that cannot be built."""


class FitError(NarrowgaugeError):
    """A design that needs more than its target has.

    Attributes
    ----------
    lut : int or None
        Logic cells that it needs, where they were counted.
    """

    def __init__(self, text: str, *, lut: int | None = None):
        super().__init__(text)
        self.lut = lut


class ToolError(NarrowgaugeError):
    """An external tool that is missing or failed."""


class EngineRefusal(ToolError):
    """A design that one simulation engine does not run, though others do."""


class ToolMissing(ToolError):
    """An external tool that is not there, or too old to be used."""


class ToolFailure(ToolError):
    """An external tool that ended by itself, and refused what it was given.

    Attributes
    ----------
    reason : str
        Why.
    kept : str
        Where what it was given is, in words; empty where it was not kept.
    """

    def __init__(self, reason: str, kept: str = ""):
        super().__init__(f"{reason}; {kept}" if kept else reason)
        self.reason, self.kept = reason, kept


class ToolTimeout(ToolError):
    """An external tool that was stopped because it did not end."""


class ToolWarning(UserWarning):
    """A tool that is used though it was not tested, or another that is passed over."""


class DataError(NarrowgaugeError):
    """A data set that is missing or damaged."""


class LinkError(NarrowgaugeError):
    """A board that does not answer, or holds something else than it should."""


class MismatchError(NarrowgaugeError):
    """Hardware and reference disagree."""


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
