"""Adversarial inputs reach every end of the exact interval, and overflow what is a bit narrower.

In the reference for networks of all kinds, and in hardware for one of each kind of layer.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import OVERFLOWS, Accumulator
from narrowgauge.hw.program.bounds import exact_bound
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.program.mapping import map_network
from narrowgauge.hw.sim.compare import compare
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.model.integers import extremes
from narrowgauge.model.integers.extremes import drive, extreme_levels
from narrowgauge.model.integers.partial_sums import layer_sums
from narrowgauge.model.integers.reference import evaluate

from ...hw.networks import FAMILIES, outputs, random_convnet, residuals, seeds, specs

WIDE = Accumulator(48)
LANES = 4


def same(one, two):
    return one.low.tolist() == two.low.tolist() and one.high.tolist() == two.high.tolist()


def assert_reached(network, lanes):
    """Every end of every row, final and partial, is a sum of some image, and none is beyond."""
    for mapped in map_network(network, lanes):
        if mapped.on_array:
            tensors = [torch.from_numpy(each) for each in extreme_levels(mapped, lanes)]
            for (low, high), levels in zip(mapped.ranges, tensors, strict=True):
                assert low <= levels.min() <= levels.max() <= high
            seen, exact = layer_sums(mapped, tensors, lanes, steps=True), exact_bound(mapped)
            assert same(seen.final, exact.final)
            assert same(seen.partial, exact.partial)


def overflows(network, images, lanes):
    """Sums of the last layer that leave the register."""
    flags = evaluate(network, images, lanes, trace=True).layers[-1].overflowed
    assert flags is not None
    return int(flags.sum())


def assert_driven(network, lanes):
    """Each layer alone overflows a register that is a bit narrower than it has to be; not that."""
    for mapped in map_network(network, lanes):
        driven = driven_alone(network, mapped, lanes)
        if driven is None:
            continue
        bits = exact_bound(mapped).partial.bits
        for overflow in OVERFLOWS:
            on = driven.network.with_accumulator
            assert overflows(on(Accumulator(bits, overflow)), driven.images, lanes) == 0
            if bits > driven.least_bits:
                assert overflows(on(Accumulator(bits - 1, overflow)), driven.images, lanes) > 0


def driven_alone(network, mapped, lanes):
    """A layer alone; None where an array without zeros adds otherwise then."""
    try:
        return drive(network, mapped.layer.name, lanes) if mapped.on_array else None
    except NetworkError as error:
        if "cannot be driven alone" in str(error) and not mapped.weights.all():
            raise
        return None


small = specs(max_layers=3, max_pixels=4, max_channels=4)


@settings(max_examples=25)
@given(small, st.sampled_from(FAMILIES), outputs, seeds, st.integers(1, 5), st.booleans())
def test_every_end_of_every_interval_is_reached(spec, family, output, seed, lanes, varied):
    network = random_convnet(seed, family, spec, WIDE, output=output, varied=varied)
    assert_reached(network, lanes)
    assert_driven(network, lanes)


@settings(max_examples=10)
@given(residuals(), st.integers(1, 5))
def test_every_end_of_sums_of_tensors_is_reached(network, lanes):
    network = network.with_accumulator(WIDE)
    assert_reached(network, lanes)
    assert_driven(network, lanes)


# --- in hardware ---------------------------------------------------------------------------------

SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))
RESIDUAL = (Size(2, 3, 1), ("conv", 2, SAME, 1), ("conv", 2, SAME, 2), ("add", "layer0", (3, 1)),
            ("average", Window((2, 2))), ("dense", 2))  # fmt: skip


def in_hardware(network, images, register):
    """Overflows of each layer in hardware, which equals the reference in all else, too."""
    on, geometry = network.with_accumulator(register), Geometry(1, 2, LANES)
    accelerator = Accelerator(Program(on, geometry))
    run = AmaranthEngine(accelerator).run(Stimulus(images, traced=len(images)))
    expected = evaluate(on, images, LANES, trace=True)
    comparison = compare(run, expected, on, geometry)
    assert comparison, str(comparison.first)
    return run.overflows


@pytest.mark.parametrize(
    ("name", "overflow"),
    [("layer0", "saturate"), ("layer2", "wrap"), ("layer3", "saturate"), ("layer4", "wrap")],
)
def test_a_bit_less_overflows_in_hardware(name, overflow):
    network = random_convnet(1, ("int4", "uint4", "uint4"), RESIDUAL, WIDE)
    (mapped,) = [each for each in map_network(network, LANES) if each.layer.name == name]
    bits, driven = exact_bound(mapped).partial.bits, drive(network, name, LANES)
    for register in (Accumulator(bits, overflow), Accumulator(bits - 1, overflow)):
        *_, last = in_hardware(driven.network, driven.images, register)
        assert (last > 0) == (register.width < bits)


# --- what is refused, and planted faults ---------------------------------------------------------


def test_what_cannot_be_driven_is_refused():
    network = random_convnet(1, FAMILIES[9], (Size(2, 2, 2), ("max", PAIR), ("dense", 2)), WIDE)
    with pytest.raises(NetworkError, match="sums in layer1; there is no layer0 that does"):
        drive(network, "layer0", LANES)


def without_signs(patch):
    original = extremes._added
    patch.setattr(extremes, "_added", lambda *given: (abs(each) for each in original(*given)))


def the_first_window(patch):
    patch.setattr(extremes, "_places", lambda mapped, read: [0])


def the_last_step(patch):
    original = extremes._added
    patch.setattr(extremes, "_added", lambda *given: (each[-1:] for each in original(*given)))


PAIR = Window((1, 2), (1, 1))
POOL = (Size(1, 2, 4), ("average", None), ("dense", 2))
CONV = (Size(3, 3, 2), ("conv", 3, SAME, 1), ("dense", 2))
FAULTS = [
    (without_signs, FAMILIES[9], CONV),
    (the_first_window, FAMILIES[9], CONV),
    (the_last_step, FAMILIES[0], POOL),
]


@pytest.mark.parametrize(("fault", "family", "spec"), FAULTS)
def test_planted_faults_are_found(fault, family, spec, monkeypatch):
    network = random_convnet(1, family, spec, WIDE)
    assert_reached(network, LANES)
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        assert_reached(network, LANES)


def test_images_that_follow_no_signs_overflow_nothing(monkeypatch):
    network = random_convnet(1, FAMILIES[9], CONV, WIDE)
    assert_driven(network, LANES)
    without_signs(monkeypatch)
    with pytest.raises(AssertionError):
        assert_driven(network, LANES)
