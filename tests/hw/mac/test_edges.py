"""Minifloats down to the edge: all of E = 0 to 5 and M = 0 to 8, and the elements that agree."""

from itertools import product

import numpy as np
import pytest
import torch

from narrowgauge.hw.errors import FormatError
from narrowgauge.hw.mac.choice import dot_product
from narrowgauge.hw.mac.dot import MiniFloatMultiply, Multiply, ShiftAdd
from narrowgauge.hw.numbers.formats import Fixed, MiniFloat, PowerOfTwo, parse
from narrowgauge.hw.numbers.operands import Operands, cheapest, common, widest

from .test_dot import sums

ALL = list(product(range(6), range(9)))
UINT4 = parse("uint4")


def defined(exponent, mantissa):
    """Magnitudes of the levels, of the definition: subnormals, then significands shifted."""
    low = np.arange(1 << mantissa)
    shifted = [(low + (1 << mantissa)) << field for field in range((1 << exponent) - 1)]
    return np.concatenate([low, *shifted])


@pytest.mark.parametrize(("exponent", "mantissa"), ALL)
def test_every_level_is_exact_or_the_format_refused(exponent, mantissa):
    if exponent == mantissa == 0:
        with pytest.raises(FormatError, match="not e0m0: without either, 0 is the only level"):
            parse("e0m0")
        return
    fmt, levels = parse(f"e{exponent}m{mantissa}"), defined(exponent, mantissa)
    assert fmt.width == 1 + exponent + mantissa
    assert fmt.max_level == levels.max() < 1 << 40
    assert (fmt.to_level(fmt.to_code(levels)) == levels).all()
    assert sorted({*fmt.to_level(np.arange(1 << (fmt.width - 1))).tolist()}) == sorted(levels)
    real = torch.from_numpy(-levels).float()  # what weights are trained and rounded in
    assert torch.equal(fmt.quantize(real).long(), torch.from_numpy(-levels))
    between = (levels[1:] + levels[:-1]) / 2
    assert not np.isin(between[between % 1 > 0], levels).any()


@pytest.mark.parametrize(("exponent", "mantissa"), ALL[1:])
def test_formats_that_coincide_are_one(exponent, mantissa):
    """E = 0 is fixed point, M = 0 powers of two; the elements of E = 1 are those of integers."""
    fmt = parse(f"e{exponent}m{mantissa}")
    if exponent == 0:
        assert fmt == Fixed(mantissa + 1)
    elif mantissa == 0:
        assert fmt == PowerOfTwo(exponent + 1)
    else:
        assert fmt == MiniFloat(exponent, mantissa)
    wanted = Fixed(mantissa + 2) if exponent == 1 and mantissa else fmt
    assert cheapest(fmt) == common([fmt]) == widest([Operands(fmt, UINT4)]).weight == wanted
    built = dot_product(widest([Operands(fmt, UINT4)]), 2)
    kinds = {Fixed: Multiply, PowerOfTwo: ShiftAdd, MiniFloat: MiniFloatMultiply}
    assert type(built) is kinds[type(wanted)]


def elements(exponent, mantissa):
    """Formats of other elements that hold the levels of one, the lowest of integers left out."""
    found = [MiniFloat(max(exponent, 1), max(mantissa, 1)), parse(f"e{exponent}m{mantissa}")]
    largest = int(defined(exponent, mantissa).max())
    if largest < 1 << 31:
        found.append(Fixed(largest.bit_length() + 1))
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("exponent", "mantissa"), ALL[1:])
def test_elements_agree_where_formats_coincide(exponent, mantissa):
    rng = np.random.default_rng(exponent * 9 + mantissa)
    magnitudes = defined(exponent, mantissa)
    weights = rng.choice(magnitudes, (6, 2)) * rng.choice([-1, 1], (6, 2))
    weights[0] = magnitudes.max()
    activations = rng.integers(0, 16, (6, 2))
    activations[0] = 15
    wanted = (weights * activations).sum(axis=1).tolist()
    kinds = set()
    for fmt in elements(exponent, mantissa):
        dot = dot_product(Operands(fmt, UINT4), 2)
        kinds.add(type(dot))
        assert sums(dot, weights, activations) == wanted
    assert len(kinds) > 1 or (exponent, mantissa) not in ALL[:18]
    assert ShiftAdd in kinds or mantissa or not exponent


def test_an_element_of_another_level_would_be_seen():
    """The twin: ``e1m2`` read by the element of ``e2m1``, whose codes are as wide."""
    weights = np.array([[7, 2]])
    misread = MiniFloat(2, 1).to_level(MiniFloat(1, 2).to_code(weights))
    dot = dot_product(Operands(MiniFloat(2, 1), UINT4), 2)
    assert sums(dot, misread, np.array([[3, 5]])) != [7 * 3 + 2 * 5]
