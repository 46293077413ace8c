"""Estimates of accelerators, beside what was measured."""

from dataclasses import replace

import pytest

from narrowgauge.hw.errors import FitError, GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.synth import estimate as module
from narrowgauge.hw.synth.build import accelerator_for
from narrowgauge.hw.synth.counting import count_accelerator
from narrowgauge.hw.synth.estimate import estimate, has_estimates
from narrowgauge.hw.synth.targets import TARGETS, target
from narrowgauge.scripts.studies.estimator_designs import design

from ..networks import random_network

NETWORK = random_network(2, ("int4", "uint4", "uint4"), (16, 8, 4), Accumulator(12))
UP5K, ECP5 = target("up5k"), target("ecp5-25k")


@pytest.mark.parametrize(("number", "device", "lut", "ff"), [(20, "hx8k", 1456, 642)])
def test_what_was_mapped_is_estimated_within_the_error(number, device, lut, ff):
    """A design that is kept: gates that change since then change its estimate, too."""
    made = design(number)
    found = estimate(made.program, target(device))
    assert abs(found.lut / lut - 1) <= found.lut_error <= 0.25
    assert abs(found.ff / ff - 1) <= 0.25


def test_more_of_everything_takes_more():
    small = estimate(Program(NETWORK, Geometry(1, 1, 2)), ECP5)
    large = estimate(Program(NETWORK, Geometry(2, 2, 4)), ECP5)
    assert small.lut < large.lut
    assert small.ff < large.ff
    assert small.fmax_mhz
    assert large.fmax_mhz
    assert small.fmax_mhz >= large.fmax_mhz > 0
    assert not small.remark


def test_elements_are_those_that_images_come_to():
    """Rows beyond the batch of a dense network have no work, so what they take is less."""

    def elements(batch):
        program = Program(NETWORK, Geometry(4, 1, 4), batch=batch)
        return count_accelerator(accelerator_for(program, ECP5), ECP5)["element lut"]

    assert 0 < elements(1) < elements(4)


def test_blocks_are_counted():
    program = Program(NETWORK, Geometry(1, 2, 4))
    logic, blocks = (
        count_accelerator(accelerator_for(program, ECP5, multiplier=each), ECP5)
        for each in ("logic", "block")
    )
    assert blocks["dsp"] - logic["dsp"] == 4  # two lanes each


def test_beyond_what_was_measured_is_said(monkeypatch):
    models = {"ice40": {**module._models()["ice40"], "largest": 500}}
    monkeypatch.setattr(module, "_models", lambda: models)
    program = Program(NETWORK, Geometry(1, 1, 2))
    assert "at most 500 logic cells" in estimate(program, UP5K).remark
    with pytest.raises(FitError, match=r"no accelerator was measured on ecp5, .* one for ice40"):
        estimate(program, ECP5)
    assert not has_estimates(ECP5)


def test_what_cannot_be_is_refused():
    with pytest.raises(GeometryError, match="no DSP blocks"):
        estimate(Program(NETWORK, Geometry(1, 1, 2)), target("hx8k"), multiplier="block")


def test_every_target_has_estimates():
    assert all(map(has_estimates, map(target, TARGETS)))


def test_a_family_without_weights_has_none():
    other = replace(UP5K, family=replace(UP5K.family, name="other"))
    assert not has_estimates(other)
