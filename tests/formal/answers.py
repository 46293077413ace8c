"""Between bytes and the accelerator: codes of images, bytes of answers."""

from collections.abc import Iterator
from functools import partial

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value

from narrowgauge.boards.gateware.controller import Controller
from narrowgauge.boards.gateware.results import Results, label_bytes, level_bytes
from narrowgauge.boards.gateware.unpacker import Unpacker

from .proof import Assert, Assume, Inside, Proof, Spec, free, planted, some
from .streams import program

__all__ = ["PROOFS"]


class UnpackerSpec(Spec):
    """Codes are the bits of their group's bytes, in order; the group's end is marked."""

    def __init__(self, width: int, count: int):
        super().__init__()
        self.gates = Unpacker(width, count)

    def properties(self, m: Module) -> None:
        gates = self.gates
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        width, count = gates.width, gates.count
        octets = -(-width * count // 8)
        m.d.comb += [
            gates.i.valid.eq(free(1)),
            gates.i.payload.eq(free(8)),
            gates.i_more.eq(free(1)),
            gates.o.ready.eq(free(1)),
        ]
        self.well_behaved(m, gates.i)
        self.holds(m, gates.o, gates.o.payload, gates.o_last)
        # the bytes of the group of the next code; the current one is still offered
        taken, sent = gates.i.valid & gates.i.ready, gates.o.valid & gates.o.ready
        group = [Signal(8, name=f"byte_{index}") for index in range(octets)]
        arrived, code = Signal(range(octets + 1)), Signal(range(count))
        ends, more = sent & (code == count - 1), Signal()
        with m.If(taken):
            m.d.comb += Assert(arrived < octets)
            m.d.sync += [Array(group)[arrived].eq(gates.i.payload), arrived.eq(arrived + 1)]
            m.d.sync += more.eq(gates.i_more)
        with m.If(sent):
            m.d.sync += code.eq(Mux(ends, 0, code + 1))
        with m.If(ends):
            m.d.sync += arrived.eq(0)
        seen = Cat(Mux(index < arrived, byte, gates.i.payload) for index, byte in enumerate(group))
        last = code == count - 1
        with m.If(gates.o.valid):
            m.d.comb += [
                Assert(gates.o.payload == seen.word_select(code, width)),
                # its bits have been offered
                Assert((arrived + gates.i.valid) * 8 >= (code + 1) * width),
                Assert(gates.o_last == (last & ~more)),
                Assert(~last | (arrived == octets)),
            ]
        m.d.comb += Assert(gates.o_end == (taken & (arrived == octets - 1)))
        # bits of the group that were taken, all of them where its last code waits
        offered, bits = gates.o.valid, Signal(range(width * count + 1))
        with m.If(gates.i.valid & ~offered):
            m.d.sync += bits.eq(bits + 1)
        with m.If(ends):
            m.d.sync += bits.eq(0)
        whole, part = bits == width * count, bits - code * width
        bit, number = (inside.register(name) if size > 1 else Const(0)
                       for name, size in (("bit", width), ("code", count)))  # fmt: skip
        shifted = (seen.word_select(code, width) << (width - part)[:4])[:width]
        mask = ((1 << width) - 1 << (width - part)[:4])[:width]
        self.invariant(
            m,
            code < count,
            Mux(offered, part == width, (part >= 0) & (part < width)),
            arrived == Mux(whole, octets, bits >> 3),
            inside["index"] == Mux(whole, 0, bits[:3]),
            bit == Mux(offered, 0, part),
            number == Mux(whole, 0, code + offered),
            inside["last_bit"] == (bit == width - 1),
            inside["last_code"] == (number == count - 1),
            (inside["index"] == 0) | gates.i.valid,
            (gates.o.payload & mask) == (shifted & mask),
        )


class ResultsSpec(Spec):
    """An answer is the levels, if they are wanted, and the label; low bytes first."""

    def __init__(self, output: str):
        super().__init__()
        self.plan = program(output=output)

    def properties(self, m: Module) -> None:
        plan = self.plan
        gates = Results(plan)
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        network = plan.network
        outputs, width = network.outputs, network.output.width
        # two kinds of images take turns
        kinds = range(2)
        levels = [[some(width) for _ in range(outputs)] for _ in kinds]
        labels = [some(len(gates.i.payload.label)) for _ in kinds]
        wanted = [some(1) for _ in kinds]
        kind, element = Signal(), Signal(range(outputs))
        last, taken = element == outputs - 1, gates.i.valid & gates.i.ready
        m.d.comb += [
            gates.i.valid.eq(free(1)),
            gates.i.payload.level.as_value().eq(Array(map(Array, levels))[kind][element]),
            gates.i.payload.last.eq(last),
            # of other elements it is of no account
            gates.i.payload.label.eq(Mux(last, Array(labels)[kind], free(len(labels[0])))),
            gates.i_levels.eq(Array(wanted)[kind]),
            gates.o.ready.eq(free(1)),
        ]
        waited = Signal()
        m.d.sync += waited.eq(gates.i.valid & ~gates.i.ready)
        m.d.comb += Assume(~waited | gates.i.valid)
        with m.If(taken):
            m.d.sync += element.eq(Mux(last, 0, element + 1))
            with m.If(last):
                m.d.sync += kind.eq(~kind)
        bytes_of_level = level_bytes(width)
        fill = Const(0, 8 * bytes_of_level - width)
        tail = [Cat(label, Const(0, 16))[: 8 * label_bytes(outputs)] for label in labels]
        answers = [
            Mux(want, Cat(*(Cat(level, fill) for level in each), end), end)
            for want, each, end in zip(wanted, levels, tail, strict=True)
        ]
        ends = [
            Mux(want, outputs * bytes_of_level, 0) + label_bytes(outputs) - 1 for want in wanted
        ]
        answer, place, sent = Signal(), Signal(4), gates.o.valid & gates.o.ready
        final = place == Array(ends)[answer]
        with m.If(sent):
            m.d.sync += place.eq(Mux(final, 0, place + 1))
            m.d.sync += answer.eq(answer ^ final)
        m.d.comb += [
            Assert(~gates.o.valid | (gates.o.payload == self.byte(answers, answer, place))),
            Assert(gates.o_end == (taken & last)),
        ]
        self.holds(m, gates.o)
        # the byte that is made next follows the one that is offered
        part = inside.register("level") if bytes_of_level > 1 else Const(0)
        want, closing = Array(wanted)[kind], inside["labels"]
        made = Mux(want, Mux(closing, outputs * bytes_of_level, element * bytes_of_level + part), 0)
        self.invariant(
            m,
            ~closing | last,
            ~closing | (part == 0),
            part < bytes_of_level,
            want | (part == 0),
            Mux(
                gates.o.valid,
                Mux(
                    final,
                    (kind != answer) & (made == 0) & (element == 0) | (kind != answer) & ~want,
                    (kind == answer) & (made == place + 1),
                ),
                (kind == answer) & (made == place),
            ),
        )
        if bytes_of_level > 1:
            self.invariant(m, inside["last_of_level"] == (part == bytes_of_level - 1))

    def byte(self, answers: list[Value], answer: Value, place: Value) -> Value:
        return Array(each.word_select(place, 8) for each in answers)[answer]


class ControllerSpec(Spec):
    """Two cycles after an answer has moved on, its next byte is there and stays."""

    def properties(self, m: Module) -> None:
        gates = Controller(bytes(range(1, 6)), (4, 1), loads_weights=True)
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        names = ("done", "damaged", "empty", "full", "overrun", "ready", "busy", "working")
        ports = [getattr(gates, f"i_{name}") for name in (*names, "answer", "type", "sequence")]
        m.d.comb += [port.eq(free(len(port))) for port in ports]
        m.d.comb += [gates.i.valid.eq(free(1)), gates.i.payload.eq(free(8))]
        m.d.comb += gates.tag.as_value().eq(free(len(gates.tag.as_value())))
        self.well_behaved(m, gates.i)
        # the transmitter: idle until a frame starts, and then it takes bytes now and then
        idle, ends, left = Signal(init=1, name="idle"), Signal(), Signal.like(gates.i_left)
        moved, taken = Signal(2), gates.o.valid & gates.o.ready
        m.d.comb += [
            gates.i_idle.eq(idle),
            gates.i_left.eq(left),
            gates.o.ready.eq(free(1) & ~idle & (moved == 3)),
            ends.eq(free(1) & ~idle),
            Assert(~gates.o_start | idle),
        ]
        m.d.sync += [
            idle.eq((idle & ~gates.o_start) | ends),
            moved.eq(Mux(taken | idle, 0, moved + (moved != 3))),
        ]
        with m.If(gates.o_start):
            m.d.sync += left.eq(gates.o_length)
        with m.Elif(taken):
            m.d.sync += left.eq(left - 1)
        waited, before = Signal(), Signal(8)
        m.d.sync += [
            waited.eq(gates.o.valid & ~gates.o.ready & ~idle & ~ends & (moved >= 2)),
            before.eq(gates.o.payload),
        ]
        m.d.comb += Assert(~waited | (gates.o.valid & (gates.o.payload == before)))
        self.invariant(m, idle | inside["of_core"] | inside["sends"], ~waited | ~idle)


def _proofs() -> Iterator[Proof]:
    for width, count in [(3, 3), (8, 2), (5, 3)]:
        yield planted(
            f"Unpacker, {count} codes of {width} bits",
            "gives the codes of every group once, in order, marks its end, and holds them",
            partial(UnpackerSpec, width, count),
            ("prove", 2),
            (Unpacker, "elaborate", "self.i.valid & ~self.o.valid", "self.i.valid"),
            "goes on while a code waits",
        )
    for output in ("int4", "int12"):
        yield planted(
            f"Results, {output}",
            "gives the bytes of every answer once, in order, and holds them",
            partial(ResultsSpec, output),
            ("prove", 2),
            (Results, "elaborate", "& ~self.o.valid", ""),
            "a byte that waits is overwritten",
        )
    yield planted(
        "Controller",
        "two cycles after a byte of an answer was taken the next one is there and holds",
        ControllerSpec,
        ("prove", 3),
        (Controller, "elaborate", "free.eq(~waits & ~sends)", "free.eq(1)"),
        "the next answer overwrites the one that is sent",
    )


PROOFS = list(_proofs())
