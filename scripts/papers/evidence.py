"""Statistics of rows: differences of shares with their errors, and the test of a tie.

Errors hold two things: how networks of several seeds differ, and how many images were asked. All
networks are asked the same images, so more seeds do not make the second smaller.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import mean, stdev
from typing import Any, Self

from .study import Rows, StudyRow

__all__ = ["FEWEST_SEEDS", "ShareChange", "select", "share_lost"]

FEWEST_SEEDS = 3
TIE = 2.0  # standard errors


@dataclass(frozen=True)
class ShareChange:
    """A mean difference of shares of images, in points.

    Attributes
    ----------
    points : float
        The mean over seeds.
    deviation : float
        Standard deviation over seeds.
    error : float
        Standard error of the mean, that of the images included.
    seeds, images : int
        How many.
    """

    points: float
    deviation: float
    error: float
    seeds: int
    images: int

    @classmethod
    def of(cls, each: Sequence[float], variance: float, images: int) -> Self:
        """Return the difference of one number a seed; ``variance`` is that of the images."""
        spread = stdev(each) if len(each) > 1 else 0.0
        error = hypot(spread / sqrt(len(each)), sqrt(variance))
        return cls(100 * mean(each), 100 * spread, 100 * error, len(each), images)

    @property
    def is_tie(self) -> bool:
        """Whether it is below twice its standard error."""
        return abs(self.points) < TIE * self.error

    def above(self, points: float) -> bool:
        """Tell whether it is above ``points``, by more than chance."""
        return self.points - points > TIE * self.error

    def below(self, points: float) -> bool:
        """Tell whether it is below ``points``, by more than chance."""
        return points - self.points > TIE * self.error

    def __str__(self) -> str:
        tie = ", a tie" if self.is_tie else ""
        return (
            f"{self.points:+.2f} points (s.d. {self.deviation:.2f}, error {self.error:.2f}{tie}), "
            f"{self.seeds} seeds, {self.images:,} images"
        )


def select(rows: Rows, **wanted: object) -> list[StudyRow]:
    """Return the rows that have these columns; a callable tells which values do."""

    def fits(row: StudyRow) -> bool:
        return all(
            value(row.get(name)) if callable(value) else row.get(name) == value
            for name, value in wanted.items()
        )

    return [row for row in rows if fits(row)]


def share_lost(rows: Rows, others: Rows | None = None) -> ShareChange | None:
    """Return what rounding changes: shares of rounded networks less those of their float ones.

    Parameters
    ----------
    rows : rows
        One for each seed.
    others : rows, optional
        Rows of the same seeds, whose changes are taken off.

    Returns
    -------
    ShareChange or None
        None where there are fewer than three seeds.
    """
    by_seed: dict[Any, StudyRow] = {row["seed"]: row for row in rows}
    if others is None:
        seeds, second = sorted(by_seed), {}
    else:
        second = {row["seed"]: row for row in others}
        seeds = sorted(by_seed.keys() & second.keys())
    if len(seeds) < FEWEST_SEEDS:
        return None
    changes, variances, images = [], [], []
    for seed in seeds:
        parts = [_change(by_seed[seed]), *([_change(second[seed])] if second else [])]
        changes.append(parts[0][0] - sum(part[0] for part in parts[1:]))
        variances.append(sum(part[1] for part in parts))
        images.append(min(part[2] for part in parts))
    return ShareChange.of(changes, mean(variances), min(images))


def _change(row: StudyRow) -> tuple[float, float, int]:
    """Return a row's change of share, its variance by the choice of images, and their number."""
    value: Callable[[str], Any] = row.__getitem__
    images, draws = value("images"), len(value("right"))
    gained, lost = (sum(value(name)) / draws / images for name in ("gained", "lost"))
    change = gained - lost
    return change, max(gained + lost - change * change, 0.0) / images, images
