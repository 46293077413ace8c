"""Slices of weights: sums of whole products, and tiles in runs of different slice counts."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from amaranth.hdl import Array, Cat, Const, Module, Mux, ShapeLike, Signal, Value

from narrowgauge.hw.accelerator.job import Job
from narrowgauge.hw.accelerator.sequencer import Sequencer, SequencerConfig, SequencerLayer
from narrowgauge.hw.mac.accumulator import Accumulate
from narrowgauge.hw.mac.choice import mac
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Fixed, parse
from narrowgauge.hw.numbers.operands import Operands

from ..hw.fabrics import FABRICS
from .proof import Assert, Assume, Inside, Proof, Spec, delayed, free, planted

__all__ = ["PROOFS"]

STEPS = 1  # of a slice of a sum


class SlicedSumSpec(Spec):
    """A tile is as many slices as its weights have; its sum is that of the whole products.

    Tiles of any number of slices, signed or not, follow each other, with pauses anywhere.
    """

    def __init__(self, bits: int, slices: int, lanes: int, fabric: str):
        super().__init__()
        self.bits, self.slices = bits, slices
        operands = Operands(Fixed(bits, signed=False), parse("uint1"))
        self.gates = mac(
            operands, lanes, Accumulator(5), doubling=True, sliced=True, fabric=FABRICS[fabric]
        )

    def properties(self, m: Module) -> None:
        m.submodules.gates = gates = self.gates
        count, width = STEPS * gates.lanes, self.slices * self.bits
        begins, go, step = Signal(init=1), Signal(), Signal(range(STEPS))
        done = Signal(range(self.slices))
        weights, activations = _held(m, begins, width * count), _held(m, begins, count)
        final, is_signed = _held(m, begins, range(self.slices)), _held(m, begins, 1)
        ends_slice, ends = step == STEPS - 1, Signal()
        m.d.comb += [
            go.eq(free(1)),
            ends.eq(go & ends_slice & (done == final)),
            Assume(final < self.slices),
        ]
        with m.If(go):
            m.d.sync += [
                begins.eq(ends),
                step.eq(Mux(ends_slice, 0, step + 1)),
                done.eq(Mux(ends, 0, done + ends_slice)),
            ]
        places = [step * gates.lanes + lane for lane in range(gates.lanes)]
        own = (final - done)[: len(final)]  # the highest slice first
        codes = [weights.word_select(at, width) for at in places]
        control = {"enable": go, "double": go & ends_slice & ~ends, "last": ends}
        m.d.comb += [
            gates.i_weights.as_value().eq(Cat(each.word_select(own, self.bits) for each in codes)),
            gates.i_activations.as_value().eq(Cat(activations.bit_select(at, 1) for at in places)),
            gates.i_signed.eq(delayed(m, is_signed & (done == 0), gates.sign_latency)),
        ]
        for name, value in control.items():
            m.d.comb += gates.i_control[name].eq(delayed(m, value, gates.latency))
        total: Value = Const(0)
        for at in range(count):
            code = weights.word_select(at, width)
            whole = Array(
                _level(code[: n * self.bits], is_signed) for n in range(1, self.slices + 1)
            )
            total = total + whole[final] * activations[at]
        wrapped, late = Signal(gates.accumulator.width), gates.latency + gates.delay
        m.d.comb += wrapped.eq(total)
        right = gates.o.as_unsigned() == delayed(m, wrapped, late)
        m.d.comb += Assert(~delayed(m, ends, late) | right)


def _held(m: Module, begins: Value, shape: ShapeLike) -> Signal:
    """Return what is anything where a tile begins, and stays it."""
    value, before = Signal(shape), Signal(shape)
    m.d.sync += before.eq(value)
    m.d.comb += value.eq(Mux(begins, free(len(value)), before))
    return value


def _level(code: Value, is_signed: Value) -> Value:
    return Cat(code, code[-1] & is_signed).as_signed()


class Step(NamedTuple):
    """What the array computes in a cycle, and what is left of the loops behind it."""

    weight: int
    word: int
    double: bool
    last: bool
    signed: bool
    steps: int
    slices: int
    tiles: int
    shifts: int
    run: int
    last_run: bool
    top: bool
    begin: int


def steps_of(layers: Sequence[SequencerLayer], number: int) -> Iterator[Step]:
    """Yield the steps of a bank of a layer, as nested loops."""
    layer, first = layers[number], sum(len(each.runs) for each in layers[:number])
    for shift in range(layer.shifts):
        weight, begin = layer.weight_base, shift * layer.shift_words
        for run, (tiles, slices) in enumerate(layer.runs):
            for tile in range(tiles):
                for plane in range(slices):
                    for step in range(layer.steps):
                        ends, is_last = step == layer.steps - 1, plane == slices - 1
                        yield Step(
                            weight, begin + step, ends and not is_last, ends and is_last,
                            layer.signed and not plane, layer.steps - step - 1,
                            slices - plane - 1, tiles - tile - 1, layer.shifts - shift - 1,
                            first + run, run == len(layer.runs) - 1, not plane, begin,
                        )  # fmt: skip
                        weight += 1


class RunsSpec(Spec):
    """Steps are those of the loops, in order, and a bank is released with its last one."""

    def __init__(self, *layers: SequencerLayer):
        super().__init__()
        self.loops = [list(steps_of(layers, number)) for number in range(len(layers))]
        self.config = SequencerConfig(
            Job(2, len(layers)), 2, weight_words=32, bank_words=8, layers=layers, sliced=True
        )

    def properties(self, m: Module) -> None:
        gates = Sequencer(self.config)
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        bank, release = gates.banks.payload, gates.banks.ready
        m.d.comb += [
            gates.jobs.ready.eq(free(1)),
            gates.banks.valid.eq(free(1)),
            bank.eq(free(len(bank.as_value()))),
            Assume(bank.job.layer < len(self.loops)),
        ]
        self.well_behaved(m, gates.banks)
        # a step is there a cycle after its addresses
        layer, addresses = (
            delayed(m, Value.cast(each), 1)
            for each in (bank.job.layer, Cat(gates.o_weight_address, gates.o_word_address))
        )
        at, control = Signal(range(max(map(len, self.loops)))), gates.o_control
        step = self._step(layer, at)
        ends = at == Array(len(each) - 1 for each in self.loops)[layer]
        with m.If(control.enable):
            m.d.sync += at.eq(Mux(ends, 0, at + 1))
            m.d.comb += [
                Assert(addresses == Cat(Value.cast(step.weight)[:5], Value.cast(step.word)[:3])),
                Assert(control.double == step.double),
                Assert(control.last == step.last),
                Assert(gates.o_signed == step.signed),
            ]
        m.d.comb += Assert(delayed(m, release, 1) == (control.enable & ends))
        pending = Signal.like(at)  # the step whose addresses are there
        m.d.comb += pending.eq(Mux(control.enable, Mux(ends, 0, at + 1), at))
        self._inductive(m, inside, bank.job.layer, pending)
        waits = Signal()  # a bank that is computed was there before
        m.d.sync += waits.eq(gates.banks.valid & ~release)
        self.invariant(m, ~inside["running"] | waits, ~control.enable | ends | inside["running"])

    def _step(self, layer: Value, at: Value) -> "Step":
        """Return a step of a layer, as values."""

        def value(name: str) -> Value:
            tables = [[int(getattr(each, name)) for each in steps] for steps in self.loops]
            return Array(Array(Const(each, 6) for each in table)[at] for table in tables)[layer]

        return Step(*map(value, Step._fields))  # type: ignore[arg-type]

    def _inductive(self, m: Module, inside: Inside, layer: Value, pending: Value) -> None:
        """Tell what the registers hold between steps."""
        step, running = self._step(layer, pending), inside["running"]
        loops = {"steps": step.steps, "planes": step.slices, "tiles": step.tiles}
        if max(each.shifts for steps in self.loops for each in steps):
            loops["shifts"] = step.shifts
        held = {f"{name}_left": left for name, left in loops.items()}
        held |= {f"last_{name}_left": left == 0 for name, left in loops.items()}
        held |= {"$like": step.run, "last_run": step.last_run, "first": step.top}  # the current run
        held |= {"o_weight_address": step.weight, "o_word_address": step.word}
        if "shifts" in loops:
            held["begin"] = step.begin
        else:  # a bank ends with the address that the next one begins with
            self.invariant(m, running | (inside.register("o_word_address") == 0))
        self.invariant(
            m,
            pending < Array(len(each) for each in self.loops)[layer],
            running | (pending == 0),
            running | inside.register("first"),
            *(~running | (inside.register(name) == value) for name, value in held.items()),
        )


# --- the list ----------------------------------------------------------------------------------

FIRST = SequencerLayer([(1, 3), (2, 1)], 2, False, 3, 0, signed=True)
SECOND = SequencerLayer([(2, 1), (1, 2)], 1, False, 9, 0)
STRIPS = SequencerLayer([(1, 2), (1, 1)], 2, False, 3, 0, shifts=2, shift_words=1, signed=True)


def _proofs() -> Iterator[Proof]:
    shifts = {"ice40": ("elaborate", "total << self.shift", "total"),
              "ecp5": ("_shifted", "register << self.shift", "register")}  # fmt: skip
    for fabric, bits, slices, lanes in [("ice40", 2, 2, 2), ("ecp5", 1, 3, 2)]:
        yield planted(
            f"SliceProduct and Accumulate on {fabric}, slices of {bits}",
            f"the sum of 1 to {slices} slices is that of whole products, modulo the register",
            partial(SlicedSumSpec, bits, slices, lanes, fabric), ("bmc", 12),
            (Accumulate, *shifts[fabric]), "slices are not shifted",
        )  # fmt: skip
    steps = "gives every slice of every tile once, in order, and then releases its bank"
    for name, layers, old, new, broken in [
        ("runs of 3 and 1, 1 and 2 slices", (FIRST, SECOND),
         "current + last_of_run", "current", "all tiles have the slices of the first run"),
        ("a second layer's runs", (SECOND, FIRST),
         "Mux(start, first, following)", "Mux(start, 0, following)", "runs of layer 0"),
        ("runs, in a strip", (STRIPS, SECOND),
         "Mux(last_of_run & last_run, first, following)", "following", "no first run again"),
    ]:  # fmt: skip
        yield planted(
            f"Sequencer, {name}", steps, partial(RunsSpec, *layers), ("prove", 2),
            (Sequencer, "_follow", old, new), broken, reach=24,
        )  # fmt: skip


PROOFS = list(_proofs())
