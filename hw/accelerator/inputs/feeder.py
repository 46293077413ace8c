"""Feeds the rows of the array from the activation memory."""

from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...gates.attributes import NO_COLLISIONS
from ...gates.ports import ReadInterface, ReadSignature
from ...gates.table import field
from ...numbers.arithmetic import address_width
from ...numbers.format import Format
from ..job import FIRST, Bank
from .max_pool import Tap
from .packer import Packer, PackerConfig
from .walker import Walker, WalkerConfig

__all__ = ["Feeder", "FeederConfig"]


@dataclass(frozen=True)
class FeederConfig:
    """Parts and sizes of a `Feeder`.

    Attributes
    ----------
    walker : WalkerConfig
    packer : PackerConfig
    code : Format
        Format of a code.
    row_words : int
        The most words that a row's buffer holds in a bank.
    to_pool : tuple of bool
        Which layers' words go to the max pool instead of the row buffers.
    one_bank : bool
        Every job fills a single bank.
    """

    walker: WalkerConfig
    packer: PackerConfig
    code: Format
    row_words: int
    to_pool: tuple[bool, ...]
    one_bank: bool

    @property
    def bank(self) -> data.StructLayout:
        """Layout of a `Bank`."""
        return Bank(self.walker.job)

    @property
    def word(self) -> data.ArrayLayout:
        """Layout of a word of the activation memory."""
        return data.ArrayLayout(self.code, self.walker.form.lanes)


class Feeder(wiring.Component):
    """Copy the patches of a job into the row buffers, from where they are replayed for every tile.

    Every row has a buffer of two banks: one is filled, about a word a cycle, while the array reads
    the other. Filling takes at least ``rows * words`` cycles, computing ``words * tiles``: it is
    hidden whenever a layer has at least as many tiles as the array has rows. The patches of a max
    pool go to the pool's unit instead.

    A job's first word is read three cycles after it is taken, and a bank is offered four
    cycles after its last one is. Words of a bank come one cycle after their address.

    Parameters
    ----------
    config : FeederConfig

    Members
    -------
    jobs : In(stream.Signature(Job))
        The jobs to fetch.
    read : Out(ReadSignature(words, word, shared=True))
        The activation memory.
    fetched : Out(stream.Signature(Job, always_ready=True))
        All of the job's input has been read. The payload is the job that is fetched, from when it
        is taken.
    banks : Out(stream.Signature(Bank, payload_init=FIRST))
        The bank to compute from, from registers; taken at the end of its use. Who takes them is
        ready for none that is not there.
    i_address : In(address of a word in the bank)
    o_words : Out(ArrayLayout(word, rows))
        The rows' words, one cycle after their address.
    taps : Out(stream.Signature(Tap, always_ready=True))
        Words of the windows of max pools.
    i_pool_ready : In(1)
        A window may end in the next cycle.
    o_pooling : Out(1)
        A max pool's windows are being read.
    """

    jobs: stream.Interface
    read: ReadInterface
    fetched: stream.Interface
    banks: stream.Interface
    i_address: Signal
    o_words: data.View
    taps: stream.Interface
    i_pool_ready: Signal
    o_pooling: Signal

    def __init__(self, config: FeederConfig):
        self.config, self.word = config, config.word
        job, words = config.walker.job, config.walker.form.words
        super().__init__(
            {
                "jobs": In(stream.Signature(job)),
                "read": Out(ReadSignature(words, self.word.size, shared=True)),
                "fetched": Out(stream.Signature(job, always_ready=True)),
                "banks": Out(stream.Signature(config.bank, payload_init=FIRST)),
                "i_address": In(address_width(config.row_words)),
                "o_words": Out(data.ArrayLayout(self.word, config.walker.rows)),
                "taps": Out(stream.Signature(Tap(job, self.word), always_ready=True)),
                "i_pool_ready": In(1),
                "o_pooling": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.walker = walker = Walker(self.config.walker)
        m.submodules.packer = packer = Packer(self.config.packer)
        banks = Array(
            [Signal(self.config.bank, init=FIRST, name=f"bank_{bank}") for bank in range(2)]
        )
        full = Signal(2)
        filling = Signal()  # the bank that is filled next
        reading = Signal()  # the bank that is computed from
        # the one that is computed from next is looked up a cycle before
        following, release = Signal(), self.banks.ready
        m.d.comb += following.eq(reading ^ release)
        m.d.sync += [
            reading.eq(following),
            self.banks.valid.eq(full.bit_select(following, 1)),
            self.banks.payload.eq(banks[following]),
        ]
        with m.If(release):
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
        job, pools = self.fetched.payload, any(self.config.to_pool)
        description = Signal(self.config.bank, init=FIRST)
        to_pool = field(self.config.to_pool, job.layer)
        m.d.comb += [
            walker.i_job.eq(job),
            self.read.address.eq(walker.o_word),
            packer.i_job.eq(job),
            packer.i_data.eq(self.read.data),
            packer.i_step.eq(walker.o_step),
            self.taps.valid.eq(packer.o_valid & to_pool),
            self.taps.payload.job.eq(job),
            self.taps.payload.word.eq(packer.o_word),
            self.taps.payload.first.eq(packer.o_place.first),
            self.taps.payload.last.eq(packer.o_place.last),
            description.job.eq(job),
        ]
        # the states, a register each: without a job, before its first address, before a bank that
        # is not free yet, while words are read, and two cycles until the last one is there
        idle, start, wait = Signal(init=1), Signal(), Signal()
        active, settle, fill = Signal(), Signal(), Signal()
        filled, ended = Signal(), Signal()  # at the end of this job's last bank, or its last window
        enter, leave = Signal(), Signal()
        enable = active & self.read.granted
        if pools:
            # a window may end where the pool is ready, and none that has ended is on its way
            ended_before = Signal()
            m.d.sync += ended_before.eq(walker.i_enable & walker.o_pass_end)
            free = self.i_pool_ready & ~ended_before
            enable = enable & ~(to_pool & walker.o_pass_end & ~free)
        m.d.comb += [
            self.jobs.ready.eq(idle),
            walker.i_start.eq(start),
            walker.i_enable.eq(enable),
            self.o_pooling.eq(active & to_pool),
            enter.eq(wait & (~occupied | to_pool)),
            leave.eq(walker.i_enable & walker.o_bank_end & (~to_pool | walker.o_job_end)),
        ]
        m.d.sync += [
            idle.eq((idle & ~self.jobs.valid) | (fill & ended)),
            start.eq(idle & self.jobs.valid),
            wait.eq(start | (wait & ~enter) | (fill & ~ended)),
            active.eq(enter | (active & ~leave)),
            settle.eq(leave),
            fill.eq(settle),
            filled.eq(settle & ~to_pool),
            self.fetched.valid.eq(settle & ended),
        ]
        with m.If(idle):
            m.d.sync += [
                job.eq(self.jobs.payload), description.first.eq(1), description.next_group.eq(0),
            ]  # fmt: skip
        with m.If(active):
            m.d.sync += ended.eq(walker.o_job_end)
        if not self.config.one_bank:
            with m.If(fill):
                m.d.sync += [
                    description.first.eq(0),
                    description.next_group.eq(walker.o_group_start),
                ]
        return filled, description

    def _row_buffers(self, m: Module, packer: Packer, filling, reading) -> None:
        # banks begin at a power of two, so that their addresses need no adder
        width = address_width(self.config.row_words)
        place = packer.o_place
        for row in range(self.config.walker.rows):
            buffer = Memory(shape=self.word.size, depth=2 << width, init=[], attrs=NO_COLLISIONS)
            m.submodules[f"row_{row}"] = buffer
            write_port, read_port = buffer.write_port(), buffer.read_port()
            m.d.comb += [
                write_port.addr.eq(Cat(place.word[:width], filling)),
                write_port.data.eq(packer.o_word),
                # the words of a window are not for the array
                write_port.en.eq(packer.o_valid & (place.row == row) & ~self.taps.valid),
                read_port.addr.eq(Cat(self.i_address, reading)),
                self.o_words[row].as_value().eq(read_port.data),
            ]
