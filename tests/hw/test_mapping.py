import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw.arithmetic import Accumulator
from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.mapping import Operands, accumulator_bits, map_layer, map_network, operands
from narrowgauge.hw.network import Dense, Network
from narrowgauge.hw.number import Bipolar, Fixed, PowerOfTwo, parse


def dense(weight, input, output, weights, name="only"):
    outputs = len(weights)
    return Dense(
        name, parse(weight), parse(input), parse(output), np.array(weights),
        np.arange(outputs) - 1, np.arange(outputs) + 1, 1,
    )  # fmt: skip


def network(*layers):
    return Network("n", layers, Accumulator(24))


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
        dense("bipolar", "uint4", "uint8", square), dense("int4", "uint8", "int8", square)
    )
    assert operands(mixed).weight == Fixed(4)
    assert operands(mixed).activation == Fixed(8, signed=False)


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
                     ("pow2_3", "uint3"), ("int4", "int3"), ("pow2_2", "bipolar")]),
    st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_accumulator_bits_hold_every_step_and_not_one_bit_less(formats, inputs, lanes, seed):
    weight = parse(formats[0])
    chance = np.random.default_rng(seed)
    codes = chance.integers(0, 1 << weight.width, (3, inputs))
    net = network(dense(formats[0], formats[1], "int16", weight.to_level(codes).tolist()))
    (mapped,) = map_network(net, lanes)
    low, high = mapped.accumulator_range(operands(net).activation)
    register = Accumulator(accumulator_bits(net, lanes))
    assert not register.overflows(low)
    assert not register.overflows(high)
    if register.width > 2:
        narrower = Accumulator(register.width - 1)
        assert narrower.overflows(low) or narrower.overflows(high)


def test_accumulator_range_by_hand():
    net = network(dense("int4", "uint2", "int8", [[3, -2, 1], [-1, -1, -1]]))
    (mapped,) = map_network(net, 2)
    assert mapped.accumulator_range(operands(net).activation) == (-9, 12)
    assert accumulator_bits(net, 2) == 5
    net = network(dense("bipolar", "uint2", "int8", [[1, -1, 1]]))
    (mapped,) = map_network(net, 2)
    assert mapped.accumulator_range(operands(net).activation) == (-12, 12)


def test_the_range_of_wide_operands_is_exact():
    wide = Fixed(32)
    layer = Dense(
        "wide", wide, wide, wide, np.full((1, 4), wide.min_level), np.zeros(1), np.ones(1), 0
    )
    mapped = map_layer(layer, 4, Operands(wide, wide))
    reach = 4 * (1 << 31) * (1 << 31)
    assert mapped.accumulator_range(wide) == (-reach + 4 * (1 << 31), reach)


def test_levels_that_no_operand_holds_are_refused():
    wide, narrow = Fixed(32, signed=False), Fixed(4)
    first = Dense("a", narrow, wide, narrow, np.ones((2, 3)), np.zeros(2), np.ones(2), 0)
    second = Dense("b", narrow, narrow, narrow, np.ones((1, 2)), np.zeros(1), np.ones(1), 0)
    network = Network("mixed", (first, second), Accumulator(16))
    with pytest.raises(NetworkError, match=r"mixed: no operand holds all its inputs.*int4, uint32"):
        operands(network)
