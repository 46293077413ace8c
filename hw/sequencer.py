"""The loops of a layer: tiles, bit planes, steps."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .accumulate import CONTROL
from .memory import address_width
from .program import Program
from .scoreboard import Job

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Walk through the steps of one job after the other, a step a cycle.

    A job takes ``tiles * planes * steps`` cycles and one more to start, unless a tile is shorter
    than the array needs to drain the last one; then the last step of the tile waits.

    Parameters
    ----------
    program : Program
        The layers.
    interval : int
        Least cycles between two last steps (`SystolicArray.interval`).

    Members
    -------
    i_full : In(1), i_job : In(Job), o_release : Out(1)
        The bank to compute from, and the end of its use.
    jobs : Out(stream.Signature(Job))
        The jobs as they start, for those who follow the sums.
    o_weight_address, o_word_address : Out
        Addresses of the step's words.
    o_control : Out(CONTROL)
        The step, one cycle after its addresses: together with the words.
    """

    i_full: Signal
    i_job: data.View
    o_release: Signal
    jobs: stream.Interface
    o_weight_address: Signal
    o_word_address: Signal
    o_control: data.View

    def __init__(self, program: Program, interval: int):
        self.program, self.interval = program, interval
        super().__init__(
            {
                "i_full": In(1),
                "i_job": In(Job(program)),
                "o_release": Out(1),
                "jobs": Out(stream.Signature(Job(program))),
                "o_weight_address": Out(address_width(program.weight_words)),
                "o_word_address": Out(address_width(program.row_buffer_words)),
                "o_control": Out(CONTROL),
            }
        )

    def _field(self, name: str, layer) -> Signal:
        """Return the layer's field of the program."""
        return Array(getattr(record, name) for record in self.program.records)[layer]

    def elaborate(self, platform) -> Module:
        m = Module()
        records = self.program.records
        layer = Signal.like(self.i_job.layer)
        step = Signal(range(max(record.steps for record in records)))
        plane = Signal(range(max(record.planes for record in records)))
        tile = Signal(range(max(record.tiles for record in records)))
        tile_base = Signal.like(self.o_weight_address)
        draining = Signal(range(self.interval))  # cycles until the next last step is allowed

        last_step = step == self._field("steps", layer) - 1
        last_plane = plane == self._field("planes", layer) - 1
        last_tile = tile == self._field("tiles", layer) - 1
        last = last_step & last_plane
        go = Signal()
        following = self.o_weight_address + 1

        m.d.sync += [
            self.o_control.enable.eq(go),
            self.o_control.double.eq(last_step & ~last_plane),
            self.o_control.last.eq(last),
        ]
        with m.If(draining != 0):
            m.d.sync += draining.eq(draining - 1)

        with m.FSM():
            with m.State("Idle"):
                base = self._field("weight_base", self.i_job.layer)
                m.d.comb += [self.jobs.valid.eq(self.i_full), self.jobs.payload.eq(self.i_job)]
                m.d.sync += [
                    layer.eq(self.i_job.layer),
                    tile_base.eq(base),
                    self.o_weight_address.eq(base),
                ]
                with m.If(self.i_full & self.jobs.ready):
                    m.next = "Run"
            with m.State("Run"):
                m.d.comb += go.eq(~last | (draining == 0))
                with m.If(go):
                    m.d.sync += [
                        step.eq(step + 1),
                        self.o_weight_address.eq(following),
                        self.o_word_address.eq(self.o_word_address + 1),
                    ]
                    with m.If(last_step):
                        m.d.sync += [step.eq(0), plane.eq(plane + 1)]
                        m.d.sync += self.o_weight_address.eq(Mux(last_plane, following, tile_base))
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
