"""Frames on the line: layout and codes, for the gates and for the host.

A frame is, in both directions, integers with their low byte first::

    sync      0xA5
    type      what is asked, or `ANSWER` and what was asked
    sequence  any byte; the answer carries the one of its request
    length    bytes of the payload, two bytes
    payload
    check     CRC-32 of everything from type to payload, four bytes

A frame of which anything is wrong is forgotten without an answer; who sent it sends it again.

    >>> Frame(Type.INFO, 7).to_bytes().hex()
    'a501070000fcaeb79c'
    >>> Decoder().feed(Frame(Type.INFO, 7).to_bytes())
    [Frame(type=1, sequence=7, payload=b'')]
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np

__all__ = [
    "ANSWER",
    "ERROR",
    "MAX_PAYLOAD",
    "OVERHEAD",
    "PROTOCOL",
    "SEVERAL",
    "SYNC",
    "Decoder",
    "Error",
    "Flag",
    "Frame",
    "Type",
    "packed",
    "packed_bytes",
]

PROTOCOL = 1
"""Version of everything that is said here."""
SEVERAL = 2
"""The same of devices with several outputs, which say more of themselves, and answer for each."""
SYNC = 0xA5
ANSWER = 0x80
"""Set in the type of every answer; a device ignores frames that have it."""
ERROR = 0xFF
"""Type of the answer to what cannot be done: an `Error`, and a byte that explains it."""
OVERHEAD = 9
"""Bytes of a frame without its payload."""
MAX_PAYLOAD = 0xFFFF


class Type(IntEnum):
    """Types of request."""

    INFO = 0x01
    """What the device is: `info.Info`."""
    STATUS = 0x02
    """`Flag`, the last `Error`, frames that came damaged (modulo 256), chunks of weights."""
    CYCLES = 0x03
    """Cycles since the last reset in which the accelerator had work, four bytes."""
    RESET = 0x04
    """Forget all images, and weights that were loaded."""
    WEIGHTS = 0x05
    """The next chunk of weights; its sequence number is the chunk's, from 0 at a reset."""
    RUN = 0x06
    """An image; the answer has its levels and its class, where there are classes."""
    CLASSIFY = 0x07
    """An image; the answer has its class, or its levels where there are no classes."""


class Error(IntEnum):
    """Reasons for refusing a request that arrived undamaged."""

    NONE = 0
    TYPE = 1
    """There is no such request."""
    LENGTH = 2
    """The request takes a payload of another length."""
    BUSY = 3
    """There is no room for the image; it was not taken."""
    UNREADY = 4
    """The weights are not there yet."""
    LOADED = 5
    """The weights are there already: they are loaded once after a reset."""
    ORDER = 6
    """Another chunk of weights comes next; the second byte is its number."""


class Flag(IntFlag):
    """The first byte of a status."""

    READY = 1
    """Images are taken: the weights are there."""
    BUSY = 2
    """Images are being computed."""


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes
    ----------
    type, sequence : int
        One byte each.
    payload : bytes
        At most `MAX_PAYLOAD`.
    """

    type: int
    sequence: int
    payload: bytes = b""

    def to_bytes(self) -> bytes:
        """Return what goes over the line."""
        length = len(self.payload).to_bytes(2, "little")
        body = bytes([self.type, self.sequence]) + length + self.payload
        return bytes([SYNC]) + body + zlib.crc32(body).to_bytes(4, "little")


class Decoder:
    """Find the frames in bytes as they arrive; what is no frame is left out.

    Parameters
    ----------
    limit : int
        The longest payload that can come. A length beyond it is noise.

    Attributes
    ----------
    damaged : int
        Times that what began like a frame was none.
    """

    def __init__(self, limit: int = MAX_PAYLOAD):
        self.limit, self.damaged = limit, 0
        self._bytes = bytearray()

    def feed(self, received: bytes) -> list[Frame]:
        """Return the frames that ``received`` completes."""
        self._bytes += received
        frames = []
        while True:
            frame = self._next()
            if frame is None:
                return frames
            frames.append(frame)

    def flush(self) -> list[Frame]:
        """Return the frames behind an incomplete one, of which no more will come."""
        frames = []
        while self._bytes:
            self._skip()
            frames += self.feed(b"")
        return frames

    def _next(self) -> Frame | None:
        """Take the first frame; None where more bytes must come."""
        while True:
            start = self._bytes.find(SYNC)
            del self._bytes[: start if start >= 0 else len(self._bytes)]
            if len(self._bytes) < 5:
                return None
            length = int.from_bytes(self._bytes[3:5], "little")
            if length > self.limit:
                self._skip()
                continue
            if len(self._bytes) < length + OVERHEAD:
                return None
            body, check = self._bytes[1 : 5 + length], self._bytes[5 + length : length + OVERHEAD]
            if zlib.crc32(body).to_bytes(4, "little") != check:
                self._skip()
                continue
            del self._bytes[: length + OVERHEAD]
            return Frame(body[0], body[1], bytes(body[4:]))

    def _skip(self) -> None:
        """Go on behind what looked like the begin of a frame: a true one may be inside."""
        self.damaged += 1
        del self._bytes[0]


def packed_bytes(width: int, count: int) -> int:
    """Return the bytes that ``count`` codes of ``width`` bits take."""
    return -(-width * count // 8)


def packed(codes: Sequence[int] | np.ndarray, width: int) -> bytes:
    """Return codes side by side without gaps, the first in the lowest bits of the first byte.

    Parameters
    ----------
    codes : int array or sequence
        In C order.
    width : int
        Bits of each, any number.
    """
    octets = packed_bytes(width, 1)
    numbers = np.asarray(codes, object).reshape(-1).tolist()
    content = b"".join(int(number).to_bytes(octets, "little") for number in numbers)
    whole = np.frombuffer(content, np.uint8).reshape(-1, octets)
    bits = np.unpackbits(whole, axis=1, bitorder="little")[:, :width]
    return np.packbits(bits, bitorder="little").tobytes()
