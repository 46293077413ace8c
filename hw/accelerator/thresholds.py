"""From accumulators to output levels where the steps between levels are listed one by one."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..numbers.arithmetic import address_width
from ..numbers.formats import Format
from ..program.contents import ThresholdTable

__all__ = ["Thresholds"]


class Thresholds(wiring.Component):
    """Count the thresholds that a sum reaches: a binary search with a memory for each bit.

    Stage ``j`` compares the sum with the middle one of the thresholds that the ``j`` bits before
    it leave open; the answer is the next lower bit of the count, and part of the next stage's
    address. All outputs are always valid; a new input each cycle.

    Parameters
    ----------
    width : int
        Bits of the signed accumulator.
    table : ThresholdTable
        What it compares with.
    outputs : sequence of Format
        Format of each output, an integer one of at most ``table.bits`` bits.
    latency : int, optional
        Cycles from input to output, at least ``table.bits + 1``, and this by default.

    Members
    -------
    i : In(signed(width))
    i_row : In(row of the table)
    o : Out of the level shape of ``outputs[k]``, in ``levels[k]`` (members ``o_0``, ``o_1``)
    """

    i: Signal
    i_row: Signal

    def __init__(
        self,
        width: int,
        table: ThresholdTable,
        outputs: Sequence[Format],
        *,
        latency: int | None = None,
    ):
        self.table, self.outputs = table, tuple(outputs)
        self.latency = self.least_latency(table) if latency is None else latency
        super().__init__(
            {"i": In(signed(width)), "i_row": In(address_width(len(table.rows)))}
            | {f"o_{k}": Out(fmt.level_shape) for k, fmt in enumerate(self.outputs)}
        )

    @staticmethod
    def least_latency(table: ThresholdTable) -> int:
        """Return the cycles that a search takes: one a bit, and one to register the count."""
        return table.bits + 1

    @property
    def levels(self) -> list[Signal]:
        """The output of each format."""
        return [getattr(self, f"o_{k}") for k in range(len(self.outputs))]

    def elaborate(self, platform) -> Module:
        m = Module()
        total, row, count = self.i, self.i_row, Const(0, 0)
        for stage, image in enumerate(self.table.images):
            memory = Memory(shape=self.table.width, depth=len(image), init=image)
            m.submodules[f"memory_{stage}"] = memory
            port = memory.read_port()
            m.d.comb += port.addr.eq(Cat(count, row))
            total, row, count = (_delayed(m, each) for each in (total, row, count))
            # the newest bit is the lowest, in the count as in the address
            count = Cat(total >= port.data.as_signed(), count)
        for _ in range(self.latency - self.table.bits):
            count = _delayed(m, count)
        for fmt, output in zip(self.outputs, self.levels, strict=True):
            m.d.comb += output.eq(_level(fmt, count))
        return m


def _delayed(m: Module, value: Value) -> Value:
    later = Signal(value.shape(), reset_less=True)
    m.d.sync += later.eq(value)
    return later


def _level(fmt: Format, count: Value) -> Value:
    """Return the lowest level of an integer format plus ``count``: no more than a flipped sign."""
    if not fmt.level_shape.signed:
        return count[: fmt.width]
    return Cat(count[: fmt.width - 1], ~count[fmt.width - 1]).as_signed()
