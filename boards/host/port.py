"""Serial ports of the host: opening one, and frames through it."""

import errno
import time
from collections import deque
from typing import Any, Self

import serial
from serial.tools import list_ports

from ...hw.errors import LinkError
from ..protocol.frame import Decoder, Frame

__all__ = ["Port", "open_port"]

WRITE_SECONDS = 10.0


class Port:
    """Frames over an open serial port.

    Parameters
    ----------
    line : serial.Serial
        An open port, or anything with its ``read``, ``write``, ``in_waiting``, ``timeout`` and
        ``close``.
    name : str
        For errors.
    limit : int
        The longest payload that can come.

    Attributes
    ----------
    decoder : Decoder
        What finds the frames.
    """

    def __init__(self, line: Any, name: str, *, limit: int):
        self.line, self.name = line, name
        self.decoder = Decoder(limit)
        self._frames: deque[Frame] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port."""
        self.line.close()

    def send(self, frame: Frame) -> None:
        """Send a frame.

        Raises
        ------
        LinkError
            Where the port is gone, or takes nothing for 10 seconds.
        """
        try:
            self.line.write(frame.to_bytes())
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"{self.name}: cannot be written to ({error})") from error

    def receive(self, seconds: float) -> Frame | None:
        """Return the next frame; None where none came within so many seconds.

        Raises
        ------
        LinkError
            Where the port is gone.
        """
        end = time.monotonic() + seconds
        while not self._frames:
            left = end - time.monotonic()
            if left <= 0:
                # an incomplete frame, behind which others may wait, gets no longer
                self._frames += self.decoder.flush()
                break
            try:
                self.line.timeout = left
                received = self.line.read(max(1, self.line.in_waiting))
            except (serial.SerialException, OSError) as error:
                raise LinkError(f"{self.name}: was lost ({error})") from error
            self._frames += self.decoder.feed(received)
        return self._frames.popleft() if self._frames else None


def open_port(name: str, baud: int, *, limit: int) -> Port:
    """Open a port: a device's name, or an URL as pyserial takes them.

    Raises
    ------
    LinkError
        For a port that is not there, is in use, or may not be opened, and for a name or a baud that
        pyserial or the system refuses; the text says what to do.
    """
    try:
        line = serial.serial_for_url(
            name, baudrate=baud, write_timeout=WRITE_SECONDS, exclusive=True
        )
        line.reset_input_buffer()
    except OSError as error:  # SerialException is one
        raise LinkError(f"{name}: {_reason(error)}") from error
    except Exception as error:  # pyserial hands on whatever an URL or a baud meets on its way
        said = f"{type(error).__name__}: {error}"
        raise LinkError(f"{name}: cannot be opened at {baud} baud ({said})") from error
    return Port(line, name, limit=limit)


def _reason(error: OSError) -> str:
    """Return why a port cannot be opened, and what to do."""
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        found = ", ".join(sorted(each.device for each in list_ports.comports()))
        return f"there is no such port; there is {found or 'none here: is the board connected?'}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            "no permission to open it; join the group that owns it, often dialout, and log in anew"
        )
    if error.errno in (errno.EBUSY, errno.EAGAIN):
        return "another program uses it; end that"
    return f"cannot be opened ({error.strerror or error})"
