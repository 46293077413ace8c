"""Turns accumulators into output levels by search, where every step between levels is listed."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...gates.pipeline import delay
from ...numbers.arithmetic import address_width
from ...numbers.formats import Format

__all__ = ["Thresholds", "ThresholdsConfig"]


@dataclass(frozen=True)
class ThresholdsConfig:
    """Sizes and contents of `Thresholds`.

    Attributes
    ----------
    width : int
        Bits of the signed accumulator.
    threshold_width : int
        Bits of a threshold, in two's complement.
    images : sequence of sequences of int
        Words of the memory of each stage: of stage ``j`` the middle thresholds of what ``j`` known
        bits of the count leave open, ``2**j`` a row.
    outputs : sequence of Format
        Format of each output, an integer one of at most a bit a stage.
    """

    width: int
    threshold_width: int
    images: Sequence[Sequence[int]]
    outputs: Sequence[Format]

    @property
    def rows(self) -> int:
        """Rows of thresholds, one a channel."""
        return len(self.images[0])

    @property
    def bits(self) -> int:
        """Bits of a count, and stages of the search."""
        return len(self.images)

    @property
    def least_latency(self) -> int:
        """Cycles that a search takes: one a bit, and one to register the count."""
        return self.bits + 1


class Thresholds(wiring.Component):
    """Count the thresholds that a partial sum reaches: a binary search with a memory for each bit.

    Stage ``j`` compares the sum with the middle one of the thresholds that the ``j`` bits before
    it leave open; the answer is the next lower bit of the count, and part of the next stage's
    address. All outputs are always valid; a new input each cycle.

    Parameters
    ----------
    config : ThresholdsConfig
    latency : int, optional
        Cycles from input to output, at least ``config.least_latency``, and this by default.

    Members
    -------
    i : In(signed(width))
    i_row : In(row of the table)
    o : Out of the level shape of ``config.outputs[k]``, in ``levels[k]`` (members ``o_0``, ``o_1``)
    """

    i: Signal
    i_row: Signal

    def __init__(self, config: ThresholdsConfig, *, latency: int | None = None):
        self.config = config
        self.latency = config.least_latency if latency is None else latency
        super().__init__(
            {"i": In(signed(config.width)), "i_row": In(address_width(config.rows))}
            | {f"o_{k}": Out(fmt.level_shape) for k, fmt in enumerate(config.outputs)}
        )

    @property
    def levels(self) -> list[Signal]:
        """The output of each format."""
        return [getattr(self, f"o_{k}") for k in range(len(self.config.outputs))]

    def elaborate(self, platform) -> Module:
        m = Module()
        total, row, count = self.i, self.i_row, Const(0, 0)
        for stage, image in enumerate(self.config.images):
            memory = Memory(shape=self.config.threshold_width, depth=len(image), init=image)
            m.submodules[f"memory_{stage}"] = memory
            port = memory.read_port()
            m.d.comb += port.addr.eq(Cat(count, row))
            total, row, count = (delay(m, each) for each in (total, row, count))
            # the newest bit is the lowest, in the count as in the address
            count = Cat(total >= port.data.as_signed(), count)
        count = delay(m, count, self.latency - self.config.bits)
        for fmt, output in zip(self.config.outputs, self.levels, strict=True):
            m.d.comb += output.eq(_level(fmt, count))
        return m


def _level(fmt: Format, count: Value) -> Value:
    """Return the lowest level of an integer format plus ``count``: no more than a flipped sign."""
    if not fmt.level_shape.signed:
        return count[: fmt.width]
    return Cat(count[: fmt.width - 1], ~count[fmt.width - 1]).as_signed()
