"""The evaluator in C++: compiled once for all designs, as wide as the processor."""

import ctypes
import hashlib
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ToolError
from ..compiler import find_compiler
from .gates import KINDS
from .lowering import cache_folder
from .plan import READ, SELECT, WRITE, Plan

__all__ = ["Native", "library", "pack_rows", "widest"]

SOURCE = Path(__file__).with_name("evaluate.cc")
# lanes: what a compiler for x86 must be told, narrower registers need nothing
_X86 = ("x86_64", "AMD64")
FLAGS = {64: (), 128: (), 256: ("-mavx2",), 512: ("-mavx512f", "-mprefer-vector-width=512")}
_PROBE = """\
extern "C" int widest() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") ? 512 : __builtin_cpu_supports("avx2") ? 256 : 128;
}
"""


def _compiled(source: str, flags: tuple[str, ...]) -> Path:
    """Return the library of a source, from the cache or newly compiled."""
    compiler = find_compiler()
    options = ["-std=c++17", "-O2", "-shared", "-fPIC", "-w", *flags]
    recipe = "\0".join([source, *compiler, *options])
    kept = cache_folder() / f"{hashlib.sha256(recipe.encode()).hexdigest()[:32]}.so"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as name:
            file, made = Path(name, "batch.cc"), Path(name, "batch.so")
            file.write_text(source, encoding="utf-8")
            command = [*compiler, *options, str(file), "-o", str(made)]
            result = subprocess.run(command, capture_output=True, text=True, errors="replace")
            if result.returncode:
                lines = [line for line in result.stderr.splitlines() if "error" in line]
                reason = (lines or ["no message"])[0]
                raise ToolError(f"{compiler[-1]} could not compile the batch engine: {reason}")
            shutil.move(made, kept)
    return kept


@cache
def widest() -> int:
    """Return the bits of this processor's vectors: 512, 256 or 128."""
    if platform.machine() not in _X86:
        return 128
    return ctypes.CDLL(str(_compiled(_PROBE, ()))).widest()


@cache
def library(lanes: int) -> ctypes.CDLL:
    """Return the evaluator for ``lanes`` images at a time: 64, 128, 256 or 512.

    Raises
    ------
    ToolError
        Without a C++ compiler.
    """
    header = f"#define LANES {lanes}\nenum {{ {', '.join(KINDS)} }};\n"
    header += f"enum {{ READ = {READ}, SELECT = {SELECT}, WRITE = {WRITE} }};\n"
    flags = FLAGS[lanes] if platform.machine() in _X86 else ()
    loaded = ctypes.CDLL(str(_compiled(header + SOURCE.read_text(encoding="utf-8"), flags)))
    loaded.simulate.argtypes = [ctypes.c_void_p] * 4
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    side = [pointer, number, pointer]
    loaded.observe.argtypes = [pointer, *side, *side, number]
    loaded.observe.restype = None
    return loaded


class _Words(ctypes.Structure):
    _fields_ = [
        ("width", ctypes.c_uint64),
        ("depth", ctypes.c_uint64),
        ("uniform", ctypes.c_uint64),
        ("init", ctypes.c_void_p),
    ]


class _Plan(ctypes.Structure):
    _fields_ = [
        ("slots", ctypes.c_uint64),
        *(
            (f"{name}{end}", ctypes.c_void_p)
            for name in ("operations", "registers", "ones", "ports")
            for end in ("", "_end")
        ),
        ("memories", ctypes.c_void_p),
        ("memories_count", ctypes.c_uint64),
    ]


class _Streams(ctypes.Structure):
    """Slots of an accelerator's ports; see ``evaluate.cc``."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("code", "level", "label", "weights", "layer")),
        ("current", ctypes.c_void_p),
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("code_width", "level_width", "label_width", "weights_width", "layer_width"),
                *("i_valid", "i_last", "i_ready", "o_ready", "o_valid", "o_last"),
                *("weights_valid", "step", "running", "chains", "entry_width", "sum_width"),
            )
        ),
        ("entries", ctypes.c_void_p),
    ]


class _Job(ctypes.Structure):
    """What one simulation is given; see ``evaluate.cc``."""

    _fields_ = [
        ("codes", ctypes.c_void_p),
        *(
            (name, ctypes.c_uint64)
            for name in ("elements", "inputs", "images", "results", "idle_limit", "work_limit")
        ),
        ("weights", ctypes.c_void_p),
        ("weight_words", ctypes.c_uint64),
        *(
            (name, ctypes.c_void_p)
            for name in ("masks", "levels", "labels", "overflows", "layer_cycles", "events")
        ),
        ("event_limit", ctypes.c_uint64),
        ("traced_start", ctypes.c_uint64),
        ("traced", ctypes.c_uint64),
        ("sums", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("sum_bytes", ctypes.c_uint64),
        ("level_bytes", ctypes.c_uint64),
        ("flags", ctypes.c_void_p),
        ("periodic", ctypes.c_void_p),
        ("periodic_count", ctypes.c_uint64),
        ("skip_stop", ctypes.c_uint64),
        ("stop", ctypes.c_void_p),
        ("progress", ctypes.c_void_p),
    ]


class _Reply(ctypes.Structure):
    """What one simulation answers."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("cycles", "steps", "accepted", "emitted", "images", "events", "overflowing")
    ]


class Native:
    """A plan in the evaluator in C++.

    Several threads may simulate at once: what it holds is not written to.

    Parameters
    ----------
    plan : Plan
    width : int
        Images at a time: 64, 128, 256 or 512.

    Raises
    ------
    ToolError
        Without a C++ compiler.
    """

    def __init__(self, plan: Plan, width: int):
        self.plan, self.width = plan, width
        self._library = library(width)
        self._contents = [pack_rows(words.init) for words in plan.memories]
        self._memories = (_Words * max(1, len(plan.memories)))(
            *(
                _Words(words.init.shape[1], words.init.shape[0], words.uniform, rows.ctypes.data)
                for words, rows in zip(plan.memories, self._contents, strict=True)
            )
        )
        ends = {}
        for name in ("operations", "registers", "ones", "ports"):
            array = getattr(plan, name)
            ends[name] = array.ctypes.data
            ends[f"{name}_end"] = array.ctypes.data + array.nbytes
        self._plan = _Plan(
            slots=plan.slots,
            memories=ctypes.addressof(self._memories),
            memories_count=len(plan.memories),
            **ends,
        )

    def simulate(self, streams: Mapping[str, Any], job: Mapping[str, Any]) -> tuple[int, Any]:
        """Run an accelerator; return a status and what it did.

        Parameters
        ----------
        streams, job : mapping of str to int or array
            The fields of ``Streams`` and ``Job`` in ``evaluate.cc``; those left out are 0. Arrays
            are read and written where they are.
        """
        reply = _Reply()
        given = [_Streams(**_addresses(streams)), _Job(**_addresses(job))]
        parts = (self._plan, *given, reply)
        status = self._library.simulate(*(ctypes.addressof(part) for part in parts))
        return status, reply

    def observe(self, inputs: np.ndarray, given: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Run any design from its start; return what nets are, cycle by cycle.

        Parameters
        ----------
        inputs, outputs : uint32 array
            Slots.
        given : uint64 array of shape (cycles, inputs, width / 64)
            What the inputs are.

        Returns
        -------
        uint64 array of shape (cycles, outputs, width / 64)
        """
        given = np.ascontiguousarray(given)
        kept = np.zeros((len(given), len(outputs), self.width // 64), np.uint64)
        sides = (inputs.ctypes.data, len(inputs), given.ctypes.data)
        others = (outputs.ctypes.data, len(outputs), kept.ctypes.data)
        self._library.observe(ctypes.addressof(self._plan), *sides, *others, len(given))
        return kept


def _addresses(fields: Mapping[str, Any]) -> dict[str, int]:
    return {
        name: value.ctypes.data if isinstance(value, np.ndarray) else value
        for name, value in fields.items()
    }


def pack_rows(bits: np.ndarray) -> np.ndarray:
    """Return rows of bits as rows of 64-bit words, the first bit lowest."""
    octets = np.packbits(bits, axis=1, bitorder="little")
    padded = np.pad(octets, ((0, 0), (0, -octets.shape[1] % 8)))
    return np.ascontiguousarray(padded).view("<u8").astype(np.uint64)
