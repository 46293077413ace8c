"""Files that are whole or not there: the one way in which anything here is written."""

import errno
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import platformdirs

from .errors import NarrowgaugeError

__all__ = [
    "cache_folder",
    "check_writable",
    "file_name",
    "is_standard_output",
    "write_atomically",
    "written",
]

_LONGEST = 200  # characters of a file's name; systems allow 255 with what is put around them
_PATIENCE = 10.0  # seconds that a pipe may have no reader
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def cache_folder() -> Path:
    """Return the folder ``NARROWGAUGE_CACHE``, or else the user's cache folder; it may be missing.

    Raises
    ------
    NarrowgaugeError
        Where there is neither.
    """
    if given := os.environ.get("NARROWGAUGE_CACHE"):
        return Path(given)
    folder = Path(platformdirs.user_cache_dir("narrowgauge"))
    if not folder.is_absolute():  # ~ of a user who has no home
        raise NarrowgaugeError("there is no home folder: set NARROWGAUGE_CACHE to a folder")
    return folder


def file_name(text: str) -> str:
    """Return ``text`` as the name of a file of a folder: it leads nowhere else, and is not empty.

    What is not a letter or a digit of ASCII, or one of ``_ . + -``, becomes a hyphen.
    """
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip(".-")[:_LONGEST] or "unnamed"


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write ``content`` so that ``path`` holds either the old or the new content, never a part.

    Text becomes UTF-8, and bytes of file names that are no text in it their numbers. See `written`.
    """
    with written(path) as file:
        text = isinstance(content, str)
        file.write(content.encode(errors="backslashreplace") if text else content)


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file, under another name (its ``name``), which becomes ``path`` when the block ends.

    It has the mode of the file that it replaces, or else what the umask leaves. Missing folders are
    made. Where ``path`` is a symlink it stays one, and its target is written. Into a pipe, a
    terminal or another character device the content is poured, at the end; standard output is
    written to where it stands.

    Raises
    ------
    OSError
        Where writing fails; it names ``path``, and nothing is left behind. Folders, block devices,
        sockets and files that are write-protected are refused, and so is a pipe that nobody reads.
    """
    there = _status(path)
    if not _is_replaced(there, path):
        with tempfile.NamedTemporaryFile() as file, _named(path):
            yield file
            file.seek(0)
            _pour(file, path)
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with _part(path, target) as (part, file):
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()
        if there:
            _keep(there, part)
        os.replace(part, target)


def check_writable(path: Path) -> None:
    """See that `written` can begin; leave nothing behind. Raises `OSError` where it cannot."""
    there = _status(path)
    if not _is_replaced(there, path):
        return
    target = Path(os.path.realpath(path))
    folder = next((each for each in target.parents if each.exists()), target.parent)
    with _part(path, folder / target.name):
        pass


def is_standard_output(path: Path) -> bool:
    """Return whether what is written to ``path`` comes out of standard output."""
    try:
        there = os.stat(path)
        same = os.path.samestat(there, os.fstat(1))
    except OSError:
        return False
    return same and (not stat.S_ISCHR(there.st_mode) or os.isatty(1))  # /dev/null is not one


def _status(path: Path) -> os.stat_result | None:
    """Return what the system knows of ``path`` if it is there; refuse what cannot be written."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if is_standard_output(path):
        return there
    for kind, name in ((stat.S_ISBLK, "a block device"), (stat.S_ISSOCK, "a socket")):
        if kind(there.st_mode):
            raise OSError(errno.EINVAL, f"it is {name}, and no file", str(path))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it is write-protected", str(path))
    return there


def _is_replaced(there: os.stat_result | None, path: Path) -> bool:
    """Return whether a new file takes the place of ``path``, or else it is written into."""
    return there is None or (stat.S_ISREG(there.st_mode) and not is_standard_output(path))


@contextmanager
def _part(path: Path, target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yield a new file beside ``target``, which is removed at the end if it is still there."""
    part = target.with_name(
        f".{secrets.token_hex(8)}.part"
    )  # short, as names may be at their limit
    with _named(path):
        try:
            file = open(part, "xb")  # the umask decides its mode
        except OSError as error:
            if error.errno not in _CLOSED:
                raise
            reason = f"{error.strerror}: no file can be made in the folder {target.parent}"
            raise OSError(error.errno, reason) from error
        try:
            with file:
                yield part, file
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let the errors of writing name ``path``, and not the file that is to become it."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _keep(there: os.stat_result, part: Path) -> None:
    """Give a file the owner, where that is allowed, and the mode of the one that it replaces."""
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(part, there.st_uid, there.st_gid)
    os.chmod(part, stat.S_IMODE(there.st_mode))


def _pour(file: IO[bytes], path: Path) -> None:
    """Write all of ``file`` into what ``path`` is, from where that stands."""
    if is_standard_output(path):
        sys.stdout.flush()
        target = os.dup(1)
    else:
        target = _opened(path)
    with open(target, "wb") as stream:
        shutil.copyfileobj(file, stream)


def _opened(path: Path) -> int:
    """Open a pipe or a device; a pipe may be without a reader for a while, but not for ever."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            opened = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            if error.errno != errno.ENXIO or not path.is_fifo():
                raise
            if time.monotonic() > until:
                raise OSError(error.errno, "nobody reads from this pipe") from error
            time.sleep(0.05)
        else:
            if hasattr(os, "O_NONBLOCK"):
                os.set_blocking(opened, True)
            return opened
