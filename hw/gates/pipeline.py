"""Registers of a pipeline: a value some cycles later.

Data of a pipeline need no reset: whoever reads them knows from a flag, which has one, when they
count.
"""

from collections.abc import Callable, Collection
from typing import TypeVar, cast

from amaranth.hdl import Const, Module, Signal, Value, ValueCastable
from amaranth.lib import data

__all__ = ["Path", "delay", "delays"]

V = TypeVar("V", bound=Value | ValueCastable)


def delay(
    m: Module,
    value: V,
    cycles: int = 1,
    *,
    name: str = "stored",
    reset_less: bool = True,
    ones: bool = False,
) -> V:
    """Return ``value`` ``cycles`` cycles later, in its own shape; see `delays`."""
    return delays(m, value, cycles, name=name, reset_less=reset_less, ones=ones)[-1]


def delays(
    m: Module,
    value: V,
    cycles: int,
    *,
    name: str = "stored",
    reset_less: bool = True,
    ones: bool = False,
) -> list[V]:
    """Return ``value`` 0, 1, ... ``cycles`` cycles later.

    Parameters
    ----------
    m : Module
        Where the registers go. Inside of ``m.If`` they keep what they hold in other cycles.
    value : Value, or a view of a layout
        What is delayed.
    cycles : int
        Registers in a row.
    name : str
        Of the registers; ``{}`` in it is the cycle, from 0.
    reset_less : bool
        Whether reset leaves the registers alone; flags that must be 0 after it are not so.
    ones : bool
        Registers begin as ones: flags that a program never clears, such as the last round of a
        loop of one, then take none.
    """
    stages = [value]
    for cycle in range(cycles):
        stages.append(_register(m, stages[-1], name.format(cycle), reset_less, ones))
    return stages


def _register(m: Module, value: V, name: str, reset_less: bool, ones: bool) -> V:
    """Return ``value`` a cycle later."""
    shape = value.shape()
    if not ones:
        register = Signal(shape, name=name, reset_less=reset_less)
        m.d.sync += register.eq(value)
        return cast(V, register)
    bits = Value.cast(value)
    plain = bits.shape()
    register = Signal(
        plain, name=name, reset_less=reset_less, init=-1 if plain.signed else (1 << len(bits)) - 1
    )
    m.d.sync += register.eq(bits)
    return cast(V, shape(register) if isinstance(shape, data.Layout) else register)


class Path:
    """A path that registers divide, at those of its places that are named.

    What builds it calls `cut` at each place where it could be divided, with the values that go on
    there; what is needed later than that waits beside the path (`later`).

    Parameters
    ----------
    m : Module
        Where signals and registers go.
    places : collection of str
        Where there are registers.

    Attributes
    ----------
    stage : int
        Registers up to here: the latency of what is built, when it is.
    """

    def __init__(self, m: Module, places: Collection[str] = ()):
        self.m, self.places, self.stage = m, places, 0

    def cut(self, place: str, *values: Value) -> tuple[Value, ...]:
        """Return values behind a place: a cycle later, if there are registers."""
        if place not in self.places:
            return values
        self.stage += 1
        return tuple(_later(self.m, value, 1) for value in values)

    def later(self, value: Value) -> Callable[[], Value]:
        """Return what gives a value of this stage in the stage in which it is called."""
        made = self.stage
        return lambda: _later(self.m, value, self.stage - made)


def _later(m: Module, value: Value, cycles: int) -> Value:
    """Return ``value`` later; a constant always is what it is."""
    return value if isinstance(value, Const) else delay(m, value, cycles)
