"""Numbers of every layer, as a value of the current one."""

from collections.abc import Sequence
from typing import SupportsInt

from amaranth.hdl import Array, Const, Shape, Value

from ..numbers.arithmetic import bits_for

__all__ = ["field"]


def field(values: Sequence[SupportsInt], layer: Value) -> Value:
    """Return the value of the current layer, one of ``values``; no gates where all are equal."""
    numbers = [int(value) for value in values]
    low, high = min(*numbers, 0), max(*numbers, 1)
    # not from a range, whose length must fit 63 bits: masks have a bit a lane
    shape = Shape(bits_for(low, high) - (low >= 0), signed=low < 0)
    if len(set(numbers)) == 1:
        return Const(numbers[0], shape)
    return Array(Const(number, shape) for number in numbers)[layer]
