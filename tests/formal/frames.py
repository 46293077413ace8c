"""Frames: the parser comes out of every state, and gates follow the layout byte by byte."""

from collections.abc import Iterator, Sequence

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value

from narrowgauge.boards.gateware.crc import POLYNOMIAL, RESIDUE, Crc32
from narrowgauge.boards.gateware.receiver import FrameReceiver
from narrowgauge.boards.gateware.transmitter import FrameTransmitter
from narrowgauge.boards.protocol.frame import SYNC

from .proof import Assert, Assume, Inside, Proof, Spec, free, planted

__all__ = ["PROOFS"]

SPACING = 12  # cycles from one byte to the next, at least
HEADER, CHECK = 5, 4  # bytes before the payload, with the sync byte, and behind it


def crc_step(register: Value, bit: Value) -> Value:
    """Return the register of a CRC-32 after a bit."""
    feedback = (register[0] ^ bit).replicate(32)
    return (register >> 1)[:32] ^ (feedback & POLYNOMIAL)


def ages(m: Module, arrives: Value, *, most: int = 63) -> Signal:
    """Return the cycles since the last byte; a byte comes at most every `SPACING` cycles."""
    age = Signal(range(most + 1), init=SPACING)
    with m.If(arrives):
        m.d.sync += age.eq(1)
    with m.Elif(age != most):
        m.d.sync += age.eq(age + 1)
    m.d.comb += Assume(~arrives | (age >= SPACING))
    return age


class Check:
    """A CRC-32 that takes a byte at once, and what it was after every bit of the last byte.

    These tell where the gates are, which take a bit a cycle. Every step from one to the next is a
    small one, also for a solver.
    """

    def __init__(self, m: Module, accepts: Value, byte: Value):
        self.register = Signal(32, init=0xFFFFFFFF)
        steps = [Signal(32, name=f"step_{bit}") for bit in range(9)]
        self.after = [Signal(32, name=f"after_{bit}") for bit in range(9)]
        self.byte, self.steps = Signal(8), steps
        m.d.comb += steps[0].eq(self.register)
        m.d.comb += [steps[bit + 1].eq(crc_step(steps[bit], byte[bit])) for bit in range(8)]
        with m.If(accepts):
            m.d.sync += [after.eq(step) for after, step in zip(self.after, steps, strict=True)]
            m.d.sync += [self.byte.eq(byte), self.register.eq(steps[-1])]

    def clear(self, m: Module) -> None:
        m.d.sync += self.register.eq(0xFFFFFFFF)

    def related(self, inside: Inside, age: Value, prefix: str = "") -> list[Value]:
        """Return what the registers of a `Crc32` hold, ``age`` cycles after a byte."""
        register, byte, left, busy = (
            inside[prefix + name] for name in ("register", "byte", "left", "busy")
        )
        taking = (age >= 1) & (age <= 8)
        done = (age - 1)[:3]  # bits
        return [
            busy == taking,
            ~taking | (left == 7 - done),
            ~taking | (register == Array(self.after)[done]),
            ~taking | (byte == (self.byte >> done)[:8]),
            taking | (register == self.register),
            self.after[-1] == self.register,
            *(self.after[bit + 1] == crc_step(self.after[bit], self.byte[bit]) for bit in range(8)),
        ]


class CrcSpec(Spec):
    """When it takes the next byte, the register is that of all bytes before."""

    def properties(self, m: Module) -> None:
        gates = Crc32()
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        byte, clear = Signal(8), Signal()
        m.d.comb += [
            byte.eq(free(8)),
            gates.i.payload.eq(byte),
            gates.i.valid.eq(free(1)),
            clear.eq(free(1)),
            gates.i_clear.eq(clear),
        ]
        accepts, cleared = gates.i.valid & gates.i.ready, Signal(init=1)
        age = Signal(4, init=9)
        check = Check(m, accepts, byte)
        m.d.sync += age.eq(Mux(clear, 9, Mux(accepts, 1, age + (age < 9))))
        m.d.sync += cleared.eq(clear | (cleared & ~accepts))
        with m.If(clear):
            check.clear(m)
        m.d.comb += [
            Assert(~gates.i.ready | (gates.o_register == check.register)),
            Assert(gates.i.ready == (age == 9)),
        ]
        self.invariant(m, ~cleared | (check.register == 0xFFFFFFFF), (age > 0) & (age <= 9))
        self.invariant(m, ~cleared | (inside["register"] == 0xFFFFFFFF), ~cleared | ~inside["busy"])
        self.invariant(m, *(cleared | each for each in check.related(inside, age)))
        self.invariant(m, ~cleared | (age == 9))


class SilenceSpec(Spec):
    """From any state, when no byte comes, the parser soon waits for the next frame."""

    silence, depth = 8, 26

    def properties(self, m: Module) -> None:
        gates = FrameReceiver(3, silence=self.silence)
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        time = Signal(range(self.depth + 1))
        m.d.sync += time.eq(time + (time != self.depth))
        hunts = inside.state("place", "Hunt")
        m.d.comb += [
            gates.i.payload.eq(free(8)),
            # `ParserSpec` proves that no other is ever entered
            Assume((time > 0) | inside.state("place")),
            Assert((time < self.depth - 2) | (hunts & ~gates.o_done & ~gates.o_damaged)),
        ]


class ParserSpec(Spec):
    """Any bytes at any time: what is reported is what the layout says, for ever."""

    limit, silence = 3, 32

    def properties(self, m: Module) -> None:
        gates = FrameReceiver(self.limit, silence=self.silence)
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        byte, arrives = gates.i.payload, gates.i.valid
        m.d.comb += [byte.eq(free(8)), arrives.eq(free(1))]
        age = ages(m, arrives)
        # the place in a frame, in bytes, and what they were
        place, length = Signal(range(HEADER + self.limit + CHECK + 1)), Signal(16)
        kind, sequence = Signal(8), Signal(8)
        check = Check(m, arrives & (place > 0), byte)
        end = HEADER + length + CHECK
        hunts, whole = place == 0, (place > HEADER - 1) & (place == end)
        long = (place == HEADER) & (length > self.limit)
        # given up: too long, two cycles after it is known; too silent, unless it is whole
        silent = (age == self.silence + 1) & ~hunts & ~whole
        judged = whole & (age == 11)
        with m.If((long & (age == 2)) | silent | judged):
            m.d.sync += place.eq(0)
        with m.Elif(arrives & hunts):
            m.d.sync += place.eq(byte == SYNC)
            check.clear(m)
        with m.Elif(arrives):
            m.d.sync += place.eq(place + 1)
            for index, field in enumerate((kind, sequence, length[:8], length[8:]), start=1):
                with m.If(place == index):
                    m.d.sync += field.eq(byte)
        good = check.register == RESIDUE
        payload = (place >= HEADER) & (place < HEADER + length)
        stores = (place == 1) | (place == 2) | payload
        m.d.comb += [
            Assert(gates.o_begin == (arrives & hunts & (byte == SYNC))),
            Assert(gates.o_done == (judged & good)),
            Assert(gates.o_damaged == ((judged & ~good) | silent | (long & (age == 2)))),
            Assert(gates.o_store == (arrives & stores & ~silent)),
            Assert((place < 2) | (gates.o_type == kind)),
            Assert((place < 3) | (gates.o_sequence == sequence)),
            Assert(~judged | (gates.o_empty == (length == 0))),
            Assert(~judged | (gates.o_full == (length == self.limit))),
        ]
        self._relate(m, inside, age, place, length, check)

    def _relate(self, m: Module, inside: Inside, age, place, length, check: Check) -> None:
        """Say in which state the gates are at each place, and what their registers hold."""
        limit = self.limit
        at_length = (place == HEADER) & (age == 1)
        at_begin = (place == HEADER) & (age == 2)
        later = (place > HEADER) | ((place == HEADER) & (age > 2))
        over = place - HEADER - length  # bytes of the check, where it is not negative
        whole = later & (over == CHECK)
        states = {
            "Hunt": place == 0,
            "Type": place == 1,
            "Sequence": place == 2,
            "Low": place == 3,
            "High": place == 4,
            "Length": at_length,
            "Begin": at_begin,
            "Payload": later & (over < 0),
            "Check": later & (over >= 0) & (over < CHECK),
            "Sum": whole & (age <= 9),
            "Verdict": whole & (age == 10),
            "End": whole & (age == 11),
        }
        left, beyond = inside["left"], inside["beyond"]
        timer = inside["timer"]
        self.invariant(
            m,
            inside.state("place"),
            *(inside.state("place", name) == there for name, there in states.items()),
            (place <= HEADER) | (length <= limit),
            ~later | ((length <= limit) & ~beyond),
            (place == 0) | (age <= self.silence + 1),
            (place == 0) | (over <= CHECK) | (place < HEADER),
            (place != 4)
            | ((left == length[: len(left)]) & (beyond == length[len(left) : 8].any())),
            ~at_length | ((left == length[: len(left)]) & (beyond == length[len(left) :].any())),
            ~at_begin | (beyond == (length > limit)),
            ~(at_begin & ~beyond) | (left == length),
            ~(at_begin | later) | (inside["self"].o_empty == (length == 0)) | beyond,
            ~(at_begin | later) | (inside["self"].o_full == (length == limit)) | beyond,
            ~states["Payload"] | (left == length + HEADER - place),
            ~states["Payload"] | (age == 1) | (inside["last"] == (left == 1)),
            ~states["Payload"] | (place != HEADER) | (inside["last"] == (left == 1)),
            ~states["Payload"] | (inside["check"] == 3),
            ~states["Check"] | (inside["check"] == 3 - over),
            (place == 0) | (timer == age - 1),
            (place < 1) | (place > 1) | (check.register == 0xFFFFFFFF),
            *((place <= 1) | each for each in check.related(inside, age, "crc.")),
            (place != 1) | (~inside["crc.busy"] & (inside["crc.register"] == 0xFFFFFFFF)),
            ~states["Verdict"] | (inside["crc.register"] == check.register),
            ~states["End"] | (inside["crc.self"].o_good == (check.register == RESIDUE)),
        )


class FrameSpec(Spec):
    """Any frame, and a line that takes bytes at any time: what goes out is as the layout says."""

    limit = 3

    def properties(self, m: Module) -> None:
        gates = FrameTransmitter(self.limit)
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        fields = gates.i_type, gates.i_sequence, gates.i_length
        m.d.comb += [
            *(field.eq(free(len(field))) for field in fields),
            gates.i_start.eq(free(1) & gates.o_idle),
            gates.i.valid.eq(free(1)),
            gates.i.payload.eq(free(8)),
            gates.o.ready.eq(free(1)),
        ]
        self.well_behaved(m, gates.i)
        self.holds(m, gates.o)
        sent = gates.o.valid & gates.o.ready
        age = ages(m, sent)
        place, sends = Signal(range(HEADER + self.limit + CHECK)), Signal(name="sends")
        kind, sequence, length = (Signal.like(field) for field in fields)
        final = Signal(32)
        header = [Const(SYNC, 8), kind, sequence, length, Const(0, 8)]
        over = place - HEADER - length
        payload = (place >= HEADER) & (over < 0)
        closing = (place >= HEADER) & (over >= 0)
        checked = Signal(8)
        check = Check(m, sent & (place > 0), checked)
        m.d.comb += checked.eq(
            Mux(closing, check.register[:8], Mux(payload, gates.i.payload, Array(header)[place]))
        )
        with m.If(gates.i_start):
            check.clear(m)
            m.d.sync += [sends.eq(1), place.eq(0)]
            m.d.sync += [kind.eq(gates.i_type), sequence.eq(gates.i_sequence)]
            m.d.sync += length.eq(gates.i_length)
        with m.Elif(sent):
            m.d.sync += [place.eq(place + 1), sends.eq(~closing | (over != CHECK - 1))]
            # what the check is when its first byte goes out
            with m.If(~closing):
                m.d.sync += final.eq(Mux(place > 0, check.steps[-1], check.register))
        tail = ~final.word_select(over[:2], 8)
        m.d.comb += [
            Assert(gates.o_idle == ~sends),
            Assert(~gates.o.valid | sends),
            Assert(~sent | (gates.o.payload == Mux(closing, tail, checked))),
            Assert(gates.i.ready == (sends & payload & gates.o.ready)),
            # a line that waits long enough is never left without a byte, but for its payload
            Assert(~sends | (age < SPACING) | gates.o.valid | payload),
            Assert(~(sends & payload) | (gates.o_left == length + HEADER - place)),
        ]
        self._relate(m, inside, age, (place, sends, kind, sequence, length, check, final))

    def _relate(self, m: Module, inside: Inside, age, own: Sequence) -> None:
        place, sends, kind, sequence, length, check, final = own
        over = place - HEADER - length
        names = ["Sync", "Type", "Sequence", "Low", "High"]
        checks = sends & (place >= HEADER) & (over >= 0)
        self.invariant(
            m,
            inside.state("place", "Idle") == ~sends,
            *(
                inside.state("place", name) == (sends & (place == index))
                for index, name in enumerate(names)
            ),
            inside.state("place", "Payload") == (sends & (place >= HEADER) & (over < 0)),
            inside.state("place", "Check") == checks,
            ~sends | (length <= self.limit),
            ~sends | (place < HEADER) | (over < CHECK),
            ~sends | (inside["kind"] == kind),
            ~sends | (inside["sequence"] == sequence),
            ~sends | (place > HEADER) | (inside["left"] == length),
            ~checks | (check.register == (final >> Cat(Const(0, 3), over[:2]))),
            ~checks | (inside["check"] == 3 - over),
            ~sends | checks | (inside["check"] == 3),
            ~(sends & (place == 1))
            | (~inside["crc.busy"] & (inside["crc.register"] == 0xFFFFFFFF)),
            ~(sends & (place < 2)) | (check.register == 0xFFFFFFFF),
            *(~(sends & (place > 1)) | each for each in check.related(inside, age, "crc.")),
        )


def _proofs() -> Iterator[Proof]:
    yield planted(
        "Crc32",
        "takes a byte every 9 cycles, and then its register is that of all bytes since a clear",
        CrcSpec,
        ("prove", 2),
        (Crc32, "elaborate", "left.eq(7)", "left.eq(6)"),
        "a bit is left out",
    )
    yield planted(
        "FrameReceiver, silence",
        "from any state, after 24 cycles without a byte (silence of 8), waits for the next frame",
        SilenceSpec,
        ("any", SilenceSpec.depth),
        (FrameReceiver, "_silence", "m.d.comb += silent.eq(timer[-1])", "pass"),
        "silence is not seen",
    )
    yield planted(
        "FrameReceiver",
        "of any bytes, finds exactly the frames that are whole and have the right check, and "
        "gives up every other; payloads of at most 3 bytes",
        ParserSpec,
        ("prove", 2),
        (FrameReceiver, "elaborate", 'm.next = "Low"', 'm.next = "High"'),
        "a byte of the length is left out",
        reach=42,
    )
    yield planted(
        "FrameTransmitter",
        "frames of at most 3 bytes go out byte by byte as the layout says, check included, and "
        "each byte holds until it is taken",
        FrameSpec,
        ("prove", 2),
        (FrameTransmitter, "elaborate", '"Low": left[:8]', '"Low": kind'),
        "the type is sent as the length",
        reach=42,
    )


PROOFS = list(_proofs())
