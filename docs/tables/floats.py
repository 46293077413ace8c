"""The tables of floats: multiply-accumulates, whole networks, and the main job with them."""

from collections.abc import Sequence

from .base import RESULTS, Columns, Row, percent, read, rounded, speed, table, versions
from .networks import COLUMNS as RUN_COLUMNS

__all__ = ["elements", "networks", "run"]

FLOATS = RESULTS / "float_elements.json"
NETWORKS = RESULTS / "float_networks.json"
RUN = RESULTS / "float_run.json"
RUN_COMMAND = (
    "narrowgauge run --formats fp32,bf16,int8,int4,pow2_4,bipolar --target ecp5-45k "
    "--multiplier block"
)
NETWORK_COLUMNS: Columns = {
    "network": lambda row: f"`{row['network']}`",
    "weights, activations": lambda row: f"{row['weight']}, {row['activation']}",
    "summed in": lambda row: _sum(row),
    "images": lambda row: f"{row['images']:,}",
    "images that differ": lambda row: row["mismatches"],
    "accuracy": lambda row: percent(row["accuracy_hardware"]),
    "cycles an image": lambda row: rounded(row, "cycles_per_image"),
    "MAC slots used": lambda row: percent(row["utilisation"]),
    "simulated for, s": lambda row: f"{row['seconds']:,.0f}",
}
STEPS = 64  # of the sums that rates are of
KINDS = {"block": "DSP blocks where they help", "logic": "multiplied in logic"}


def elements() -> str:
    """Return what elements take, and what they do."""
    rows = read(FLOATS)
    seeds = sorted({len(row["seeds"]) for row in rows if "seeds" in row})
    tools = {name: text for row in rows for name, text in row.get("tools", {}).items()}
    parts = []
    for kind, text in KINDS.items():
        found = [row for row in rows if row["multiplier"] == kind]
        if found:
            parts += [f"{text[0].upper()}{text[1:]}:", _table(found)]
    commands = "; ".join(sorted({f"`{row['command']}`" for row in rows}))
    placements = " or ".join(map(str, seeds))
    parts.append(
        f"Median and range of {placements} placements; the rate is of sums of {STEPS} steps, each "
        f"with its gap, in millions of products a second and 1,000 LUT. {versions(tools)}. Made by "
        f"{commands}."
    )
    return "\n\n".join(parts) + "\n"


def networks() -> str:
    """Return what whole networks gave, and the commands that trained and simulated them."""
    rows = read(NETWORKS)
    caption = (
        "Array of {rows}x{columns} elements with {lanes} lanes; every sum and level is compared; "
        "seconds are of wall time on one core; ".format(**rows[0])
        + f"{versions(rows[0]['versions'])}. Made by:"
    )
    commands = "\n".join(row[name] for row in rows for name in ("trained", "command"))
    return f"{table(NETWORK_COLUMNS, rows, 3)}\n\n{caption}\n\n```sh\n{commands}\n```\n"


def run() -> str:
    """Return the table of the main job with floats beside integers."""
    rows = read(RUN)
    row = next(row for row in rows if row.get("routed"))
    caption = (
        "Data set {dataset}, {images} test images; array of {rows}x{columns} elements with {lanes} "
        f"lanes; {{target}}, median and range of {len(row['seeds'])} placements; ".format(**row)
        + f"{versions(row['tools'])}. Made by `{RUN_COMMAND}`."
    )
    return f"{table(RUN_COLUMNS, rows)}\n\n{caption}\n"


def _table(rows: Sequence[Row]) -> str:
    """Return a line for each element, and a column for each target."""
    lines: dict[tuple[str, ...], dict[str, object]] = {}
    for row in sorted(rows, key=_place):
        line = lines.setdefault(_place(row), {})
        line |= {"row": row, row["target"]: row}
    columns: Columns = {
        "weights": lambda line: line["row"]["weight"],
        "activations": lambda line: line["row"]["activation"],
        "summed in": lambda line: _sum(line["row"]),
        "gap, cycles": lambda line: line["row"].get("gap"),
    }
    for target in dict.fromkeys(row["target"] for row in rows):
        columns = {
            **columns,
            target: lambda line, target=target: _cost(line.get(target)),
            f"{target}, rate": lambda line, target=target: _rate(line.get(target)),
        }
    return table(columns, list(lines.values()), 3)


def _place(row: Row) -> tuple[str, ...]:
    """Return where an element stands: floats, mixed ones, exact ones, integers."""
    floats = "partial_sums" in row
    kind = "0" if floats and row["weight"] == row["activation"] else "1" if floats else "2"
    if row["total"].startswith("int"):
        kind = "3"
    names = ("weight", "activation", "total", "partial_sums", "register_bits")
    return kind, *(str(row.get(name, "")) for name in names)


def _sum(row: Row) -> str:
    """Return what an element sums in."""
    if row["total"].startswith("int"):
        return f"{row['total'][3:]} bits"
    if "register_bits" in row:
        bits, lowest = row["register_bits"], row["register_lowest"]
        return f"{bits} bits from 2^{lowest}, rounded once to {row['total']}"
    count = row["partial_sums"]
    turns = "1 cycle" if count == 1 else f"{count} partial sums"
    return f"{row['total']}, {turns}"


def _cost(row: Row | None) -> str | None:
    if row is None or "lut" not in row:
        return None if row is None else "failed"
    blocks = f", {row['dsp']} DSP" if row.get("dsp") else ""
    return f"{row['lut']} LUT, {row['ff']} FF{blocks}<br>{speed(row, 0, ' MHz')}"


def _rate(row: Row | None) -> str | None:
    """Return products a second and 1,000 LUT; of elements that are LUTs mostly."""
    if row is None or "fmax_mhz" not in row or row["lut"] < 20:
        return None
    busy = STEPS / (STEPS + row["gap"])
    return f"{row['fmax_mhz'] * busy / row['lut'] * 1000:.0f}"
