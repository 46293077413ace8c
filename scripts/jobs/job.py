"""Jobs: pieces of work whose values the result store keeps."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from ...hw.errors import NarrowgaugeError
from ...hw.tools.sources import source_digest
from ...hw.tools.store import Store, key
from ..runs.loading import images_digest

__all__ = ["About", "Job", "Value", "machine", "run_job"]

Plain: TypeAlias = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None
Value: TypeAlias = bytes | dict[str, Plain]
"""What a job gives: parameters of a network, or columns of a row."""

KIND, ABOUT = "study", "study about"


@dataclass(frozen=True, eq=False)
class Job:
    """A call of a function; it is one job with every other of the same key.

    Attributes
    ----------
    function : callable
        Of this package, so that the sources that it can come to run are known. It is called with
        the values of ``needs``, then ``arguments``; it runs in another process.
    arguments : tuple
        Plain data.
    needs : tuple of Job
        What it takes the values of.
    data : str
        The data set that it reads.
    seconds : float
        About how long it takes on a core.
    text : str
        What progress calls it.
    """

    function: Callable[..., Value]
    arguments: tuple[Plain, ...]
    needs: tuple["Job", ...] = ()
    data: str = ""
    seconds: float = 1.0
    text: str = ""
    _key: list[str] = field(default_factory=list, repr=False)

    @property
    def key(self) -> str:
        """Key of its value in the store: all that the value depends on."""
        if not self._key:
            parts = {
                "function": f"{self.function.__module__}.{self.function.__qualname__}",
                "arguments": list(self.arguments),
                "needs": [each.key for each in self.needs],
                "images": images_digest(self.data or None),
                "sources": source_digest(self.function),
                "torch": _torch(),
            }
            self._key.append(key(KIND, parts))
        return self._key[0]

    def get(self, store: Store) -> Value | None:
        """Return its value where the store has it."""
        return store.get(self.key)

    def about(self, store: Store) -> "About | None":
        """Return how its value was made, where the store has it."""
        found = store.get(f"{self.key} about")
        return None if found is None else About(**found)

    def put(self, store: Store, value: Value, about: "About") -> None:
        """Keep its value; how it was made comes first, so that a value never lacks it."""
        store.put(f"{self.key} about", ABOUT, vars(about))
        store.put(self.key, KIND, value)


@dataclass(frozen=True)
class About:
    """How a value was made: on what machine, and in how many seconds."""

    machine: str
    seconds: float


@cache
def _torch() -> str:
    return version("torch")  # which reads files, and there are thousands of jobs


def run_job(
    function: Callable[..., Value],
    arguments: tuple[Plain, ...],
    needed: tuple[Value, ...],
    sources: str,
) -> tuple[Value, Mapping[str, str | float]]:
    """Run a job, perhaps on another machine; return its value and the fields of its `About`.

    Raises
    ------
    NarrowgaugeError
        Where the sources are others here than where the job was made, and as the function.
    """
    if source_digest(function) != sources:
        raise NarrowgaugeError("a worker has other sources of narrowgauge than this machine")
    started = time.perf_counter()
    value = function(*needed, *arguments)
    about = {"machine": machine(), "seconds": round(time.perf_counter() - started, 2)}
    return value, about


@cache
def machine() -> str:
    """Return the model of the processor and the number of its cores."""
    name = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                name = " ".join(line.partition(":")[2].split())
                break
    return f"{name}, {os.cpu_count()} cores"
