"""The compiled simulation of a device: RTLIL, CXXRTL, C++, and a loop in C++ at its pins."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, Self
from weakref import WeakKeyDictionary

from ...hw.errors import ToolError
from ...hw.sim.library import build_library
from ...hw.tools.rtlil import convert
from ..catalogue.pll import Setting
from ..gateware.board_top import RESET_CYCLES, Top
from ..gateware.device import Device

__all__ = ["SimulatedDevice"]

HARNESS = Path(__file__).with_name("harness.cc")
ROOM = 1 << 16
NO_PLL = Setting(0.0)  # cycles are counted here, not seconds
_libraries: WeakKeyDictionary[Any, Path] = WeakKeyDictionary()


class _Exchange(ctypes.Structure):
    _fields_ = [
        ("sent", ctypes.c_char_p),
        ("sent_bytes", ctypes.c_uint64),
        ("taken", ctypes.c_uint64),
        ("received", ctypes.c_void_p),
        ("room", ctypes.c_uint64),
        ("received_bytes", ctypes.c_uint64),
        ("cycles", ctypes.c_uint64),
        ("run", ctypes.c_uint64),
        ("quiet", ctypes.c_uint64),
        ("bit_cycles", ctypes.c_uint32),
    ]


class SimulatedDevice:
    """A device of which every gate is simulated, with a line at its pins.

    Around it is the top level of all boards, `Top`, whose reset is over when this has been made. It
    has no PLL: the clock of a simulation has no frequency.

    The library is kept in the user's cache under a name made from its source, so the same device
    compiles once. Use it in a ``with`` statement, or `close` it.

    Parameters
    ----------
    device : Device
        Or any component with pins ``rx`` and ``tx`` and a ``divisor``.
    bit_cycles : int, optional
        Cycles of the bits that are sent; the device's own by default.

    Attributes
    ----------
    cycles : int
        Cycles since power-up.
    quiet : int
        Cycles since a byte was on the line, in either direction.

    Raises
    ------
    ToolError
        Without Yosys or a C++ compiler.
    """

    def __init__(self, device: Device | Any, *, bit_cycles: int | None = None):
        self.device = device
        if device not in _libraries:
            _libraries[device] = _build(device)
        self._library = _load(str(_libraries[device]))
        self._board = self._library.board_create()
        self._received = ctypes.create_string_buffer(ROOM)
        self._exchange = _Exchange(
            received=ctypes.addressof(self._received),
            room=ROOM,
            bit_cycles=bit_cycles or device.divisor,
        )
        self._waiting = bytearray()
        self.cycles = 0
        self.run(RESET_CYCLES + 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the simulation."""
        if self._board:
            self._library.board_destroy(self._board)
            self._board = None

    @property
    def bit_cycles(self) -> int:
        """Cycles of the bits that are sent."""
        return self._exchange.bit_cycles

    @bit_cycles.setter
    def bit_cycles(self, cycles: int) -> None:
        self._exchange.bit_cycles = cycles

    @property
    def quiet(self) -> int:
        """Cycles since a byte was on the line, in either direction."""
        return self._exchange.quiet

    @property
    def waiting(self) -> int:
        """Bytes that were sent, and that the line has not taken yet."""
        return len(self._waiting)

    def send(self, sent: bytes) -> None:
        """Put bytes at the end of those that wait for the line."""
        self._waiting += sent

    def run(self, cycles: int) -> bytes:
        """Run for at most ``cycles`` and return the bytes that came; less where many came.

        Raises
        ------
        ToolError
            For a design with a combinational loop.
        """
        exchange = self._exchange
        exchange.sent, exchange.sent_bytes = bytes(self._waiting), len(self._waiting)
        exchange.cycles = cycles
        if self._library.board_run(self._board, ctypes.byref(exchange)):
            raise ToolError("the design has a combinational loop, which this engine does not run")
        del self._waiting[: exchange.taken]
        self.cycles += exchange.run
        return self._received.raw[: exchange.received_bytes]

    def exchange(self, sent: bytes, *, quiet: int, limit: int = 1 << 40) -> bytes:
        """Send bytes, run until the line has been quiet for so many cycles, and return what came.

        ``limit`` is how many cycles that may take.
        """
        self.send(sent)
        received, end = b"", self.cycles + limit
        while self.cycles < end:
            # all that is sent, and what is left of the quiet time
            line = 10 * self.bit_cycles * len(self._waiting)
            received += self.run(max(line, quiet - self.quiet, 1))
            if not self._waiting and self.quiet >= quiet:
                break
        return received


@cache
def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.board_create.restype = ctypes.c_void_p
    library.board_destroy.argtypes = [ctypes.c_void_p]
    library.board_run.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Exchange)]
    return library


def _build(device: Any) -> Path:
    """Return the library of a device, from the cache or newly compiled."""
    top = Top(None, device, NO_PLL)
    definitions = f"#define DESIGN p_top\n#define DIVISOR {device.divisor}u\n"
    return build_library(
        {"top.il": convert(top, share=False)},
        ["read_rtlil top.il", "write_cxxrtl -g0 top.cc"],
        definitions + HARNESS.read_text(encoding="utf-8"),
    )
