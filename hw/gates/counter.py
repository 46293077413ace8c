"""Counters of loops that know a round before which one is the last.

A comparison on the way from a counter to what it decides is what makes loops slow. So each loop
keeps a register that says whether this round is the last one, worked out in the round before.
"""

from collections.abc import Callable, Sequence

from amaranth.hdl import Const, Module, Mux, Signal, Value, ValueLike

from .table import field

__all__ = ["count_down", "count_up"]


def count_up(
    m: Module,
    name: str,
    limits: Sequence[int],
    move: ValueLike,
    *,
    layer: Value | None = None,
    start: ValueLike = 0,
) -> tuple[Value, Value]:
    """Count the rounds of a loop from 0.

    Parameters
    ----------
    limits : sequence of int
        Rounds of the loop, for each layer; where all are 1 there are no gates.
    move : value
        The round ends in this cycle.
    layer : value, optional
        Index into ``limits``, at the beginning and in the last round; not needed for one limit.
    start : value, optional
        The loop begins with the next cycle, whatever it does now. Without it, it begins at reset.

    Returns
    -------
    counter : value
        The round.
    last : value
        Whether it is the last; a register.
    """
    return _count(
        m, name, limits, move, layer, start,
        begin=lambda limit: 0, step=1, before=lambda limit: max(limit - 2, 0),
    )  # fmt: skip


def count_down(
    m: Module,
    name: str,
    limits: Sequence[int],
    move: ValueLike,
    *,
    layer: Value | None = None,
    start: ValueLike = 0,
) -> tuple[Value, Value]:
    """Count the rounds that are left of a loop: like `count_up`, with fewer gates."""
    return _count(
        m, name, limits, move, layer, start,
        begin=lambda limit: limit - 1, step=-1, before=lambda limit: 1,
    )  # fmt: skip


def _count(
    m: Module,
    name: str,
    limits: Sequence[int],
    move: ValueLike,
    layer: Value | None,
    start: ValueLike,
    *,
    begin: Callable[[int], int],
    step: int,
    before: Callable[[int], int],
) -> tuple[Value, Value]:
    """Count by ``step``; ``begin`` gives the first value and ``before`` the last but one."""
    if max(limits) == 1:
        return Const(0), Const(1)

    def table(number: Callable[[int], int]) -> Value:
        numbers = [number(limit) for limit in limits]
        return Const(numbers[0]) if layer is None else field(numbers, layer)

    counter = Signal(range(max(limits)), name=name, init=begin(limits[0]))
    last = Signal(name=f"last_{name}", init=limits[0] == 1)
    again = Value.cast(start) | last
    with m.If(Value.cast(start) | move):
        m.d.sync += [
            counter.eq(Mux(again, table(begin), counter + step)),
            last.eq(Mux(again, table(lambda limit: limit == 1), counter == table(before))),
        ]
    return counter, last
