"""Where the paths of a float's multiply-accumulate have registers, so that stages are balanced.

Delays are in LUTs in a row, each with its wire. They are a model, with constants that were fitted
to critical paths on the UP5K and the ECP5: one for all families, since a LUT and a bit of a carry
chain are in about the same proportion on both. Only how long a stage is depends on it, no result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, log

from ..gates.float_add import alignments
from ..gates.float_product import Factor, product_places
from ..gates.multiplier import recoded_rows
from ..numbers.float_sum import FloatSum
from ..numbers.formats import Float

__all__ = ["FloatStages", "float_stages"]

Steps = Sequence[tuple[str, float]]
"""Steps of a path in their order: the place behind each, and its delay."""

_CARRY = 0.1  # a bit of a carry chain


@dataclass(frozen=True)
class FloatStages:
    """Places with registers (`gates.pipeline.Path`), beside the one at the end of each path.

    Attributes
    ----------
    product, add : frozenset of str
        Of `float_product.multiply` and of `float_add.add`.
    """

    product: frozenset[str] = frozenset()
    add: frozenset[str] = frozenset()


def float_stages(
    factors: tuple[Factor, Factor] | None, accumulator: FloatSum, *, dsp: bool
) -> FloatStages:
    """Return where registers are.

    An addition has as many stages as there are partial sums, and a product as many as it takes to
    be as fast; beside an adder of one stage it has two, one behind the multiplier.

    Parameters
    ----------
    factors : two of Factor or None
        What is multiplied; None where a product needs no gates.
    accumulator : FloatSum
        Of the sum.
    dsp : bool
        Whether significands are multiplied in DSP blocks.
    """
    adding = _add_steps(accumulator.format)
    add = _balanced(adding, accumulator.partial_sums)
    if factors is None:
        return FloatStages(add=frozenset(add))
    if accumulator.partial_sums == 1:
        return FloatStages(frozenset(["product"]), frozenset(add))
    longest = _longest(adding, add)
    (place, first), *others = _product_steps(factors, accumulator.format, dsp)
    if dsp or first > longest:
        # behind the blocks, whose delay is not that of LUTs, or also inside of the multiplier
        product = [place if dsp else "multiply", *_as_fast(others, longest)]
    else:
        product = _as_fast([(place, first), *others], longest)
    return FloatStages(frozenset(product), frozenset(add))


def _as_fast(steps: Steps, longest: float) -> tuple[str, ...]:
    """Return the places of the fewest stages that are no longer, or than what is not divided."""
    longest = max(longest, *(delay for _, delay in steps))
    every = (_balanced(steps, count) for count in range(1, len(steps) + 1))
    return next(places for places in every if _longest(steps, places) <= longest)


def _longest(steps: Steps, places: Sequence[str]) -> float:
    """Return the delay of the longest stage."""
    stages = [0.0]
    for place, delay in steps:
        stages[-1] += delay
        if place in places:
            stages.append(0.0)
    return max(stages)


def _balanced(steps: Steps, stages: int) -> tuple[str, ...]:
    """Return the places that divide a path so that its longest stage is shortest."""
    between = [place for place, _ in steps[:-1]]
    return min(combinations(between, stages - 1), key=lambda places: _longest(steps, places))


def _add_steps(fmt: Float) -> Steps:
    """Return the steps of an addition."""
    steps = [("compare", 5.2 + _CARRY * fmt.exponent)]
    steps += [(f"align_{1 << level}", 1.5) for level in reversed(range(alignments(fmt)))]
    steps.append(("sum", 2 + _CARRY * (fmt.mantissa + 3)))
    return [*steps, *_round_steps(fmt, fmt.mantissa + 3)]


def _round_steps(fmt: Float, places: int) -> Steps:
    """Return those of `ieee.round_and_pack`."""
    steps = []
    for level in reversed(range(places.bit_length())):
        step = 1 << level
        steps.append((f"normalize_{step}", 1.7 if step <= 2 else 1.5 + 0.5 * ceil(log(step, 2))))
    return [*steps, ("round", 3.3 + _CARRY * (fmt.mantissa + 2 * fmt.exponent))]


def _product_steps(factors: tuple[Factor, Factor], result: Float, dsp: bool) -> Steps:
    """Return the steps of a product."""
    widths = sorted(len(each.significand) for each in factors)
    if widths[0] == 1:
        first = ("product", 1.5)
    elif dsp:
        # the sums of several blocks are added in logic
        first = ("product", 5.0 + 2.5 * ((widths[1] > 18) + (widths[0] > 18)))
    else:
        adders = (recoded_rows(widths[0]) - 1).bit_length()
        first = ("product", 3 + _CARRY * widths[0] + adders * (1 + _CARRY * widths[1]))
    return [first, *_round_steps(result, product_places(result, *factors))]
