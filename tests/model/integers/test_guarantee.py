"""Proofs that no input overflows: the planted twin of each is refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.bounds import accumulator_bits
from narrowgauge.model.integers.guarantee import prove_sums
from narrowgauge.model.integers.partial_sums import seen_sums

from ...hw.networks import FAMILIES, random_convnet, random_network


def with_weights(network, name, weights):
    layers = [
        replace(each, weights=weights) if each.name == name else each for each in network.layers
    ]
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bits_proven_are_the_fewest(family):
    network = random_network(3, family, (7, 5, 3), Accumulator(40))
    bits = accumulator_bits(network, lanes=4)
    found = prove_sums(network, lanes=4, bits=bits)
    assert max(each.max() for each in found.values()) == bits
    if bits > 2:
        with pytest.raises(NetworkError, match=f"and the accumulator has {bits - 1}; "):
            prove_sums(network, lanes=4, bits=bits - 1)


def test_pools_and_sums_of_tensors_are_proven_with_the_rest():
    spec = (Size(4, 4, 2), ("conv", 2, Window((1, 1)), 1), ("add", "input", (9, 1)))
    spec = (*spec, ("average", Window((2, 2), (2, 2))), ("dense", 2))
    network = random_convnet(0, ("int2", "uint4", "uint4"), spec, Accumulator(20))
    found = prove_sums(network, lanes=4)
    assert list(found) == ["layer0", "layer1", "layer2", "layer3"]
    assert set(found["layer1"]) == {9}  # up to 10 * 15
    assert set(found["layer2"]) == {7}  # up to 4 * 15
    with pytest.raises(NetworkError, match=r"layer layer1 of .* from 0 to 150 and take 9 bits"):
        prove_sums(network, lanes=4, bits=8)
    assert "layer1" not in prove_sums(network, lanes=4, bits=8, free={"layer1", "layer3"})


def test_one_code_more_breaks_the_proof_and_an_input_shows_it():
    network = random_network(0, ("int4", "uint4", "uint4"), (6, 4, 3), Accumulator(8))
    full = np.array([[4, 4, 0, -8, 0, 0], [0] * 6, [1] * 6, [-1] * 6])  # 120 of 127, -120 of -128
    network = with_weights(network, "layer0", full)
    network = with_weights(network, "layer1", np.eye(3, 4, dtype=np.int64))
    assert prove_sums(network, lanes=4)["layer0"].tolist() == [8, 2, 8, 8]
    full = full.copy()
    full[0, 2] = 1
    planted = with_weights(network, "layer0", full)
    with pytest.raises(NetworkError) as refused:
        prove_sums(planted, lanes=4)
    assert str(refused.value) == (
        "layer layer0 of random, channel 0: sums reach from -120 to 135 and take 9 bits, and the "
        "accumulator has 8; 9 would hold the layer"
    )
    image = np.where(full[0] > 0, 15, 0).reshape(1, 1, 1, 6)
    for overflow in ("wrap", "saturate"):
        register = Accumulator(8, overflow)
        beyond = seen_sums(planted.with_accumulator(register), image, 4)
        assert beyond["layer0"].beyond == 1
        assert seen_sums(network.with_accumulator(register), image, 4)["layer0"].beyond == 0
    assert "layer0" not in prove_sums(planted, lanes=4, free={"layer0"})
