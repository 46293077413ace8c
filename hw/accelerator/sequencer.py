"""The loops of a layer: tiles, bit planes, steps."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..gates.counter import count_down
from ..gates.table import field
from ..mac.control import CONTROL
from ..numbers.arithmetic import address_width
from ..program.layout import Program
from .job import FIRST, Bank, Job

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Walk through the steps of one bank of patches after the other, a step a cycle.

    A bank takes ``tiles * planes * steps`` cycles and one more to start, unless a tile is shorter
    than the array needs to drain the last one; then the last step of the tile waits.

    Parameters
    ----------
    program : Program
        The layers.
    interval : int
        Least cycles between two last steps (`SystolicArray.interval`).

    Members
    -------
    banks : In(stream.Signature(Bank))
        The bank to compute from; taken at the end of its use.
    jobs : Out(stream.Signature(Job))
        The jobs as they start, for those who follow the sums.
    o_weight_address, o_word_address : Out
        Addresses of the step's words.
    o_control : Out(CONTROL)
        The step, one cycle after its addresses: together with the words.
    o_running : Out(1), o_layer : Out
        A layer has the array; which one.
    """

    banks: stream.Interface
    jobs: stream.Interface
    o_weight_address: Signal
    o_word_address: Signal
    o_control: data.View
    o_running: Signal
    o_layer: Signal

    def __init__(self, program: Program, interval: int):
        self.program, self.interval = program, interval
        super().__init__(
            {
                "banks": In(
                    stream.Signature(
                        Bank(Job(program.contexts, len(program.records))), payload_init=FIRST
                    )
                ),
                "jobs": Out(stream.Signature(Job(program.contexts, len(program.records)))),
                "o_weight_address": Out(address_width(program.weight_words)),
                "o_word_address": Out(address_width(program.row_buffer_words)),
                "o_control": Out(CONTROL),
                "o_running": Out(1),
                "o_layer": Out(range(len(program.records))),
            }
        )

    def _field(self, name: str):
        """Return a number of the current layer: that of the bank."""
        values = [getattr(record.tiles, name) for record in self.program.records]
        return field(values, self.banks.payload.job.layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        go, running, start = Signal(), Signal(), Signal()
        following = self.o_weight_address + 1
        tile_base = Signal.like(self.o_weight_address)
        last_step, last_plane, last_tile = self._loops(m, go, start)
        free = self._free(m, go & last_step & last_plane)
        bitwise = self._field("bitwise")
        base = self._base(m, start)

        m.d.comb += [
            self.o_layer.eq(self.banks.payload.job.layer),
            self.o_running.eq(running),
            self.jobs.valid.eq(~running & self.banks.valid & self.banks.payload.first),
            self.jobs.payload.eq(self.banks.payload.job),
            start.eq(~running & self.banks.valid & (self.jobs.ready | ~self.banks.payload.first)),
            go.eq(running & (~last_step | ~last_plane | free)),
            self.banks.ready.eq(running & free & last_step & last_plane & last_tile),
        ]
        m.d.sync += [
            self.o_control.enable.eq(go),
            self.o_control.double.eq(last_step & ~last_plane & bitwise),
            self.o_control.last.eq(last_step & last_plane),
            running.eq(start | (running & ~self.banks.ready)),
        ]
        with m.If(~running):
            m.d.sync += [tile_base.eq(base), self.o_weight_address.eq(base)]
        with m.Elif(go):
            # bit planes meet the same weights again
            again = last_step & ~last_plane & bitwise
            m.d.sync += [
                self.o_weight_address.eq(Mux(again, tile_base, following)),
                self.o_word_address.eq(self.o_word_address + 1),
            ]
            with m.If(last_step & last_plane):
                m.d.sync += [self.o_word_address.eq(0), tile_base.eq(following)]
        return m

    def _loops(self, m: Module, go, start) -> list[Value]:
        """Count steps, planes and tiles; return whether each is at its last."""
        ends, move = [], go
        for name in ("steps", "planes", "tiles"):
            limits = [max(1, getattr(record.tiles, name)) for record in self.program.records]
            _, last = count_down(
                m, f"{name}_left", limits, move, layer=self.banks.payload.job.layer, start=start
            )
            ends.append(last)
            move = move & last
        return ends

    def _free(self, m: Module, ends) -> Signal:
        """Return whether the array may end a tile: it drains one in ``interval`` cycles."""
        left = Signal(range(self.interval))
        free = Signal(init=1)
        with m.If(ends):
            m.d.sync += [left.eq(self.interval - 1), free.eq(self.interval == 1)]
        with m.Elif(~free):
            m.d.sync += [left.eq(left - 1), free.eq(left == 1)]
        return free

    def _base(self, m: Module, start):
        """Return the weight address at which the waiting bank begins."""
        first = self._field("weight_base")
        if not any(record.tiles.group_weights for record in self.program.records):
            return first
        current = Signal.like(self.o_weight_address)  # of the group that is computed
        base = Signal.like(current)
        further = Mux(self.banks.payload.next_group, self._field("group_weights"), 0)
        m.d.comb += base.eq(Mux(self.banks.payload.first, first, current + further))
        with m.If(start):
            m.d.sync += current.eq(base)
        return base
