"""The table of adversarial inputs: what guaranteed accumulators hold, and one of a bit less."""

from .base import RESULTS, Columns, Row, read, table, versions

ADVERSARIAL = RESULTS / "adversarial_sums.json"
__all__ = ["layers"]

WAYS = ("wrap", "saturate")


def layers() -> str:
    """Return the table of layers that were driven to the ends of their intervals."""
    networks = read(ADVERSARIAL)
    found = [network | layer for network in networks for layer in network["layers"]]
    whole: Columns = {
        "network": lambda row: f"`{row['network']}`",
        "accumulator, bits": lambda row: row["bits"],
        "test images": lambda row: f"{row['images']:,}",
        "bits that their sums took": lambda row: row["seen_bits"],
        "overflows": lambda row: row["overflows"],
        "images in hardware": lambda row: row["simulated"]["images"],
        "that differ": lambda row: row["simulated"]["mismatches"],
        "overflows there": lambda row: row["simulated"]["overflows"],
    }
    driven: Columns = {
        "network": lambda row: f"`{row['network']}`",
        "layer": lambda row: row["layer"],
        "exact interval": lambda row: "{:,} to {:,}".format(*row["interval"]),
        "bits": lambda row: row["bits"],
        "adversarial inputs": lambda row: row.get("images"),
        "reach": lambda row: "{:,} to {:,}".format(*row["sums"]) if "sums" in row else None,
        "in hardware": lambda row: row["wrap"]["held"]["images"] if "wrap" in row else None,
        "overflows, wrap / saturate": lambda row: _overflows(row, "held"),
        "with a bit less": lambda row: _overflows(row, "narrower"),
        "inputs that differ": lambda row: _mismatches(row),
    }
    made = "\n".join(row["command"] for row in networks)
    caption = f"Array of {networks[0]['array']}. {versions(networks[0]['versions'])}. Made by:"
    tables = f"{table(whole, networks)}\n\n{table(driven, found)}"
    return f"{tables}\n\n{caption}\n\n```sh\n{made}\n```\n"


def _overflows(row: Row, which: str) -> str | None:
    """Return how many sums overflow, on registers that wrap and that saturate."""
    found = [row[way][which] for way in WAYS if way in row and row[way][which]]
    return " / ".join(f"{each['last_overflows']:,}" for each in found) or None


def _mismatches(row: Row) -> int | None:
    """Return how many inputs give something else in hardware, of all that were run."""
    found = [run for way in WAYS if way in row for run in row[way].values() if run]
    return sum(run["mismatches"] for run in found) if found else None
