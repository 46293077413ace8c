"""The tables of costs: single multiply-accumulates, popcounts, options of tools, peaks."""

from collections.abc import Callable, Sequence
from typing import Any

from .base import RESULTS as FOLDER
from .base import ROOT, Columns, Row, percent, read, speed, table, versions

MACS = FOLDER / "macs.json"
OPTIONS = FOLDER / "options.json"
POPCOUNTS = FOLDER / "popcounts.json"
ESTIMATES = ROOT / "hw" / "synth" / "estimate.json"
SLICES = FOLDER / "slices.json"
CHANNEL_COSTS = FOLDER / "channel_costs.json"
PEAK_ROWS = FOLDER / "peaks.json"
POPCOUNT_COLUMNS: Columns = {
    "target": lambda row: row["target"],
    "structure": lambda row: row["structure"],
    "lanes": lambda row: row["lanes"],
    "cells": lambda row: row.get("lut", "failed"),
    "cells a lane": lambda row: f"{row['lut'] / row['lanes']:.2f}" if "lut" in row else None,
    "LUTs a lane": lambda row: f"{row['lut4'] / row['lanes']:.2f}" if "lut4" in row else None,
    "FF": lambda row: row.get("ff"),
    "latency": lambda row: row["latency"],
    "Fmax, MHz": speed,
}
PEAK_COLUMNS: Columns = {
    "target": lambda row: row["target"],
    "network": lambda row: row.get("network", row["name"]),
    "weights, activations": lambda row: f"{row['weight']}, {row['activation']}",
    "array": lambda row: "{rows}x{columns}x{lanes}".format(**row) if "rows" in row else None,
    "multipliers": lambda row: row.get("multiplier"),
    "MACs a cycle": lambda row: f"{row['macs']:,}",
    "Fmax, MHz": speed,
    "GMAC/s": lambda row: f"{row['gmacs']:,.2f}",
    "cells": lambda row: f"{row['lut']:,}" if "lut" in row else f"{row['lut4']:,} LUT4",
    "block RAM": lambda row: row.get("bram"),
    "blocks": lambda row: row.get("dsp"),
    "images that differ": lambda row: (
        f"{row['mismatches']} of {row['images']}" if "images" in row else None
    ),
    "MAC slots used": lambda row: percent(row["utilisation"]) if "images" in row else None,
}


def macs() -> str:
    """Return the tables of one multiply-accumulate: in logic cells, and in DSP blocks."""
    rows = [row for row in read(MACS) if row["lanes"] == 1]
    seeds = sorted({len(row["seeds"]) for row in rows if row.get("routed")})
    tools = {name: text for row in rows for name, text in row.get("tools", {}).items()}
    several = " or ".join(str(count) for count in seeds if count > 1)
    one = ", without a range of one" if 1 in seeds else ""
    caption = f"Median and range of {several} placements{one}; {versions(tools)}."
    logic = [row for row in rows if row["multiplier"] == "logic"]
    blocks = [row for row in rows if row["multiplier"] == "block" and row.get("dsp", 1)]
    tables = [_by_target(kind, _cost) for kind in (logic, blocks) if kind]
    return "\n\n".join([*tables, caption]) + "\n"


def lanes() -> str:
    """Return the table of logic cells a lane."""
    rows = [
        {**row, "target": f"{row['target']}, {row['lanes']}"}
        for row in read(MACS)
        if row["multiplier"] == "logic" and row["accumulator_bits"] == 16
    ]
    return _by_target(rows, _cells_a_lane) + "\n"


def popcounts() -> str:
    """Return the table of the structures of popcounts."""
    rows = read(POPCOUNTS)
    seeds = sorted({len(row["seeds"]) for row in rows if row.get("routed")})
    tools = {name: text for row in rows for name, text in row.get("tools", {}).items()}
    caption = (
        f"Median and range of {' or '.join(map(str, seeds))} placements; {versions(tools)}. "
        "Made by "
        "`python -m narrowgauge.scripts.studies popcounts`."
    )
    return f"{table(POPCOUNT_COLUMNS, rows)}\n\n{caption}\n"


def peaks() -> str:
    """Return the table of the peaks of whole accelerators, and the commands that measured them."""
    kept = read(PEAK_ROWS)
    rows, baseline = kept["rows"], kept["baseline"]
    commands = "\n".join(row["command"] for row in rows)
    caption = (
        f"Median and range of the placements; {versions(rows[0]['tools'])}. Cells are packed ones; "
        "LUT4 were counted before packing. "
        f"{baseline['name']}: {baseline['source']}. Made by:"
    )
    lines = table(PEAK_COLUMNS, [*rows, baseline], 3)
    return f"{lines}\n\n{caption}\n\n```sh\n{commands}\n```\n"


def _by_target(rows: Sequence[Row], cell: Callable[[Row], str]) -> str:
    """Return a table with a line for each format and accumulator, and a column for each target."""
    names = ("weight", "activation", "accumulator_bits")
    lines: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        line = lines.setdefault(tuple(row[name] for name in names), dict(row))
        line[f"on {row['target']}"] = cell(row)
    columns: Columns = {
        "weights": lambda line: line["weight"],
        "activations": lambda line: line["activation"],
        "accumulator, bits": lambda line: line["accumulator_bits"],
        **{
            target: lambda line, name=f"on {target}": line.get(name)
            for target in dict.fromkeys(row["target"] for row in rows)
        },
    }
    return table(columns, list(lines.values()))


def _cost(row: Row) -> str:
    """Return the cost of a multiply-accumulate, for one cell of a table."""
    if "lut" not in row:
        return "failed"
    used = {"lut": "LUT", "ff": "FF", "dsp": "DSP"}
    lines = [", ".join(f"{row[name]} {unit}" for name, unit in used.items() if row.get(name))]
    if "fmax_mhz" in row:
        lines.append(str(speed(row, 0, " MHz")))
    return "<br>".join(lines)


def _cells_a_lane(row: Row) -> str:
    return f"{row['lut'] / row['lanes']:.1f}" if "lut" in row else "failed"


def options() -> str:
    """Return the table of options of Yosys and nextpnr, on every family."""
    rows = read(OPTIONS)
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        line = lines.setdefault((row["target"], row["option"]), dict(row))
        line[row["design"]] = _option(row)
    columns: Columns = {
        "target": lambda line: line["target"],
        "option": lambda line: line["option"],
        **{
            name: lambda line, name=name: line.get(name)
            for name in dict.fromkeys(row["design"] for row in rows)
        },
    }
    tools = {name: text for row in rows for name, text in row["tools"].items()}
    seeds = max(row["seeds"] for row in rows)
    caption = (
        f"LUT and, where routed, median Fmax of {seeds} placements with its range in MHz; "
        f"processor seconds of mapping and of one routing. {versions(tools)}. Made by "
        "`python -m narrowgauge.scripts.studies tool_options`."
    )
    return f"{table(columns, list(lines.values()))}\n\n{caption}\n"


def _option(row: Row) -> str:
    """Return what a design costs with an option, for one cell of a table."""
    if "failure" in row:
        return "failed"
    if "fmax_mhz" not in row:
        return "{lut} LUT; {map_seconds:.0f} s".format(**row)
    return (
        "{lut} LUT, {fmax_mhz:.0f} ({fmax_mhz_min:.0f} to {fmax_mhz_max:.0f}); "
        "{map_seconds:.0f} + {route_seconds:.0f} s".format(**row)
    )


def slices() -> str:
    """Return the table of arrays of slices beside those of whole weights."""
    rows = read(SLICES)
    pairs = [{"whole": one, "sliced": two} for one, two in zip(rows[::2], rows[1::2], strict=True)]
    columns: Columns = {
        "device": lambda pair: f"`{pair['whole']['target']}`",
        "weights": lambda pair: pair["whole"]["weight"],
        "LUT": lambda pair: pair["whole"]["lut"],
        "LUT of slices of as many bits": lambda pair: pair["sliced"]["lut"],
        "times": lambda pair: f"{pair['sliced']['lut'] / pair['whole']['lut']:.2f}",
        "Fmax, MHz": lambda pair: speed(pair["whole"]),
        "Fmax of slices, MHz": lambda pair: speed(pair["sliced"]),
    }
    tools = {name: text for row in rows for name, text in row["tools"].items()}
    return f"{table(columns, pairs)}\n\n{versions(tools)}. Made by `{rows[0]['command']}`.\n"


def estimator() -> str:
    """Return the table of errors of estimates, by family."""
    content = read(ESTIMATES)
    columns: Columns = {
        "family": lambda row: f"`{row['family']}`",
        "designs": lambda row: row["designs"],
        "LUT, median": lambda row: percent(row["lut_median"]),
        "LUT, 95 of 100": lambda row: percent(row["lut_error"]),
        "of which random": lambda row: row["random"],
        "LUT, median ": lambda row: percent(row["random_median"]),
        "LUT, 95 of 100 ": lambda row: percent(row["random_error"]),
        "registers, 95 of 100": lambda row: percent(row["ff_error"]),
        "block RAMs equal": lambda row: percent(row["bram_equal"]),
        "within two": lambda row: percent(row["bram_near"]),
        "routed": lambda row: (row["clock"] or {}).get("designs", ""),
        "Fmax, 95 of 100": lambda row: percent(row["clock"]["error"]) if row["clock"] else "",
    }
    models = [{"family": name, **model} for name, model in content["families"].items()]
    every = content["all"]
    return (
        f"{table(columns, models, left=1)}\n\nAll {every['designs']} designs: median "
        f"{percent(every['median'])}, 95 of 100 within {percent(every['error'])}. "
        f"{versions(content['versions'])}. Made by `{content['command']}`.\n"
    )


def channel_costs() -> str:
    """Return the table of channels of two widths: as they come, and sorted."""
    rows = read(CHANNEL_COSTS)
    columns: Columns = {
        "device": lambda row: f"`{row['target']}`",
        "part": lambda row: row["part"],
        "channels": lambda row: row["channels"],
        "words of weights": lambda row: f"{row['weight_words']:,}",
        "cycles an image": lambda row: f"{row['cycles_per_image']:,.0f}",
        "LUT": lambda row: f"{row['lut']:,}",
        "FF": lambda row: f"{row['ff']:,}",
    }
    tools = {name: text for row in rows for name, text in row["tools"].items()}
    made = f"{versions(tools)}. Made by `{rows[0]['command']}`."
    return f"{table(columns, rows, 3)}\n\n{made}\n"
