"""The table of simulators: the same designs and images on each."""

from .base import RESULTS, Columns, read, table, versions

SIMULATORS = RESULTS / "simulators.json"
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
    """Return the table of simulators."""
    rows = read(SIMULATORS)
    caption = (
        f"{rows[0]['cores']} cores; {versions(rows[0]['versions'])}. Made by "
        "`python -m narrowgauge.scripts.studies simulator_speeds`."
    )
    return f"{table(COLUMNS, rows)}\n\n{caption}\n"
