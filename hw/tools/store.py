"""Results on disk, under the digest of everything that they depend on.

One SQLite file. Each result is written in one transaction, so a process that is killed loses only
the result it had not finished, and any number of processes of one machine can share the file.
"""

import errno
import hashlib
import json
import os
import sqlite3
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import FitError, NarrowgaugeError
from ..files import cache_folder

__all__ = ["Store", "StoreWarning", "default_path", "key"]

_SCHEMA_VERSION = 1
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY,  -- SHA-256 of kind and parts
    kind TEXT NOT NULL,    -- what it is: netlist, route, ...
    form TEXT NOT NULL,    -- json, bytes, or failure (the reason, as text)
    created TEXT NOT NULL, -- UTC
    value BLOB NOT NULL    -- a mark, a digest of key, form and what follows, zlib
);
PRAGMA user_version = {_SCHEMA_VERSION};
COMMIT;
"""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FORMS = ("json", "bytes", "failure")
_MARK, _DIGEST = b"\x01", 16  # bytes of the digest; zlib, of which older values are, begins with x
_PATIENCE = 60.0  # seconds to wait for another process's write


class StoreWarning(UserWarning):
    """A store that was damaged, and what became of it."""


def default_path() -> Path:
    """Return the store's file in ``NARROWGAUGE_CACHE``, or in the user's cache folder."""
    return cache_folder() / "results.sqlite"


def key(kind: str, parts: Any) -> str:
    """Return the digest of ``kind`` and ``parts``: numbers, texts, bytes, lists and mappings.

    Equal parts have equal keys in every process; the order of a mapping does not matter.

    Raises
    ------
    TypeError, ValueError
        For a part that has no canonical JSON: a set, an object, NaN.
    """
    canonical = json.dumps(
        [kind, parts],
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
        default=_canonical_part,
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _canonical_part(part: Any) -> Any:
    if isinstance(part, bytes):
        return {"sha256": hashlib.sha256(part).hexdigest()}
    if isinstance(part, Mapping):
        return dict(part)
    raise TypeError(f"a part of a key is a number, text, bytes, list or mapping, not {part!r}")


class Store:
    """Results by key; see the module's text.

    An instance is only a path: it can be pickled, and used from any thread.

    Parameters
    ----------
    path : Path, optional
        The file, made at the first use; `default_path` by default.

    Raises
    ------
    NarrowgaugeError
        From every method, where the file cannot be read or written (one line, with what to do).
        A *damaged* file is no error: it is moved aside with a `StoreWarning`, and a new one begun.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = default_path() if path is None else Path(path)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    def get(self, key: str) -> Any:
        """Return the value stored under ``key``, or None.

        Raises
        ------
        FitError
            With its reason, where the stored result is a failure.
        """
        query = "SELECT form, value FROM results WHERE key = ?"
        rows = self._execute(query, (key,))
        if not rows:
            return None
        form, packed = rows[0]
        try:
            value = _opened(key, form, packed)
        except (zlib.error, TypeError, ValueError):
            warnings.warn(f"damaged result {key[:12]} in {self.path}", StoreWarning, stacklevel=2)
            return None
        if form == "failure":
            raise FitError(value.decode())
        return value if form == "bytes" else json.loads(value)

    def put(self, key: str, kind: str, value: Any) -> None:
        """Store ``value`` (bytes, or anything that JSON holds, but not None) under ``key``.

        Raises
        ------
        ValueError
            For None.
        """
        if value is None:
            raise ValueError("None stands for 'not stored' and cannot be stored")
        if isinstance(value, bytes):
            self._write(key, kind, "bytes", value)
        else:
            self._write(key, kind, "json", json.dumps(value, allow_nan=False).encode())

    def put_failure(self, key: str, kind: str, reason: str) -> None:
        """Store that there is no result, and why: a later `get` raises `FitError`."""
        self._write(key, kind, "failure", reason.encode(errors="backslashreplace"))

    def compute(self, kind: str, parts: Any, function: Callable[[], Any]) -> Any:
        """Return the stored result of ``parts``, or call ``function`` and store what it returns.

        A `FitError` of ``function`` is a result too; other errors are not stored.
        """
        digest = key(kind, parts)
        value = self.get(digest)
        if value is None:
            try:
                value = function()
            except FitError as error:
                self.put_failure(digest, kind, str(error))
                raise
            self.put(digest, kind, value)
        return value

    def count(self) -> dict[str, int]:
        """Return how many results of each kind there are."""
        return dict(self._execute("SELECT kind, count(*) FROM results GROUP BY kind ORDER BY kind"))

    def keys(self, kind: str) -> list[str]:
        """Return the keys of the results of a kind that are no failures, oldest first."""
        query = "SELECT key FROM results WHERE kind = ? AND form != 'failure' ORDER BY created"
        return [key for (key,) in self._execute(query, (kind,))]

    def _write(self, key: str, kind: str, form: str, value: bytes) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        packed = zlib.compress(value)
        row = (key, kind, form, now, _MARK + _digest(key, form, packed) + packed)
        self._execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", row)

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement in its own transaction; begin anew where the file is damaged."""
        with self._explained():
            try:
                return self._attempt(statement, values)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not _is_damage(error):
                    raise
                if self._is_damaged():  # another process may have begun a new file already
                    self._move_aside(error)
            return self._attempt(statement, values)

    def _attempt(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        # A connection a statement costs a fraction of a millisecond, results cost seconds; and
        # a connection can be used neither by two threads nor after a fork.
        with closing(self._connect()) as connection:
            return connection.execute(statement, values).fetchall()

    def _connect(self) -> sqlite3.Connection:
        if self.path.exists() and not self.path.is_file():
            raise OSError(errno.EINVAL, "it is no file", str(self.path))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > _SCHEMA_VERSION:
                raise NarrowgaugeError(
                    f"{self.path} was written by a newer narrowgauge; set NARROWGAUGE_CACHE to "
                    "another folder"
                )
            if version < _SCHEMA_VERSION:
                connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    def _is_damaged(self) -> bool:
        try:
            return self._attempt("PRAGMA quick_check(1)", ()) != [("ok",)]
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            return _is_damage(error)

    def _move_aside(self, error: Exception) -> None:
        """Rename a damaged file and its journal, so that nothing is lost."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        path = Path(os.path.realpath(self.path))  # a link stays one
        aside = path.with_name(f"{path.name}.damaged-{stamp}")
        journal = path.with_name(f"{path.name}-journal")
        try:
            os.replace(path, aside)
            if journal.exists():
                os.replace(journal, aside.with_name(f"{aside.name}-journal"))
        except FileNotFoundError:
            return  # another process was faster
        warnings.warn(
            f"the result store {self.path} is damaged ({error}); it was kept as {aside.name}, and "
            "a new one begun",
            StoreWarning,
            stacklevel=5,
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite and the system say into one line."""
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise NarrowgaugeError(
                    f"no room for results: the disk of {self.path} is full; make room, or set "
                    "NARROWGAUGE_CACHE to a folder elsewhere"
                ) from error
            raise self._unusable(error) from error
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> NarrowgaugeError:
        return NarrowgaugeError(
            f"the result store {self.path} cannot be used ({error}); set NARROWGAUGE_CACHE to a "
            "folder that can be written, or remove the file if it is damaged"
        )


def _is_damage(error: Exception) -> bool:
    if isinstance(error, UnicodeDecodeError):  # SQLite quotes what it found
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _digest(key: str, form: str, packed: bytes) -> bytes:
    """Return what tells that a value is whole, and that of its key: indices can be damaged too."""
    return hashlib.sha256(f"{key} {form} ".encode() + packed).digest()[:_DIGEST]


def _opened(key: str, form: str, packed: bytes) -> bytes:
    """Return a value; raises `ValueError`, `TypeError` or `zlib.error` where it is damaged."""
    if packed[:1] == _MARK:
        digest, packed = packed[1 : 1 + _DIGEST], packed[1 + _DIGEST :]
        if digest != _digest(key, form, packed):
            raise ValueError("not the value of its key")
    elif form not in _FORMS:
        raise ValueError(f"form {form}")
    return zlib.decompress(packed)
