"""The table of simulators: the same designs and images on each."""

from collections.abc import Sequence

from .base import RESULTS, Columns, Row, read, table, versions

SIMULATORS = RESULTS / "simulators.json"
SLOWER = ("verilator", "amaranth", "batch, 256 bits", "batch, 1 core")
COLUMNS: Columns = {
    "design": lambda row: row["design"],
    "simulator": lambda row: row["simulator"],
    "first result, s": lambda row: row["first_result_seconds"],
    "million image-cycles/s": lambda row: f"{row['image_cycles_per_second'] / 1e6:,.3f}",
    "images/s": lambda row: f"{row['images_per_second']:,.1f}",
    "memory, MB": lambda row: row["peak_megabytes"],
    "images": lambda row: f"{row['images']:,}",
}


def simulators() -> str:
    """Return the table of simulators, and how they compare."""
    rows = read(SIMULATORS)
    caption = (
        f"{rows[0]['cores']} cores; {versions(rows[0]['versions'])}. Made by "
        "`python -m narrowgauge.scripts.studies simulator_speeds`."
    )
    times = {name: _times(rows, "batch", name) for name in SLOWER}
    compared = (
        f"The batch engine was {times['verilator']} times as fast as Verilator, and "
        f"{times['amaranth']} times as fast as Amaranth's simulator; its vectors of 512 bits were "
        f"{times['batch, 256 bits']} times as fast as those of 256, and all cores "
        f"{times['batch, 1 core']} times as fast as one."
    )
    return f"{table(COLUMNS, rows)}\n\n{caption}\n\n{compared}\n"


def _times(rows: Sequence[Row], fast: str, slow: str) -> str:
    """Return how many times as fast one simulator was as another, over the designs."""
    rates = {(row["design"], row["simulator"]): row["image_cycles_per_second"] for row in rows}
    designs = dict.fromkeys(design for design, _ in rates)
    ratios = [rates[design, fast] / rates[design, slow] for design in designs]
    return " to ".join(f"{end:,.{0 if end >= 10 else 2}f}" for end in (min(ratios), max(ratios)))
