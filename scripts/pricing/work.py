"""What an image asks of an array and of memory, whatever the device: products, weights, values."""

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Self

from torch import nn

from ...hw.network.window import Size
from ...hw.numbers.formats import Bipolar
from ...hw.numbers.operands import Operands
from ...model.data import load
from ...model.layers.steps import WeightedStep
from ...model.lowering.lower import lower
from ...model.lowering.topologies import build
from .families import find_family

__all__ = ["ImageSpec", "ImageWork", "LayerWork", "work_of"]


@dataclass(frozen=True)
class LayerWork:
    """A layer with weights: multiply-accumulates an image, weights, values read and given."""

    macs: int
    weights: int
    read: int
    given: int


@dataclass(frozen=True)
class ImageWork:
    """What an image asks for, layer by layer, and bits of its pixels.

    Pools are not counted, nor biases.
    """

    layers: tuple[LayerWork, ...]
    pixel: int

    @property
    def weights(self) -> int:
        """All weights."""
        return sum(layer.weights for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an image."""
        return sum(layer.macs for layer in self.layers)

    def slots(self, operands: Operands) -> int:
        """Return the lane-cycles of an image on an array that is never idle.

        An array of XNOR gates reads the pixels bit by bit, one plane after the other.
        """
        planes = self.pixel if operands.activation == Bipolar() else 1
        return self.macs + (planes - 1) * self.layers[0].macs

    def weight_bits(self, operands: Operands) -> int:
        """Return the bits of all weights."""
        return self.weights * operands.weight.width

    def value_bits(self, operands: Operands) -> int:
        """Return the bits of what the layer with most of them reads and gives."""
        bits = operands.activation.width
        first, *others = self.layers
        sizes = [(each.read + each.given) * bits for each in others]
        return max(first.read * max(bits, self.pixel) + first.given * bits, *sizes)


@dataclass(frozen=True)
class ImageSpec:
    """Images that a network reads: height, width and channels; classes; bits of a pixel."""

    shape: tuple[int, int, int]
    classes: int
    pixel: int

    @classmethod
    def of(cls, name: str) -> Self:
        """Return those of a data set; raises `DataError` where it is not there."""
        dataset = load(name)
        return cls(dataset.image_shape, dataset.classes, dataset.input.width)


@cache
def work_of(family: str, size: float, images: ImageSpec) -> ImageWork:
    """Return the work of a network of a family on images."""
    known = find_family(family)
    shape = known.shape(size)
    widths = tuple(shape.get("widths", ()))
    module = build(
        known.network, images.shape, images.classes, width=shape.get("width", 1.0), widths=widths
    )
    model = lower(module, images.shape)
    return ImageWork(tuple(_layer(step) for _, step in model.weighted()), images.pixel)


def _layer(step: WeightedStep) -> LayerWork:
    weight, read = step.op.weight, prod(step.spatial)
    outputs, positions = weight.shape[0], 1
    if isinstance(step.op, nn.Conv2d):
        channels, height, width = step.spatial
        positions = prod(step.window.positions(Size(height, width, channels)))
    return LayerWork(weight.numel() * positions, weight.numel(), read, outputs * positions)
