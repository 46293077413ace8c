"""``narrowgauge boards``: which boards there are, what they hold, and what was done with them."""

import json
from pathlib import Path
from typing import Any

import click

from ..terminal import options
from ..terminal.progress import standard_output

__all__ = ["RECORDS", "command"]

RECORDS = Path(__file__).with_name("boards.json")
"""What was done with which board; ``scripts/studies`` keep it."""

STATES = ("described", "bitstream built", "simulated", "seen on hardware")
"""What was done with a board, the most of it last."""


@click.command(
    "boards",
    epilog="""\b
Examples:
  narrowgauge boards
  narrowgauge boards --json""",
)
@options.json_output
def command(as_json: bool) -> int:
    """List the boards, with what their devices hold, and how far each was tried.

    "bitstream built" and "simulated" are what the project's own records say: of a network's
    bitstream whose clock is met, and of a simulation of its netlist that classified test images
    without a difference. "seen on hardware" is said only where somebody has.
    """
    from ...boards.catalogue.entries import BOARDS

    records = _records()
    rows = [_row(board, records) for board in BOARDS.values()]
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        _print(rows)
    return 0


def _records() -> dict[str, set[str]]:
    """Return, for each state, the boards that came to it; data that comes with the package."""
    found = json.loads(RECORDS.read_text(encoding="utf-8"))
    return {state: set(names) for state, names in found.items()}


def _row(board: Any, records: dict[str, set[str]]) -> dict[str, Any]:
    state = STATES[0]
    for each in STATES[1:]:
        if board.name in records.get(each, ()) or (each == STATES[-1] and board.seen):
            state = each
    return {
        "board": board.name,
        "title": board.title,
        "target": board.target.name,
        "family": board.target.family.name,
        "clock_mhz": board.clock_frequency / 1e6,
        "pins": {pin.port: pin.site for pin in board.pins},
        "programmers": [name for name, *_ in board.programmers],
        "budget": dict(board.target.budget),
        "state": state,
        "note": board.note,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in ("board", "what it is", "target", "state"):
        table.add_column(name)
    for name in ("LUT", "BRAM", "DSP"):
        table.add_column(name, justify="right")
    for row in rows:
        budget = row["budget"]
        cells = [f"{budget.get(name, 0):,}" for name in ("lut", "bram", "dsp")]
        table.add_row(row["board"], row["title"], row["target"], row["state"], *cells)
    standard_output().print(table)
    for row in rows:
        if row["note"]:
            print(f"{row['board']}: {row['note']}.")
