"""A small convolutional network at three widths, and requests that take seconds."""

import copy
from functools import cache

import pytest

from narrowgauge.hw.tools.store import Store
from narrowgauge.model.post_training.quantization import lowered
from narrowgauge.scripts.exploring.quantised import Quantiser, numbers_of, split
from narrowgauge.scripts.exploring.request import Request

from ...model.post_training.networks import fitted

WIDTHS = (2, 4, 8)


@cache
def quantiser(path):
    """What quantises it, with a store in a folder."""
    choose, report = split("digits", 48, 200)
    return Quantiser(lowered(copy.deepcopy(fitted()), choose), choose, report, Store(path))


@cache
def versions(path):
    """The network at each width."""
    mine = quantiser(path)
    (numbers,) = numbers_of(("uint4",), None, mine.choose)
    return mine.versions(numbers, WIDTHS)


def request(path, **asked):
    """A request for a UP5K."""
    asked = {"target": "up5k", "widths": WIDTHS, "activations": ("uint4",), **asked}
    return Request(**asked, store=Store(path))


@pytest.fixture(scope="session")
def store_path(tmp_path_factory):
    """A store that the tests of this session share."""
    return tmp_path_factory.mktemp("explored") / "store.sqlite"
