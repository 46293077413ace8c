"""Random QONNX graphs: the import against exact arithmetic, QONNX's executor, and hardware."""

import random
from collections import Counter

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.requantised import Requantised
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.compare import compare as compare_runs
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.model.exchange.extra import require
from narrowgauge.model.exchange.preparation import Preparation
from narrowgauge.model.integers.reference import evaluate

require()

from narrowgauge.model.exchange.agree import agree  # noqa: E402
from narrowgauge.model.exchange.importer import import_model  # noqa: E402

from .against_oracle import compare  # noqa: E402
from .random_graphs import random_graph  # noqa: E402

draws = st.randoms(use_true_random=False)


def imported(drawn, lanes=4):
    """The import of a drawn graph; None where it is refused."""
    try:
        return import_model(drawn.model, name="random", lanes=lanes, **drawn.options)
    except NetworkError:
        return None


def check(drawn, found):
    """Compare with exact arithmetic, which knows nothing of ``agree``, and with QONNX."""
    assert not compare(drawn, found)
    agreement = agree(found, drawn.images)
    assert not [each.first for each in agreement.tensors if each.first]
    return agreement


@settings(max_examples=40)  # beside the 140 of the next one
@given(random_draws=draws, dyadic=st.booleans())
def test_equals_the_graph(random_draws, dyadic):
    drawn = random_graph(random_draws, dyadic=dyadic)
    found = imported(drawn)
    assume(found is not None)
    assert found is not None
    check(drawn, found)


def test_most_graphs_are_imported():
    """And every way of making levels of sums occurs, in every kind of layer that has it."""
    results, methods, kinds = Counter(), Counter(), Counter()
    for seed in range(140):
        drawn = random_graph(random.Random(seed), dyadic=seed % 2 == 0)
        found = imported(drawn)
        results[found is not None] += 1
        if found is not None:
            check(drawn, found)
            methods.update((each.method, each.rounding) for each in found.report)
            kinds.update(each.kind for each in found.report)
    assert results[True] > 0.8 * results.total()
    assert set(kinds) == {"dense", "conv2d", "max_pool", "average_pool", "add", "requantise"}
    assert {method for method, _ in methods} >= {
        "sign", "shift", "multiplier", "thresholds", "sums"
    }  # fmt: skip
    assert methods["shift", "half_even"] > 3


@settings(max_examples=20)
@given(
    random_draws=draws,
    dyadic=st.booleans(),
    rows=st.integers(1, 2),
    columns=st.integers(1, 3),
    lanes=st.integers(1, 4),
    contexts=st.integers(1, 2),
)
def test_hardware_gives_every_sum_and_level(random_draws, dyadic, rows, columns, lanes, contexts):
    drawn = random_graph(random_draws, dyadic=dyadic, small=True)
    found = imported(drawn, lanes)
    assume(found is not None)
    assert found is not None
    assert not compare(drawn, found, lanes)
    network, geometry = found.network, Geometry(rows, columns, lanes)
    preparation = Preparation.from_about(network.about)
    assert preparation is not None
    levels = preparation.levels(drawn.images[1:])
    accelerator = Accelerator(Program(network, geometry, contexts=contexts))
    run = AmaranthEngine(accelerator).run(Stimulus(levels, traced=len(levels)))
    expected = evaluate(network, levels, lanes, trace=True)
    comparison = compare_runs(run, expected, network, geometry)
    assert comparison, str(comparison.first)
    assert comparison.mismatches == 0
    assert sum(run.overflows) == 0, "the accumulator is wide enough"


def test_the_comparison_sees_a_difference():
    """A wrong bias in the first layer is seen by both."""
    seen = 0
    for seed in range(30):
        drawn = random_graph(random.Random(seed), dyadic=False)
        found = imported(drawn)
        if found is None or found.report[0].method != "multiplier" or not drawn.quantised_end:
            continue
        layer = found.network.layers[0]
        assert isinstance(layer, Requantised)
        layer.bias[:] += 1 << (layer.shift + 1)
        in_first = [
            each.first for each in agree(found, drawn.images).tensors if each.layer == layer.name
        ]
        assert bool(compare(drawn, found)) >= any(in_first)
        seen += any(in_first)
    assert seen > 2
