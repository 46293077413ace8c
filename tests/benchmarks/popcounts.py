"""Structures of the XNOR-popcount on every family, measured; run by hand.

``python tests/benchmarks/popcounts.py [--targets up5k,xc7] [--lanes 64] [--seeds 5]`` measures a
bipolar multiply-accumulate with a 16-bit accumulator, and keeps the rows in
``docs/results/popcounts.json``, each as soon as it is there. ``python docs/update.py`` makes the
table of ``docs/popcount.md`` from it. What the result store has is not measured again.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Module, Signal

from narrowgauge.hw.errors import NarrowgaugeError
from narrowgauge.hw.gates.adder import Term, adder_tree, tree_latency
from narrowgauge.hw.mac.base import MAC, DotMAC
from narrowgauge.hw.mac.choice import mac
from narrowgauge.hw.mac.dot import DotProduct
from narrowgauge.hw.mac.fabric import Fabric
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Bipolar
from narrowgauge.hw.numbers.operands import Operands
from narrowgauge.hw.synth.measure import measure
from narrowgauge.hw.synth.shell import Shell
from narrowgauge.hw.synth.targets import target

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "popcounts.json"
TARGETS = ("up5k", "hx8k", "ecp5-25k", "gw1n-9", "xc7")
LANES = (16, 32, 64, 128, 256)
OPERANDS = Operands(Bipolar(), Bipolar())
ACCUMULATOR = Accumulator(16)


class PlainTree(DotProduct):
    """The baseline: lanes are added two by two, the sums two by two, with one register at the end.

    Latency: 1 cycle.
    """

    latency = 1

    def elaborate(self, platform) -> Module:
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

    def elaborate(self, platform) -> Module:
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


def row(structure: str, lanes: int, name: str, seeds: int) -> dict[str, Any]:
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


def main() -> None:
    """Measure what is asked for, and keep it beside what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--lanes", default=",".join(map(str, LANES)))
    parser.add_argument("--seeds", type=int, default=5)
    values = parser.parse_args()
    command = " ".join(["python", "tests/benchmarks/popcounts.py", *sys.argv[1:]])
    rows = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    for lanes in map(int, values.lanes.split(",")):
        for name in values.targets.split(","):
            for structure in STRUCTURES:
                new = row(structure, lanes, name, values.seeds) | {"command": command}
                print({key: new.get(key) for key in _KEY + ("lut", "lut4", "fmax_mhz", "failure")})
                rows = [each for each in rows if any(each[key] != new[key] for key in _KEY)]
                rows = sorted([*rows, new], key=_order)
                RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


_KEY = ("target", "lanes", "structure")


def _order(each: dict[str, Any]) -> tuple[int, int, int]:
    places = TARGETS.index(each["target"]), STRUCTURES.index(each["structure"])
    return places[0], each["lanes"], places[1]


if __name__ == "__main__":
    main()
