"""All proofs, and the table of them in ``docs/proofs.md``."""

from pathlib import Path

from . import answers, arithmetic, dots, floats, frames, ring, streams, tiles, uart
from .proof import METHODS, Proof

__all__ = ["PAGE", "PROOFS", "QUICK", "table", "written"]

PAGE = Path(__file__).parents[2] / "docs" / "proofs.md"
BEGIN, END = "<!-- proofs -->\n", "<!-- /proofs -->"

PROOFS: list[Proof] = [
    proof
    for module in (dots, arithmetic, floats, tiles, streams, uart, frames, ring, answers)
    for proof in module.PROOFS
]
QUICK = [proof for proof in PROOFS if proof.quick]


def table() -> str:
    """Return the table: what is proven, how far, and with which fault it is not true."""
    rows = ["| of | is proven | how far | not with this fault |", "| --- | --- | --- | --- |"]
    for proof in PROOFS:
        how = METHODS[proof.method].format(depth=proof.depth)
        how = how.replace("any 1 cycles of a pipeline", "there are no registers")
        rows.append(f"| {proof.subject} | {proof.claim} | {how} | {proof.broken} |")
    return "\n".join(rows) + "\n"


def written(page: str) -> str:
    """Return a page with the table in its place."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table() + END + after
