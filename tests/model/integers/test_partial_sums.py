"""Sums that were seen on images against registers that are followed step by step."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import OVERFLOWS, Accumulator
from narrowgauge.hw.program.mapping import map_network
from narrowgauge.model.integers import partial_sums
from narrowgauge.model.integers.partial_sums import network_bounds, seen_sums
from narrowgauge.model.integers.reference import evaluate

from ...hw.networks import FAMILIES, random_convnet, random_images, seeds, specs
from .test_bounds import held


def assert_seen(network, lanes, seed):
    """Ends and counts are those of every register on every image."""
    images = random_images(seed, network, 2)
    register = network.accumulator
    wide = evaluate(network.with_accumulator(Accumulator(48)), images, lanes, trace=True)
    levels = {"input": images} | {
        each.name: each.levels.reshape(-1, *network.sizes[each.name]).numpy()
        for each in wide.layers
    }
    found = seen_sums(network, images, lanes, steps=True)
    for mapped in map_network(network, lanes):
        if not mapped.on_array:
            continue
        rows = [[] for _ in mapped.weights]
        ends, beyond = [[] for _ in mapped.weights], 0
        for index in range(len(images)):
            tensors = [levels[source][index] for source in network.sources(mapped.layer)]
            for row, sums in held(mapped, lanes, tensors):
                rows[row] += sums
                ends[row].append(sums[-1])
                watched = sums[-1:] if register.overflow == "wrap" else sums
                beyond += any(map(register.overflows, watched))
        seen = found[mapped.layer.name]
        assert seen.partial.low.tolist() == [min(each, default=0) for each in rows]
        assert seen.partial.high.tolist() == [max(each, default=0) for each in rows]
        assert seen.final.low.tolist() == [min(each, default=0) for each in ends]
        assert seen.final.high.tolist() == [max(each, default=0) for each in ends]
        assert seen.beyond == beyond


@settings(max_examples=25)
@given(
    specs(max_layers=3, max_pixels=3, max_channels=3), st.sampled_from(FAMILIES), seeds,
    st.integers(1, 4), st.builds(Accumulator, st.integers(4, 9), st.sampled_from(OVERFLOWS)),
)  # fmt: skip
def test_sums_are_those_of_every_register(spec, family, seed, lanes, accumulator):
    assert_seen(random_convnet(seed, family, spec, accumulator), lanes, seed)


def test_planted_faults_are_found(monkeypatch):
    spec = (Size(3, 3, 2), ("conv", 3, Window((2, 2)), 1), ("average", None), ("dense", 2))
    network = random_convnet(3, FAMILIES[9], spec, Accumulator(5, "saturate"))
    assert_seen(network, 2, 1)
    original = partial_sums._Watched._ends

    def without_the_last_position(self, held):
        return original(self, held[:, :, :-1] if held.shape[2] > 1 else held)

    monkeypatch.setattr(partial_sums._Watched, "_ends", without_the_last_position)
    with pytest.raises(AssertionError):
        assert_seen(network, 2, 1)


def test_calibrated_bounds_are_within_exact_ones():
    network = random_convnet(
        1, FAMILIES[10], (Size(1, 1, 6), ("dense", 4), ("dense", 2)), Accumulator(20)
    )
    bounds = network_bounds(network, 3, random_images(1, network, 5))
    for each in bounds.values():
        assert list(each) == ["type", "l1", "exact", "calibrated"]
        assert not each["calibrated"].is_guarantee
        assert (each["exact"].final.low <= each["calibrated"].final.low).all()
        assert (each["calibrated"].final.high <= each["exact"].final.high).all()
    assert "calibrated" not in network_bounds(network, 3)["layer0"]
