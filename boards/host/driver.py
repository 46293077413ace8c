"""The host's side of the line: images to a board, answers back.

Every answer carries the sequence number of its request, and answers to images come in the order of
their requests. So an image is lost whose successor was answered; it is sent again, under a new
number. Where nothing comes for a while the device is asked for its status: while it computes it is
waited for, else all that is on its way was lost.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Self

import numpy as np

from ...hw.errors import DataError, LinkError
from ...hw.network.network import Network
from ..gateware.device import BAUD
from ..gateware.results import label_bytes, level_bytes
from ..protocol.frame import ANSWER, ERROR, Error, Flag, Frame, Type, packed, packed_bytes
from ..protocol.info import MAX_INFO_BYTES, Info, device_digest, network_digest
from ..protocol.outcome import STATUS_BYTES, Answer, Inference, Status
from .link import Link
from .port import Port, open_port

__all__ = ["Driver"]

PATIENCE = 60.0  # seconds that a device may compute without an answer


class Driver:
    """A board on a port.

    Opening asks the device what it is. The first images reset it, so that nothing of an earlier
    program's requests is left, and load weights where it takes them.

    Parameters
    ----------
    port : str or Port
        Name or URL of a serial port, or an open one.
    network : Network, optional
        What the device must hold; where it loads weights, these.
    baud : int
        Bits a second.
    timeout : float
        Seconds without an answer after which the device is asked.
    tries : int
        How often a request is sent without an answer before that is an error.

    Attributes
    ----------
    info : Info
        What the device says of itself.
    counts : Counts
        What happened on the line since it was opened.

    Raises
    ------
    LinkError
        For a port that cannot be opened, a timeout or tries that cannot be, no answer, another
        version of the protocol, and a bitstream of another network.
    """

    def __init__(
        self,
        port: str | Port,
        *,
        network: Network | None = None,
        baud: int = BAUD,
        timeout: float = 0.5,
        tries: int = 8,
    ):
        opened = open_port(port, baud, limit=MAX_INFO_BYTES) if isinstance(port, str) else port
        self._port = opened
        self.network: Network | None = None
        self._clean = False  # nothing is on its way
        try:
            self._link = Link(opened, baud=baud, timeout=timeout, tries=tries)
            self.counts = self._link.counts
            self.info = Info.from_bytes(self._link.ask(Type.INFO, size=None))
            if network is not None:
                self.expect(network)
        except BaseException:
            self.close()
            raise
        self._level, self._label = (
            level_bytes(self.info.output.width),
            label_bytes(self.info.classes),
        )
        self._port.decoder.limit = max(MAX_INFO_BYTES, self._answer_bytes(Type.RUN))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    # --- requests ------------------------------------------------------------------------------

    def expect(self, network: Network) -> None:
        """Say what the device must hold; its weights are loaded, where it loads any.

        Raises
        ------
        LinkError
            For a bitstream of another network; where any weights may be loaded, of one that
            differs in more than these.
        GeometryError
            There, for a network that the device's array cannot run.
        """
        if self.info.any_weights:
            wanted = device_digest(self.info.program(network))
        else:
            wanted = network_digest(network)
        if wanted != self.info.digest:
            info, more = self.info, ""
            if info.any_weights:
                more = (
                    "; weights alone are loaded, the biases, scales and widths of channels of both "
                    "must be the same"
                )
            raise LinkError(
                f"{self._port.name}: its bitstream is of another network ({info.inputs} inputs in "
                f"{info.input}, {info.outputs} outputs, digest {info.digest.hex()[:8]}) than "
                f"{network.name} ({network.inputs} inputs in {network.input}, {network.outputs} "
                f"outputs, digest {wanted.hex()[:8]}){more}; build and load that of {network.name}"
            )
        self.network = network

    def status(self) -> Status:
        """Return what the device says of its state.

        Raises
        ------
        LinkError
            Without an answer, or for one that is none; so do all other methods.
        """
        return Status.from_bytes(self._link.ask(Type.STATUS, size=STATUS_BYTES))

    def cycles(self) -> int:
        """Return the cycles since the last reset in which the accelerator had work."""
        return int.from_bytes(self._link.ask(Type.CYCLES, size=4), "little")

    def reset(self) -> None:
        """Let the device forget all images, and weights that were loaded."""
        self._link.ask(Type.RESET)
        self._link.inbox.clear()
        self._clean = True

    def load_weights(self, network: Network) -> None:
        """Reset the device and load the weights of ``network``.

        Where `Info.any_weights` is set they may replace those of another network; `Driver.expect`
        says what the two must share.

        Raises
        ------
        LinkError
            Where the device loads no weights, or those of another network.
        """
        if not self.info.loads_weights:
            raise LinkError(f"{self._port.name}: the weights of this device are in its bitstream")
        self.expect(network)
        info, program = self.info, self.info.program(network)
        width, _ = program.memories["weights"]
        content = packed(program.contents.weights, width)
        size = packed_bytes(info.input.width, info.inputs)
        self.reset()
        for index, start in enumerate(range(0, len(content), size)):
            chunk = content[start : start + size].ljust(size, b"\0")
            self._link.ask(Type.WEIGHTS, chunk, chunk=index)
        for _ in range(self._link.tries):
            if self.status().flags & Flag.READY:
                return
        raise LinkError(f"{self._port.name}: the device wants more weights than the network has")

    def infer(
        self,
        images: np.ndarray,
        *,
        levels: bool = True,
        tell: Callable[[int], None] = lambda answered: None,
    ) -> Inference:
        """Return the answers to all images, in their order; see `answers`.

        Parameters
        ----------
        tell : callable
            Called with the number of answers after each.
        """
        before, started = replace(self.counts), time.perf_counter()
        levels, ends = levels or self.info.has_values, self.info.ends
        shape = (len(images), len(ends)) if len(ends) > 1 else (len(images),)
        labels = np.zeros(shape, np.int64) if self.info.has_classes else None
        found = np.zeros((len(images), self.info.outputs), np.int64) if levels else None
        for answered, answer in enumerate(self.answers(images, levels=levels), 1):
            tell(answered)
            if labels is not None and answer.label is not None:
                labels[answer.index] = answer.label
            if found is not None and answer.levels is not None:
                found[answer.index] = answer.levels
        seconds = time.perf_counter() - started
        self.counts.damaged = self._port.decoder.damaged
        return Inference(labels, found, seconds, self.counts.since(before))

    def answers(self, images: np.ndarray, *, levels: bool = True) -> Iterator[Answer]:
        """Yield the answer to each image as it comes; what was lost comes later.

        Parameters
        ----------
        images : int array of shape (images, ...)
            Input levels, in the order in which the network reads them: channels last.
        levels : bool
            Ask for the levels too; without, answers are shorter. Where an output has no classes
            they are asked for in any case.

        Raises
        ------
        DataError
            For images of another size.
        FormatError
            For levels that the input format does not hold.
        LinkError
            Where the device does not answer, or refuses.
        """
        payloads = self._payloads(images)
        self._prepare()
        self._clean = False
        kind = Type.RUN if levels or self.info.has_values else Type.CLASSIFY
        waiting, flying = deque(range(len(payloads))), {}
        heard, silences, full = time.monotonic(), 0, False
        while waiting or flying:
            while waiting and len(flying) < self.info.window and not full:
                index = waiting.popleft()
                flying[self._link.send(kind, payloads[index])] = index
            frame = self._link.receive()
            if frame is None:
                full, silences = False, silences + 1
                if silences > self._link.tries or time.monotonic() - heard > PATIENCE:
                    raise self._link.no_answer()
                if self._computes():
                    silences = 0
                elif not self._link.inbox:
                    self._repeat(flying, list(flying), waiting)
            elif self._unasked(frame, kind, flying):
                self.counts.stale += 1
            elif frame.type == ERROR:
                waiting.appendleft(flying.pop(frame.sequence))
                self._check_room(frame)
                full = True
            else:
                order = list(flying)
                self._repeat(flying, order[: order.index(frame.sequence)], waiting)
                heard, silences, full = time.monotonic(), 0, False
                yield self._answer(flying.pop(frame.sequence), frame.payload)
        self._clean = True

    # --- inside --------------------------------------------------------------------------------

    def _unasked(self, frame: Frame, kind: Type, flying: dict[int, int]) -> bool:
        """Return whether a frame is no answer to an image that is on its way."""
        expected = {kind | ANSWER: self._answer_bytes(kind), ERROR: 2}
        return frame.sequence not in flying or expected.get(frame.type) != len(frame.payload)

    def _answer_bytes(self, kind: Type) -> int:
        """Return the bytes of the answer to an image."""
        return sum(
            (self._label if classes else 0)
            + (count * self._level if kind == Type.RUN or not classes else 0)
            for count, classes in self.info.ends
        )

    def _answer(self, index: int, payload: bytes) -> Answer:
        """Read the answer to an image."""
        whole, at = len(payload) == self._answer_bytes(Type.RUN), 0
        labels, octets = [], b""
        for count, classes in self.info.ends:
            size = count * self._level if whole or not classes else 0
            octets += payload[at : at + size]
            end = at + size + (self._label if classes else 0)
            labels.append(int.from_bytes(payload[at + size : end], "little"))
            at = end
        label = tuple(labels) if len(labels) > 1 else labels[0]
        label = label if self.info.has_classes else None
        if not whole:
            return Answer(index, label, None)
        fmt = self.info.output
        rows = np.frombuffer(octets, np.uint8).astype(np.int64).reshape(-1, self._level)
        codes = (rows << 8 * np.arange(self._level)).sum(axis=1)
        return Answer(index, label, fmt.to_level(codes))

    def _repeat(self, flying: dict[int, int], lost: list[int], waiting: deque[int]) -> None:
        """Put images that were lost back, in front of those that wait, in their order."""
        waiting.extendleft(flying.pop(sequence) for sequence in reversed(lost))
        self.counts.retries += len(lost)

    def _check_room(self, frame: Frame) -> None:
        """Count an image for which there was no room; raises for any other error."""
        if frame.payload[0] != Error.BUSY:
            raise self._link.error(frame)
        self.counts.refused += 1

    def _computes(self) -> bool:
        """Return whether the device has images inside."""
        self.counts.timeouts += 1
        return bool(self.status().flags & Flag.BUSY)

    def _prepare(self) -> None:
        """See that no request is on its way, and that the weights are there."""
        if self._clean:
            return
        if self.info.loads_weights and self.network is not None:
            self.load_weights(self.network)
        elif not self.info.loads_weights:
            self.reset()

    def _payloads(self, images: np.ndarray) -> list[bytes]:
        info, images = self.info, np.asarray(images)
        if not len(images):
            return []
        size = images[0].size
        if size != info.inputs:
            raise DataError(
                f"images have {size} elements, but the network of the device takes {info.inputs}"
            )
        codes = info.input.to_code(images.reshape(len(images), size))
        return [packed(each, info.input.width) for each in codes]
