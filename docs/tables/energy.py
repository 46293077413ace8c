"""The tables of energy: coefficients, measurements and misses, glitches and placements."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import mean

from narrowgauge.hw.energy.model import LENGTHS

from .base import RESULTS, ROOT, Columns, Row, percent, read, rounded, table, versions

__all__ = ["calibration", "coefficients", "glitches", "placements", "run"]

CALIBRATION = RESULTS / "energy_calibration.json"
GLITCHES = RESULTS / "energy_glitches.json"
RUN = RESULTS / "energy_run.json"
FOLDER = ROOT / "hw" / "energy"
COEFFICIENTS = FOLDER / "coefficients.json"
MEASUREMENTS = FOLDER / "calibration" / "measurements.json"
PRODUCT = "product"
ONE = "int8"  # what formats are compared with
MEGAHERTZ = 12
ALLOWED = 0.1  # of the spread of a ratio
UNITS = {
    "static": "mW",
    "clock": "pJ a cycle",
    "register": "pJ a cycle",
    "wire": "pJ a change and tile",
    "block": "pJ a product",
    "bram": "pJ an access of 16 bits",
    "spram": "pJ an access of 16 bits",
    "glitches": "changes for each that lasts",
}
MEASURED: Columns = {
    "measured": lambda row: row["name"],
    "cells": lambda row: row["cells_measured"] or None,
    "rebuilt": lambda row: f"{row['does']['cells']:.0f}" if row["does"]["cells"] else None,
    "mW": lambda row: f"{row['milliwatts']:.3f}",
    "fitted": lambda row: f"{row['predicted']:.3f}",
    "miss": lambda row: _signed(row["miss"]),
    "left out": lambda row: f"{row['left_out']:.3f}",
    "its miss": lambda row: _signed(row["left_out_miss"]),
}

RUN_COLUMNS: Columns = {
    "weights": lambda row: row["weight"],
    "activations": lambda row: row["activation"],
    "accuracy": lambda row: percent(row["accuracy_hardware"]),
    "LUT": lambda row: f"{row['lut']:,}",
    "images/s": lambda row: rounded(row, "images_per_second"),
    "microjoules an image": lambda row: (
        f"{row['energy_uj']:.3f} ({row['energy_uj_low']:.3f} to {row['energy_uj_high']:.3f})"
    ),
    "to int8": lambda row: f"{row['ratio']:.2f}",
    "mW": lambda row: f"{row['power_mw']:.1f}",
    "at MHz": lambda row: f"{row['energy_mhz']:.1f}",
    "weights read, bits an image": lambda row: rounded(row, "weight_traffic"),
    "activations moved": lambda row: rounded(row, "activation_traffic"),
}


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %"


def coefficients() -> str:
    """Return the coefficients of the UP5K."""
    content = read(COEFFICIENTS)
    rows = [{"name": name, **entry} for name, entry in content["targets"]["up5k"].items()]
    columns: Columns = {
        "coefficient": lambda row: row["name"],
        "rests on": lambda row: row["rests_on"],
        "value": lambda row: f"{row['value']:g}",
        "range": lambda row: f"{row['low']:g} to {row['high']:g}",
        "unit": lambda row: UNITS[row["name"]],
    }
    made = content["made_by"]
    return f"{table(columns, rows)}\n\n{versions(made['versions'])}. Made by `{made['command']}`.\n"


def calibration() -> str:
    """Return what was measured, fitted, and predicted without it."""
    rows = read(CALIBRATION)
    fitted = [row for row in rows if not row["held_out"]]
    products = {row["design"] + str(row["does"]["products"] > 0): row for row in fitted}
    in_luts, in_block = products["productFalse"], products["productTrue"]
    counter = next(row for row in fitted if row["oscillator"] and row["mhz"] == in_luts["mhz"])
    beyond = [_beyond(row, counter) for row in (in_luts, in_block)]
    text = (
        f"Of the two products only what they take beyond the counter beside them is at stake: left "
        f"out, that in LUTs is predicted with {beyond[0]}, and that in a block with {beyond[1]}."
    )
    return "\n\n".join([table(MEASURED, fitted, 1), text, _held_out(rows)]) + "\n"


def _beyond(row: Row, counter: Row) -> str:
    """Return what is predicted and measured beyond a counter, a cycle."""
    predicted, measured = (
        1000 * (row[name] - counter[other]) / row["mhz"]
        for name, other in (("left_out", "predicted"), ("milliwatts", "milliwatts"))
    )
    return f"{predicted:.1f} pJ a cycle for {measured:.1f} ({_signed(predicted / measured - 1)})"


def _held_out(rows: Sequence[Row]) -> str:
    """Return what is predicted of designs that were never fitted."""
    found = [row for row in rows if row["held_out"]]
    columns: Columns = {
        "held out": lambda row: row["name"],
        "mW": lambda row: f"{row['milliwatts']:.2f}",
        "predicted": lambda row: f"{row['predicted']:.2f}",
        "miss": lambda row: _signed(row["miss"]),
        "clock and static": lambda row: f"{_sum(row, _STANDING):.2f}",
        "wires": lambda row: f"{row['parts']['wire']:.2f}",
        "blocks": lambda row: f"{row['parts']['block']:.2f}",
        "memories": lambda row: f"{row['parts']['memories']:.2f}",
    }
    slow = min(found, key=lambda row: row["mhz"])
    idle = read(MEASUREMENTS)["sources"][slow["source"]]["idle_milliwatts"]
    running = slow["milliwatts"] - idle
    moving = slow["predicted"] - _sum(slow, _STANDING)
    text = (
        f"At {slow['mhz']} MHz it was measured idle, too, with {idle} mW: running takes "
        f"{running:.2f} mW more, of which wires, blocks and memories are predicted with "
        f"{moving:.2f} mW ({_signed(moving / running - 1)}). {_other_lengths(slow, running)}"
    )
    return f"{table(columns, found, 1)}\n\n{text}"


def _other_lengths(row: Row, running: float) -> str:
    """Return what other lengths of wires would predict of running."""
    alike, alone = (
        _signed((power - _sum(row, _STANDING)) / running - 1) for power in row["other_lengths"]
    )
    return (
        f"If wires counted alike whatever they span, it would be {alike}, and if spans alone "
        f"counted {alone}; both products are met exactly with any lengths, as each has a "
        "coefficient of its own."
    )


_STANDING = ("static", "clock", "register", "oscillator")


def _sum(row: Row, parts: Sequence[str]) -> float:
    return sum(row["parts"][name] for name in parts)


def glitches() -> str:
    """Return the factors of glitches, over placements."""
    rows = read(GLITCHES)
    designs = dict.fromkeys(row["design"] for row in rows)
    lines = [{"design": design, "rows": _of(rows, design)} for design in designs]
    columns: Columns = {
        "design": lambda line: line["design"],
        "cycles": lambda line: f"{line['rows'][0]['cycles']:,}",
        **{head: lambda line, name=name: _spread_of(line, name) for head, name in _FACTORS.items()},
        **{kind: lambda line, kind=kind: _of_kind(line["rows"], kind) for kind in _KINDS},
    }
    seeds = len({row["seed"] for row in rows})
    return (
        f"{table(columns, lines, 1)}\n\nMean and range of {seeds} placements; from `register` on, "
        f"toggles by what drives a net. {versions(rows[0]['versions'])}. Made by "
        f"`{rows[0]['command']}`.\n"
    )


_FACTORS = {
    "toggles": "toggles",
    "energy": "factor",
    "toggles, transport": "transport_toggles",
    "energy, transport": "transport_factor",
}
_KINDS = ("register", "carry", "lut 1", "lut 2", "lut 3", "lut 4+")


def _of(rows: Sequence[Row], design: str) -> list[Row]:
    return [row for row in rows if row["design"] == design]


def _spread_of(line: Row, name: str) -> str:
    return _spread([row[name] for row in line["rows"]])


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _of_kind(line: Sequence[Row], kind: str) -> str | None:
    counts = [row["classes"].get(kind, (0, 0)) for row in line]
    total, settled = (sum(count[index] for count in counts) for index in (0, 1))
    return f"{total / settled:.2f}" if settled else None


def placements() -> str:
    """Return what depends on the placement: ratios of formats, and the coefficient of wires."""
    found = read(COEFFICIENTS)["targets"]["up5k"]
    rows = [row for row in read(GLITCHES) if row["design"] != PRODUCT]
    seeds = sorted({row["seed"] for row in rows})
    ways = [(LENGTHS, found["wire"]["value"])]
    ways += [(each["lengths"], each["value"]) for each in found["wire"]["other_lengths"]]
    lines: list[Row] = []
    for design in dict.fromkeys(row["design"] for row in rows):
        energies = [_images(_of(rows, design), found, *way) for way in ways]
        ones = [_images(_of(rows, ONE), found, *way) for way in ways]
        ratios = [
            [energy[seed] / one[seed] for seed in seeds]
            for energy, one in zip(energies, ones, strict=True)
        ]
        each = [list(energy.values()) for energy in energies]
        lines.append({"design": design, "energies": each[0], "ways": each, "ratios": ratios})
    columns: Columns = {
        "weights": lambda line: line["design"],
        "nJ an image": lambda line: _three(line["energies"]),
        f"to {ONE}": lambda line: _spread(line["ratios"][0]),
        "spread": lambda line: f"{100 * _width(line['ratios'][0]):.1f} %",
        "wires alike": lambda line: f"{mean(line['ratios'][1]):.2f}",
        "spans alone": lambda line: f"{mean(line['ratios'][2]):.2f}",
    }
    text = (
        f"Wires with their glitches, clock and static power at 12 MHz, without memories and "
        f"blocks; mean and range of {len(seeds)} placements. The spread is half the range of the "
        "ratio, of its mean. The last columns have the ratio where wires count alike whatever they "
        "span, and where spans alone count. The coefficient of wires, fitted to each placement of "
        f"the product in LUTs alone, moves by {100 * _of_product(read(CALIBRATION)):.1f} % to "
        "either side."
    )
    return f"{table(columns, lines, 1)}\n\n{text}\n\n{_order(lines)}\n"


def _order(lines: Sequence[Row]) -> str:
    """Return which formats are in one order in all placements, and with all lengths."""
    below, open_ = [], []
    for line, other in combinations(sorted(lines, key=lambda line: mean(line["energies"])), 2):
        ways = zip(line["ways"], other["ways"], strict=True)
        holds = all(max(less) < min(more) for less, more in ways)
        pair = line["design"], other["design"]
        if holds:
            below.append(f"`{pair[0]}` below `{pair[1]}`")
        else:
            open_.append(f"`{pair[0]}` and `{pair[1]}`")
    wide = [f"`{line['design']}`" for line in lines if _width(line["ratios"][0]) > ALLOWED]
    text = (
        f"The order that holds in all placements, and with any of the lengths: {', '.join(below)}. "
        f"Not ordered: {', '.join(open_) or 'none'}."
    )
    if wide:
        text += (
            f" Of {', '.join(wide)} the ratio moves by more than {100 * ALLOWED:.0f} % with the "
            "placement, which is more than was aimed at."
        )
    return text


def _images(
    rows: Sequence[Row], found: Row, lengths: Mapping[str, float], wire: float
) -> dict[int, float]:
    """Return nanojoules of an image by placement: wires, clock, registers and static power."""
    return {row["seed"]: _an_image(row, found, lengths, wire) for row in rows}


def _an_image(row: Row, found: Row, lengths: Mapping[str, float], wire: float) -> float:
    length = sum(lengths[kind] * row["charged"][kind] for kind in lengths)
    a_cycle = found["clock"]["value"] + row["registers"] * found["register"]["value"]
    a_cycle += 1000 * found["static"]["value"] / MEGAHERTZ
    return (length * wire + row["cycles"] * a_cycle) / row["images"] / 1000


def _three(values: Sequence[float]) -> str:
    return f"{mean(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def _width(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / 2 / mean(values)


def _of_product(rows: Sequence[Row]) -> float:
    """Return half the range that the coefficient of wires has over placements, of its mean."""
    (row,) = (row for row in rows if row["design"] == PRODUCT and not row["does"]["products"])
    others = row["predicted"] - row["parts"]["wire"]
    wires = [power - others for power in row["predicted_placements"]]
    return _width([1 / power for power in wires])


def run() -> str:
    """Return the table of the main job with its energies."""
    rows = [row for row in read(RUN) if "energy_uj" in row]
    (one,) = [row["energy_uj"] for row in rows if row["weight"] == ONE]
    rows = [{**row, "ratio": row["energy_uj"] / one} for row in rows]
    caption = (
        "Data set {dataset}, {images} test images; array of {rows}x{columns} elements with {lanes} "
        "lanes; {target}, each at the clock of its first placement; ".format(**rows[0])
        + f"{versions(rows[0]['tools'])}. Made by `narrowgauge run --energy`."
    )
    return f"{table(RUN_COLUMNS, rows)}\n\n{caption}\n"
