"""Structures of the XNOR-popcount on every family, measured; run by hand.

``studies popcounts [--targets up5k,xc7] [--lanes 64] [--seeds 5]`` measures a
bipolar multiply-accumulate with a 16-bit accumulator, and keeps the rows in
``docs/results/popcounts.json``, each as soon as it is there. ``python docs/update.py`` makes the
table of ``docs/popcount.md`` from it. What the result store has is not measured again.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal

from ...hw.errors import NarrowgaugeError
from ...hw.gates.adder import Term, adder_tree, tree_latency
from ...hw.mac.base import MAC, DotMAC
from ...hw.mac.choice import mac
from ...hw.mac.dot import DotProduct
from ...hw.mac.fabric import Fabric
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Bipolar
from ...hw.numbers.operands import Operands
from ...hw.synth.measure import measure
from ...hw.synth.shell import Shell
from ...hw.synth.targets import target
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["PipelinedTree", "PlainTree", "element", "main", "row"]

OUTPUT = output("popcounts")
TARGETS = ("up5k", "hx8k", "ecp5-25k", "gw1n-9", "xc7")
LANES = (16, 32, 64, 128, 256)
OPERANDS = Operands(Bipolar(), Bipolar())
ACCUMULATOR = Accumulator(16)


class PlainTree(DotProduct):
    """The baseline: lanes are added two by two, the sums two by two, with one register at the end.

    Latency: 1 cycle.
    """

    latency = 1

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        agree = [~(w.as_value() ^ a.as_value())[0] for w, a in self.pairs]
        count = adder_tree(m, [Term(bit, 0, 1) for bit in agree], registered=False)
        stored = Signal.like(self.o, reset_less=True)
        m.d.sync += stored.eq((count << 1) - self.lanes)
        m.d.comb += self.o.eq(stored)
        return m


class PipelinedTree(DotProduct):
    """The other baseline: two lanes are two LUTs, and every adder ends in a register."""

    def __init__(self, operands: Operands, lanes: int):
        super().__init__(operands, lanes)
        self.latency = 1 + tree_latency(lanes // 2)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        agree = [~(w.as_value() ^ a.as_value())[0] for w, a in self.pairs]
        counts = []
        for first, second in zip(agree[::2], agree[1::2], strict=True):
            pair = Signal(2, reset_less=True)
            m.d.sync += pair.eq(Cat(first ^ second, first & second))
            counts.append(Term(pair, 0, 2))
        m.d.comb += self.o.eq((adder_tree(m, counts) << 1) - self.lanes)
        return m


def element(structure: str, lanes: int, fabric: Fabric) -> MAC:
    """Return the multiply-accumulate that is measured."""
    match structure:
        case "plain tree":
            return DotMAC(PlainTree(OPERANDS, lanes), ACCUMULATOR)
        case "pipelined tree":
            return DotMAC(PipelinedTree(OPERANDS, lanes), ACCUMULATOR)
    return mac(OPERANDS, lanes, ACCUMULATOR, fabric=fabric)


STRUCTURES = ("plain tree", "pipelined tree", "counters")


def row(structure: str, lanes: int, name: str, seeds: int) -> Row:
    """Measure one of them."""
    made = element(structure, lanes, target(name).fabric())
    about = {
        "structure": structure,
        "weight": "bipolar",
        "activation": "bipolar",
        "accumulator_bits": ACCUMULATOR.width,
        "overflow": ACCUMULATOR.overflow,
        "lanes": lanes,
        "latency": made.latency + made.delay,
    }
    try:
        found = measure(Shell(made, ignore=["o_overflow"]), name, seeds=range(1, seeds + 1))
    except NarrowgaugeError as error:
        return {**about, "target": name, "failure": str(error)}
    costs = found.row()
    costs.pop("critical_path", None)  # names that say nothing without the netlist
    return {**about, **costs}


def main(arguments: Sequence[str]) -> None:
    """Measure what is asked for, and keep it beside what is there."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--targets", default=",".join(TARGETS))
    options.add_argument("--lanes", default=",".join(map(str, LANES)))
    options.add_argument("--seeds", type=int, default=5)
    values = options.parse_args(arguments)
    words = ["--targets", values.targets, "--lanes", values.lanes, "--seeds", values.seeds]
    made = provenance(command("popcounts", *words))
    record = RowFile(values.output, _KEY, _order)
    for lanes in map(int, values.lanes.split(",")):
        for name in values.targets.split(","):
            for structure in STRUCTURES:
                new = row(structure, lanes, name, values.seeds) | made
                print({key: new.get(key) for key in _KEY + ("lut", "lut4", "fmax_mhz", "failure")})
                record.keep([new])


_KEY = ("target", "lanes", "structure")


def _order(each: Row) -> tuple[int, int, int]:
    places = TARGETS.index(each["target"]), STRUCTURES.index(each["structure"])
    return places[0], each["lanes"], places[1]
