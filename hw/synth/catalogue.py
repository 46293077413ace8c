"""A catalogue: things by their names, of which one is looked up or refused by name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from ..errors import NarrowgaugeError

__all__ = ["Catalogue", "Named"]


class Named(Protocol):
    """Protocol of entries that have a name."""

    @property
    def name(self) -> str:
        """What commands and files call it."""
        ...


Entry = TypeVar("Entry", bound=Named)


class Catalogue(Mapping[str, Entry]):
    """Entries by name, in their order.

    Parameters
    ----------
    kind : str
        What an entry is, for errors: ``target``.
    entries : iterable
        All of them.
    error : type
        What `find` raises.
    """

    def __init__(
        self, kind: str, entries: Iterable[Entry], *, error: type[NarrowgaugeError]
    ) -> None:
        self._kind, self._error = kind, error
        self._entries = {entry.name: entry for entry in entries}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, name: str) -> Entry:
        """Return the entry called ``name``; raises an error that lists all for an unknown name."""
        if name not in self._entries:
            known = ", ".join(self._entries)
            raise self._error(f"unknown {self._kind} {name!r}; {self._kind}s are {known}")
        return self._entries[name]
