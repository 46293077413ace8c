"""Choosing an engine."""

import warnings
from collections.abc import Callable
from typing import Protocol

from ..accelerator.top import Accelerator
from ..errors import EngineRefusal, ToolError, ToolMissing
from .batch.engine import BatchEngine
from .compiled import CompiledEngine, NotWorthIt
from .interpreted import AmaranthEngine
from .run import Run, Stimulus

__all__ = ["ENGINES", "Engine", "make_engine"]

ENGINES = ("auto", "batch", "compiled", "amaranth")
MANY = 64
"""Images from which ``auto`` runs them side by side."""


class Engine(Protocol):
    """Anything that runs an accelerator."""

    name: str

    def run(self, stimulus: Stimulus) -> Run:
        """Send all images through and return what came out."""
        ...


def make_engine(
    accelerator: Accelerator,
    name: str = "auto",
    stimulus: Stimulus | None = None,
    *,
    cycles: float | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Engine:
    """Return the engine called ``name``.

    ``auto`` is the batch engine for a ``stimulus`` of many images without pauses and waveforms,
    where the design can run in lanes. Else it is the compiled engine; where there is no C++
    compiler or no Yosys, it warns and takes Amaranth's simulator. Where one of them fails, that is
    an error. It takes Amaranth's simulator too, and says so, where that has run ``cycles`` long
    before a large design is compiled.

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
    if name == "auto" and stimulus and _side_by_side(stimulus):
        try:
            return BatchEngine(accelerator)
        except EngineRefusal as reason:  # the other engines do what this one refuses
            note(str(reason))
        except ToolMissing:
            pass  # said below, by the engine that needs the same tool
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


def _side_by_side(stimulus: Stimulus) -> bool:
    """Tell whether images are best run many a pass."""
    paused = stimulus.gaps or stimulus.stalls or stimulus.window
    return len(stimulus.images) >= MANY and not paused
