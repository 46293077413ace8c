"""Faults that are planted in an import, and found."""

from dataclasses import replace

import numpy as np
import pytest

from narrowgauge.hw.network.layers import Dense
from narrowgauge.model.exchange.tflite import rules
from narrowgauge.model.exchange.tflite.agree import agree_tflite
from narrowgauge.model.exchange.tflite.fixed_point import FixedPoint
from narrowgauge.model.exchange.tflite.importer import import_graph
from narrowgauge.model.exchange.tflite.reading import from_content
from narrowgauge.model.exchange.tflite.state import TfliteImport

from .files import classes, layers


def content():
    file, start = layers(zero=40)
    one = file.product("CONV_2D", start, 6, Padding="SAME", zero=4)
    two = file.product("CONV_2D", start, 6, (1, 1), scale=0.13, zero=7)
    classes(file, file.like("ADD", [one, two], None, 0.21, -20))
    return file.content()


def difference(imported):
    shape = imported.graph.tensors[imported.start].shape[1:]
    images = np.random.default_rng(2).integers(-128, 128, (60, *shape)).astype(np.int8)
    return agree_tflite(imported, images).first


def test_without_a_fault():
    assert difference(import_graph(from_content(content()), name="net")) == ""


def one_rounding(self, levels):
    shift = 31 - self.shift
    return (levels * self.multiplier + (1 << (shift - 1))) >> shift


def halves_up(self, levels):
    right = max(-self.shift, 0)
    high = ((levels << max(self.shift, 0)) * self.multiplier + (1 << 30)) >> 31
    return (high + ((1 << right) >> 1)) >> right


@pytest.mark.parametrize("fault", [one_rounding, halves_up])
def test_another_rounding(fault):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FixedPoint, "times", fault)
        imported = import_graph(from_content(content()), name="net")
    assert "layer conv_2d" in difference(imported)


def test_a_zero_point_beside_its_place():
    real = rules.rescaling

    def moved(graph, operation):
        rule = real(graph, operation)
        return replace(rule, zero=rule.zero + 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("narrowgauge.model.exchange.tflite.products.rescaling", moved)
        imported = import_graph(from_content(content()), name="net")
    assert "layer conv_2d, image 0, row 0, column 0, channel 0" in difference(imported)


def test_a_border_of_another_code():
    """Level 0 is code -128 where nothing makes it the zero point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TfliteImport, "rebased", lambda self, stored, base: stored)
        patch.setattr("narrowgauge.model.exchange.tflite.endings._pads", lambda *_: False)
        imported = import_graph(from_content(content()), name="net")
    assert "layer conv_2d, image 0, row 0" in difference(imported)


def test_a_multiplier_beside_its_place():
    imported = import_graph(from_content(content()), name="net")
    layers = list(imported.network)
    last = layers[-1]
    assert isinstance(last, Dense)
    layers[-1] = replace(last, multiplier=last.multiplier + (1 << 10))
    changed = replace(imported.network, layers=tuple(layers))
    assert "layer fully_connected" in difference(replace(imported, network=changed))
