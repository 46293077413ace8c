"""A module as people write them, trained for a few steps: its integers, and the hardware's."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.synth.build import accelerator_for
from narrowgauge.hw.synth.targets import target
from narrowgauge.model.data import load
from narrowgauge.model.integers.export import export
from narrowgauge.model.lowering.topologies import NETWORKS
from narrowgauge.model.training.recipe import Recipe
from narrowgauge.model.training.train import train
from narrowgauge.scripts.runs.checked import simulate_and_compare

from .test_digits import needs_compiler

GEOMETRY = Geometry(2, 2, 4)


class Everyday(nn.Module):
    """Many idioms at once."""

    def __init__(self, channels, classes):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.3]).view(1, channels, 1, 1))
        self.conv1 = nn.Conv2d(channels, 6, 3)
        self.bn = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3, padding="same", dilation=2, bias=False)
        self.conv3 = nn.Conv2d(6, 6, (1, 2), padding="same")
        self.fc = nn.Linear(54, classes)
        self.last = nn.BatchNorm1d(classes)

    def forward(self, x):
        """Map images to the logarithms of probabilities."""
        x = (x - self.mean) / 0.4
        x = self.bn(functional.relu6(self.conv1(x)))
        x = functional.hardtanh(self.conv2(x), -2, 2) - self.conv3(x)
        x = functional.max_pool2d(functional.relu(x), 2)
        x = functional.dropout(x.view(x.size(0), -1), 0.1, self.training)
        return functional.log_softmax(self.last(self.fc(x)), dim=1)


@pytest.fixture(scope="module")
def network():
    NETWORKS["everyday"] = lambda shape, classes, width=1.0: Everyday(shape[2], classes)
    try:
        start = train(Recipe(network="everyday", epochs=1, crop=0))
        trained = train(replace(start.recipe, weight="int4", epochs=1), start=start)
    finally:
        del NETWORKS["everyday"]
    assert trained.accuracy > 0.5
    return export(trained, lanes=GEOMETRY.lanes)[0]


def test_layers_are_those_that_hardware_has(network):
    assert [(layer.name, layer.kind) for layer in network] == [
        *(("conv1", "conv2d"), ("bn", "conv2d"), ("conv2", "conv2d"), ("conv3", "conv2d")),
        *(("sub", "add"), ("max_pool2d", "max_pool"), ("fc", "dense")),
    ]


@needs_compiler
def test_hardware_equals_the_reference(network):
    data = load("digits")
    levels = data.levels(data.test_images[:20], network.input)
    accelerator = accelerator_for(Program(network, GEOMETRY), target("up5k"))
    _, comparison, _ = simulate_and_compare(accelerator, levels, "batch", traced=len(levels))
    assert comparison, str(comparison.first)
    assert (comparison.images, comparison.traced, comparison.mismatches) == (20, 20, 0)
