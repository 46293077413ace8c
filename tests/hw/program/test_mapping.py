from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.layers import Add, AveragePool, Conv2d, Dense, MaxPool, Size, Window
from narrowgauge.hw.network.network import INPUT, Network
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Bipolar, Fixed, MiniFloat, PowerOfTwo, parse
from narrowgauge.hw.numbers.operands import Operands
from narrowgauge.hw.program.bounds import accumulator_bits, exact_bound
from narrowgauge.hw.program.mapping import map_network, operands

from ..networks import FAMILIES, convnets

ONE: dict[str, Any] = {"bias": [7], "multiplier": [3], "shift": 2}


def dense(weight, input, output, weights, name="only"):
    outputs = len(weights)
    return Dense(
        name=name, weight=parse(weight), input=parse(input), output=parse(output),
        weights=weights, bias=np.arange(outputs) - 1, multiplier=np.arange(outputs) + 1, shift=1,
    )  # fmt: skip


def conv(weight, input, output, weights, window, groups=1, name="only"):
    channels = len(weights)
    return Conv2d(
        name=name, weight=parse(weight), input=parse(input), output=parse(output),
        weights=weights, bias=np.zeros(channels), multiplier=np.ones(channels),
        window=window, groups=groups,
    )  # fmt: skip


def average(input, output, window=None, name="mean"):
    formats = {"input": parse(input), "output": parse(output)}
    return AveragePool(name=name, **formats, **ONE, window=window)


def add(input, other, output, summands, sources=(INPUT, "first"), name="sum"):
    formats = {"input": parse(input), "other": parse(other), "output": parse(output)}
    return Add(name=name, **formats, **ONE, sources=sources, summands=summands)


def network(*layers, size=None):
    return Network("n", layers, Accumulator(24), input_size=size)


def pointwise(weight, input, output, channels, name="first"):
    """A 1x1 convolution that keeps the size of its input."""
    weights = np.ones((channels, 1, 1, channels))
    return conv(weight, input, output, weights, Window((1, 1)), name=name)


def residual(weight, input, hidden, summands, size):
    """The input, plus a convolution of it."""
    first = pointwise(weight, input, hidden, size.channels)
    return network(first, add(input, hidden, "int16", summands), size=size)


def test_operands_by_hand():
    one = [[1, -1]]
    assert operands(network(dense("int4", "uint4", "int8", one))).weight == Fixed(4)
    bipolar = operands(network(dense("bipolar", "uint4", "int8", one)))
    assert (bipolar.weight, bipolar.activation) == (Bipolar(), Bipolar())
    # +-1 activations meet other weights as two-bit integers
    ternary = operands(network(dense("pow2_2", "bipolar", "int8", one)))
    assert (ternary.weight, ternary.activation) == (PowerOfTwo(2), Fixed(2))
    square = [[1, -1], [1, 1]]
    mixed = network(
        dense("bipolar", "uint4", "uint8", square, "first"), dense("int4", "uint8", "int8", square)
    )
    assert operands(mixed).weight == Fixed(4)
    assert operands(mixed).activation == Fixed(8, signed=False)


def test_minifloats_alone_may_be_wider_than_any_integer():
    square = [[1, -1], [1, 1]]
    wide = dense("e5m2", "uint4", "uint8", [[7 << 30, -1], [0, 3]], "first")
    alone = network(wide, dense("e5m2", "uint8", "int32", square))
    assert operands(alone).weight == MiniFloat(5, 2)
    mixed = network(wide, dense("int4", "uint8", "int8", square))
    with pytest.raises(
        NetworkError, match="no operand holds all its weights, which are e5m2, int4"
    ):
        operands(mixed)
    narrow = network(
        dense("e3m2", "uint4", "uint8", square, "first"), dense("int4", "uint8", "int8", square)
    )
    assert operands(narrow).weight == Fixed(10)


def test_signed_inputs_have_no_bit_planes():
    signed = network(dense("bipolar", "int4", "int8", [[1, -1, 1]]))
    assert operands(signed).activation == Fixed(4)
    (mapped,) = map_network(signed, 2)
    assert (mapped.planes, mapped.bias[0], mapped.shift) == (1, -1, 1)  # padding adds 1 * 0


def test_padding_by_hand():
    (padded,) = map_network(network(dense("int4", "uint4", "int8", [[3, -2, 1]])), 2)
    assert padded.weights.tolist() == [[3, -2, 1, 0]]
    assert (padded.steps, padded.planes, padded.bias[0], padded.shift) == (2, 1, -1, 1)
    (padded,) = map_network(network(dense("bipolar", "bipolar", "int8", [[1, -1, 1]])), 2)
    assert padded.weights.tolist() == [[1, -1, 1, 1]]
    assert padded.bias.tolist() == [0]  # the padded lane adds 1 * -1, which the bias takes back
    (planes,) = map_network(network(dense("bipolar", "uint2", "int8", [[1, -1, 1]])), 2)
    assert (planes.planes, planes.steps, planes.shift) == (2, 2, 2)
    assert planes.bias.tolist() == [2 * -1 + 3 * 2]


@given(
    st.sampled_from([("bipolar", "uint3"), ("bipolar", "bipolar"), ("int3", "uint2"),
                     ("pow2_3", "uint3"), ("e4m2", "int3"), ("int4", "int3"),
                     ("pow2_2", "bipolar")]),
    st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_accumulator_bits_hold_every_step_and_not_one_bit_less(formats, inputs, lanes, seed):
    weight = parse(formats[0])
    chance = np.random.default_rng(seed)
    codes = chance.integers(0, 1 << weight.width, (3, inputs))
    net = network(dense(formats[0], formats[1], "int16", weight.to_level(codes).tolist()))
    (mapped,) = map_network(net, lanes)
    low, high = exact_bound(mapped).partial.ends
    register = Accumulator(accumulator_bits(net, lanes))
    assert not register.overflows(low)
    assert not register.overflows(high)
    if register.width > 2:
        narrower = Accumulator(register.width - 1)
        assert narrower.overflows(low) or narrower.overflows(high)


def test_accumulator_range_by_hand():
    net = network(dense("int4", "uint2", "int8", [[3, -2, 1], [-1, -1, -1]]))
    (mapped,) = map_network(net, 2)
    assert exact_bound(mapped).partial.ends == (-9, 12)
    assert accumulator_bits(net, 2) == 5
    net = network(dense("bipolar", "uint2", "int8", [[1, -1, 1]]))
    (mapped,) = map_network(net, 2)
    assert exact_bound(mapped).partial.ends == (-12, 6)  # the odd lane adds -1, then -2


def test_the_range_of_wide_operands_is_exact():
    wide = parse("int32")
    low = wide.min_level
    (mapped,) = map_network(network(dense("int32", "int32", "int32", [[low] * 4])), 4)
    reach = 4 * (1 << 31) * (1 << 31)
    assert exact_bound(mapped).partial.ends == (-reach + 4 * (1 << 31), reach)


def test_levels_that_no_operand_holds_are_refused():
    net = network(
        dense("int4", "uint32", "int4", [[1, 1]], "a"), dense("int4", "int4", "int4", [[1]])
    )
    with pytest.raises(NetworkError, match=r"n: no operand holds all its inputs.*int4, uint32"):
        operands(net)


def test_operands_of_graphs_by_hand():
    size = Size(1, 1, 2)
    # sums and pools are products, with the weights of the array
    bipolar = residual("bipolar", "bipolar", "bipolar", (1, 1), size)
    assert operands(bipolar) == Operands(Bipolar(), Bipolar())
    assert operands(network(average("uint4", "uint4"), size=size)).weight == Fixed(2)
    # only products can be taken plane by plane: a sum reads the input itself, in its own format
    mixed = residual("bipolar", "uint2", "bipolar", (1, 1), size)
    assert operands(mixed) == Operands(Bipolar(), Fixed(3))
    # both formats of a sum count
    assert operands(residual("int4", "uint4", "int6", (1, 1), size)).activation == Fixed(6)
    pools = (
        MaxPool(name="a", input=parse("uint2"), output=parse("uint2"), window=Window((1, 1))),
        dense("bipolar", "uint2", "int8", [[1, 1]]),
    )
    assert operands(network(*pools, size=size)) == Operands(Bipolar(), Fixed(2, signed=False))


def test_convolutions_by_hand():
    weights = np.arange(-6, 6).reshape(2, 2, 3, 1)
    net = network(conv("int4", "uint4", "int8", weights, Window((2, 3))), size=Size(2, 3, 1))
    (mapped,) = map_network(net, 4)
    assert mapped.weights.tolist() == [[*range(-6, 0), 0, 0], [*range(6), 0, 0]]
    assert (mapped.steps, mapped.words, mapped.channels, mapped.group_channels) == (2, 2, 2, 2)
    assert (mapped.on_array, mapped.shared, mapped.pad) == (True, False, 0)
    assert exact_bound(mapped).partial.ends == (-21 * 15, 15 * 15)


def test_groups_by_hand():
    weights = np.array([1, -1, 1, 1, 1, -1]).reshape(2, 1, 3, 1)
    layer = conv("bipolar", "bipolar", "int8", weights, Window((1, 3)), groups=2)
    (mapped,) = map_network(network(layer, size=Size(1, 3, 2)), 2)
    assert mapped.weights.tolist() == [[1, -1, 1, 1], [1, 1, -1, 1]]
    assert (mapped.pad, mapped.channels, mapped.group_channels) == (-1, 2, 1)
    assert mapped.bias.tolist() == [1, 1]  # the lane without a code adds 1 * -1


STEPS: dict[str, Any] = {"bias": [0], "multiplier": [1]}


def test_thresholds_move_with_the_sum_by_hand():
    """Where the array ends with ``gain * acc + offset``, so do thresholds."""
    weights, steps = np.array([[1, -1, 1]]), np.array([[-7, 0, 1 << 62]])

    def mapped(weight, input, lanes):
        layer = Dense(
            name="only", weight=parse(weight), weights=weights, input=parse(input),
            output=parse("uint2"), **STEPS, thresholds=steps,
        )  # fmt: skip
        (only,) = map_network(network(layer), lanes)
        assert (only.shift, only.bias.tolist(), only.multiplier.tolist()) == (0, [0], [1])
        assert only.thresholds is not None
        return only.thresholds.tolist()

    far = 1 << 54
    assert mapped("int2", "uint2", 2) == [[-7, 0, far]]
    # the lane without a code adds 1 * -1
    assert mapped("bipolar", "bipolar", 2) == [[-8, -1, far - 1]]
    # 2 * acc - 3 * (1 - 1 + 1 + 1)
    assert mapped("bipolar", "uint2", 2) == [[-20, -6, 2 * far - 6]]


def test_thresholds_of_pools_and_sums_by_hand():
    pool = AveragePool(
        name="mean", input=parse("uint4"), output=parse("uint1"), **STEPS,
        thresholds=np.array([[-5]]),
    )  # fmt: skip
    mapped = map_network(network(pool, size=Size(1, 2, 3)), 2)[0]
    assert mapped.thresholds is not None
    assert mapped.thresholds.tolist() == [[-5], [-5]]  # a row a lane
    # odd with even summands: doubled, and twice for the two passes
    both = Add(
        name="sum", input=parse("bipolar"), other=parse("bipolar"), output=parse("uint1"),
        sources=(INPUT, "first"), summands=(1, 2), **STEPS, thresholds=np.array([[-3]]),
    )  # fmt: skip
    first = pointwise("bipolar", "bipolar", "bipolar", 1)
    mapped = map_network(network(first, both, size=Size(1, 1, 1)), 1)[1]
    assert mapped.thresholds is not None
    assert (mapped.thresholds.tolist(), mapped.shift) == ([[-12]], 0)


def test_a_shift_that_takes_back_a_gain_meets_no_half():
    def mapped(shift, input):
        layer = Dense(
            name="only", weight=Bipolar(), weights=np.array([[1, -1, 1]]), input=parse(input),
            output=parse("int8"), **STEPS, shift=shift, rounding="half_even",
        )  # fmt: skip
        (only,) = map_network(network(layer), 2)
        return only.shift, only.rounding

    assert mapped(0, "uint2") == (1, "half_up")
    assert mapped(1, "uint2") == (2, "half_even")
    assert mapped(1, "bipolar") == (1, "half_even")


def test_max_pools_by_hand():
    pool = MaxPool(name="max", input=parse("int4"), output=parse("int4"), window=Window((2, 2)))
    net = network(pool, dense("int4", "int4", "int8", [[1, 1, 1]]), size=Size(2, 2, 3))
    mapped = map_network(net, 2)[0]
    assert (mapped.on_array, mapped.pad, mapped.channels, mapped.steps) == (False, -8, 3, 4)
    assert accumulator_bits(net, 2) == 6  # of the dense layer alone: -24 to 21


def test_average_pools_by_hand():
    # each word is a pixel: the weight 1 picks a channel, in every word
    net = network(average("uint4", "uint8"), size=Size(1, 2, 3))
    (mapped,) = map_network(net, 2)
    assert mapped.weights.tolist() == [[1, 0, 1, 0], [0, 1, 0, 1]]
    assert (mapped.steps, mapped.planes, mapped.shift, mapped.pad) == (2, 1, 2, 0)
    assert (mapped.channels, mapped.group_channels, mapped.shared) == (3, 2, True)
    assert (mapped.bias.tolist(), mapped.multiplier.tolist()) == ([7, 7], [3, 3])
    assert exact_bound(mapped).partial.ends == (0, 30)


def test_average_pools_without_a_zero_by_hand():
    net = network(
        pointwise("bipolar", "bipolar", "bipolar", 2), average("bipolar", "int8"),
        size=Size(1, 2, 2),
    )  # fmt: skip
    mapped = map_network(net, 2)[1]
    # the second pass takes the other channel back, and counts the own one again
    assert mapped.weights.tolist() == [[1, 1, 1, 1, 1, -1, 1, -1], [1, 1, 1, 1, -1, 1, -1, 1]]
    assert (mapped.planes, mapped.steps, mapped.words, mapped.bitwise) == (2, 2, 4, False)
    assert (mapped.bias.tolist(), mapped.shift, mapped.pad) == ([14, 14], 3, -1)


def picks(weight, summands):
    """Weights with which channel 0 reads each tensor, and doublings, of a sum."""
    net = residual(weight, "bipolar", "bipolar", summands, Size(1, 1, 1))
    mapped = map_network(net, 1)[1]
    own = mapped.weights.reshape(mapped.planes, 2, -1).sum(axis=0).tolist()
    return own, mapped.shift - 2


def test_summands_by_hand():
    assert picks("int4", (3, 7)) == ([[3], [7]], 0)
    assert picks("int4", (3, 20)) == ([[3, 0, 0], [7, 7, 6]], 0)
    assert picks("e2m1", (9, 7)) == ([[8, 1], [6, 1]], 0)
    assert picks("e5m10", (255, 7)) == ([[255], [7]], 0)
    assert picks("pow2_3", (4, 7)) == ([[4, 0, 0], [4, 2, 1]], 0)
    assert picks("uint2", (1, 5)) == ([[1, 0], [3, 2]], 0)
    # everything twice, for the two passes; odd with odd
    assert picks("bipolar", (1, 3)) == ([[2, 2, -2], [2, 2, 2]], 1)
    # odd with even: doubled, and twice
    assert picks("bipolar", (1, 2)) == ([[2, 2, 2, -2], [2, 2, 2, 2]], 2)


@given(st.sampled_from(FAMILIES), st.integers(1, 255), st.integers(1, 255), st.integers(1, 4))
def test_every_summand_is_exact(family, one, two, lanes):
    net = residual(family[0], family[1], family[2], (one, two), Size(1, 1, 3))
    mapped = map_network(net, lanes)[1]
    shape = (len(mapped.weights), mapped.planes, 2, -1, lanes)
    sums = mapped.weights.reshape(shape).sum(axis=(1, 3))
    gain = 1 << (mapped.shift - 2)
    for row in range(len(sums)):
        for lane in range(lanes):
            wanted = [gain * one, gain * two] if row == lane else [0, 0]
            assert sums[row, :, lane].tolist() == wanted
    assert (mapped.bias == 7 * gain).all()


def test_the_range_of_a_sum_knows_both_formats():
    net = residual("int4", "uint2", "int4", (5, 2), Size(1, 1, 1))
    assert exact_bound(map_network(net, 2)[1]).partial.ends == (-16, 15 + 14)


def test_weights_that_cannot_pick_are_refused():
    first = conv("int1", "int4", "int4", -np.ones((1, 1, 1, 1)), Window((1, 1)), name="first")
    net = network(first, add("int4", "int4", "int8", (1, 1)), size=Size(1, 1, 1))
    with pytest.raises(NetworkError, match="layer sum: int1 weights cannot pick a channel"):
        map_network(net, 2)


@given(convnets(), st.integers(1, 7))
def test_weights_are_levels_of_the_array(net, lanes):
    array = operands(net)
    for mapped in map_network(net, lanes):
        if not mapped.on_array:
            continue
        assert array.weight.holds(mapped.weights).all()
        passes = 1 if mapped.bitwise else mapped.planes
        assert mapped.weights.shape[1] == passes * mapped.steps * lanes
        assert len(mapped.weights) == len(mapped.bias) == len(mapped.multiplier)
        groups, each = mapped.patch.groups, mapped.group_channels
        assert (groups - 1) * each < mapped.channels <= groups * each
