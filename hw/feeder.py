"""From the activation memory to the rows of the array."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .memory import NO_COLLISIONS, ReadInterface, ReadSignature, address_width
from .program import Program
from .scoreboard import Job

__all__ = ["Feeder"]


class Feeder(wiring.Component):
    """Copy the input of a job once into the row buffers, from where it is replayed for every tile.

    Every row has a buffer of two banks: one is filled, one word a cycle, while the array reads the
    other. Filling takes ``rows * words`` cycles, computing ``words * tiles``: it is hidden whenever
    a layer has at least as many tiles as the array has rows.

    Members
    -------
    i_offer : In(1), i_job : In(Job), o_take : Out(1)
        The job to fetch, from the scoreboard.
    read : Out(ReadSignature(activation_words, word))
        The activation memory.
    o_fetched : Out(1), o_fetched_job : Out(Job)
        The job's input is in a bank.
    o_full : Out(1), o_job : Out(Job), i_release : In(1)
        The bank to compute from, and the end of its use.
    i_address : In(address of a word in the bank)
    o_words : Out(ArrayLayout(word, rows))
        The rows' words, one cycle after their address.
    """

    i_offer: Signal
    i_job: data.View
    o_take: Signal
    read: ReadInterface
    o_fetched: Signal
    o_fetched_job: data.View
    o_full: Signal
    o_job: data.View
    i_release: Signal
    i_address: Signal
    o_words: data.View

    def __init__(self, program: Program):
        self.program = program
        geometry = program.geometry
        self.word = data.ArrayLayout(program.operands.activation, geometry.lanes)
        super().__init__(
            {
                "i_offer": In(1),
                "i_job": In(Job(program)),
                "o_take": Out(1),
                "read": Out(ReadSignature(program.activation_words, self.word.size)),
                "o_fetched": Out(1),
                "o_fetched_job": Out(Job(program)),
                "o_full": Out(1),
                "o_job": Out(Job(program)),
                "i_release": In(1),
                "i_address": In(address_width(program.row_buffer_words)),
                "o_words": Out(data.ArrayLayout(self.word, geometry.rows)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        banks = Array([Signal(Job(self.program), name=f"job_{bank}") for bank in range(2)])
        full = Signal(2)
        filling = Signal()  # the bank that is filled next
        reading = Signal()  # the bank that is computed from
        m.d.comb += [
            self.o_full.eq(full.bit_select(reading, 1)),
            self.o_job.eq(banks[reading]),
        ]
        with m.If(self.i_release):
            m.d.sync += [full.bit_select(reading, 1).eq(0), reading.eq(~reading)]

        write = self._fetch(m, full.bit_select(filling, 1))
        with m.If(self.o_fetched):
            m.d.sync += [
                full.bit_select(filling, 1).eq(1),
                banks[filling].eq(self.o_fetched_job),
                filling.eq(~filling),
            ]
        self._row_buffers(m, write, filling, reading)
        return m

    def _fetch(self, m: Module, occupied) -> dict[str, Signal]:
        """Read the words of an offered job, row after row; return where each is to be written."""
        program = self.program
        rows = program.geometry.rows
        count = Array(record.words for record in program.records)
        first = Array(record.input_base for record in program.records)
        row, word = Signal(range(rows)), Signal(range(program.row_buffer_words))
        base = Signal(range(program.activation_words))
        job = self.o_fetched_job
        ending = Signal()
        # a word is written one cycle after its address was put out
        write = {
            "enable": Signal(),
            "row": Signal.like(row),
            "word": Signal.like(word),
        }
        m.d.comb += self.read.address.eq(base + word)
        m.d.sync += [write["enable"].eq(0), write["row"].eq(row), write["word"].eq(word)]
        m.d.sync += [ending.eq(0), self.o_fetched.eq(ending)]
        with m.FSM():
            with m.State("Idle"):
                m.d.comb += self.o_take.eq(self.i_offer & ~occupied)
                context_base = Mux(self.i_job.context, rows * program.image_words, 0)
                m.d.sync += [
                    job.eq(self.i_job),
                    base.eq(context_base + first[self.i_job.layer]),
                ]
                with m.If(self.o_take):
                    m.next = "Read"
            with m.State("Read"):
                m.d.sync += [write["enable"].eq(1), word.eq(word + 1)]
                with m.If(word == count[job.layer] - 1):
                    m.d.sync += [word.eq(0), row.eq(row + 1), base.eq(base + program.image_words)]
                    with m.If(row == rows - 1):
                        m.d.sync += [row.eq(0), ending.eq(1)]
                        m.next = "End"
            with m.State("End"):
                with m.If(self.o_fetched):
                    m.next = "Idle"
        return write

    def _row_buffers(self, m: Module, write: dict[str, Signal], filling, reading) -> None:
        depth = self.program.row_buffer_words
        for row in range(self.program.geometry.rows):
            buffer = Memory(shape=self.word.size, depth=2 * depth, init=[], attrs=NO_COLLISIONS)
            m.submodules[f"row_{row}"] = buffer
            write_port, read_port = buffer.write_port(), buffer.read_port()
            m.d.comb += [
                write_port.addr.eq(Mux(filling, depth, 0) + write["word"]),
                write_port.data.eq(self.read.data),
                write_port.en.eq(write["enable"] & (write["row"] == row)),
                read_port.addr.eq(Mux(reading, depth, 0) + self.i_address),
                self.o_words[row].as_value().eq(read_port.data),
            ]
