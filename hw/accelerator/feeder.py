"""From the activation memory to the rows of the array."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..gates.attributes import NO_COLLISIONS
from ..gates.ports import ReadInterface, ReadSignature
from ..gates.table import field
from ..numbers.arithmetic import address_width
from ..program.layout import Program
from .job import FIRST, Bank, Job
from .packer import Packer
from .walker import Walker

__all__ = ["Feeder"]


class Feeder(wiring.Component):
    """Copy the patches of a job into the row buffers, from where they are replayed for every tile.

    Every row has a buffer of two banks: one is filled, about a word a cycle, while the array reads
    the other. Filling takes at least ``rows * words`` cycles, computing ``words * tiles``: it is
    hidden whenever a layer has at least as many tiles as the array has rows. The patches of a max
    pool go to the pool's unit instead.

    Members
    -------
    i_offer : In(1), i_job : In(Job), o_take : Out(1)
        The job to fetch, from the scoreboard.
    read : Out(ReadSignature(activation_words, word))
        The activation memory.
    i_granted : In(1)
        The memory reads in this cycle.
    o_fetched : Out(1), o_fetched_job : Out(Job)
        All of the job's input has been read.
    o_full : Out(1), o_bank : Out(Bank), i_release : In(1)
        The bank to compute from, and the end of its use. Both come from registers.
    i_address : In(address of a word in the bank)
    o_words : Out(ArrayLayout(word, rows))
        The rows' words, one cycle after their address.
    o_tap : Out(word), o_tap_valid, o_tap_first, o_tap_last : Out(1), i_pool_ready : In(1)
        Words of a window, for the max pool of ``o_fetched_job``; ``i_pool_ready`` when a window
        may end.
    o_pooling : Out(1)
        A max pool's windows are being read.
    """

    i_offer: Signal
    i_job: data.View
    o_take: Signal
    read: ReadInterface
    i_granted: Signal
    o_fetched: Signal
    o_fetched_job: data.View
    o_full: Signal
    o_bank: data.View
    i_release: Signal
    i_address: Signal
    o_words: data.View
    o_tap: data.View
    o_tap_valid: Signal
    o_tap_first: Signal
    o_tap_last: Signal
    o_pooling: Signal
    i_pool_ready: Signal

    def __init__(self, program: Program):
        self.program = program
        geometry = program.geometry
        self.word = data.ArrayLayout(program.operands.activation, geometry.lanes)
        super().__init__(
            {
                "i_offer": In(1),
                "i_job": In(Job(program.contexts, len(program.records))),
                "o_take": Out(1),
                "read": Out(ReadSignature(program.activation_words, self.word.size)),
                "i_granted": In(1),
                "o_fetched": Out(1),
                "o_fetched_job": Out(Job(program.contexts, len(program.records))),
                "o_full": Out(1),
                "o_bank": Out(Bank(Job(program.contexts, len(program.records))), init=FIRST),  # pyright: ignore[reportCallIssue] (stubs)
                "i_release": In(1),
                "i_address": In(address_width(program.row_buffer_words)),
                "o_words": Out(data.ArrayLayout(self.word, geometry.rows)),
                "o_tap": Out(self.word),
                "o_tap_valid": Out(1),
                "o_tap_first": Out(1),
                "o_tap_last": Out(1),
                "o_pooling": Out(1),
                "i_pool_ready": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.walker = walker = Walker(self.program)
        m.submodules.packer = packer = Packer(self.program, walker.form)
        banks = Array(
            [
                Signal(
                    Bank(Job(self.program.contexts, len(self.program.records))),
                    init=FIRST,
                    name=f"bank_{bank}",
                )
                for bank in range(2)
            ]
        )
        full = Signal(2)
        filling = Signal()  # the bank that is filled next
        reading = Signal()  # the bank that is computed from
        # the one that is computed from next is looked up a cycle before
        following = Signal()
        m.d.comb += following.eq(reading ^ self.i_release)
        m.d.sync += [
            reading.eq(following),
            self.o_full.eq(full.bit_select(following, 1)),
            self.o_bank.eq(banks[following]),
        ]
        with m.If(self.i_release):
            m.d.sync += full.bit_select(reading, 1).eq(0)

        filled, description = self._fetch(m, walker, packer, full.bit_select(filling, 1))
        with m.If(filled):
            m.d.sync += [
                full.bit_select(filling, 1).eq(1),
                banks[filling].eq(description),
                filling.eq(~filling),
            ]
        self._row_buffers(m, packer, filling, reading)
        return m

    def _fetch(self, m: Module, walker: Walker, packer: Packer, occupied) -> tuple:
        """Run a job through walker and packer; return when a bank is filled, and its description.

        A bank is announced three cycles after its last address. By then its last word is in the row
        buffer, also where the packer takes two cycles.
        """
        job, pools = self.o_fetched_job, self.program.pools
        description = Signal(
            Bank(Job(self.program.contexts, len(self.program.records))), init=FIRST
        )
        to_pool = field([not record.on_array for record in self.program.records], job.layer)
        m.d.comb += [
            walker.i_job.eq(job),
            self.read.address.eq(walker.o_word),
            packer.i_job.eq(job),
            packer.i_data.eq(self.read.data),
            packer.i_step.eq(walker.o_step),
            self.o_tap.eq(packer.o_word),
            self.o_tap_valid.eq(packer.o_valid & to_pool),
            self.o_tap_first.eq(packer.o_place.first),
            self.o_tap_last.eq(packer.o_place.last),
            description.job.eq(job),
        ]
        # the states, a register each: without a job, before its first address, before a bank that
        # is not free yet, while words are read, and two cycles until the last one is there
        idle, start, wait = Signal(init=1), Signal(), Signal()
        active, settle, fill = Signal(), Signal(), Signal()
        filled, ended = Signal(), Signal()  # at the end of this job's last bank, or its last window
        enter, leave = Signal(), Signal()
        enable = active & self.i_granted
        if pools:
            # a window may end where the pool is ready, and none that has ended is on its way
            ended_before = Signal()
            m.d.sync += ended_before.eq(walker.i_enable & walker.o_pass_end)
            free = self.i_pool_ready & ~ended_before
            enable = enable & ~(to_pool & walker.o_pass_end & ~free)
        m.d.comb += [
            self.o_take.eq(idle & self.i_offer),
            walker.i_start.eq(start),
            walker.i_enable.eq(enable),
            self.o_pooling.eq(active & to_pool),
            enter.eq(wait & (~occupied | to_pool)),
            leave.eq(walker.i_enable & walker.o_bank_end & (~to_pool | walker.o_job_end)),
        ]
        m.d.sync += [
            idle.eq((idle & ~self.i_offer) | (fill & ended)),
            start.eq(self.o_take),
            wait.eq(start | (wait & ~enter) | (fill & ~ended)),
            active.eq(enter | (active & ~leave)),
            settle.eq(leave),
            fill.eq(settle),
            filled.eq(settle & ~to_pool),
            self.o_fetched.eq(settle & ended),
        ]
        with m.If(idle):
            m.d.sync += [
                job.eq(self.i_job), description.first.eq(1), description.next_group.eq(0),
            ]  # fmt: skip
        with m.If(active):
            m.d.sync += ended.eq(walker.o_job_end)
        if any(record.banks > 1 for record in self.program.records):
            with m.If(fill):
                m.d.sync += [
                    description.first.eq(0),
                    description.next_group.eq(walker.o_group_start),
                ]
        return filled, description

    def _row_buffers(self, m: Module, packer: Packer, filling, reading) -> None:
        # banks begin at a power of two, so that their addresses need no adder
        width = address_width(self.program.row_buffer_words)
        place = packer.o_place
        for row in range(self.program.geometry.rows):
            buffer = Memory(shape=self.word.size, depth=2 << width, init=[], attrs=NO_COLLISIONS)
            m.submodules[f"row_{row}"] = buffer
            write_port, read_port = buffer.write_port(), buffer.read_port()
            m.d.comb += [
                write_port.addr.eq(Cat(place.word[:width], filling)),
                write_port.data.eq(packer.o_word),
                # the words of a window are not for the array
                write_port.en.eq(packer.o_valid & (place.row == row) & ~self.o_tap_valid),
                read_port.addr.eq(Cat(self.i_address, reading)),
                self.o_words[row].as_value().eq(read_port.data),
            ]
