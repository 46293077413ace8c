"""Simulation of a netlist of a family's cells: mapped, routed, or recovered from a bitstream.

Yosys reads the netlist and its own models of the cells; CXXRTL and a C++ compiler do the rest. What
Yosys has no model for is in ``models.v``.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.errors import MismatchError, ToolError
from ...hw.sim.library import build_library

__all__ = ["FORMS", "Outcome", "PinSimulation", "StreamSimulation", "build", "script"]

HARNESS = Path(__file__).with_name("netlist.cc")
MODELS = Path(__file__).with_name("models.v")

FORMS: Mapping[str, tuple[str, ...]] = {
    "rtlil": ("read_rtlil netlist",),
    # without Yosys's black boxes of the cells, which have no contents
    "json": ("read_json netlist", "delete =A:blackbox =A:whitebox"),
    "verilog": ("read_verilog netlist",),
}
"""How Yosys reads each form of a netlist."""

_CELLS = {
    "ice40": "read_verilog -defer +/ice40/cells_sim.v",
    "ecp5": "read_verilog -overwrite -defer +/ecp5/cells_sim.v",
}
# What stays whole, as its bits belong together: wires in a LUT's model, and those that Yosys made.
_WHOLE = ("w:*.s3", "w:*.s2", "w:*.s1", "w:$*")


def script(form: str, family: str) -> list[str]:
    """Return the Yosys script from ``netlist`` to ``top.cc``.

    All other wires are split into bits: a vector of which one bit depends on another would have to
    be computed twice a cycle.
    """
    return [
        *FORMS[form],
        _CELLS[family],
        "read_verilog -overwrite -defer models.v",
        "hierarchy -check -top top",
        "proc",
        "flatten -noscopeinfo",
        "opt_clean",
        "opt_expr",
        "memory -nomap",
        "opt_clean -purge",
        f"splitnets w:* {' '.join(_WHOLE)} {'%u ' * (len(_WHOLE) - 1)}%d",
        "opt_clean -purge",
        "write_cxxrtl -g0 top.cc",
    ]


def build(netlist: str, form: str, family: str, definitions: Mapping[str, int | str]) -> Path:
    """Return the compiled library of a netlist, from the cache or newly compiled.

    Parameters
    ----------
    netlist : str
        Its text, with a module ``top``.
    form : str
        One of `FORMS`.
    family : str
        ``ice40`` or ``ecp5``.
    definitions : mapping of str to int or str
        Of the preprocessor, for ``netlist.cc``.

    Raises
    ------
    ToolError
        Without Yosys or a C++ compiler; for another family; for a cell that nothing models.
    """
    if family not in _CELLS:
        raise ToolError(f"netlists of {family} are not simulated; {', '.join(_CELLS)} are")
    lines = [f"#define {name} {value}" for name, value in definitions.items()]
    header = "\n".join([*lines, "#define DESIGN p_top", ""])
    return build_library(
        {"netlist": netlist, "models.v": MODELS.read_text(encoding="utf-8")},
        script(form, family),
        header + HARNESS.read_text(encoding="utf-8"),
        optimise="-O1",  # -O2 takes twice as long, and gains less
    )


class _Reply(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("received", "cycles", "digest")]


class PinSimulation:
    """A top level with the pins ``clk``, ``rx`` and ``tx``, and a UART at them.

    Use it in a ``with`` statement, or `close` it.

    Parameters
    ----------
    netlist, form, family
        As `build` takes them.
    divisor : int
        Cycles of a bit.

    Attributes
    ----------
    cycles : int
        Cycles of the clock since the bitstream was loaded.
    digest : int
        Of the cycles in which ``tx`` changed: equal for two netlists that drove it alike in every
        cycle.
    """

    def __init__(self, netlist: str, form: str, family: str, *, divisor: int):
        self.divisor, self.cycles, self.digest = divisor, 0, 0
        self._library = _load(str(build(netlist, form, family, {"PINS": 1})))
        self._simulation = self._library.create()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the simulation."""
        if self._simulation:
            self._library.destroy(self._simulation)
            self._simulation = None

    def wait(self, cycles: int) -> None:
        """Let ``cycles`` pass on a quiet line.

        Raises
        ------
        MismatchError
            Where a byte came.
        """
        if self._exchange(b"", 1, cycles)[0] != 1:
            raise MismatchError("a byte came that was not asked for")

    def exchange(self, sent: bytes, wanted: int, *, limit: int) -> bytes:
        """Send bytes, and return ``wanted`` bytes that come meanwhile and afterwards.

        Raises
        ------
        MismatchError
            Where more bytes came, or none for ``limit`` cycles.
        ToolError
            For a design with a combinational loop.
        """
        status, received = self._exchange(sent, wanted, limit)
        if status == 1:
            raise MismatchError(
                f"nothing came for {limit} cycles, after {len(received)} of {wanted} bytes"
            )
        if status == 4:
            raise MismatchError("a byte came without a stop bit")
        if len(received) != wanted:
            raise MismatchError(f"{len(received)} bytes came instead of {wanted}")
        return received

    def _exchange(self, sent: bytes, wanted: int, limit: int) -> tuple[int, bytes]:
        reply, received = _Reply(), ctypes.create_string_buffer(wanted)
        arguments = sent, len(sent), self.divisor, received, wanted, limit, ctypes.byref(reply)
        status = self._library.exchange(self._simulation, *arguments)
        self.cycles, self.digest = reply.cycles, reply.digest
        if status == 3:
            raise ToolError("the netlist has a combinational loop, which cannot be simulated")
        return status, received.raw[: reply.received].ljust(reply.received, b"\0")


@cache
def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.create.restype = ctypes.c_void_p
    library.destroy.argtypes = [ctypes.c_void_p]
    number = ctypes.c_uint64
    library.exchange.argtypes = [
        *(ctypes.c_void_p, ctypes.c_char_p, number, ctypes.c_uint32),
        *(ctypes.c_char_p, number, number, ctypes.c_void_p),
    ]
    return library


class _Request(ctypes.Structure):
    _fields_ = [
        ("codes", ctypes.c_void_p),
        ("elements", ctypes.c_uint64),
        ("results", ctypes.c_uint64),
        ("idle_limit", ctypes.c_uint64),
        ("fault", ctypes.c_uint32),
        ("levels", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("weight_words", ctypes.c_uint64),
    ]


class _StreamReply(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64) for name in ("cycles", "accepted", "emitted", "images", "active")
    ]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came out of an accelerator's netlist.

    Attributes
    ----------
    levels : int64 array of shape (images, outputs)
    labels : int64 array of shape (images,)
    cycles : int
    active : int
        Cycles in which a planted fault changed the output of its gate.
    failure : str
        Why it ended early; empty where all results came.
    """

    levels: np.ndarray
    labels: np.ndarray
    cycles: int
    active: int
    failure: str


class StreamSimulation:
    """The netlist of an accelerator alone, with streams at its ports.

    Parameters
    ----------
    netlist : str
        In the JSON of Yosys; a module ``top`` with the ports of the accelerator but its trace.
    accelerator : Accelerator
        What was mapped.
    family : str
    faults : bool
        Whether there are ports ``fault``, which chooses one, and ``active``.
    """

    def __init__(
        self, netlist: str, accelerator: Accelerator, family: str, *, faults: bool = False
    ):
        self.accelerator = accelerator
        element, result = accelerator.i.payload.shape(), accelerator.o.payload.shape()
        definitions: dict[str, int | str] = {
            "OFFSET_LAST": element["last"].offset,
            "WIDTH_LEVEL": result["level"].width,
            "OFFSET_LABEL": result["label"].offset,
            "WIDTH_LABEL": result["label"].width,
            "OFFSET_RESULT_LAST": result["last"].offset,
        }
        definitions |= {"LOADS_WEIGHTS": 1} if accelerator.loads_weights else {}
        definitions |= {"FAULTS": 1} if faults else {}
        self._library = ctypes.CDLL(str(build(netlist, "json", family, definitions)))

    def run(self, codes: np.ndarray, images: int, *, fault: int = 0) -> Outcome:
        """Send images and return what came out.

        Parameters
        ----------
        codes : int array
            Of all images, as `Stimulus.codes` gives them.
        images : int
        fault : int
            Which planted fault is there, from 1; 0 is none.

        Raises
        ------
        ToolError
            For a netlist with a combinational loop.
        """
        program = self.accelerator.program
        network = program.network
        codes = np.ascontiguousarray(codes, np.uint32)
        raw = np.zeros((images, network.outputs), np.uint32)
        labels = np.zeros(raw.size, np.uint32)  # as many as a faulty netlist can claim
        loaded = program.contents.weights if self.accelerator.loads_weights else []
        weights = np.array(loaded, np.uint64)
        request = _Request(
            codes=codes.ctypes.data,
            elements=codes.size,
            results=raw.size,
            idle_limit=10_000 + program.cycles.longest_job,
            fault=fault,
            levels=raw.ctypes.data,
            labels=labels.ctypes.data,
            weights=weights.ctypes.data,
            weight_words=weights.size,
        )
        reply = _StreamReply()
        status = self._library.simulate(ctypes.byref(request), ctypes.byref(reply))
        if status == 3:
            raise ToolError("the netlist has a combinational loop, which cannot be simulated")
        failures = {1: "it stood still", 2: "it ended more images than there are"}
        failure = failures.get(status, "")
        if not failure and reply.images != images:
            failure = f"it ended {reply.images} images instead of {images}"
        levels = network.output.to_level(raw.astype(np.int64))
        found = labels[:images].astype(np.int64)
        return Outcome(levels, found, reply.cycles, reply.active, failure)
