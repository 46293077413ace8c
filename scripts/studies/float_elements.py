"""Floats with several partial sums, beside integers and minifloats, measured; run by hand.

``studies float_elements [--targets up5k,ecp5-25k] [--partial-sums 1,2,3,4,5,6] [--seeds 3]
[--multipliers block,logic]``
measures multiply-accumulates of floats by their partial sums, of mixed operands, with exact sums
that are rounded once, and of integers and minifloats whose accumulators have about the range of a
float. It keeps the rows in ``docs/results/float_elements.json``, each as soon as it is there; what
is there is not measured again. ``python docs/update.py`` makes the table of ``docs/costs.md``.
"""

from collections.abc import Iterator, Sequence
from itertools import product

from ...hw.errors import NarrowgaugeError
from ...hw.mac.base import MAC
from ...hw.mac.choice import mac
from ...hw.mac.fused import FusedMAC
from ...hw.mac.ieee import FloatMAC
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.fixed_sum import FixedSum
from ...hw.numbers.float_sum import PARTIAL_SUMS, FloatSum
from ...hw.numbers.formats import Float, parse
from ...hw.numbers.operands import Operands
from ...hw.synth.measure import measure
from ...hw.synth.shell import Shell
from ...hw.synth.targets import target
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["element", "main", "row"]

OUTPUT = output("float_elements")
TARGETS = ("up5k", "ecp5-25k")
FLOATS = (
    ("fp32", "fp32", "fp32"),
    ("fp16", "fp16", "fp16"),
    ("bf16", "bf16", "bf16"),
    ("bf16", "bf16", "fp32"),
)
MIXED = (("int8", "fp16", "fp16"), ("e4m3", "bf16", "bf16"), ("float4_3", "float4_3", "fp16"))
INTEGERS = (("int8", "uint8", "int32"), ("e4m3", "uint8", "int40"), ("int16", "uint16", "int48"))
"""Weights, activations and what they are summed in."""
FUSED = (
    ("fp16", "fp16", "fp16", 91, -48),
    ("float4_3", "float4_3", "float4_3", 45, -18),
    ("float5_2", "float5_2", "float5_2", 75, -32),
    ("bf16", "bf16", "bf16", 64, -40),
)
"""The same, and the bits of the register and its lowest one: exact for 1,024 terms, but of bf16."""


def element(about: Row) -> tuple[MAC, bool]:
    """Return the multiply-accumulate of a row, and whether synthesis looks for DSP blocks."""
    fabric = target(about["target"]).fabric(blocks=about["multiplier"] == "block")
    operands = Operands(parse(about["weight"]), parse(about["activation"]))
    total = about["total"]
    if total.startswith("int"):
        made = mac(operands, 1, Accumulator(int(total[3:])), fabric=fabric)
        return made, fabric.blocks.used and not fabric.blocks.accumulate
    fmt = parse(total)
    assert isinstance(fmt, Float)
    if "register_bits" in about:
        register = FixedSum(fmt, about["register_bits"], about["register_lowest"])
        fused = FusedMAC(operands, 1, register, dsp=fabric.blocks.used)
        return fused, fused.dsp
    made = mac(operands, 1, FloatSum(fmt, about["partial_sums"]), fabric=fabric)
    assert isinstance(made, FloatMAC)
    return made, made.dsp


def row(about: Row, seeds: int) -> Row:
    """Measure one of them."""
    try:
        made, dsp = element(about)
        shell = Shell(made, ignore=["o_overflow"])
        found = measure(shell, about["target"], seeds=range(1, seeds + 1), dsp=dsp)
    except NarrowgaugeError as error:
        return {**about, "failure": str(error)}
    times = {"latency": made.latency, "delay": made.delay, "gap": made.gap}
    return {**about, **times, **found.row()}


def _wanted(
    targets: Sequence[str], partial_sums: Sequence[int], multipliers: Sequence[str]
) -> Iterator[Row]:
    """Yield what is measured, as far as it is known before."""
    names = "weight", "activation", "total", "register_bits", "register_lowest"
    for multiplier, name in product(multipliers, targets):
        where = {"target": name, "multiplier": multiplier}
        for count, formats in product(partial_sums, FLOATS):
            yield {**dict(zip(names, formats, strict=False)), "partial_sums": count, **where}
        for formats in MIXED:
            yield {**dict(zip(names, formats, strict=False)), "partial_sums": PARTIAL_SUMS, **where}
        for formats in FUSED:
            yield {**dict(zip(names, formats, strict=True)), **where}
        for formats in INTEGERS:
            # a block of the UP5K has an accumulator of 32 bits
            if multiplier == "logic" or formats[0] == "int8":
                yield {**dict(zip(names, formats, strict=False)), **where}


def main(arguments: Sequence[str]) -> None:
    """Measure what is asked for and not there, and keep it beside what is there."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--targets", default=",".join(TARGETS))
    options.add_argument("--partial-sums", default="1,2,3,4,5,6")
    options.add_argument("--multipliers", default="block,logic")
    options.add_argument("--seeds", type=int, default=3)
    values = options.parse_args(arguments)
    words = ["--targets", values.targets, "--partial-sums", values.partial_sums]
    words += ["--multipliers", values.multipliers, "--seeds", values.seeds]
    made = provenance(command("float_elements", *words))
    record = RowFile(values.output, _KEY, _order)
    counts = [int(each) for each in values.partial_sums.split(",")]
    for about in _wanted(values.targets.split(","), counts, values.multipliers.split(",")):
        if not record.has(about):
            new = row(about, values.seeds) | made
            print({key: new.get(key) for key in (*_KEY, "lut", "ff", "dsp", "fmax_mhz", "failure")})
            record.keep([new])


_KEY = (
    "target",
    "multiplier",
    "weight",
    "activation",
    "total",
    "register_bits",
    "register_lowest",
    "partial_sums",
)


def _order(each: Row) -> tuple[str, ...]:
    return tuple(str(each.get(name, "")) for name in _KEY)
