"""Choosing an engine."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from ..accelerator.top import Accelerator
from ..errors import EngineRefusal, ToolError, ToolMissing
from .batch.engine import BatchEngine
from .compiled import CompiledEngine, NotWorthIt
from .compiler import find_compiler
from .interpreted import AmaranthEngine
from .run import Run, Stimulus

__all__ = ["ENGINES", "Engine", "make_engine"]

MANY = 64
"""Images for which NumPy's evaluator, slow in a cycle, is faster than Amaranth's simulator."""
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
    work: Stimulus | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Engine:
    """Return the engine called ``name``.

    ``auto`` chooses by the work: the batch engine for a stream of images that never pauses; for
    streams that pause, for waveforms, and where the work is not known, the compiled engine, or
    Amaranth's simulator where that has run ``cycles`` long before a large design is compiled.
    Without a C++ compiler it warns, and takes Amaranth's simulator, or for many images the batch
    engine in NumPy; without Yosys, Amaranth's simulator. Where a tool fails, that is an error.

    Raises
    ------
    ToolError
        For an unknown name, or when an engine was asked for by its name and cannot be had.
    """
    waveforms = work is not None and work.window is not None
    if name not in ENGINES:
        raise ToolError(f"engine is {', '.join(ENGINES)}, not {name!r}")
    if name == "amaranth":
        return AmaranthEngine(accelerator)
    if name == "batch":
        return BatchEngine(accelerator)
    if name == "compiled":
        return CompiledEngine(accelerator, waveforms=waveforms, note=note)
    many = work is not None and not (work.gaps or work.stalls or work.window)
    images = len(work.images) if work and many else 0
    return _automatic(accelerator, cycles, images, waveforms, note)


def _automatic(
    accelerator: Accelerator,
    cycles: float | None,
    images: int,
    waveforms: bool,
    note: Callable[[str], None],
) -> Engine:
    """Return the engine for so many images side by side; for 0, for a single stream."""
    try:
        if images:
            find_compiler()
            try:
                return BatchEngine(accelerator)
            except EngineRefusal as reason:
                note(f"{reason}; using another engine")
        return CompiledEngine(accelerator, cycles=cycles, waveforms=waveforms, note=note)
    except NotWorthIt as reason:
        note(f"{reason}; using Amaranth's simulator")
        return AmaranthEngine(accelerator)
    except ToolMissing as error:
        if images >= MANY:
            with suppress(ToolMissing):  # Yosys too
                return BatchEngine(accelerator)
        warnings.warn(f"{error}; using Amaranth's simulator, which is slow", stacklevel=3)
        return AmaranthEngine(accelerator)
