"""Files of data sets: found, downloaded where they are missing, and checked.

Whatever brought a file here, and however it is packed, its unpacked bytes must have the MD5 that is
known for them. Files are read as they are; nothing is unpacked on disk.
"""

import gzip
import hashlib
import logging
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...hw.errors import DataError
from ...hw.files import cache_folder

__all__ = ["Remote", "RemoteFiles", "find_file", "read_files"]

_OPENERS = {"": open, ".gz": gzip.open, ".xz": lzma.open}
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remote:
    """A file that can be downloaded.

    Attributes
    ----------
    url : str
        Its address.
    md5 : str
        MD5 of the file as it is downloaded.
    """

    url: str
    md5: str

    @property
    def file(self) -> str:
        """Its name, the last part of the address."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class RemoteFiles:
    """The files of one data set.

    Attributes
    ----------
    name : str
        Name of the data set.
    folder : str
        Name of the folder that holds its files where it is distributed.
    files : mapping of str to str
        MD5 of the unpacked bytes of every file, by the file's name without ``.gz`` or ``.xz``.
    remotes : mapping of str to Remote
        The download of each file, by the same name; empty where there is an ``archive``.
    archive : Remote, optional
        A tar archive that holds all files, in ``folder``.
    """

    name: str
    folder: str
    files: Mapping[str, str]
    remotes: Mapping[str, Remote] = field(default_factory=dict)
    archive: Remote | None = None

    @property
    def cache(self) -> Path:
        """The folder into which its files are downloaded."""
        return cache_folder() / self.folder


def read_files(source: RemoteFiles) -> dict[str, bytes]:
    """Return the unpacked and checked bytes of every file of ``source``, by name.

    A file is looked for in the folder that ``NARROWGAUGE_DATA`` names, then in the cache folder,
    into which it is downloaded if it is in neither.

    Raises
    ------
    DataError
        For a file that is damaged or not the known one, or that can neither be found nor
        downloaded, and where ``NARROWGAUGE_DATA`` is no folder.
    """
    folders = _folders(source)
    found = {
        name: path
        for name in source.files
        if (path := _find([name + suffix for suffix in _OPENERS], folders))
    }
    missing = [name for name in source.files if name not in found]
    if missing and source.archive:
        path = _find([source.archive.file], folders)
        return _read_archive(source, path or _download(source, source.archive, missing))
    for name in missing:
        found[name] = _download(source, source.remotes[name], missing)
    return {name: _checked(source, name, path, _unpack(path)) for name, path in found.items()}


def find_file(folder: str, name: str, *, made_of: str) -> Path:
    """Return a file that nobody offers as it is, of a data set's ``folder``.

    Parameters
    ----------
    folder, name : str
        As `RemoteFiles` has them.
    made_of : str
        How it is made, for the error.

    Raises
    ------
    DataError
        Where it is in none of the folders that `read_files` looks into.
    """
    folders = _folders(RemoteFiles(name=name, folder=folder, files={}))
    path = _find([name], folders)
    if path is None:
        given = os.environ.get("NARROWGAUGE_DATA", "not set")
        raise DataError(
            f"{folder}/{name} is not in the folder that NARROWGAUGE_DATA names ({given}), nor in "
            f"{folders[-1]}; {made_of}"
        )
    return path


def _folders(source: RemoteFiles) -> list[Path]:
    """Return the folders in which the files may be, in the order in which they are searched."""
    given = os.environ.get("NARROWGAUGE_DATA")
    if not given:
        return [source.cache]
    if not os.path.isdir(given):
        raise DataError(
            f"NARROWGAUGE_DATA is {given!r}, which is not a folder; "
            f"set it to a folder of downloaded data sets, or unset it"
        )
    return [Path(given, source.folder), Path(given), source.cache]


def _find(names: Iterable[str], folders: Iterable[Path]) -> Path | None:
    """Return the first file of any of these names."""
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if os.path.isfile(path)), None)


def _download(source: RemoteFiles, remote: Remote, missing: Iterable[str]) -> Path:
    """Download a file into the cache folder; it is there whole and checked, or not at all."""
    import pooch  # here: most runs have their files

    _log.info("downloading %s", remote.url)
    pooch.get_logger().setLevel(logging.WARNING)  # an error says in one line what it would tell
    try:
        path = pooch.retrieve(remote.url, f"md5:{remote.md5}", remote.file, source.cache)
    except OSError as error:  # those of requests, too
        response = getattr(error, "response", None)
        if response is not None:
            response.close()  # pooch leaves it open
        given = os.environ.get("NARROWGAUGE_DATA")
        archive = f", or {source.archive.file}," if source.archive else ""
        raise DataError(
            f"{source.name} needs {', '.join(missing)}, and {remote.url} cannot be downloaded "
            f"({_reason(error)}); put these files{archive} (as they are, or as .gz or .xz) into "
            f"the folder that NARROWGAUGE_DATA names ({given or 'not set'}), its sub-folder "
            f"{source.folder}, or {source.cache}"
        ) from error
    except ValueError as error:
        raise DataError(f"{remote.url} is no longer the known file: {error}") from error
    return Path(path)


def _unpack(path: Path) -> bytes:
    """Return the bytes of a file that may be packed."""
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            return file.read()
    except _DAMAGED as error:
        raise _damaged(path, error) from error


def _read_archive(source: RemoteFiles, path: Path) -> dict[str, bytes]:
    """Return all files of ``source`` from a tar archive; nothing else in it is looked at."""
    contents = {}
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                folder, _, name = member.name.removeprefix("./").rpartition("/")
                file = archive.extractfile(member) if member.isfile() else None
                if file and folder == source.folder and name in source.files:
                    contents[name] = _checked(source, name, path, file.read())
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    missing = [name for name in source.files if name not in contents]
    if missing:
        raise _damaged(path, f"{source.folder}/{missing[0]} is not in it")
    return contents


def _checked(source: RemoteFiles, name: str, path: Path, content: bytes) -> bytes:
    """Return ``content`` if it is what the file called ``name`` must hold."""
    expected, got = source.files[name], hashlib.md5(content, usedforsecurity=False).hexdigest()
    if got != expected:
        raise DataError(
            f"{path} does not hold the {name} of {source.name}: MD5 of the unpacked bytes is "
            f"{got}, expected {expected}; replace it, or remove it to have it downloaded"
        )
    return content


def _damaged(path: Path, reason: BaseException | str) -> DataError:
    return DataError(
        f"{path} is damaged or cannot be read ({_reason(reason)}); "
        f"replace it, or remove it to have it downloaded"
    )


def _reason(error: BaseException | str) -> str:
    """Return why something failed, in one line; messages of requests are too long for that."""
    if type(error).__module__.startswith("requests"):
        status = getattr(getattr(error, "response", None), "status_code", None)
        return f"HTTP status {status}" if status else type(error).__name__
    return " ".join(str(getattr(error, "strerror", None) or error).split())
