"""Ranks formats by what their cheapest network costs that reaches a target, with errors.

A share of images has an error, so which network reaches the target is not certain: the cheapest
that reaches it for sure, and the cheapest that may, bound what a format costs. Formats whose bounds
overlap are tied.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, inf, sqrt
from statistics import mean, stdev
from typing import Any

__all__ = ["Contender", "MeasuredShare", "Standing", "cheapest", "front", "ranked"]

SURE = 2.0  # standard errors


@dataclass(frozen=True)
class MeasuredShare:
    """A share of images that networks of some seeds label right.

    Attributes
    ----------
    mean, error : float
        Over the seeds; the standard error holds their spread and the choice of images, which is
        the same for all seeds.
    seeds, images : int
        How many.
    """

    mean: float
    error: float
    seeds: int
    images: int

    @classmethod
    def of(cls, shares: Sequence[float], images: int) -> "MeasuredShare":
        """Return the share of one number a seed."""
        middle = mean(shares)
        spread = stdev(shares) / sqrt(len(shares)) if len(shares) > 1 else 0.0
        # a share of 1 is not certain either: a wrong image more is within the error
        chance = max(middle * (1 - middle), 1 / images) / images
        return cls(middle, hypot(spread, sqrt(chance)), len(shares), images)

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]], *, tests: bool = False) -> "MeasuredShare":
        """Return that of rows of accuracies: on held-out images, or on test images."""
        found = [(row["right"][0], row["images"]) for row in rows] if tests else [
            (row["right_validation"], row["images_validation"]) for row in rows
        ]  # fmt: skip
        return cls.of([right / images for right, images in found], min(each for _, each in found))

    def reaches(self, target: float) -> bool:
        """Tell whether its mean does."""
        return self.mean >= target

    def surely(self, target: float) -> bool:
        """Tell whether it does by more than chance."""
        return self.mean - SURE * self.error >= target

    def perhaps(self, target: float) -> bool:
        """Tell whether it does not miss the target by more than chance."""
        return self.mean + SURE * self.error >= target

    def __str__(self) -> str:
        return f"{100 * self.mean:.2f} ± {100 * self.error:.2f} %"


@dataclass(frozen=True)
class Contender:
    """A network in a format, and what it costs.

    Attributes
    ----------
    name : str
        The network: family and size.
    share, tested : MeasuredShare
        On held-out images, which decide, and on test images.
    cost, error : float
        Any unit; the relative standard error.
    fields : mapping
        What else is shown of it.
    """

    format: str
    name: str
    share: MeasuredShare
    tested: MeasuredShare
    cost: float
    error: float
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """Where a format stands at a target.

    Attributes
    ----------
    chosen : Contender or None
        The cheapest network that reaches the target; None where none does.
    low, high : float
        What the format costs at least and at most, by twice the errors of shares and costs; the
        upper bound is infinite where no network reaches the target for sure, and both are where
        none may.
    best : Contender
        The one with the highest share.
    rank : int or None
        1 more than the formats that are surely cheaper; None where nothing reaches the target.
    tied : tuple of str
        Formats that reach it and whose bounds overlap.
    """

    format: str
    chosen: Contender | None
    low: float
    high: float
    best: Contender
    rank: int | None = None
    tied: tuple[str, ...] = ()


def cheapest(contenders: Iterable[Contender]) -> Contender | None:
    """Return the cheapest, or None of none."""
    return min(contenders, key=lambda each: each.cost, default=None)


def ranked(contenders: Sequence[Contender], target: float) -> list[Standing]:
    """Return where each format stands: the cheapest first, those that miss the target last."""
    by_format: dict[str, list[Contender]] = {}
    for each in contenders:
        by_format.setdefault(each.format, []).append(each)
    found = [_standing(name, each, target) for name, each in by_format.items()]
    reached = sorted(
        (each for each in found if each.chosen is not None),
        key=lambda each: each.chosen.cost if each.chosen else inf,
    )
    missed = [each for each in found if each.chosen is None]
    return [
        *(_placed(each, reached) for each in reached),
        *sorted(missed, key=lambda each: -each.best.share.mean),
    ]


def _standing(name: str, contenders: Sequence[Contender], target: float) -> Standing:
    perhaps = [each for each in contenders if each.share.perhaps(target)]
    surely = [each for each in contenders if each.share.surely(target)]
    return Standing(
        format=name,
        chosen=cheapest(each for each in contenders if each.share.reaches(target)),
        low=min((each.cost * (1 - SURE * each.error) for each in perhaps), default=inf),
        high=min((each.cost * (1 + SURE * each.error) for each in surely), default=inf),
        best=max(contenders, key=lambda each: each.share.mean),
    )


def _placed(standing: Standing, others: Sequence[Standing]) -> Standing:
    cheaper = [each for each in others if each.high < standing.low]
    tied = tuple(
        each.format
        for each in others
        if each is not standing and each.low <= standing.high and standing.low <= each.high
    )
    return Standing(
        **{**vars(standing), "rank": 1 + len(cheaper), "tied": tied},
    )


def front(contenders: Iterable[Contender]) -> list[Contender]:
    """Return those of which none is both cheaper and better, the cheapest first."""
    found: list[Contender] = []
    for each in sorted(contenders, key=lambda each: (each.cost, -each.share.mean)):
        if not found or each.share.mean > found[-1].share.mean:
            found.append(each)
    return found
