"""The best format of each width, chosen on images that were neither trained on nor tested with."""

from typing import Any

from ..evidence import FEWEST_SEEDS, select
from ..study import Rows

__all__ = ["chosen"]


def chosen(rows: Rows, kind: str, dropout: float, bits: int) -> tuple[int, int] | None:
    """Return exponent and mantissa of the format of so many bits that is best in validation.

    The mean over seeds decides, with rounding to the nearest; of equals the one with the shortest
    exponent, which is the cheapest in logic. None where the width has no rows of enough seeds.
    """
    shares: dict[tuple[int, int], list[float]] = {}
    wanted: dict[str, Any] = {"part": "accuracy", "rounding": "nearest"}
    for row in select(rows, kind=kind, dropout=dropout, **wanted):
        each: dict[str, Any] = row
        if 1 + each["e"] + each["m"] == bits and "right_validation" in each:
            share = each["right_validation"] / each["images_validation"]
            shares.setdefault((each["e"], each["m"]), []).append(share)
    whole = {fmt: found for fmt, found in shares.items() if len(found) >= FEWEST_SEEDS}
    if not whole or len(whole) < len(shares):
        return None
    return max(whole, key=lambda fmt: (sum(whole[fmt]) / len(whole[fmt]), -fmt[0]))
