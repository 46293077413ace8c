"""Graphs that are refused in one line, which names the node and what would do; and odd ones."""

import numpy as np
import pytest

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.importer import import_model

from .graphs import Graph

__all__ = ["Cases", "check", "images", "sized", "vectors"]

LONGEST = 300  # characters of an error, but for the list of operators
LIST = "supported are "


class Cases:
    """Functions of one file that make a model, or a graph and its output."""

    def __init__(self):
        self.wrong, self.right = [], []

    def refused(self, *words):
        """Collect one whose model is refused, in these words."""

        def collect(function):
            self.wrong.append(pytest.param(function, words, id=function.__name__))
            return function

        return collect

    def accepted(self, function):
        """Collect one that makes what looks odd and is right."""
        self.right.append(pytest.param(function, id=function.__name__))
        return function

    def tests(self):
        """The tests of all that were collected: ``test_refused`` and ``test_odd_but_right``."""

        @pytest.mark.parametrize(("function", "words"), self.wrong)
        def test_refused(function, words):
            with pytest.raises(NetworkError) as caught:
                import_model(made(function), name="net")
            text = one_line(caught.value)
            for word in words:
                assert word in text

        @pytest.mark.parametrize("function", self.right)
        def test_odd_but_right(function):
            check(import_model(made(function), name="net"))

        return test_refused, test_odd_but_right


def made(function):
    found = function()
    if isinstance(found, tuple):
        graph, output = found
        return graph.model(output)
    return found


def one_line(error):
    text = str(error)
    assert "\n" not in text
    assert len(text.partition(LIST)[0]) <= LONGEST, f"{len(text)} characters: {text}"
    return text


def check(imported, count=4):
    """The executor gives the levels of the integers."""
    shape = imported.network.about["preparation"]["shape"]
    images = np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32) * 2
    assert [each.first for each in agree(imported, images).tensors if each.first] == []


def images(shape=(1, 2, 6, 6), **quantiser):
    graph = Graph(shape)
    given = {"bits": 8, "scale": 1 / 64, "signed": False} | quantiser
    return graph, graph.quant(graph.input, **given)


def vectors(width=4, **quantiser):
    graph = Graph((1, width))
    return graph, graph.quant(graph.input, **quantiser)


def sized(graph, x, width):
    """Quantise an image and end the network."""
    x = graph.node("Flatten", graph.quant(x))
    return graph.matmul(x, graph.weights((width, 2)))
