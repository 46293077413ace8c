"""The tables of elements for weights of several widths."""

from collections.abc import Sequence

from narrowgauge.hw.mac.scalable.base import WHOLE, ScalableElement
from narrowgauge.hw.mac.scalable.kinds import scalable as element_of
from narrowgauge.hw.numbers.arithmetic import Accumulator

from .base import RESULTS, Columns, Row, read, speed, table, versions

__all__ = ["scalable"]

SCALABLE = RESULTS / "scalable.json"
KINDS = {
    "whole": "whole weights",
    "serial": "in time, summed together",
    "together": "side by side, summed together",
    "apart": "side by side, summed apart",
    "both": "of both operands, side by side, summed together",
    "bits": "of both operands, in time",
}
BESIDE = {"serial": ("whole", 8), "bits": ("serial", 2)}
"""What a kind is compared with, and the bits of that; others with slices of their bits in time."""
OPERANDS = ("int8 x uint8", "int4 x uint8", "int2 x uint8", "int4 x uint4", "int2 x uint2")


def scalable() -> str:
    """Return what elements do, and what they take."""
    rows = read(SCALABLE)
    seeds = sorted({len(row["seeds"]) for row in rows if row.get("routed")})
    tools = {name: text for row in rows for name, text in row.get("tools", {}).items()}
    cells = (
        "LUT, FF, Fmax; then products a cycle and 1,000 LUT of the same bits of weights and "
        "activations, in that order"
    )
    parts = [
        _rates(rows),
        f"{cells}. Fmax is of {' or '.join(map(str, seeds))} placement each; xc7 is mapped only:",
        _costs(rows),
        "LUT, by those of other slices:",
        _ratios(rows),
        f"{versions(tools)}. Made by `narrowgauge compare scalable --output docs/results`.",
    ]
    return "\n\n".join(parts) + "\n"


def _bits(row: Row) -> int:
    """Return the bits of a slice, which are those of whole weights."""
    return row.get("slice", int(row["weight"].removeprefix("int")))


def _work(row: Row) -> int:
    """Return the products of bits in a cycle."""
    return row["lanes"] * WHOLE * _bits(row)


def _rates(rows: Sequence[Row]) -> str:
    """Return the table of products a cycle, of ports and of accumulators."""
    lines = {(row["structure"], _bits(row)): row for row in rows}
    columns: Columns = {
        "slices": lambda row: KINDS[row["structure"]],
        "bits": _bits,
        **{
            name.replace("int", "", 1).replace("uint", ""): (
                lambda row, name=name: _count(row["products"].get(name))
            )
            for name in OPERANDS
        },
        "bits of weights + activations": _ports,
        "accumulators": lambda row: len(_element(row).delays),
    }
    return table(columns, list(lines.values()), 1)


def _element(row: Row) -> ScalableElement:
    accumulator = Accumulator(row["accumulator_bits"])
    return element_of(row["structure"], _bits(row), accumulator, work=_work(row))


def _ports(row: Row) -> str:
    element = _element(row)
    return f"{len(element.i_weights)} + {len(element.i_activations)}"


def _count(products: float | None) -> str | None:
    return None if products is None else f"{products:g}"


def _costs(rows: Sequence[Row]) -> str:
    """Return the table of costs, a column for each target."""
    lines: dict[tuple[str, int], dict[str, object]] = {}
    for row in rows:
        line = lines.setdefault((row["structure"], _bits(row)), {})
        line |= {"slices": KINDS[row["structure"]], "bits": _bits(row), row["target"]: _cost(row)}
    columns: Columns = {
        "slices": lambda line: line["slices"],
        "bits": lambda line: line["bits"],
        **{
            target: lambda line, target=target: line.get(target)
            for target in dict.fromkeys(row["target"] for row in rows)
        },
    }
    return table(columns, list(lines.values()), 1)


def _ratios(rows: Sequence[Row]) -> str:
    """Return the table of LUTs beside those of what a kind is compared with."""
    cells = {(row["structure"], _bits(row), row["target"]): row.get("lut") for row in rows}
    kinds = dict.fromkeys((row["structure"], _bits(row)) for row in rows)
    targets = dict.fromkeys(row["target"] for row in rows)
    lines: list[dict[str, object]] = []
    for kind, bits in kinds:
        if kind == "whole":
            continue
        other = BESIDE.get(kind, ("serial", bits))
        line: dict[str, object] = {
            "slices": KINDS[kind], "bits": bits, "by": f"{KINDS[other[0]]}, {other[1]}"
        }  # fmt: skip
        for target in targets:
            own, beside = cells.get((kind, bits, target)), cells.get((*other, target))
            line[target] = f"{own / beside:.2f}" if own and beside else None
        lines.append(line)
    names = ("slices", "bits", "by", *targets)
    columns: Columns = {name: lambda line, name=name: line.get(name) for name in names}
    return table(columns, lines, 1)


def _cost(row: Row) -> str:
    if "lut" not in row:
        return "failed"
    dense = (row["products"].get(name) for name in OPERANDS)
    first = ", ".join(filter(None, [f"{row['lut']} LUT", f"{row['ff']} FF", speed(row, 0, " MHz")]))
    rates = [f"{1000 * each / row['lut']:.1f}" if each else "-" for each in dense]
    return f"{first}<br>{', '.join(rates)}"
