"""The study of adversarial inputs: its rows, and what it says where a guarantee does not hold."""

import numpy as np
import pytest

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.bounds import accumulator_bits
from narrowgauge.model.integers.reference import evaluate
from narrowgauge.model.zoo import networks as zoo
from narrowgauge.scripts.studies import adversarial_sums
from narrowgauge.scripts.studies.adversarial_sums import ARRAY, failures, row


def in_reference(network, levels):
    """What hardware would give, without building any."""
    traced = evaluate(network, levels, ARRAY.lanes, trace=True).layers
    flags = [int(each.overflowed.sum()) for each in traced if each.overflowed is not None]
    found = {"images": len(levels), "mismatches": 0}
    return found | {"overflows": sum(flags), "last_overflows": flags[-1]}


@pytest.fixture
def network(small_zoo, monkeypatch):
    monkeypatch.setattr(adversarial_sums, "_simulated", in_reference)
    found = zoo.load("digits-tiny-int4")
    return found.with_accumulator(Accumulator(accumulator_bits(found, ARRAY.lanes)))


def test_a_guaranteed_network_holds(network):
    found = row(network, 3, 8)
    assert failures(found) == []
    assert (found["needed"], found["simulated"]["images"]) == (found["bits"], 3)
    assert all(layer["sums"] == layer["interval"] for layer in found["layers"])
    narrower = [layer["wrap"]["narrower"]["overflows"] for layer in found["layers"]]
    assert min(narrower) > 0


def test_a_network_without_a_guarantee_is_refused(network):
    narrow = network.with_accumulator(Accumulator(network.accumulator.width - 1))
    with pytest.raises(NetworkError, match=r"layer .*, channel \d+: sums reach from"):
        row(narrow, 3, None)


def test_planted_faults_are_said(network, monkeypatch):
    original = adversarial_sums.drive

    def weak(*given):
        driven = original(*given)
        object.__setattr__(driven, "images", np.zeros_like(driven.images))
        return driven

    with monkeypatch.context() as patch:
        patch.setattr(adversarial_sums, "drive", weak)
        said = failures(row(network, 3, None))
    assert any("sums reach" in each for each in said)
    assert any("with a bit less nothing overflows" in each for each in said)

    def wrong(network, levels):
        return in_reference(network, levels) | {"overflows": 1, "mismatches": 1}

    monkeypatch.setattr(adversarial_sums, "_simulated", wrong)
    said = failures(row(network, 3, None))
    assert "sums of test images overflow" in said
    assert "hardware differs from the reference on test images" in said
    assert any(each.endswith("bits: sums overflow") for each in said)
    assert any(each.endswith("bits: hardware differs from the reference") for each in said)
