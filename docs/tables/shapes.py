"""The tables of networks whose shapes alone are looked at: what the cycle model says of them."""

from collections.abc import Callable, Sequence

from .base import RESULTS, Columns, Row, percent, read, table, versions

__all__ = ["accelerators", "bandwidths", "kinds", "layers", "paper", "ratios", "shapes"]

SHAPES = RESULTS / "resnet_shapes.json"
MIXED = "by channel"
PAPER = {
    "resnet18": {"images_per_second": 245.0, "smaller": 4.9},
    "resnet152": {"tops": 1.13, "smaller": 9.4},
}
"""What the abstract of Latotzke, Ciesielski and Gemmeke (FPL 2022) gives."""
STAGES = {0: "in front", 9: "behind"}


def _rows(part: str) -> list[Row]:
    return [row for row in read(SHAPES) if row["part"] == part]


def _array(row: Row) -> str:
    return f"{row['rows']}x{row['columns']}x{row['lanes']}"


def _name(row: Row) -> str:
    return row["network"].replace("resnet", "ResNet-")


def _smaller(row: Row) -> float:
    """Return how many times less bits weights have than 32-bit floats."""
    return 32 / row["bits"]


def accelerators() -> str:
    """Return the table of arrays: their logic and clock."""
    columns: Columns = {
        "device": lambda row: row["device"],
        "array": _array,
        "chains": lambda row: row["chains"],
        "products a cycle": lambda row: f"{row['macs']:,}",
        "LUT, estimated": lambda row: (
            f"{row['lut']:,} (±{100 * row['lut_error']:.0f} %) of {row['luts']:,}"
        ),
        "memory, Mbit": lambda row: f"{row['memory_bits'] / 1e6:.1f}",
        "clock, MHz": lambda row: f"{row['clock_mhz']:.0f}, {row['clock']}",
    }
    rows = _rows("accelerator")
    beyond = [f"{row['device']} is {row['remark']}" for row in rows if row["remark"]]
    made = f"{versions(rows[0]['versions'])}. Made by `{rows[0]['command']}`."
    return f"{table(columns, rows, 1)}\n\n{'; '.join(beyond)}. {made}\n"


def shapes() -> str:
    """Return the table of networks on arrays, whatever the bandwidth."""
    columns: Columns = {
        "network": _name,
        "weights": lambda row: row["weights"],
        "device": lambda row: row["device"],
        "bits a weight": lambda row: f"{row['bits']:.2f}",
        "weights, MB": lambda row: f"{row['parameter_bits'] / 8e6:.1f}",
        "smaller than float32": lambda row: f"{_smaller(row):.1f} times",
        "cycles an image": lambda row: f"{row['cycles']:,.0f}",
        "slots used": lambda row: percent(row["used"]),
        "images/s": lambda row: f"{row['images_per_second']:.1f}",
        "TOPS": lambda row: f"{row['tops']:.3f}",
    }
    return table(columns, _shapes(), 3) + "\n"


def ratios() -> str:
    """Return what narrow weights save, and what does not depend on them."""
    lines: dict[tuple[str, str], dict[str, Row]] = {}
    for row in _shapes():
        lines.setdefault((_name(row), row["device"]), {})[row["weights"]] = row

    def times(more: str, less: str) -> Callable[[tuple[str, str]], str]:
        return lambda at: f"{lines[at][more]['cycles'] / lines[at][less]['cycles']:.3g}"

    def share(kind: str) -> Callable[[tuple[str, str]], str]:
        return lambda at: percent(_share(lines[at][MIXED], kind))

    columns: Columns = {
        "network": lambda at: at[0],
        "device": lambda at: at[1],
        "cycles of int8 by those of int2": times("int8", "int2"),
        "of widths by layer by those by channel": times("by layer", MIXED),
        "sums of tensors, by channel": share("add"),
        "convolutions of 1x1, by channel": share("1x1"),
    }
    return table(columns, list(lines), 2) + "\n"


def _share(row: Row, kind: str) -> float:
    """Return the share of the cycles that layers of a kind take."""
    own = sum(each["cycles"] for each in row["kinds"] if each["kind"].startswith(kind))
    return own / sum(each["cycles"] for each in row["kinds"])


def _shapes() -> list[Row]:
    return sorted(_rows("shape"), key=lambda row: (len(row["network"]), row["device"]))


def kinds() -> str:
    """Return where the cycles of each network with widths by channel go."""
    found = [row for row in _shapes() if row["weights"] == MIXED]
    lines: dict[tuple[str, int, str], dict[str, object]] = {}
    for row in found:
        whole = sum(each["cycles"] for each in row["kinds"])
        for each in row["kinds"]:
            line = {
                "network": _name(row),
                "stage": STAGES.get(each["stage"], each["stage"]),
                "layers": f"{each['layers']} of {each['kind']}",
                "million MAC": f"{each['macs'] / 1e6:,.0f}" if each["macs"] else "",
            }
            key = row["network"], each["stage"], each["kind"]
            lines.setdefault(key, line)[row["device"]] = _kind(each, whole)
    names = ["network", "stage", "layers", "million MAC", *{row["device"]: 0 for row in found}]
    columns: Columns = {name: lambda line, name=name: line.get(name) for name in names}
    return table(columns, list(lines.values()), 3) + "\n"


def _kind(each: Row, whole: int) -> str:
    """Return the cycles of layers of a kind, what they wait for, and the share of slots used."""
    share = f"{each['cycles']:,} ({100 * each['cycles'] / whole:.1f} %)"
    if each["fetch"] > each["compute"]:
        share += ", fetching"
    return share + (f", {100 * each['used']:.0f} % used" if each["macs"] else "")


def bandwidths() -> str:
    """Return what is moved, and images a second at each bandwidth."""
    found = _shapes()
    columns: Columns = {
        "network": _name,
        "weights": lambda row: row["weights"],
        "device": lambda row: row["device"],
        "feature maps": lambda row: "inside" if row["maps_inside"] else "outside",
        "parts of a layer": lambda row: row["parts"],
        "weights, MB": lambda row: f"{row['weight_mbytes']:.1f}",
        "maps, MB": lambda row: f"{row['map_mbytes']:.1f}",
        "needs, GB/s": lambda row: f"{_needed(row):.2g}",
        **{
            f"{each} GB/s": lambda row, at=at: f"{row['rates'][at]:.1f} ({row['unhidden'][at]:.1f})"
            for at, each in enumerate(found[0]["bandwidths"])
        },
    }
    return table(columns, found, 4) + "\n"


def _needed(row: Row) -> float:
    """Return the bandwidth in GB/s at which moving takes as long as computing."""
    clock = 1e6 * row["clock_mhz"]
    each = clock / (row["cycles"] + row["more_cycles"])
    return each * (row["weight_mbytes"] + row["map_mbytes"]) / 1e3


def layers() -> str:
    """Return the table of single layers that were simulated."""
    rows = _rows("layer")
    columns: Columns = {
        "layers": lambda row: f"{row['layers']}, of {_name(row)}",
        "input": lambda row: f"{_size(row['input'])} of {_size(row['whole'])}",
        "weights": lambda row: f"{row['bits']} bits, {row['way']}",
        "accumulator": lambda row: f"{row['accumulator_bits']} bits, {row['overflow']}",
        "sums": lambda row: f"{row['sums']:,}",
        "wrapped": lambda row: f"{row['wrapped']:,}",
        "images that differ": lambda row: row["mismatches"],
        "cycles predicted": lambda row: f"{row['predicted']:,}",
        "simulated": lambda row: f"{row['cycles']:,}",
    }
    made = f"{versions(rows[0]['versions'])}. Made by `{rows[0]['command']}`."
    return f"{table(columns, rows, 4)}\n\nArray {_array(rows[0])}, slices of 2 bits. {made}\n"


def _size(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def paper() -> str:
    """Return the paper's figures, and ours of equal mean widths, beside each other."""
    rows = [row for row in _shapes() if row["weights"] == MIXED]
    sources = ["paper", *dict.fromkeys(row["device"] for row in rows)]
    work = {row["network"]: 2e9 * row["gmacs"] for row in rows}
    cells: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        own = {name: row[name] for name in ("images_per_second", "tops")}
        cells[row["network"], row["device"]] = own | {"smaller": _smaller(row)}
    for name, figures in PAPER.items():
        found = dict(figures)
        found.setdefault("tops", found.get("images_per_second", 0) * work[name] / 1e12)
        found.setdefault("images_per_second", found["tops"] * 1e12 / work[name])
        cells[name, "paper"] = found
    names = list(PAPER)
    lines: list[dict[str, object]] = []
    for figure, text in (
        ("images_per_second", "images/s"), ("tops", "TOPS"), ("smaller", "weights smaller, times")
    ):  # fmt: skip
        for name in names:
            derived = figure != "smaller" and figure not in PAPER[name]
            line: dict[str, object] = {"figure": f"{name.replace('resnet', 'ResNet-')}, {text}"}
            for source in sources:
                mark = "*" if source == "paper" and derived else ""
                line[source] = f"{mark}{cells[name, source][figure]:.3g}{mark}"
            lines.append(line)
    ratio: dict[str, object] = {"figure": "TOPS of ResNet-152 over those of ResNet-18"}
    for source in sources:
        both = [cells[name, source]["tops"] for name in names]
        ratio[source] = f"{both[1] / both[0]:.2f}"
    columns: Columns = {
        "": lambda line: line["figure"],
        "the paper, another device": lambda line: line["paper"],
        **{f"here, {each}": lambda line, each=each: line[each] for each in sources[1:]},
    }
    return table(columns, [*lines, ratio], 1) + "\n"
