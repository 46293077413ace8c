"""Layouts of what travels with the work: what they hold, and what they refuse."""

from dataclasses import replace

import pytest

from narrowgauge.hw.accelerator.job import Batch, ContextBatch, Job
from narrowgauge.hw.accelerator.scoreboard import ScoreboardConfig
from narrowgauge.hw.errors import GeometryError

from .inputs.patches import convolution
from .inputs.test_loader import make
from .inputs.test_max_pool import two_groups
from .outputs.test_writer import both_layers
from .test_probe import config_of, planted_drain

BUILDS = [
    lambda contexts: Job(contexts, 3),
    lambda contexts: ContextBatch(contexts, Batch(2)),
    lambda contexts: make(elements=3, lanes=2, contexts=contexts),
    lambda contexts: replace(two_groups(), contexts=contexts),
    lambda contexts: replace(convolution(lanes=2), contexts=contexts),
    lambda contexts: ScoreboardConfig(contexts, 3, 0, Batch(2)),
    lambda contexts: replace(both_layers()[1], contexts=contexts),
    lambda contexts: config_of(planted_drain(), contexts, 0, [0, 0], [False, False]),
]


@pytest.mark.parametrize("build", BUILDS)
def test_contexts_are_one_or_two(build):
    for contexts in (1, 2):
        build(contexts)
    for contexts in (0, 3):
        with pytest.raises(GeometryError, match=f"contexts is 1 or 2, not {contexts}"):
            build(contexts)


def test_widths_by_hand():
    assert (Job(2, 5).size, Job(1, 1).size) == (1 + 3, 0)
    assert (ContextBatch(1, Batch(3)).size, ContextBatch(2, Batch(4)).size) == (2 + 32, 1 + 3 + 32)
