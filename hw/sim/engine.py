"""Choosing an engine."""

import warnings
from collections.abc import Callable
from typing import Protocol

from ..accelerator.top import Accelerator
from ..errors import ToolError, ToolMissing
from .batch.engine import BatchEngine
from .compiled import CompiledEngine, NotWorthIt
from .interpreted import AmaranthEngine
from .run import Run, Stimulus

__all__ = ["ENGINES", "Engine", "make_engine"]

ENGINES = ("auto", "batch", "compiled", "amaranth")


class Engine(Protocol):
    """Anything that runs an accelerator."""

    name: str

    def run(self, stimulus: Stimulus) -> Run:
        """Send all images through and return what came out."""
        ...


def make_engine(
    accelerator: Accelerator,
    name: str = "auto",
    *,
    cycles: float | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Engine:
    """Return the engine called ``name``.

    ``auto`` is the compiled engine; where there is no C++ compiler or no Yosys, it warns and takes
    Amaranth's simulator. Where one of them fails, that is an error. It takes Amaranth's simulator
    too, and says so, where that has run ``cycles`` long before a large design is compiled.

    Raises
    ------
    ToolError
        For an unknown name, or when ``compiled`` was asked for and cannot be had.
    """
    if name not in ENGINES:
        raise ToolError(f"engine is {', '.join(ENGINES)}, not {name!r}")
    if name == "amaranth":
        return AmaranthEngine(accelerator)
    if name == "batch":
        return BatchEngine(accelerator)
    try:
        return CompiledEngine(accelerator, cycles=cycles if name == "auto" else None, note=note)
    except NotWorthIt as reason:
        note(f"{reason}; using Amaranth's simulator")
        return AmaranthEngine(accelerator)
    except ToolMissing as error:
        if name == "compiled":
            raise
        warnings.warn(f"{error}; using Amaranth's simulator, which is slow", stacklevel=2)
        return AmaranthEngine(accelerator)
