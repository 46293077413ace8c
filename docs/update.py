"""Write the tables of README.md and of docs/ from the results and from the zoo's files.

::

    python docs/update.py          # rewrite the tables
    python docs/update.py --check  # exit with 1 when one is not current
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
ZOO = ROOT / "docs" / "zoo.md"
RESULTS = ROOT / "docs" / "results" / "results.json"
TESTSETS = ROOT / "docs" / "results" / "testsets.json"
QONNX = ROOT / "docs" / "qonnx.md"
BREVITAS = ROOT / "docs" / "brevitas.md"
EXPORTED = ROOT / "docs" / "results" / "qonnx.json"
TRAINED = ROOT / "docs" / "results" / "brevitas.json"
COSTS = ROOT / "docs" / "costs.md"
MACS = ROOT / "docs" / "results" / "macs.json"
SYNTHESIS = ROOT / "docs" / "synthesis.md"
OPTIONS = ROOT / "docs" / "results" / "options.json"
POPCOUNT = ROOT / "docs" / "popcount.md"
POPCOUNTS = ROOT / "docs" / "results" / "popcounts.json"
PEAKS = ROOT / "docs" / "peaks.md"
PEAK_ROWS = ROOT / "docs" / "results" / "peaks.json"
LINK = ROOT / "docs" / "link.md"
BOARDS = ROOT / "docs" / "boards.md"
BITSTREAMS = ROOT / "docs" / "results" / "bitstreams.json"
VERIFY = ROOT / "docs" / "verify.md"
PROOFS = ROOT / "docs" / "results" / "proofs.json"
MUTATIONS = ROOT / "docs" / "results" / "mutations.json"
LINKS = ROOT / "docs" / "results" / "link.json"

Row = Mapping[str, Any]
Columns = Mapping[str, Callable[[Any], Any]]


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _speed(row: Row) -> str | None:
    if "fmax_mhz" not in row:
        return None
    return "{fmax_mhz:.1f} ({fmax_mhz_min:.1f} to {fmax_mhz_max:.1f})".format(**row)


def _rounded(row: Row, name: str) -> str | None:
    return f"{row[name]:,.0f}" if name in row else None


COLUMNS: Columns = {
    "weights": lambda row: row["weight"],
    "activations": lambda row: row.get("activation"),
    "accumulator, bits": lambda row: row.get("accumulator_bits"),
    "accuracy": lambda row: _percent(row.get("accuracy_hardware", row.get("accuracy_float"))),
    "images that differ": lambda row: row.get("mismatches"),
    "cycles an image": lambda row: _rounded(row, "cycles_per_image"),
    "LUT": lambda row: row.get("lut"),
    "FF": lambda row: row.get("ff"),
    "block RAM": lambda row: row.get("bram"),
    "DSP": lambda row: row.get("dsp"),
    "Fmax, MHz": _speed,
    "images/s": lambda row: _rounded(row, "images_per_second"),
}
ZOO_COLUMNS: Columns = {
    "name": lambda row: f"`{row['name']}`",
    "data set": lambda row: row["dataset"],
    "network": lambda row: row["network"],
    "weights": lambda row: row["weights"],
    "activations": lambda row: row["activations"],
    "float": lambda row: _percent(row["accuracy_float"]),
    "integers": lambda row: _percent(row["accuracy_integer"]),
    "number of weights": lambda row: f"{row['parameters']:,}",
    "bits of weights": lambda row: f"{row['parameter_bits']:,}",
    "epochs": lambda row: row["epochs"],
    "trained for, s": lambda row: f"{row['seconds']:,.0f}",
    "trained on": lambda row: row["device"],
}
TESTSETS_COLUMNS: Columns = {
    "network": lambda row: f"`{row['network']}`",
    "images": lambda row: f"{row['images']:,}",
    "images that differ": lambda row: row["mismatches"],
    "accuracy": lambda row: _percent(row["accuracy_hardware"]),
    "cycles an image": lambda row: _rounded(row, "cycles_per_image"),
    "MAC slots used": lambda row: _percent(row["utilisation"]),
    "best and worst layer with MACs": lambda row: _extremes(row["layers"]),
    "simulated for, s": lambda row: f"{row['seconds']:,.0f}",
}
EXPORTED_COLUMNS: Columns = {
    "network": lambda row: f"`{row['network']}`",
    "hidden layers": lambda row: ", ".join(sorted({*list(row["methods"].values())[:-1]})),
    "images": lambda row: f"{row['images']:,}",
    "same class": lambda row: f"{row['same_class']:,}",
    "same levels": lambda row: f"{row['same_levels']:,}",
    "executed for, s": lambda row: f"{row['seconds']:.1f}",
}
TRAINED_COLUMNS: Columns = {
    "network": lambda row: row["network"],
    "weights": lambda row: ", ".join(row["weights"]),
    "levels from": lambda row: ", ".join(row["methods"]),
    "sums, bits": lambda row: row["accumulator_bits"],
    "sums compared": lambda row: f"{row['sums_compared']:,}",
    "levels compared": lambda row: f"{row['elements']:,}",
    "ties": lambda row: row["ties"],
    "farthest tie": lambda row: f"{row['tie_distance']:.0e}" if row["ties"] else None,
    "images that differ in hardware": lambda row: row["hardware_mismatches"],
    "accuracy": lambda row: _percent(row["accuracy"]),
}

POPCOUNT_COLUMNS: Columns = {
    "target": lambda row: row["target"],
    "structure": lambda row: row["structure"],
    "lanes": lambda row: row["lanes"],
    "cells": lambda row: row.get("lut", "failed"),
    "cells a lane": lambda row: f"{row['lut'] / row['lanes']:.2f}" if "lut" in row else None,
    "LUTs a lane": lambda row: f"{row['lut4'] / row['lanes']:.2f}" if "lut4" in row else None,
    "FF": lambda row: row.get("ff"),
    "latency": lambda row: row["latency"],
    "Fmax, MHz": _speed,
}

PEAK_COLUMNS: Columns = {
    "target": lambda row: row["target"],
    "network": lambda row: row.get("network", row["name"]),
    "weights, activations": lambda row: f"{row['weight']}, {row['activation']}",
    "array": lambda row: "{rows}x{columns}x{lanes}".format(**row) if "rows" in row else None,
    "multipliers": lambda row: row.get("multiplier"),
    "MACs a cycle": lambda row: f"{row['macs']:,}",
    "Fmax, MHz": lambda row: _speed(row) if "fmax_mhz_min" in row else f"{row['fmax_mhz']:.1f}",
    "GMAC/s": lambda row: f"{row['gmacs']:,.2f}",
    "cells": lambda row: f"{row.get('lut', row.get('lut4')):,}",
    "block RAM": lambda row: row.get("bram"),
    "blocks": lambda row: row.get("dsp"),
    "images that differ": lambda row: (
        f"{row['mismatches']} of {row['images']}" if "images" in row else None
    ),
    "MAC slots used": lambda row: _percent(row["utilisation"]) if "images" in row else None,
}


def _extremes(layers: Sequence[Row]) -> str:
    """Name the layers that use the array best and worst."""
    layers = sorted((row for row in layers if row["macs"]), key=lambda row: row["utilisation"])
    ends = [layers[-1], layers[0]] if len(layers) > 1 else layers
    return ", ".join(f"{row['layer']} {100 * row['utilisation']:.0f} %" for row in ends)


def table(columns: Columns, rows: Sequence[Row], left: int = 2) -> str:
    """Return the rows in Markdown, ``left`` columns of text first; empty is not measured."""
    lines = [" | ".join(columns), " | ".join(["---"] * left + ["--:"] * (len(columns) - left))]
    for row in rows:
        cells = (function(row) for function in columns.values())
        lines.append(" | ".join("" if cell is None else str(cell) for cell in cells))
    return "\n".join(f"| {line} |" for line in lines)


def _versions(tools: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in tools.items())


def results() -> str:
    """Return table and caption of the default run."""
    rows = _read(RESULTS)
    row = next(row for row in rows if row.get("routed"))
    caption = (
        "Data set {dataset}, {images} test images; array of {rows}x{columns} elements with {lanes} "
        f"lanes; {{target}}, median and range of {len(row['seeds'])} placements; ".format(**row)
        + f"{_versions(row['tools'])}."
    )
    return f"{table(COLUMNS, rows)}\n\n{caption}\n"


def zoo() -> str:
    """Return the table of the zoo, and the commands that trained it."""
    from narrowgauge.model import zoo as animals

    rows = []
    for network in map(animals.load, animals.names()):
        rows.append(
            animals.entry(network).plain()
            | {name: network.about[name] for name in ("epochs", "seconds", "device")}
            | {f"{name}s": animals.formats(network, name) for name in ("weight", "activation")}
        )
    commands = "\n".join(row["command"] for row in rows)
    return f"{table(ZOO_COLUMNS, rows, 5)}\n\n```sh\n{commands}\n```\n"


def testsets() -> str:
    """Return the table of the simulated test sets; none were before the first one was."""
    rows = _read(TESTSETS) if TESTSETS.exists() else []
    if not rows:
        return "Nothing was simulated yet.\n"
    row = rows[0]
    caption = (
        "Array of {rows}x{columns} elements with {lanes} lanes and {chains} chains, {contexts} "
        "contexts; seconds of wall time on one core; ".format(**row)
        + f"{_versions(row['versions'])}. Made by:"
    )
    commands = "\n".join(dict.fromkeys(row["command"] for row in rows))
    return f"{table(TESTSETS_COLUMNS, rows, 1)}\n\n{caption}\n\n```sh\n{commands}\n```\n"


def exported() -> str:
    """Return the table of exported networks that QONNX's executor ran."""
    rows = _read(EXPORTED)
    caption = (
        "MNIST test images; levels are those of the last layer. "
        f"{_versions(rows[0]['versions'])}. Made by `python tests/benchmarks/qonnx_export.py`."
    )
    return f"{table(EXPORTED_COLUMNS, rows)}\n\n{caption}\n"


def trained() -> str:
    """Return the table of Brevitas' networks."""
    rows = _read(TRAINED)
    caption = (
        f"Digits, {rows[0]['images']} test images each. {_versions(rows[0]['versions'])}. Made by "
        f"`{rows[0]['command']}`."
    )
    return f"{table(TRAINED_COLUMNS, rows, 3)}\n\n{caption}\n"


def macs() -> str:
    """Return the tables of one multiply-accumulate: in logic cells, and in multiplier blocks."""
    rows = [row for row in _read(MACS) if row["lanes"] == 1]
    seeds = sorted({len(row["seeds"]) for row in rows if row.get("routed")})
    tools = {name: text for row in rows for name, text in row.get("tools", {}).items()}
    caption = f"Median and range of {' or '.join(map(str, seeds))} placements; {_versions(tools)}."
    kinds = ([row for row in rows if row["multiplier"] == each] for each in ("logic", "block"))
    tables = [_by_target(kind, _cost) for kind in kinds if kind]
    return "\n\n".join([*tables, caption]) + "\n"


def lanes() -> str:
    """Return the table of logic cells a lane."""
    rows = [
        {**row, "target": f"{row['target']}, {row['lanes']}"}
        for row in _read(MACS)
        if row["multiplier"] == "logic" and row["accumulator_bits"] == 16
    ]
    return _by_target(rows, _cells_a_lane) + "\n"


def popcounts() -> str:
    """Return the table of the structures of popcounts."""
    rows = _read(POPCOUNTS)
    seeds = sorted({len(row["seeds"]) for row in rows if row.get("routed")})
    tools = {name: text for row in rows for name, text in row.get("tools", {}).items()}
    caption = (
        f"Median and range of {' or '.join(map(str, seeds))} placements; {_versions(tools)}. "
        "Made by "
        "`python tests/benchmarks/popcounts.py`."
    )
    return f"{table(POPCOUNT_COLUMNS, rows)}\n\n{caption}\n"


def peaks() -> str:
    """Return the table of the peaks of whole accelerators, and the commands that measured them."""
    kept = _read(PEAK_ROWS)
    rows, baseline = kept["rows"], kept["baseline"]
    commands = "\n".join(row["command"] for row in rows)
    caption = (
        f"Median and range of the placements; {_versions(rows[0]['tools'])}. "
        f"{baseline['name']}: {baseline['source']}. Made by:"
    )
    lines = table(PEAK_COLUMNS, [*rows, baseline], 3)
    return f"{lines}\n\n{caption}\n\n```sh\n{commands}\n```\n"


LINK_COLUMNS: Columns = {
    "network": lambda row: row["network"],
    "chance": lambda row: f"{row['rate']:g}",
    "images": lambda row: row["images"],
    "answered": lambda row: row["answered"],
    "wrong": lambda row: row["wrong"],
    "dropped, flipped, inserted": lambda row: "{dropped}, {flipped}, {inserted}".format(**row),
    "images sent again": lambda row: row["retries"],
    "seconds": lambda row: f"{row['seconds']:.1f}",
}


def link() -> str:
    """Return the table of test sets through a noisy line."""
    rows = _read(LINKS)
    commands = dict.fromkeys(row["command"] for row in rows)
    versions = _versions({name: text for row in rows for name, text in row["versions"].items()})
    caption = f"{versions}. Made by {' and '.join(f'`{each}`' for each in commands)}."
    return f"{table(LINK_COLUMNS, rows)}\n\n{caption}\n"


def _used(row: Row, name: str) -> str:
    found = row["utilisation"].get(name)
    return "{used} of {available}".format(**found) if found else ""


BITSTREAM_COLUMNS: Columns = {
    "board": lambda row: f"`{row['board']}`",
    "target": lambda row: row["target"],
    "LUT": lambda row: _used(row, "lut"),
    "block RAM": lambda row: _used(row, "bram"),
    "DSP": lambda row: _used(row, "dsp"),
    "clock, MHz": lambda row: f"{row['frequency_mhz']:.2f}",
    "Fmax, MHz": lambda row: f"{row['fmax_mhz']:.2f}",
    "seed": lambda row: row["seed"],
}


def bitstreams() -> str:
    """Return the table of bitstreams, one a board."""
    rows = _read(BITSTREAMS)
    found = {name: text for row in rows for name, text in row["tools"].items() if name != "packer"}
    versions = _versions(found)
    return f"{table(BITSTREAM_COLUMNS, rows)}\n\n{versions}.\n"


PROOF_COLUMNS: Columns = {
    "board": lambda row: f"`{row['board']}`",
    "network": lambda row: row["network"],
    "link": lambda row: row["name"],
    "images": lambda row: f"{row['images']:,}",
    "mismatches": lambda row: row["mismatches"],
    "cycles": lambda row: f"{row['cycles']:,}",
    "seconds": lambda row: f"{row['seconds']:,.0f}",
}


def proofs() -> str:
    """Return the table of chains of proof, a line for each link."""
    chains = _read(PROOFS)
    names = ("board", "network")
    links = [
        {name: chain["bitstream"][name] for name in names} | link
        for chain in chains
        for link in chain["links"]
    ]
    commands = "\n".join(chain["command"] for chain in chains)
    return f"{table(PROOF_COLUMNS, links)}\n\nMade by:\n\n```sh\n{commands}\n```\n"


def mutations() -> str:
    """Return how many faults the chain catches, and why others survive."""
    found = json.loads(MUTATIONS.read_text(encoding="utf-8"))
    why = "; ".join(f"{count}: {reason}" for reason, count in found["survivors"].items())
    return (
        "Of {faults} faults in gates of {network} on the default array, {caught} are caught with "
        "{images} images or all {images_of_survivors} of the test set. ".format(**found)
        + f"Survivors, {found['faults'] - found['caught']}: {why or 'none'}.\n"
    )


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
        lines.append("{fmax_mhz:.0f} MHz ({fmax_mhz_min:.0f} to {fmax_mhz_max:.0f})".format(**row))
    return "<br>".join(lines)


def _cells_a_lane(row: Row) -> str:
    return f"{row['lut'] / row['lanes']:.1f}" if "lut" in row else "failed"


def options() -> str:
    """Return the table of options of Yosys and nextpnr, on every family."""
    rows = _read(OPTIONS)
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
        f"processor seconds of mapping and of one routing. {_versions(tools)}. Made by "
        "`python tests/benchmarks/options.py`."
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


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


SECTIONS: dict[str, tuple[Path, Callable[[], str]]] = {
    "results": (README, results),
    "zoo": (ZOO, zoo),
    "testsets": (ZOO, testsets),
    "qonnx": (QONNX, exported),
    "brevitas": (BREVITAS, trained),
    "macs": (COSTS, macs),
    "lanes": (COSTS, lanes),
    "options": (SYNTHESIS, options),
    "popcounts": (POPCOUNT, popcounts),
    "peaks": (PEAKS, peaks),
    "link": (LINK, link),
    "bitstreams": (BOARDS, bitstreams),
    "proofs": (VERIFY, proofs),
    "mutations": (VERIFY, mutations),
}
"""What stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``, and in which file."""


def updated(text: str, name: str, content: str) -> str:
    """Return ``text`` with ``content`` between the markers called ``name``."""
    section = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    if not section.search(text):
        raise SystemExit(f"there are no markers <!-- {name} --> and <!-- /{name} -->")
    return section.sub(lambda _: content, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the pages, or check them; return the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only tell whether they are current")
    only_check = parser.parse_args(arguments).check
    status = 0
    for name, (path, content) in SECTIONS.items():
        text = path.read_text(encoding="utf-8")
        wanted = updated(text, name, content())
        if wanted == text:
            continue
        if only_check:
            print(f"{path.name} is not current: run python docs/update.py", file=sys.stderr)
            status = 1
        else:
            path.write_text(wanted, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
