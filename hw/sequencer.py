"""The loops of a layer: tiles, bit planes, steps."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .accumulate import CONTROL
from .feeder import Bank
from .memory import address_width
from .program import Program
from .record import field
from .scoreboard import Job

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
    i_full : In(1), i_bank : In(Bank), o_release : Out(1)
        The bank to compute from, and the end of its use.
    jobs : Out(stream.Signature(Job))
        The jobs as they start, for those who follow the sums.
    o_weight_address, o_word_address : Out
        Addresses of the step's words.
    o_control : Out(CONTROL)
        The step, one cycle after its addresses: together with the words.
    o_running : Out(1), o_layer : Out
        A layer has the array; which one.
    """

    i_full: Signal
    i_bank: data.View
    o_release: Signal
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
                "i_full": In(1),
                "i_bank": In(Bank(program)),
                "o_release": Out(1),
                "jobs": Out(stream.Signature(Job(program))),
                "o_weight_address": Out(address_width(program.weight_words)),
                "o_word_address": Out(address_width(program.row_buffer_words)),
                "o_control": Out(CONTROL),
                "o_running": Out(1),
                "o_layer": Out(range(len(program.records))),
            }
        )

    def _field(self, name: str, layer):
        """Return a number of a layer."""
        return field([getattr(record.tiles, name) for record in self.program.records], layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        records = [record.tiles for record in self.program.records]
        layer = self.o_layer
        step = Signal(range(max(record.steps for record in records)))
        plane = Signal(range(max(record.planes for record in records)))
        tile = Signal(range(max(record.tiles for record in records)))
        tile_base = Signal.like(self.o_weight_address)
        draining = Signal(range(self.interval))  # cycles until the next last step is allowed

        last_step = step == self._field("steps", layer) - 1
        last_plane = plane == self._field("planes", layer) - 1
        last_tile = tile == self._field("tiles", layer) - 1
        last = last_step & last_plane
        bitwise = self._field("bitwise", layer)
        go = Signal()
        following = self.o_weight_address + 1

        m.d.sync += [
            self.o_control.enable.eq(go),
            self.o_control.double.eq(last_step & ~last_plane & bitwise),
            self.o_control.last.eq(last),
        ]
        with m.If(draining != 0):
            m.d.sync += draining.eq(draining - 1)

        with m.FSM():
            with m.State("Idle"):
                base = self._base(m)
                m.d.comb += [
                    self.jobs.valid.eq(self.i_full & self.i_bank.first),
                    self.jobs.payload.eq(self.i_bank.job),
                ]
                m.d.sync += [
                    layer.eq(self.i_bank.job.layer),
                    tile_base.eq(base),
                    self.o_weight_address.eq(base),
                ]
                with m.If(self.i_full & (self.jobs.ready | ~self.i_bank.first)):
                    m.next = "Run"
            with m.State("Run"):
                m.d.comb += [go.eq(~last | (draining == 0)), self.o_running.eq(1)]
                with m.If(go):
                    m.d.sync += [
                        step.eq(step + 1),
                        self.o_weight_address.eq(following),
                        self.o_word_address.eq(self.o_word_address + 1),
                    ]
                    with m.If(last_step):
                        # bit planes meet the same weights again
                        again = bitwise & ~last_plane
                        m.d.sync += [step.eq(0), plane.eq(plane + 1)]
                        m.d.sync += self.o_weight_address.eq(Mux(again, tile_base, following))
                    with m.If(last):
                        m.d.sync += [
                            plane.eq(0),
                            self.o_word_address.eq(0),
                            tile.eq(tile + 1),
                            tile_base.eq(following),
                            draining.eq(self.interval - 1),
                        ]
                        with m.If(last_tile):
                            m.d.comb += self.o_release.eq(1)
                            m.d.sync += tile.eq(0)
                            m.next = "Idle"
        return m

    def _base(self, m: Module):
        """Return the weight address at which the waiting bank begins."""
        first = self._field("weight_base", self.i_bank.job.layer)
        if not any(record.tiles.group_weights for record in self.program.records):
            return first
        current = Signal.like(self.o_weight_address)  # of the group that is computed
        base = Signal.like(current)
        further = Mux(
            self.i_bank.next_group, self._field("group_weights", self.i_bank.job.layer), 0
        )
        m.d.comb += base.eq(Mux(self.i_bank.first, first, current + further))
        with m.If(self.i_full & (self.jobs.ready | ~self.i_bank.first)):
            m.d.sync += current.eq(base)
        return base
