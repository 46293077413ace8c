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
from .lanes import Share
from .lowering import cache_folder
from .plan import READ, SELECT, WRITE, Plan

__all__ = [
    "Campaign",
    "Exchange",
    "Native",
    "compiled",
    "library",
    "pack_rows",
    "source",
    "widest",
    "width_for",
]

OPTIONS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-w")
# lanes: what a compiler for x86 must be told, narrower registers need nothing
_X86 = ("x86_64", "AMD64")
FLAGS = {64: (), 128: (), 256: ("-mavx2",), 512: ("-mavx512f", "-mprefer-vector-width=512")}
_PROBE = """\
extern "C" int widest() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") ? 512 : __builtin_cpu_supports("avx2") ? 256 : 128;
}
"""


def source(kind: str) -> str:
    """Return the text of an evaluator: of ``streams``, a ``board`` or a ``campaign``."""
    parts = (Path(__file__).with_name(f"{name}.cc") for name in ("evaluate", kind))
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


def compiled(source: str, flags: tuple[str, ...]) -> Path:
    """Return the library of a source in C++, from the cache or newly compiled."""
    compiler = find_compiler()
    options = [*OPTIONS, *flags]
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
    return ctypes.CDLL(str(compiled(_PROBE, ()))).widest()


def width_for(lanes: int) -> int:
    """Return the narrowest vector of the processor that has so many bits, or its widest."""
    return next((width for width in (64, 128, 256) if lanes <= width <= widest()), widest())


@cache
def library(lanes: int, kind: str = "streams") -> ctypes.CDLL:
    """Return the evaluator of a kind for ``lanes`` images at a time: 64, 128, 256 or 512.

    Raises
    ------
    ToolError
        Without a C++ compiler.
    """
    header = f"#define LANES {lanes}\nenum {{ {', '.join(KINDS)} }};\n"
    header += f"enum {{ READ = {READ}, SELECT = {SELECT}, WRITE = {WRITE} }};\n"
    flags = FLAGS[lanes] if platform.machine() in _X86 else ()
    loaded = ctypes.CDLL(str(compiled(header + source(kind), flags)))
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    side = [pointer, number, pointer]
    loaded.observe.argtypes = [pointer, *side, *side, number]
    loaded.observe.restype = None
    loaded.pack.argtypes = [pointer, *[number] * 5, pointer]
    loaded.unpack.argtypes = [pointer, number, number, pointer]
    loaded.pack.restype = loaded.unpack.restype = None
    if kind == "streams":
        loaded.simulate.argtypes = [pointer] * 4
    elif kind == "campaign":
        loaded.campaign.argtypes = [pointer, pointer]
    else:
        loaded.board_create.argtypes = loaded.board_destroy.argtypes = [pointer]
        loaded.board_create.restype, loaded.board_destroy.restype = pointer, None
        loaded.board_exchange.argtypes = [pointer, pointer]
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
        ("apart", ctypes.c_uint64),
    ]


class _Streams(ctypes.Structure):
    """Slots of an accelerator's ports; see ``streams.cc``."""

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
    """Request of one simulation; see ``streams.cc``."""

    _fields_ = [
        ("codes", ctypes.c_void_p),
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("elements", "inputs", "images", "results", "ends"),
                *("idle_limit", "work_limit"),
            )
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
        ("toggles", ctypes.c_void_p),
        ("counted", ctypes.c_void_p),
        ("watched", ctypes.c_void_p),
        ("watched_count", ctypes.c_uint64),
        ("highs", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("progress", ctypes.c_void_p),
    ]


class _Reply(ctypes.Structure):
    """Answer of one simulation."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("cycles", "steps", "accepted", "emitted", "lasts", "images"),
            *("events", "overflowing"),
        )
    ]


class Exchange(ctypes.Structure):
    """Bytes that go over a line, both ways; see ``board.cc``."""

    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("rx", "tx", "bits", "divisor")),
        ("sent", ctypes.c_void_p),
        ("received", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("wanted", "limit")),
        ("stop", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("count", "cycles", "digest")),
    ]


class Campaign(ctypes.Structure):
    """Faults in lanes; see ``campaign.cc``."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("code", "payload")),
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("code_width", "payload_width", "label_offset", "i_valid", "i_ready"),
                *("o_valid", "o_ready", "active"),
            )
        ),
        *((name, ctypes.c_void_p) for name in ("codes", "results")),
        *((name, ctypes.c_uint64) for name in ("elements", "count", "outputs")),
        ("masks", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("lanes", "idle_limit", "cycle_limit")),
        *(
            (name, ctypes.c_void_p)
            for name in ("stop", "outcomes", "images", "activated", "strayed")
        ),
        ("cycles", ctypes.c_uint64),
    ]


class Native:
    """A plan in the evaluator in C++.

    Several threads may simulate at once: what it holds is not written to.

    Parameters
    ----------
    plan : Plan
    width : int
        Images at a time: 64, 128, 256 or 512.
    kind : str
        What it does with them: ``streams``, ``board`` or ``campaign``.

    Raises
    ------
    ToolError
        Without a C++ compiler.
    """

    def __init__(self, plan: Plan, width: int, kind: str = "streams"):
        self.plan, self.width = plan, width
        self._library = library(width, kind)
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
            apart=plan.apart,
            **ends,
        )

    def simulate(self, streams: Mapping[str, Any], job: Mapping[str, Any]) -> tuple[int, Any]:
        """Run an accelerator; return a status and what it did.

        Parameters
        ----------
        streams, job : mapping of str to int or array
            The fields of ``Streams`` and ``Job`` in ``streams.cc``; those left out are 0. Arrays
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

    def create_board(self) -> int:
        """Return a simulation at whose pins bytes are exchanged."""
        return self._library.board_create(ctypes.addressof(self._plan))

    def destroy_board(self, board: int) -> None:
        """Free a simulation of `create_board`."""
        self._library.board_destroy(board)

    def exchange(self, board: int, exchange: Exchange) -> int:
        """Send and receive bits; return a status, see ``board.cc``."""
        return self._library.board_exchange(board, ctypes.addressof(exchange))

    def campaign(self, campaign: Campaign) -> int:
        """Run a stream with a fault in each lane; return a status, see ``campaign.cc``."""
        return self._library.campaign(ctypes.addressof(self._plan), ctypes.addressof(campaign))

    def pack(self, share: Share, codes: np.ndarray, bits: int) -> np.ndarray:
        """Return the bits of images' codes, of shape (images, n), lane by lane an image.

        Returns
        -------
        uint64 array of shape (images a lane * n, bits, width / 64)
        """
        codes = np.ascontiguousarray(codes)
        elements = codes.shape[1]
        packed = np.empty((share.length * elements, bits, self.width // 64), np.uint64)
        numbers = codes.itemsize, len(codes), elements, share.lanes, bits
        self._library.pack(codes.ctypes.data, *numbers, packed.ctypes.data)
        return packed

    def unpack(self, vectors: np.ndarray) -> np.ndarray:
        """Return bits of shape (n, bits, words) as numbers, int64 of shape (n, lanes)."""
        vectors = np.ascontiguousarray(vectors)
        found = np.empty((len(vectors), self.width), np.int64)
        sizes = vectors.shape[:2]
        self._library.unpack(vectors.ctypes.data, *sizes, found.ctypes.data)
        return found


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
