"""Tells how far a quantisation is, and the time that is left."""

import time
from collections.abc import Callable, Mapping
from math import prod
from typing import TypeAlias

from ..layers.blocks import Model
from ..layers.steps import WeightedStep

__all__ = ["Course", "Progress", "Say", "work_before"]

Progress: TypeAlias = Callable[[str, float | None], None]
"""Told what is done now, and the seconds left, None while that cannot be said."""
Say: TypeAlias = Callable[[str, float], None]
"""Told what a part does now, and which share of it is done."""

FEWEST_SECONDS = 0.5  # from which the rest can be told


class Course:
    """The parts of a quantisation, and how far it is.

    Parameters
    ----------
    progress : callable, optional
        Told of it.
    parts : mapping
        The work of each part, in any unit, in the order in which they are done.
    """

    def __init__(self, progress: Progress | None, parts: Mapping[str, float]):
        self._progress, self._parts = progress, dict(parts)
        self._started, self._done = time.monotonic(), 0.0

    def part(self, name: str) -> Say:
        """Begin a part, and return what its progress is told."""
        names = list(self._parts)
        before = sum(self._parts[each] for each in names[: names.index(name)])

        def say(text: str, share: float = 0.0) -> None:
            self._done = before + share * self._parts[name]
            if self._progress is not None:
                self._progress(text, self._left())

        say(name)
        return say

    @property
    def share(self) -> float:
        """Share of all work that is done."""
        return self._done / sum(self._parts.values())

    def _left(self) -> float | None:
        """Return the seconds left, if all work goes on as it did."""
        passed = time.monotonic() - self._started
        if passed < FEWEST_SECONDS or not self._done:
            return None
        return passed * (1 / self.share - 1)


def work_before(model: Model) -> list[float]:
    """Return the share of a pass through a model that is done before each step."""
    work = [
        step.op.weight.numel() * max(1, prod(node.shape[1:]))
        if isinstance(step, WeightedStep)
        else prod(node.shape)
        for node, step in model.items()
    ]
    return [sum(work[:index]) / sum(work) for index in range(len(work))]
