"""Claims of the study: they hold of rows that say so; widths keep their limits."""

import base64

import numpy as np
import pytest
import torch

from narrowgauge.scripts.papers.answers import answers, share_change
from narrowgauge.scripts.papers.kept import KeptRows
from narrowgauge.scripts.papers.latotzke.claims import images_per_second
from narrowgauge.scripts.papers.latotzke.plan import (
    ARRAYS,
    BAR,
    FAST,
    LAYERS,
    MEANS,
    MIXED,
    RESNET,
    TARGET,
    cells,
    then,
)
from narrowgauge.scripts.papers.latotzke.study import STUDY
from narrowgauge.scripts.papers.latotzke.widths import (
    WIDTHS,
    chosen_channels,
    chosen_layers,
    halved_channels,
    mean_bits,
    mean_slices,
    random_layers,
)
from narrowgauge.scripts.papers.page import page
from narrowgauge.scripts.papers.resnet8.reference import ReferenceResnet, lowered, settle
from narrowgauge.scripts.papers.study import Verdict

SLICED, WIDE, NARROW = ARRAYS
IMAGES = 10_000


def sensitivity():
    """Losses that fall with the width, of layers whose channels differ."""
    parameters = ReferenceResnet().state_dict()
    counts = {name: parameters[f"{name}.weight"].shape[0] for name in LAYERS}
    positions = {"conv": 1024, "dense": 1}
    positions |= {name: 1024 // 4 ** (int(name[5]) - 1) for name in LAYERS[1:-1]}
    return {
        "part": "sensitivity",
        "network": RESNET,
        "losses": {
            name: [2.0 ** -(2 * w) * (1 + i) for w in WIDTHS] for i, name in enumerate(LAYERS)
        },
        "errors": {
            name: [[(1 + at) * 4.0**-w for at in range(counts[name])] for w in WIDTHS]
            for name in LAYERS
        },
        "weights": {name: parameters[f"{name}.weight"].numel() for name in LAYERS},
        "positions": positions,
        "widths": list(WIDTHS),
        "images": 256,
    }


def accuracy(by, mean, wrong, *, trained=False, draw=None, bits=None):
    """A row whose first so many test images are labelled wrong."""
    right = np.arange(IMAGES if draw is None else 2000) >= wrong
    return {
        "part": "accuracy", "network": RESNET, "by": by, "mean": mean, "trained": trained,
        "seed": 0, "draw": draw,
        "answers": base64.b64encode(np.packbits(right).tobytes()).decode(),
        "right": [int(right.sum())], "images": len(right), "made": 0, "seconds": 1.0,
        "right_validation": 5000 - wrong // 2, "images_validation": 5000,
        "mean_bits": bits or mean, "bits": int(77_360 * (bits or mean)), "slices": 1.5,
        "widths": [3] * len(LAYERS),
    }  # fmt: skip


def planted(mixed=1350, clock=60.0, cells=12_000, mismatches=0):
    """Rows in which chosen widths are better, and an array of slices pays."""
    rows = [accuracy("float", 32, 1280), {**sensitivity(), "made": 0, "seconds": 1.0}]
    for width, wrong in zip(WIDTHS, (6000, 2500, 1600, 1320, 1300), strict=True):
        rows.append(accuracy("uniform", width, wrong))
    for mean in MEANS:
        wrong = mixed + 200 * (mean < 3)
        rows += [accuracy("layers", mean, wrong, trained=each) for each in (False, True)]
        rows += [accuracy("channels", mean, wrong - 100, trained=each) for each in (False, True)]
    rows += [accuracy(by, 3.0, mixed, trained=True, bits=2.95) for by in (MIXED, BAR, FAST)]
    rows += [accuracy("random", 3.0, 700 + 20 * draw, draw=draw) for draw in range(20)]
    for array, name, cycles in (
        (SLICED, MIXED, 110e3),
        (WIDE, "int8", 210e3),
        (NARROW, "int4", 1e5),
    ):
        place = {
            "network": RESNET,
            "by": name,
            "mean": None,
            "array": array,
            "target": TARGET,
            "made": 0,
        }
        place |= {"seconds": 1.0, "right": [0], "images": 1}
        for seed in (1, 2, 3):
            routed: dict[str, float] = {
                "lut": cells if array == SLICED else 13_000,
                "ff": 1,
                "bram": 70,
                "dsp": 2,
            }
            routed["fmax_mhz"] = clock if array == SLICED else 58.0
            rows.append({**place, **routed, "part": "routed", "placement": seed, "bits": 1,
                         "model_cycles": cycles})  # fmt: skip
        rows.append({**place, "part": "simulated", "images": 200, "model_cycles": cycles,
                     "mismatches": mismatches})  # fmt: skip
    for width in WIDTHS:
        row = {"part": "cycles", "network": RESNET, "by": f"int{width}", "mean": None}
        row |= {"array": SLICED, "target": TARGET, "model_cycles": 30e3 * width}
        row |= {"ecp5-25k blocks": 60, "ecp5-25k fits": False, "made": 0, "seconds": 1.0}
        rows.append(row)
    return rows


def verdicts(rows):
    return [finding.verdict for finding in STUDY.findings(rows)]


def test_claims_hold_of_rows_that_say_so():
    found = verdicts(planted())
    assert found == [Verdict.CONDITIONS] * 4 + [Verdict.NOT, Verdict.CONDITIONS]


def test_no_rows_are_not_tested():
    assert verdicts([]) == [Verdict.UNTESTED] * 6
    for figure in STUDY.figures:
        assert figure.draw([]).startswith(b"<?xml")


@pytest.mark.parametrize("worse", [{"mixed": 1500}, {"clock": 50.0}, {"cells": 14_000}], ids=str)
def test_slices_do_not_pay_where_one_condition_fails(worse):
    """More than a point lost, fewer than 1.8 times the images, or more logic."""
    assert verdicts(planted(**worse))[0] == Verdict.NOT


def test_a_difference_of_hardware_makes_every_claim_untested():
    assert verdicts(planted(mismatches=1)) == [Verdict.UNTESTED] * 6


def test_rows_are_compared_in_pairs():
    one, other = accuracy("uniform", 8, 100), accuracy("uniform", 4, 300)
    points, error = share_change(other, one)
    assert points == pytest.approx(-2.0)
    assert error == pytest.approx(100 * np.sqrt(0.02 * 0.98 / IMAGES))
    few = accuracy("random", 3.0, 100, draw=0)
    assert share_change(few, one) == (0.0, 0.0)  # on the 2,000 images of both
    assert answers(one).sum() == IMAGES - 100


def test_images_a_second_are_the_median_clock_over_cycles():
    rows = planted()
    rows[-11]["fmax_mhz"] = 1000.0  # of int4, or nothing
    assert images_per_second(rows, WIDE, "int8") == pytest.approx(58e6 / 210e3)
    assert images_per_second(rows, SLICED, "int8") == pytest.approx(60e6 / 240e3)
    assert images_per_second(rows, NARROW, "int8") is None


@pytest.mark.parametrize("mean", MEANS)
def test_chosen_widths_keep_the_mean(mean):
    found = sensitivity()
    for each in (chosen_layers(found, mean), chosen_channels(found, mean)):
        assert each is not None
        assert mean - 0.3 < mean_bits(found, each) <= mean
    assert chosen_layers(found, 1.5) is None


def test_slices_are_a_limit_of_their_own():
    found = sensitivity()
    free, fast = chosen_layers(found, 3.0), chosen_layers(found, 3.0, 1.65)
    assert free is not None
    assert fast is not None
    assert mean_slices(found, fast) <= 1.65 < mean_slices(found, free)


def test_halves_have_channels_that_lose_least_at_two_bits():
    found = halved_channels(sensitivity())
    assert found["channels"]["block1.conv1"] == [2] * 8 + [4] * 8
    assert mean_bits(sensitivity(), found) == pytest.approx(2.954, abs=1e-3)


def test_random_widths_are_under_the_same_mean():
    found = sensitivity()
    drawn = [random_layers(found, 3.0, draw) for draw in range(5)]
    assert all(2.5 < mean_bits(found, each) <= 3.0 for each in drawn)
    assert len({str(each) for each in drawn}) == 5


def test_the_plan_has_no_cell_twice():
    planned = [*cells(False), *then([sensitivity()])]
    places = [tuple(cell.columns.get(name) for name in STUDY.names) for cell in planned]
    assert len(set(places)) == len(places)
    assert then([]) == []
    assert len(cells(True)) == 1


@torch.no_grad()
def test_norms_of_the_reference_network_change_no_output():
    torch.manual_seed(0)
    module, images = ReferenceResnet().eval(), torch.rand(4, 3, 32, 32)
    for _, norm in module.folded():
        torch.nn.init.normal_(norm.bias)
        assert norm.running_var is not None
        norm.running_var.fill_(1 - norm.eps)
    before = module(images)
    settle(module, images)
    assert torch.allclose(module(images), before, atol=1e-4)
    assert module.norm.running_mean is not None
    module.norm.running_mean.add_(1.0)
    assert not torch.allclose(module(images), before, atol=1e-2)
    assert tuple(lowered(module.state_dict()).channels()) == LAYERS


def test_the_page_is_written_from_the_rows():
    made = [{"command": "x", "date": "y", "versions": {}, "machine": "z", "data": {}}]
    shown = page(STUDY, KeptRows(planted(), made))
    assert "| layers | 3 | 3.00 | 86.50 % | 86.50 % |" in shown
    assert "| slices of 2 | 4x4x16, 4 chains | ecp5-45k |" in shown
