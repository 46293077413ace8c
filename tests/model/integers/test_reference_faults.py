"""Faults planted into the reference, each of which its tests must find."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers import arithmetic
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.model.integers import accumulate, reference, words
from narrowgauge.model.integers.accumulate import AccumulatorTrace

from ...hw.networks import FAMILIES, random_convnet, random_images
from .test_reference import SAME, WIDE, assert_defined, assert_followed

LANES = 4
NARROW = Accumulator(5, "saturate")
BIPOLAR, PLANES, SIGNED, INT4 = (FAMILIES[index] for index in (0, 1, 8, 9))
IMAGE = Size(4, 5, 3)
CONV = (IMAGE, ("conv", 6, SAME, 1), ("dense", 4))
GROUPS = (IMAGE, ("conv", 6, SAME, 3), ("dense", 4))
MAX = (IMAGE, ("conv", 3, SAME, 1), ("max", SAME), ("dense", 4))
AVERAGE = (IMAGE, ("average", Window((3, 2), (1, 1), (2, 1, 0, 0))), ("dense", 4))
ADD = (IMAGE, ("conv", 3, SAME, 1), ("add", "input", (1, 3)), ("dense", 4))


def kernel_order(patch):
    original = words._runs
    patch.setattr(words, "_runs", lambda *args: original(*args).transpose(4, 5))


def flattening_order(patch):
    original = words._runs

    def runs(tensor, patch, each):
        view = original(tensor, patch, each)
        return view.movedim(6, 4).reshape(view.shape) if patch.count == 1 else view

    patch.setattr(words, "_runs", runs)


def outside(patch):
    original = words.padded
    for module in (words, accumulate):
        patch.setattr(
            module,
            "padded",
            lambda tensor, patch, channels, level, dtype: original(
                tensor, patch, channels, level + 1, dtype
            ),
        )


def outside_of_max(patch):
    original = words.padded
    patch.setattr(
        reference,
        "padded",
        lambda tensor, patch, channels, level, dtype: original(tensor, patch, channels, 0, dtype),
    )


def step_order(patch):
    read, prepare = AccumulatorTrace._pass, AccumulatorTrace._prepare_weights

    def backwards(tensor, dim, lanes):
        return tensor.unflatten(dim, (-1, lanes)).flip(dim).flatten(dim, dim + 1)

    def prepare_backwards(self):
        prepare(self)
        self._step_weights = backwards(self._step_weights, 2, self.lanes)

    patch.setattr(AccumulatorTrace, "_prepare_weights", prepare_backwards)
    patch.setattr(
        AccumulatorTrace, "_pass", lambda self, *args: backwards(read(self, *args), 2, self.lanes)
    )


def plane_order(patch):
    original = AccumulatorTrace._pass
    patch.setattr(
        AccumulatorTrace,
        "_pass",
        lambda self, tensors, index: original(self, tensors, self.mapped.planes - 1 - index),
    )


def group_order(patch):
    original = AccumulatorTrace._places
    patch.setattr(
        AccumulatorTrace, "_places", lambda self, sums, n: original(self, sums.flip(0), n)
    )


def sources_swapped(patch):
    total, read = AccumulatorTrace._total, AccumulatorTrace._pass
    patch.setattr(AccumulatorTrace, "_total", lambda self, tensors: total(self, tensors[::-1]))
    patch.setattr(
        AccumulatorTrace, "_pass", lambda self, tensors, index: read(self, tensors[::-1], index)
    )


def lanes_without_a_channel(patch):
    original = words.padded

    def padded(tensor, patch, channels, level, dtype):
        result = original(tensor, patch, channels, level, dtype)
        result[..., tensor.shape[3] :] = -level
        return result

    patch.setattr(words, "padded", padded)


def lanes_without_a_code(patch):
    prepare = AccumulatorTrace._prepare_weights

    def prepare_without(self):
        prepare(self)
        if hasattr(self, "_constant"):
            self._constant.zero_()

    patch.setattr(AccumulatorTrace, "_prepare_weights", prepare_without)


def rounding(patch):
    patch.setattr(arithmetic, "round_shift", lambda level, shift, rounding: level >> shift)


def halves_up(patch):
    original = arithmetic.round_shift
    patch.setattr(arithmetic, "round_shift", lambda level, shift, rounding: original(level, shift))


def clamp_of_the_format(patch):
    original = reference.requantize
    patch.setattr(
        reference,
        "requantize",
        lambda *args, low, high, rounding: original(*args, rounding=rounding),
    )


def thresholds_reached_too_late(patch):
    original = reference._reached
    patch.setattr(reference, "_reached", lambda sums, thresholds: original(sums - 1, thresholds))


def thresholds_of_the_next_channel(patch):
    original = reference._reached
    patch.setattr(
        reference, "_reached", lambda sums, thresholds: original(sums, thresholds.roll(1, 0))
    )


def wrapping(patch):
    original = AccumulatorTrace._fit

    def fit(self, register, overflowed):
        self.accumulator = Accumulator(self.accumulator.width, "wrap")
        original(self, register, overflowed)

    patch.setattr(AccumulatorTrace, "_fit", fit)


def flags_forgotten(patch):
    original = AccumulatorTrace._fit

    def fit(self, register, overflowed):
        if overflowed is not None:
            overflowed.zero_()
        original(self, register, overflowed)

    patch.setattr(AccumulatorTrace, "_fit", fit)


def shape_of_result(patch):
    patch.setattr(reference, "over_window", lambda *args: words.over_window(*args).flip(1))


@pytest.mark.parametrize(
    ("plant", "spec", "family", "accumulator"),
    [
        (kernel_order, CONV, INT4, WIDE),
        (kernel_order, CONV, INT4, NARROW),
        (kernel_order, GROUPS, PLANES, WIDE),
        (kernel_order, GROUPS, PLANES, NARROW),
        (flattening_order, CONV, INT4, WIDE),
        (flattening_order, CONV, BIPOLAR, NARROW),
        (outside, CONV, INT4, WIDE),
        (outside, CONV, BIPOLAR, NARROW),
        (outside, GROUPS, PLANES, WIDE),
        (outside, AVERAGE, INT4, WIDE),
        (outside, AVERAGE, BIPOLAR, NARROW),
        (outside_of_max, MAX, SIGNED, WIDE),
        (shape_of_result, MAX, INT4, WIDE),
        (step_order, CONV, INT4, NARROW),
        (step_order, GROUPS, PLANES, NARROW),
        (step_order, AVERAGE, BIPOLAR, Accumulator(3, "saturate")),
        (plane_order, CONV, PLANES, NARROW),
        (group_order, GROUPS, INT4, WIDE),
        (group_order, GROUPS, INT4, NARROW),
        (sources_swapped, ADD, INT4, WIDE),
        (sources_swapped, ADD, INT4, NARROW),
        (lanes_without_a_channel, AVERAGE, BIPOLAR, Accumulator(3, "saturate")),
        (lanes_without_a_code, CONV, BIPOLAR, WIDE),
        (lanes_without_a_code, CONV, PLANES, WIDE),
        (rounding, CONV, INT4, WIDE),
        (wrapping, CONV, INT4, NARROW),
        (flags_forgotten, CONV, INT4, NARROW),
    ],
)
def test_planted_faults_are_caught(monkeypatch, plant, spec, family, accumulator):
    network = random_convnet(4, family, spec, accumulator)
    images = random_images(0, network, 3)
    check = assert_defined if accumulator is WIDE else assert_followed
    check(network, images, LANES)
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check(network, images, LANES)


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (halves_up, "half_even"),
        (clamp_of_the_format, "clamp"),
        (thresholds_reached_too_late, "thresholds"),
        (thresholds_of_the_next_channel, "thresholds"),
    ],
)
@pytest.mark.parametrize("family", [PLANES, INT4])
def test_planted_faults_in_requantisation_are_caught(monkeypatch, plant, kind, family):
    plain = random_convnet(4, (*family[:2], "uint4"), CONV, WIDE)
    network = requantised(plain, kind)
    images = random_images(0, network, 3)
    for check in (assert_defined, assert_followed):
        check(network, images, LANES)
        with monkeypatch.context() as patch:
            plant(patch)
            with pytest.raises(AssertionError):
                check(network, images, LANES)


def requantised(network, kind):
    """Give the first layer another requantisation."""
    first, *rest = network.layers
    ones = {"bias": 0 * first.bias, "multiplier": 0 * first.bias + 1, "shift": 0}
    steps = np.arange(15) * 3 + np.arange(len(first.bias))[:, None] * 4 - 30
    changes = {
        "half_even": ones | {"shift": 1, "rounding": "half_even"},
        "clamp": {"low": 2, "high": 9},
        "thresholds": ones | {"thresholds": steps},
    }
    return replace(network, layers=(replace(first, **changes[kind]), *rest))


def test_a_step_that_float32_would_round_is_caught(monkeypatch):
    # products of 28 bits, of which float32 holds 24
    spec = (Size(1, 1, 6), ("dense", 5))
    network = random_convnet(0, ("int12", "uint16", "uint4"), spec, Accumulator(48))
    images = random_images(0, network, 3)
    assert_followed(network, images, LANES)
    monkeypatch.setattr(AccumulatorTrace, "_float", lambda self, limit: torch.float32)
    with pytest.raises(AssertionError):
        assert_followed(network, images, LANES)
