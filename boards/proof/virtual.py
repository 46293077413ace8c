"""A board without a board: its gateware in simulation, behind a pseudo-terminal.

What opens the terminal sees what it would see on a serial port: every byte goes through the pins
``rx`` and ``tx`` of the simulated top level, bit by bit. Its PLL alone is left out.
"""

import os
import select
import threading
from typing import Self

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.errors import LinkError, NarrowgaugeError
from ..gateware.device import Device
from .simulation import SimulatedDevice

__all__ = ["Noise", "VirtualBoard", "virtual_device"]

CLOCK = 12e6
SLICE = 4096  # cycles between two looks at the terminal
KEPT = 1 << 16  # bytes for a host that does not read
SILENCE = 1 << 15  # cycles; a host that is interrupted within a frame takes milliseconds


def virtual_device(accelerator: Accelerator, *, divisor: int = 4) -> Device:
    """Return a device whose bits take few cycles, so that simulating the line takes little time."""
    return Device(accelerator, clock_frequency=CLOCK, baud=CLOCK / divisor, silence=SILENCE / CLOCK)


class Noise:
    """Damage to bytes on their way.

    Parameters
    ----------
    rate : float
        The chance of each of three mishaps, at each byte: it is dropped; one of its bits is
        flipped; a random byte is inserted before it.
    seed : int
        Of the random numbers.

    Attributes
    ----------
    dropped, flipped, inserted : int
        Mishaps so far.
    """

    def __init__(self, rate: float, seed: int = 0):
        if not 0 <= rate <= 0.3:
            raise LinkError(f"the rate of noise is 0 to 0.3 a byte, not {rate:g}")
        self.rate = rate
        self.dropped = self.flipped = self.inserted = 0
        self._random = np.random.default_rng(seed)

    def __call__(self, sent: bytes) -> bytes:
        """Return what arrives of ``sent``."""
        if not self.rate or not sent:
            return sent
        arrives = bytearray()
        chances = self._random.random((len(sent), 3)) < self.rate
        for byte, (drop, flip, insert) in zip(sent, chances, strict=True):
            if insert:
                arrives.append(int(self._random.integers(256)))
            if flip:
                byte ^= 1 << int(self._random.integers(8))
            if not drop:
                arrives.append(byte)
            self.inserted += bool(insert)
            self.flipped += bool(flip and not drop)
            self.dropped += bool(drop)
        return bytes(arrives)


class VirtualBoard:
    """A device behind a pseudo-terminal, while a ``with`` statement lasts.

    The simulation stands still while nothing happens on the line.

    Parameters
    ----------
    device : Device
        Best from `virtual_device`.
    noise : float
        Rate of the line's `Noise`, in both directions.
    seed : int
        Of the noise.

    Attributes
    ----------
    port : str
        Name of the terminal.
    to_device, from_device : Noise
        What happened to bytes so far.

    Raises
    ------
    LinkError
        Where the system has no pseudo-terminals.
    ToolError
        Without Yosys or a C++ compiler.
    """

    port: str

    def __init__(self, device: Device, *, noise: float = 0.0, seed: int = 0):
        if not hasattr(os, "openpty"):
            raise LinkError("a virtual board needs pseudo-terminals, which this system has not")
        self.device = device
        self.to_device, self.from_device = Noise(noise, 2 * seed), Noise(noise, 2 * seed + 1)
        self._simulation = SimulatedDevice(device)
        program = device.accelerator.program
        inside = program.images * len(program.records) * program.cycles.longest_job
        self._rest = 4 * device.silence + 4 * inside  # cycles after which nothing goes on
        self.error: NarrowgaugeError | None = None

    @property
    def cycles(self) -> int:
        """Cycles that were simulated."""
        return self._simulation.cycles

    def __enter__(self) -> Self:
        import tty  # there is none where there are no terminals

        self._host, self._terminal = os.openpty()
        tty.setraw(self._terminal)
        os.set_blocking(self._host, False)
        # the terminal stays open here, so that it outlives the programs that use it
        self.port = os.ttyname(self._terminal)
        self._stopped, self._stop = os.pipe()
        # not joined but waited for: Python takes a thread whose join was interrupted for ended
        self._over = threading.Event()
        threading.Thread(target=self._serve, name="virtual board", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stop, b"\0")
        self._over.wait()
        for handle in (self._host, self._terminal, self._stopped, self._stop):
            os.close(handle)
        self._simulation.close()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the board stops by itself, which only an error makes it do; raise that."""
        self._over.wait(seconds)
        if self.error is not None:
            raise self.error

    def _serve(self) -> None:
        try:
            self._exchange()
        except NarrowgaugeError as error:
            self.error = error
        finally:
            self._over.set()

    def _exchange(self) -> None:
        """Carry bytes between the terminal and the pins until told to stop."""
        simulation, outgoing, active = self._simulation, bytearray(), True
        while True:
            writing = [self._host] if outgoing else []
            readable, writable, _ = select.select(
                [self._host, self._stopped], writing, [], 0 if active else None
            )
            if self._stopped in readable:
                return
            if self._host in readable:
                simulation.send(self.to_device(os.read(self._host, 1 << 12)))
            if writable:
                del outgoing[: os.write(self._host, outgoing)]
            outgoing += self.from_device(simulation.run(SLICE))
            del outgoing[:-KEPT]
            active = bool(simulation.waiting) or simulation.quiet < self._rest
