"""The compiled engine: RTLIL, CXXRTL, the system's C++ compiler, and a loop in C++."""

import ctypes
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..accelerator.top import Accelerator
from ..accelerator.traced import Traced, entry_layout, trace_layout
from ..errors import MismatchError, ToolError
from ..files import written
from ..tools.programs import STOP, check_interrupt, interrupt
from ..tools.rtlil import convert
from .library import build_library
from .run import EVENT, Run, Stimulus

__all__ = ["CompiledEngine", "NotWorthIt", "compile_seconds", "interpreted_seconds"]

PATIENCE = 20.0  # seconds of compiling that are always worth it: the next run has them for free

IDLE_LIMIT = 100_000
HARNESS = Path(__file__).with_name("harness.cc")


class NotWorthIt(Exception):
    """Compiling takes longer than what is to be run."""


class _Request(ctypes.Structure):
    _fields_ = [
        ("codes", ctypes.c_void_p),
        ("elements", ctypes.c_uint64),
        ("results", ctypes.c_uint64),
        ("gap_threshold", ctypes.c_uint32),
        ("stall_threshold", ctypes.c_uint32),
        ("seed", ctypes.c_uint32),
        ("traced", ctypes.c_uint32),
        ("idle_limit", ctypes.c_uint64),
        ("window_start", ctypes.c_uint64),
        ("window_stop", ctypes.c_uint64),
        ("window_path", ctypes.c_char_p),
        ("events", ctypes.c_void_p),
        ("event_limit", ctypes.c_uint64),
        ("raw_levels", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("overflows", ctypes.c_void_p),
        ("layer_cycles", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("weight_words", ctypes.c_uint64),
        ("stop", ctypes.c_void_p),
    ]


class _Reply(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("cycles", "steps", "accepted", "emitted", "images", "events")
    ]


class CompiledEngine:
    """Run an accelerator as compiled C++.

    The library is kept in the user's cache under a name made from its source, so that the same
    design compiles once.

    Parameters
    ----------
    accelerator : Accelerator
        What to run.
    cycles : float, optional
        How many will be run, where compiling is only worth it for many.
    waveforms : bool
        What is compiled first: names of inner signals make it slower. A run compiles the other
        where it needs that.
    note : callable
        Takes a line that says what is going on.

    Raises
    ------
    NotWorthIt
        Where Amaranth's simulator has run ``cycles`` before this engine is compiled.
    ToolError
        Without Yosys or a C++ compiler.
    """

    name = "compiled"

    def __init__(
        self,
        accelerator: Accelerator,
        *,
        cycles: float | None = None,
        waveforms: bool = False,
        note: Callable[[str], None] = lambda text: None,
    ):
        self.accelerator, self._note = accelerator, note
        if accelerator.loads_weights and accelerator.program.memories["weights"][0] > 64:
            raise ToolError("the compiled engine loads weight words of at most 64 bits")
        self._built = {waveforms: self._build(waveforms=waveforms, cycles=cycles)}

    def run(self, stimulus: Stimulus) -> Run:
        """Send all images through and return what came out.

        Raises
        ------
        MismatchError
            When the accelerator stops moving before all results came.
        """
        network = self.accelerator.program.network
        codes = np.ascontiguousarray(stimulus.codes(self.accelerator), np.uint32)
        images = len(stimulus.images)
        program = self.accelerator.program
        events = np.zeros(min(stimulus.traced, images) * program.sums, EVENT)
        raw = np.zeros((images, network.outputs), np.uint64)
        # as many as the ports can claim: hardware under test may be wrong
        labels = np.zeros(raw.size, np.uint32)
        layers = 1 << trace_layout(program)["layer"].width
        overflows, layer_cycles = np.zeros(layers, np.uint64), np.zeros(layers, np.uint64)
        loaded = program.contents.weights if self.accelerator.loads_weights else []
        weights = np.array(loaded, np.uint64)
        window = stimulus.window
        idle_limit = IDLE_LIMIT + program.cycles.longest_job
        request = _Request(
            codes=codes.ctypes.data,
            elements=codes.size,
            results=raw.size,
            gap_threshold=_threshold(stimulus.gaps),
            stall_threshold=_threshold(stimulus.stalls),
            seed=stimulus.seed,
            traced=stimulus.traced,
            idle_limit=idle_limit,
            window_start=window.start if window else 0,
            window_stop=window.stop if window else 0,
            events=events.ctypes.data,
            event_limit=events.size,
            raw_levels=raw.ctypes.data,
            labels=labels.ctypes.data,
            overflows=overflows.ctypes.data,
            layer_cycles=layer_cycles.ctypes.data,
            weights=weights.ctypes.data,
            weight_words=weights.size,
            stop=ctypes.addressof(STOP),
        )
        reply = _Reply()
        waveforms = window is not None
        if waveforms not in self._built:
            self._built[waveforms] = self._build(waveforms=waveforms)
        library = _load(str(self._built[waveforms]))
        with written(window.path) if window else nullcontext() as waves:
            request.window_path = os.fsencode(waves.name) if waves else None
            started = time.perf_counter()
            status = _call(library.simulate, request, reply)
            seconds = time.perf_counter() - started
            if status == 2 and window:
                raise ToolError(f"{window.path}: the waveforms could not be written")
        if status == 3:
            raise ToolError("the design has a combinational loop, which this engine does not run")
        if status:
            raise MismatchError(
                f"the accelerator stood still for {idle_limit} cycles after {reply.accepted} of "
                f"{codes.size} elements and {reply.emitted} of {raw.size} levels"
            )
        lasts = images * len(network.ends)
        if reply.images != lasts:
            raise MismatchError(f"{reply.images} last levels came for {images} images")
        return Run(
            levels=network.output.to_level(raw.astype(np.int64)),
            labels=labels[:lasts].astype(np.int64).reshape(network.label_shape(images)),
            cycles=reply.cycles,
            steps=reply.steps,
            overflows=tuple(overflows[: len(network.layers)].tolist())
            if self.accelerator.observes_overflow
            else (),
            layer_cycles=tuple(layer_cycles[: len(network.layers)].tolist()),
            events=events[: reply.events],
            seconds=seconds,
            engine=self.name,
        )

    def _build(self, *, waveforms: bool, cycles: float | None = None) -> Path:
        """Return the library of the accelerator, from the cache or newly compiled.

        The names of inner signals, which waveforms need, make compiling much slower.
        """
        level = 2 if waveforms else 0
        text = convert(Traced(self.accelerator), share=False)
        cells = len(re.findall(r"^\s*cell ", text, re.MULTILINE))

        def before() -> None:
            compiling, running = compile_seconds(cells), interpreted_seconds(cells, cycles or 0)
            if cycles is not None and compiling > max(PATIENCE, running):
                raise NotWorthIt(
                    f"the compiled engine takes about {compiling:.0f} s to compile, and Amaranth's "
                    f"simulator about {running:.0f} s for this"
                )
            self._note(f"compile the simulator, about {compiling:.0f} s")

        return build_library(
            {"top.il": text},
            ["read_rtlil top.il", f"write_cxxrtl -g{level} top.cc"],
            _definitions(self.accelerator) + HARNESS.read_text(encoding="utf-8"),
            before=before,
        )


def compile_seconds(cells: int) -> float:
    """Return about how long a design of so many RTLIL cells compiles; see docs/simulation.md."""
    return 3 + 2.5e-6 * cells**2


def interpreted_seconds(cells: int, cycles: float) -> float:
    """Return about how long Amaranth's simulator takes for it."""
    return 5e-7 * cells * cycles


def _threshold(probability: float) -> int:
    return min(int(probability * (1 << 32)), (1 << 32) - 1)


def _call(function: Any, request: _Request, reply: _Reply) -> int:
    """Call a loop in C++ in a thread of its own: the main thread would not see an interrupt."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(function, ctypes.byref(request), ctypes.byref(reply))
        try:
            status = running.result()
        except KeyboardInterrupt:
            interrupt()
            raise
    check_interrupt()
    return status


@cache
def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.simulate.argtypes = [ctypes.POINTER(_Request), ctypes.POINTER(_Reply)]
    return library


def _definitions(accelerator: Accelerator) -> str:
    """Return the C++ that tells the harness where fields lie."""
    element = accelerator.i.payload.shape()
    result = accelerator.o.payload.shape()
    trace = trace_layout(accelerator.program)
    entry = entry_layout(accelerator.program)
    values = {
        "OFFSET_LAST": element["last"].offset,
        "WIDTH_LEVEL": result["level"].width,
        "OFFSET_LABEL": result["label"].offset,
        "WIDTH_LABEL": result["label"].width,
        "OFFSET_RESULT_LAST": result["last"].offset,
        "OFFSET_TRACE_LEVEL": entry["level"].offset,
        "WIDTH_TRACE_LEVEL": entry["level"].width,
        "OFFSET_SUMS": trace["sums"].offset,
        "WIDTH_ENTRY": entry.size,
        "CHAINS": accelerator.program.geometry.chains,
    }
    for name in ("layer", "step", "running", "current"):
        values[f"OFFSET_{name.upper()}"] = trace[name].offset
        values[f"WIDTH_{name.upper()}"] = trace[name].width
    for name in ("valid", "image", "element", "sum", "overflow"):
        values[f"OFFSET_{name.upper()}"] = entry[name].offset
        values[f"WIDTH_{name.upper()}"] = entry[name].width
    if accelerator.loads_weights:
        values["LOADS_WEIGHTS"] = 1
    lines = [f"#define {name} {value}" for name, value in values.items()]
    return "\n".join(["#define DESIGN p_top", *lines, ""])
