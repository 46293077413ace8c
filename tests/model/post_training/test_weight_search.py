"""Scales of weights that lose least at the output of their layer."""

import pytest
import torch

from narrowgauge.model.post_training import NetworkImages, PostTraining, quantize
from narrowgauge.model.post_training.progress import Course
from narrowgauge.model.post_training.quantization import lowered, quantize_model
from narrowgauge.model.post_training.walk import sums_before_bounds, walk

from .networks import fitted, known


@pytest.fixture(scope="module")
def images():
    return NetworkImages.load("digits", 60)


def lost(images, **options):
    """Mean square of what the first layer loses in each channel, before its activation rounds."""
    method = PostTraining(weight="int3", activation="uint8", bias_correction=False, **options)
    exact = lowered(fitted(), images)
    model, fmt, scale = quantize_model(exact, images, method)
    values = images.values(images.calibration)
    read = images.quantised(images.calibration, fmt, scale)
    pair = next(walk(exact, model, values, read))
    with torch.no_grad():
        one = sums_before_bounds(pair.exact, pair.exact_inputs, pair.scales).clamp(min=0)
        two = sums_before_bounds(pair.step, pair.inputs, pair.scales).clamp(min=0)
    return (one - two).square().transpose(0, 1).flatten(1).mean(dim=1)


@pytest.mark.parametrize("scales", ["channel", "tensor"])
def test_no_other_scale_loses_less(images, scales):
    found = lost(images, scales=scales, weight_range="output")
    for other in ("mse", "minmax"):
        losses = lost(images, scales=scales, weight_range=other)
        if scales == "channel":
            assert bool((found <= losses * 1.02 + 1e-9).all())
        assert float(found.sum()) < float(losses.sum())  # and the twin: another scale is seen


def test_chopped_weights_get_scales_of_their_own(images):
    def noise(weight_range):
        method = PostTraining(weight="int4", rounding="chop", weight_range=weight_range)
        return [row.noise for row in quantize(fitted(), images, method).layers]

    assert all(one > two for one, two in zip(noise("output"), noise("mse"), strict=True))


def test_progress_tells_the_seconds_left(images, monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))
    told = []
    method = PostTraining(weight="int4", weight_range="output", activation_range="loss")
    quantize(fitted(), images, method, progress=lambda text, left: told.append((text, left)))
    texts, lefts = zip(*told, strict=True)
    assert texts[0] == "calibrate"
    assert {"search the scales of 4", "search the range of 0", "measure 7"} <= set(texts)
    assert texts[-1] == "evaluate the integers"
    assert lefts[0] is None
    assert all(left is not None and left >= 0 for left in lefts[2:])
    monkeypatch.undo()
    course = Course(None, {"one": 1.0, "two": 3.0})
    course.part("two")
    assert known(course.share) == 0.25
