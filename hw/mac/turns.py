"""How the partial sums of a float are added, once all have left the adder."""

from dataclasses import dataclass
from functools import cache

__all__ = ["Turns", "turns"]


@dataclass(frozen=True)
class Turns:
    """What one adder does after the last step of a sum; cycles are counted from that step.

    Attributes
    ----------
    pushes : tuple of int
        Cycles in which what comes back from the adder is put on top of a stack, to wait.
    feeds : tuple of int
        Cycles in which it is added to what is on top of the stack, which is taken off.
    depth : int
        Places of the stack.
    """

    pushes: tuple[int, ...]
    feeds: tuple[int, ...]
    depth: int

    @property
    def last(self) -> int:
        """The cycle in which the last two are added; 0 where nothing is."""
        return max(self.feeds, default=0)

    def waiting(self, cycle: int) -> int:
        """Return how many are in the stack at the beginning of a cycle."""
        pushed, taken = (sum(each < cycle for each in times) for times in (self.pushes, self.feeds))
        return pushed - taken


@cache
def turns(partial_sums: int) -> Turns:
    """Return how so many partial sums are added, neighbours in pairs, ascending.

    The adder takes as many cycles as there are partial sums. They come back from it in the cycles
    after the last step, the first one first, and the sum of two in turn that much later. An odd one
    waits for the next round. That what is pushed last is always needed first is true of up to 8.
    """
    level = [(cycle, (cycle,)) for cycle in range(1, partial_sums + 1)]
    stack: list[tuple[int, ...]] = []
    events: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []
    while len(level) > 1:
        sums = []
        for (first, a), (second, b) in zip(level[::2], level[1::2], strict=False):
            early, late = (a, b) if first < second else (b, a)
            start = max(first, second)
            events += [(min(first, second), early, ()), (start, late, early)]
            sums.append((start + partial_sums, a + b))
        level = sums + level[len(sums) * 2 :]
    pushes, feeds, depth = [], [], 0
    for cycle, which, partner in sorted(events):
        if partner:
            assert stack.pop() == partner, "the one on top of the stack is not the neighbour"
            feeds.append(cycle)
        else:
            stack.append(which)
            pushes.append(cycle)
        depth = max(depth, len(stack))
    assert len({*pushes, *feeds}) == len(events)
    return Turns(tuple(pushes), tuple(feeds), depth)
