"""The tables of accumulators: what fits one of given width, and what each bit costs."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from .base import RESULTS, Columns, Row, percent, read, speed, table, versions

__all__ = ["bits", "blocks", "fitting", "limited", "slope"]

BLOCKS = RESULTS / "block_accumulators.json"
BITS = RESULTS / "accumulators.json"
FITTING, LIMITED = RESULTS / "fitting.json", RESULTS / "limited_rounding.json"
HOW = {
    "nearest": "nearest levels",
    "rounded": "rounded for 16 bits",
    "fitted": "formats fitted to 16 bits",
    "trained": "of the zoo",
}
RANGES = (8, 14), (20, 32)
"""Bits between which cells follow a line: narrower than the widest product, and wider than all."""


def blocks() -> str:
    """Return what networks do on accumulators of 16 bits in DSP blocks, and what that says."""
    order = list(HOW)
    rows = sorted(
        read(BLOCKS),
        key=lambda row: (row["network"], row["data"], -row["width"], order.index(row["method"])),
    )
    columns: Columns = {
        "network": _name,
        "weights/activations": _formats,
        "how": lambda row: HOW[row["method"]],
        "bits by types": lambda row: max(each["type"] for each in row["sum_bits"].values()),
        "bits needed": lambda row: row["needed"],
        "right, as wide as needed": lambda row: percent(row["accuracy_wide"]),
        "right, 16 bits": lambda row: percent(row["accuracy"]),
        "sums that do not fit": lambda row: f"{row['overflows']:,}",
        "images that differ in hardware": _differing,
        "routed on the UP5K": _routed,
    }
    said = "\n".join(f"- {each}" for each in _said(rows))
    made = "\n".join(dict.fromkeys(row["command"] for row in rows))
    tools = {name: text for row in rows for name, text in row["versions"].items()}
    routed = (row["built"] for row in rows if row["built"])
    tools |= {name: text for each in routed for name, text in each.get("tools", {}).items()}
    caption = f"{versions(tools)}. Made by:\n\n```sh\n{made}\n```"
    return f"{table(columns, rows, 3)}\n\n{said}\n\n{caption}\n"


def _name(row: Row) -> str:
    part = "" if row["width"] == 1 else f", {row['width']:g} of the channels"
    return f"{row['network']}, {row['data']}{part}"


def _formats(row: Row) -> str:
    """Return the formats of the layers in order, equal neighbours once."""
    found = [(fmt, len(list(run))) for fmt, run in groupby(row["formats"].values())]
    if len(found) == 1:
        return found[0][0]
    return ", ".join(fmt if count == 1 else f"{count} x {fmt}" for fmt, count in found)


def _differing(row: Row) -> str | None:
    found = row["simulated"]
    return found and f"{found['mismatches']} of {found['images']}"


def _routed(row: Row) -> str | None:
    built = row["built"]
    if not built:
        return None
    if "refused" in built:
        return "memories do not fit"
    used = {"lut": "LUT", "dsp": "DSP", "bram": "block RAM", "spram": "SPRAM"}
    parts = [f"{built[name]} {unit}" for name, unit in used.items() if built.get(name)]
    parts.append(str(speed(built, 1, " MHz")))
    if row["simulated"]:
        images = 1e6 * built["fmax_mhz"] / row["simulated"]["cycles_per_image"]
        parts.append(f"{images:,.0f} images/s")
    return ", ".join(parts)


def _said(rows: Sequence[Row]) -> Iterable[str]:
    """Yield what the rows of each float network say, from the nearest levels to guaranteed ones."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        found.setdefault(_name(row), {})[row["method"]] = row
    for name, methods in found.items():
        if "nearest" not in methods or len(methods) == 1:
            continue
        wide = methods.pop("nearest")
        text = (
            f"{name}: float {percent(wide['accuracy_float'])}. {_formats(wide)} needs "
            f"{wide['needed']} bits; on 16 of them {wide['overflows']:,} sums of "
            f"{wide['images']:,} images wrap, and {percent(wide['accuracy'])} are right."
        )
        for method, row in methods.items():
            text += f" {HOW[method].capitalize()}, {percent(row['accuracy'])}"
            text += f" with {row['overflows']:,} that do not fit." if row["overflows"] else "."
        yield text


def fitting() -> str:
    """Return the table of networks that were fitted to accumulators, and what fits with no pair."""
    rows = sorted(
        read(FITTING),
        key=lambda row: (row["network"], -row["bits"], row["bound"], row["fine_tune"]),
    )
    columns: Columns = {
        "network": lambda row: row["network"],
        "bound": lambda row: row["bound"],
        "accumulator, bits": lambda row: row["bits"],
        "activation and weight bits by layer": _pairs,
        "float": lambda row: percent(row["accuracy_float"]),
        "fitted": lambda row: percent(row["accuracy"]),
        "fine-tuned": _tuned,
        "pairs tried": lambda row: f"{row['tried']} of {row['grid']}",
        "sums that do not fit": lambda row: row["overflows"],
        "images that differ in hardware": _differing,
    }
    found = [row for row in rows if "refused" not in row]
    refused = [
        f"{row['network']} at {row['bits']} bits, {row['bound']}: {row['refused']}.\n"
        for row in rows
        if "refused" in row
    ]
    made = "\n".join(dict.fromkeys(row["command"] for row in rows))
    text = f"{table(columns, found)}\n\n{versions(rows[0]['versions'])}. Made by:\n\n"
    return "\n".join([f"{text}```sh\n{made}\n```\n", *refused])


def limited() -> str:
    """Return the table of weights that were rounded for accumulators, beside plain rounding."""
    rows = sorted(read(LIMITED), key=lambda row: (row["network"], -row["bits"]))
    columns: Columns = {
        "network": lambda row: row["network"],
        "formats": lambda row: f"{row['weight']}/{row['activation']}",
        "accumulator, bits": lambda row: row["bits"],
        "float": lambda row: percent(row["accuracy_float"]),
        "nearest levels, accumulator as needed": _plain,
        "nearest levels, this one": lambda row: percent(row["plain"]["accuracy_narrow"]),
        "sums that do not fit": lambda row: f"{row['plain']['overflows']:,}",
        "rounded for it": lambda row: percent(row["accuracy"]),
        "of which do not fit": lambda row: row["overflows"],
        "weights of 0": lambda row: percent(row["zeros"]),
        "images that differ in hardware": _differing,
    }
    made = "\n".join(dict.fromkeys(row["command"] for row in rows))
    text = f"{table(columns, rows)}\n\n{versions(rows[0]['versions'])}. Made by:\n\n"
    return f"{text}```sh\n{made}\n```\n"


def _plain(row: Row) -> str:
    return f"{percent(row['plain']['accuracy'])}, {row['plain']['bits']} bits"


def _tuned(row: Row) -> str | None:
    if not row["fine_tune"]:
        return None
    return f"{row['fine_tune']} epochs, {'kept' if row['is_fine_tuned'] else 'not kept'}"


def _pairs(row: Row) -> str:
    return ", ".join(f"{activation}/{weight}" for activation, weight in row["pairs"].values())


def bits() -> str:
    """Return what a bit of an accumulator costs, by what it is a part of and by family."""
    every = [row for row in read(BITS) if "lut" in row]
    rows = [row for row in every if row["multiplier"] == "logic"]
    targets = list(dict.fromkeys(row["target"] for row in rows))
    lines: dict[tuple[object, ...], dict[str, object]] = {}
    for low, high in RANGES:
        for group, own in _groups(rows).items():
            part = [row for row in own if low <= row["accumulator_bits"] <= high]
            what, formats, overflow, target = group
            line = lines.setdefault(
                (what, formats, overflow, low),
                {"of": what, "formats": formats, "overflow": overflow, "bits": f"{low} to {high}"},
            )
            line[target] = _per_bit(part)
    columns: Columns = {
        "of": lambda line: line["of"],
        "weights/activations": lambda line: line["formats"],
        "overflow": lambda line: line["overflow"],
        "bits": lambda line: line["bits"],
        **{target: lambda line, name=target: line.get(name) for target in targets},
    }
    ordered = [lines[key] for key in sorted(lines, key=lambda key: [*map(str, key[:3]), key[3]])]
    said = "\n".join(f"- {each}" for each in _ranges(rows))
    tools = {name: text for row in every for name, text in row.get("tools", {}).items()}
    made = "narrowgauge compare accumulators --output docs/results"
    caption = f"{versions(tools)}. Made by `{made}`."
    parts = table(columns, ordered, 4), said, _in_blocks(every), caption
    return "\n\n".join(parts) + "\n"


def _in_blocks(rows: Sequence[Row]) -> str:
    """Return the table of arrays in DSP blocks: a line for each width, a column for each target."""
    lines: dict[int, dict[str, object]] = {}
    kept = [row for row in rows if row["multiplier"] == "block"]
    for row in sorted(kept, key=lambda row: row["accumulator_bits"]):
        line = lines.setdefault(row["accumulator_bits"], {})
        formats = "{weight}/{activation}".format(**row)
        line |= {"of": _what(row), "formats": formats, "bits": row["accumulator_bits"]}
        line[row["target"]] = f"{row['lut']:,} LUT, {row['dsp']} DSP"
    columns: Columns = {
        "of": lambda line: line["of"],
        "weights/activations": lambda line: line["formats"],
        "bits": lambda line: line["bits"],
        **{
            target: lambda line, name=target: line.get(name)
            for target in dict.fromkeys(row["target"] for row in kept)
        },
    }
    return table(columns, list(lines.values()))


def _groups(rows: Sequence[Row]) -> Mapping[tuple[str, str, str, str], list[Row]]:
    """Return the rows that differ in bits alone."""
    found: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        key = _what(row), f"{row['weight']}/{row['activation']}", row["overflow"], row["target"]
        found.setdefault(key, []).append(row)
    return found


def _what(row: Row) -> str:
    if "rows" not in row:
        return f"element, {row['lanes']} lanes"
    size = "array, {rows}x{columns}x{lanes}".format(**row)
    return f"{size}, DSP blocks" if row["multiplier"] == "block" else size


def _elements(row: Row) -> int:
    return row.get("rows", 1) * row.get("columns", 1)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line nearest to points, in the mean square."""
    middle = [sum(values) / len(points) for values in zip(*points, strict=True)]
    above = sum((x - middle[0]) * (y - middle[1]) for x, y in points)
    return above / sum((x - middle[0]) ** 2 for x, _ in points)


def _slope(rows: Sequence[Row]) -> float:
    """Return the LUTs of a bit of one element."""
    return slope([(row["accumulator_bits"], row["lut"] / _elements(row)) for row in rows])


def _per_bit(rows: Sequence[Row]) -> str | None:
    if len(rows) < 2:
        return None
    ends = sorted(rows, key=lambda row: row["accumulator_bits"])
    return f"{_slope(rows):.2f} ({ends[0]['lut']:,} to {ends[-1]['lut']:,})"


def _ranges(rows: Sequence[Row]) -> Iterable[str]:
    """Yield the least and the most that a bit of the wider ones costs an element, by family."""
    found: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for (what, _, overflow, target), own in _groups(rows).items():
        part = [row for row in own if row["accumulator_bits"] >= RANGES[-1][0]]
        if len(part) > 1:
            found.setdefault((what, overflow), []).append((_slope(part), target))
    for (what, overflow), each in sorted(found.items()):
        (low, least), (high, most) = min(each), max(each)
        several = f" to {high:.2f} (`{most}`)" if most != least else ""
        yield f"{what}, {overflow}: {low:.2f} LUT a bit (`{least}`){several}."
