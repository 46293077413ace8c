"""Cycles that are predicted, and simulated ones: they are equal.

``NARROWGAUGE_LONG=1`` draws 200 networks.
"""

import os
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.implementation import Implementation
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program import timeline
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import Stimulus

from ..networks import convnets, geometries, networks, random_convnet, random_exits, random_images

EXAMPLES = 200 if os.environ.get("NARROWGAUGE_LONG") else 3
MOST = 3000  # cycles that are simulated of a random network, or an image
MOST_SINGLE = 400  # the same, with a single port
INT4 = ("int4", "uint4", "uint4")
SAME, HALF = Window((3, 3), (1, 1), (1, 1, 1, 1)), Window((2, 2), (2, 2))
POINT = Window((1, 1))


def made(spec, geometry, **options):
    return Program(random_convnet(1, INT4, spec, Accumulator(24)), geometry, **options)


def several_outputs():
    trunk = (Size(3, 4, 2), ("conv", 4, SAME, 1), ("conv", 4, SAME, 1), ("max", HALF), ("dense", 5))
    exits = {"layer0": (None, None), "layer2": (("dense", 4), "int16")}
    network = random_exits(1, INT4, trunk, exits, Accumulator(24))
    return Program(network, Geometry(2, 2, 2, chains=2))


def cases():
    """Each part is waited for in one of them: the loader, the feeder, the array, the emitter."""
    return {
        "dense": (made((Size(1, 1, 24), ("dense", 12), ("dense", 10)), Geometry(2, 2, 4)), 7),
        "emitter": (made((Size(1, 1, 4), ("dense", 32)), Geometry(2, 4, 4)), 5),
        "loader beside a pool": (
            made(
                (Size(9, 8, 3), ("max", HALF), ("conv", 2, HALF, 1), ("dense", 2)),
                Geometry(4, 4, 3), batch=1,
            ),
            4,
        ),
        "residual": (
            made(
                (Size(4, 4, 4), ("conv", 4, SAME, 1), ("add", "input", (3, 2)), ("dense", 3)),
                Geometry(2, 2, 4, chains=2), batch=1,
            ),
            3,
        ),
        "depthwise": (
            made(
                (Size(4, 4, 8), ("conv", 8, SAME, 8), ("conv", 4, POINT, 1), ("dense", 3)),
                Geometry(4, 4, 4, chains=4), batch=1,
            ),
            3,
        ),
        "slices": (
            made(
                (Size(4, 4, 4), ("conv", 4, SAME, 1), ("add", "input", (3, 2)), ("dense", 3)),
                Geometry(2, 2, 4, slice=2), batch=1,
            ),
            3,
        ),
        "several outputs": (several_outputs(), 5),
        "many layers": (made((Size(1, 1, 1), *[("dense", 1)] * 66), Geometry(1, 1, 1)), 1),
        "one context": (
            made(
                (Size(5, 5, 2), ("conv", 4, SAME, 1), ("max", HALF), ("average", None),
                 ("dense", 3)),
                Geometry(2, 2, 3), contexts=1,
            ),
            3,
        ),
    }  # fmt: skip


CASES = cases()
SINGLE = {
    "chains": (
        made(
            (Size(4, 2, 2), ("conv", 4, SAME, 1), ("max", HALF), ("dense", 3)),
            Geometry(2, 2, 2, chains=2), batch=1,
        ),
        2, ("activations",),
    ),
    "one context": (
        made(
            (Size(2, 2, 2), ("conv", 2, SAME, 1), ("add", "input", (3, 2)), ("dense", 3)),
            Geometry(2, 2, 2), contexts=1,
        ),
        2, ("activations", "weights"),
    ),
}  # fmt: skip
"""Programs, images, and memories with a single port."""


def simulated(program, images, ports=()):
    stimulus = Stimulus(random_images(0, program.network, images))
    accelerator = Accelerator(program, Implementation(single_port=ports))
    return AmaranthEngine(accelerator).run(stimulus).cycles


@cache
def known(name):
    return simulated(*CASES[name])


@cache
def known_single(name):
    return simulated(*SINGLE[name])


def predicted(program, images, ports=()):
    return Accelerator(program, Implementation(single_port=ports)).cycles.run(images)


@pytest.mark.parametrize("name", CASES)
def test_cycles_are_as_predicted(name):
    assert predicted(*CASES[name]) == known(name)


@st.composite
def programs(draw):
    """Any small network on any small array."""
    network = draw(st.one_of(networks(), convnets(max_layers=3, max_pixels=5)))
    plain = draw(geometries)
    chains = draw(st.sampled_from([each for each in (1, 2, 3, 4) if not plain.rows % each]))
    options = {"contexts": draw(st.integers(1, 2)), "batch": draw(st.integers(1, plain.rows))}
    size = plain.rows, plain.columns, plain.lanes
    try:
        return Program(network, Geometry(*size, plain.hop, chains), **options)
    except GeometryError:  # too few codes are written at once for so many chains
        return Program(network, plain, **options)


@settings(max_examples=EXAMPLES)
@given(programs(), st.integers(1, 9))
def test_cycles_of_any_network_are_as_predicted(program, images):
    model = Accelerator(program).cycles
    assert model.least <= model.per_image + 1e-9
    images = min(images, max(1, int(MOST / model.least)))
    assert predicted(program, images) == simulated(program, images)


@pytest.mark.parametrize("name", SINGLE)
def test_cycles_of_a_single_port_are_as_predicted(name):
    program, images, ports = SINGLE[name]
    assert predicted(program, images, ports) == known_single(name)
    assert predicted(program, images) != known_single(name), "reads that wait"


@settings(max_examples=max(2, EXAMPLES // 2))
@given(programs(), st.integers(1, 5), st.booleans())
def test_cycles_of_any_network_with_a_single_port_are_as_predicted(program, images, both):
    ports = ("activations", "weights") if both else ("activations",)
    images = min(images, max(1, int(MOST_SINGLE / program.cycles.least)))
    assert predicted(program, images, ports) == simulated(program, images, ports)


def test_an_element_is_taken_at_once_where_weights_are_loaded():
    program, images, _ = SINGLE["one context"]
    loaded = Program(program.network, program.geometry, contexts=1, any_weights=True)
    assert predicted(loaded, images) == predicted(program, images) - 1
    assert predicted(program, images, ("weights",)) == predicted(program, images) - 1


def test_a_word_that_is_not_counted_is_found(monkeypatch):
    original = timeline.position_cycles

    def faulty(feed, lanes, *, whole):
        return original(feed, lanes, whole=True)

    monkeypatch.setattr(timeline, "position_cycles", faulty)
    assert predicted(*CASES["one context"]) < known("one context")


def test_a_write_that_is_not_counted_is_found(monkeypatch):
    monkeypatch.setattr(timeline._Timeline, "granted", lambda self, cycle: cycle)
    name = "loader beside a pool"
    assert predicted(*CASES[name]) < known(name)


def test_a_read_that_waits_for_no_image_is_found(monkeypatch):
    monkeypatch.setattr(timeline._Loader, "write", write_unseen)
    assert predicted(*SINGLE["chains"]) != known_single("chains")


def write_unseen(loader, now, original=timeline._Loader.write):
    """Write words of images, and leave their cycles to readers."""
    before = len(loader.timeline.writes)
    writes = bytes(loader.timeline.writes)
    original(loader, now)
    loader.timeline.writes[:before] = writes
    del loader.timeline.writes[before:]
