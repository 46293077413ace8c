"""Standard streams as they come: closed, full, without a reader, of an encoding that lacks letters.

What is told on the way must not end the work, and what cannot be told at its end is an error.
"""

import ctypes
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["lost", "muted", "prepare"]


def prepare() -> None:
    """Make the standard streams safe to print to.

    A stream that is closed is opened on the null device, so that no file which is opened later gets
    its number, and with it what tools and libraries print. What cannot be written is forgotten; for
    standard output, `lost` tells that. A letter that the encoding lacks is printed as its number.
    """
    for name, flags, mode in (
        ("stdin", os.O_RDONLY, "r"),
        ("stdout", os.O_RDONLY, "w"),  # which takes nothing
        ("stderr", os.O_WRONLY, "w"),
    ):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, flags)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        buffer = getattr(stream, "buffer", None)
        if type(getattr(buffer, "raw", buffer)) is io.FileIO:  # a console of Windows has another
            stream.flush()
            setattr(sys, name, _Stream(stream))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def muted() -> Iterator[None]:
    """Forget what libraries print to standard output past Python, as HiGHS does whatever is asked.

    It would stand among results, and in the midst of JSON.
    """
    library = ctypes.CDLL(None) if os.name == "posix" else ctypes.cdll.msvcrt
    sys.stdout.flush()
    library.fflush(None)  # what came before is no part of it
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        library.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


class _File(io.FileIO):
    """A file that takes everything, and keeps the first error."""

    error: OSError | None = None

    def write(self, data, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = self.error or error
            return len(data)


class _Stream(io.TextIOWrapper):
    """Another stream into the file of ``stream``."""

    def __init__(self, stream: io.TextIOWrapper):
        self.file = _File(stream.fileno(), "w", closefd=False)
        buffered = not stream.write_through  # as PYTHONUNBUFFERED has it
        super().__init__(
            io.BufferedWriter(self.file) if buffered else self.file,
            stream.encoding,
            "backslashreplace",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )


def lost() -> OSError | None:
    """Write what is left of standard output; return why some of it could not be written."""
    stream = sys.stdout
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python tries again at its exit
        return error
    error = stream.file.error if isinstance(stream, _Stream) else None
    if error and error.errno == errno.EBADF:
        return OSError(errno.EBADF, "standard output is closed, so nothing was printed")
    return error
