"""A layer that is known but for its integers."""

from dataclasses import dataclass
from typing import Any

from .curve import Curve
from .draft import Draft

__all__ = ["Planned"]


@dataclass(frozen=True, eq=False)
class Planned:
    """A layer whose sums become levels by a step function, which is still to be solved.

    ``steps`` is None where sums are levels already, within ``ends``; and in the last layer where it
    has no quantiser: its ``curve`` gives the logits.
    """

    name: str
    draft: Draft
    output: Any
    steps: Any = None
    ends: tuple[int, int] | None = None
    curve: Curve | None = None
