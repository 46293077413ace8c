"""Requests to a device and their answers: numbers, repetitions, errors."""

import random
import time
from collections import deque

from ...hw.errors import LinkError
from ..protocol.frame import ANSWER, ERROR, Error, Frame, Type
from ..protocol.outcome import Counts
from .port import Port

__all__ = ["LONGEST", "Link"]

LONGEST = 3600.0
"""Seconds that an answer may take, at most."""

MEANINGS = {
    Error.TYPE: "it does not know this request",
    Error.LENGTH: "it takes a payload of another length",
    Error.BUSY: "it has no room",
    Error.UNREADY: "its weights are not there: give the network, from which they are loaded",
    Error.LOADED: "its weights are there already",
    Error.ORDER: "it expects another chunk of weights",
}


class Link:
    """Ask a device on a port.

    Parameters
    ----------
    port : Port
    baud : int
        For errors.
    timeout : float
        Seconds that an answer may take.
    tries : int
        How often a request is sent without an answer before that is an error.

    Attributes
    ----------
    counts : Counts
        What happened since the port was opened.
    inbox : deque of Frame
        What came while something else was asked: perhaps answers to images.

    Raises
    ------
    LinkError
        For a timeout that is not between 0 and `LONGEST`, and for no tries.
    """

    def __init__(self, port: Port, *, baud: int, timeout: float, tries: int):
        if not 0 < timeout <= LONGEST:
            raise LinkError(f"a timeout is up to {LONGEST:g} s and more than 0, not {timeout:g}")
        if tries < 1:
            raise LinkError(f"a request is tried once or more often, not {tries} times")
        self.port, self.baud, self.timeout, self.tries = port, baud, timeout, tries
        self.counts = Counts()
        self.inbox: deque[Frame] = deque()
        self._sequence = random.randrange(256)

    def send(self, kind: int, payload: bytes, sequence: int | None = None) -> int:
        """Send a request, under the next number where none is given; return the number."""
        if sequence is None:
            self._sequence = sequence = (self._sequence + 1) % 256
        self.counts.sent += 1
        self.port.send(Frame(kind, sequence, payload))
        return sequence

    def ask(
        self, kind: Type, payload: bytes = b"", *, size: int | None = 0, chunk: int | None = None
    ) -> bytes:
        """Send a request until it is answered; return the payload of the answer.

        Asked twice, all of them do what they do once: a chunk of weights has its number.

        Parameters
        ----------
        size : int or None
            Bytes of the payload; None where that depends on the device.

        Raises
        ------
        LinkError
            Without an answer, for one of another size, and where the device refuses.
        """
        for attempt in range(self.tries):
            self.counts.retries += attempt > 0
            number = None if chunk is None else chunk % 256
            number = self.send(kind, payload, number)
            end = time.monotonic() + self.timeout
            while (frame := self.port.receive(end - time.monotonic())) is not None:
                if frame.sequence == number and frame.type == kind | ANSWER:
                    if size is not None and len(frame.payload) != size:
                        raise LinkError(
                            f"{self.port.name}: the device answers {kind.name} with "
                            f"{len(frame.payload)} bytes instead of {size}; build its bitstream "
                            "anew"
                        )
                    return frame.payload
                if frame.sequence == number and frame.type == ERROR and len(frame.payload) == 2:
                    done = frame.payload[1] == (number + 1) % 256  # by an earlier attempt
                    if kind == Type.WEIGHTS and attempt and done:
                        return b""
                    raise self.error(frame)
                self.inbox.append(frame)  # perhaps an image's
        raise self.no_answer()

    def receive(self) -> Frame | None:
        """Return the next frame, which may answer anything; None after the timeout."""
        return self.inbox.popleft() if self.inbox else self.port.receive(self.timeout)

    def error(self, frame: Frame) -> LinkError:
        """Return the error that an answer reports."""
        code = frame.payload[0]
        if code in MEANINGS:
            said = f"{MEANINGS[Error(code)]} ({Error(code).name})"
        else:
            said = f"error {code}, which this narrowgauge does not know; build its bitstream anew"
        return LinkError(f"{self.port.name}: the device refuses: {said}")

    def no_answer(self) -> LinkError:
        """Return the error of a device that says nothing."""
        return LinkError(
            f"{self.port.name}: no answer to {self.tries} requests at {self.baud} baud, each of "
            f"which had {self.timeout:g} s; is a bitstream of narrowgauge loaded, and is this its "
            "port and baud?"
        )
