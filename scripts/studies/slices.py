"""What an array of slices takes beside one of whole weights, on every family; run by hand.

``studies slices [--targets up5k,xc7]`` maps arrays of 2x2 elements with 8 lanes, ``uint8``
activations and 24-bit accumulators: of whole weights, and of slices of as many bits. int2 and
slices of 2 bits are placed and routed three times, where the target is. Rows are kept in
``docs/results/slices.json``, each as soon as it is there.
"""

from collections.abc import Sequence

from ...hw.array.systolic import SystolicArray
from ...hw.geometry import Geometry
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Fixed, parse
from ...hw.numbers.operands import Operands
from ...hw.synth.measure import SEEDS, measure
from ...hw.synth.shell import Shell
from ...hw.synth.targets import Target, target
from ...hw.tools.rtlil import convert
from ...hw.tools.store import Store
from ..rows.row import geometry_columns
from ..sweeps.macs import ArraySums
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["ARRAYS", "main", "row"]

OUTPUT = output("slices")
TARGETS = ("up5k", "ecp5-25k", "xc7", "gw1n-9")
ARRAYS = (("bipolar", 1), ("int2", 2), ("int4", 4))  # whole weights, and bits of a slice
ROUTED = "int2"


def row(weight: str, bits: int | None, on: Target) -> Row:
    """Measure an array; ``bits`` are those of a slice, None multiplies whole weights."""
    geometry = Geometry(2, 2, 8, slice=bits)
    fmt = parse(weight) if bits is None else Fixed(bits, signed=False)
    operands = Operands(fmt, parse("uint8"))
    array = SystolicArray(
        geometry,
        operands,
        Accumulator(24),
        doubling=bits is not None,  # sums are shifted between the slices of wider weights
        fabric=on.fabric(),
    )
    shell = Shell(ArraySums(array))
    routed = weight == ROUTED and on.family.router is not None
    text = convert(shell, platform=on)
    found = measure(text, on, seeds=SEEDS if routed else (), shell=shell, store=Store())
    sizes = {name: each for name, each in geometry_columns(geometry).items() if each is not None}
    about: Row = {"target": on.name, "weight": weight, **sizes}
    return about | found.row() | provenance(command("slices"))


def main(arguments: Sequence[str]) -> int:
    """Run the study; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--targets", default=",".join(TARGETS))
    given = options.parse_args(arguments)
    kept = RowFile(given.output, ("target", "weight", "slice"), order=_order)
    for name in given.targets.split(","):
        for weight, bits in ARRAYS:
            whole, sliced = row(weight, None, target(name)), row(weight, bits, target(name))
            kept.keep([whole, sliced])
            print(
                f"{name}: {weight} {whole['lut']} LUT, slices of {bits} bits {sliced['lut']}, "
                f"{sliced['lut'] / whole['lut']:.3f} times"
            )
    return 0


def _order(row: Row) -> tuple[object, ...]:
    weights = [weight for weight, _ in ARRAYS]
    return TARGETS.index(row["target"]), weights.index(row["weight"]), row.get("slice") or 0
