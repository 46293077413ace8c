"""Quantisers in the domains of exporters old and new."""

import numpy as np
import pytest

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Weighted
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.exchange.extra import require

require()

from onnx import helper  # noqa: E402

from narrowgauge.model.exchange.agree import agree  # noqa: E402
from narrowgauge.model.exchange.importer import import_model  # noqa: E402
from narrowgauge.scripts.runs.checked import simulate_and_compare  # noqa: E402

from .against_oracle import compare  # noqa: E402
from .graphs import DOMAIN, Graph  # noqa: E402
from .random_graphs import Drawn  # noqa: E402

COUNT = 10
STANDARD = ("", "ai.onnx")
OLD = ("onnx.brevitas", "finn.custom_op.general", "finn", "qonnx")


def network():
    """Three bits everywhere, as QONNX's first exporter wrote it: a flat image and three layers."""
    graph = Graph((1, 1, 3, 4), opset=11)
    x = graph.node("Flatten", graph.quant("x", 8, 0.3367, narrow=True))
    for inputs, outputs in ((12, 8), (8, 8), (8, 4)):
        scale = graph.random.uniform(0.05, 0.1, (outputs, 1))
        weights = graph.weights((outputs, inputs), 3, scale, narrow=True)
        x = graph.matmul(x, graph.node("Transpose", weights, perm=[1, 0]))
        if outputs != 4:
            x = graph.node("Relu", graph.norm(x, outputs))
            x = graph.quant(x, 3, 0.14285715, signed=False)
    return graph, x


def moved(model, domain, *opsets: tuple[str, int]):
    """The model with its quantisers in another domain."""
    for node in model.graph.node:
        if node.domain == DOMAIN:
            node.domain = domain
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(name, of) for name, of in (("", 11), *opsets))
    return model


def images(*shape):
    return np.random.default_rng(1).normal(size=(COUNT, *shape)).astype(np.float32) * 4


@pytest.mark.parametrize("domain", [*STANDARD, *OLD, DOMAIN])
def test_quantisers_of_a_domain(domain):
    graph, x = network()
    opsets = [] if domain in STANDARD else [(domain, 1)]
    model = moved(graph.model(x), domain, *opsets)
    found = import_model(model, name="net")
    given = images(1, 3, 4)
    assert [each.weight for each in found.report] == ["int3"] * 3
    # the oracle looks at operators alone
    assert compare(Drawn(model, given, {}, x, False, ""), found) == []
    agreement = agree(found, given)
    assert [each.first for each in agreement.tensors if each.first] == []
    assert agreement.same_class == COUNT
    if domain == "":
        accelerator = Accelerator(Program(found.network, Geometry(2, 2, 4)))
        _, comparison, _ = simulate_and_compare(
            accelerator, agreement.levels, "amaranth", traced=COUNT
        )
        assert comparison.first is None


@pytest.mark.parametrize("inputs", [5, 6])
def test_the_version_of_a_trunc_that_states_none(inputs):
    graph = Graph((1, 4), opset=11)
    x = graph.quant("x", 8, 0.1)
    short = inputs == 5
    x = graph.trunc(x, 0.1, 0.0, 8, 4) if short else graph.trunc2(x, 0.1, 0.0, 8, 1.6, 4)
    model = moved(graph.model(graph.matmul(x, graph.weights((4, 3)))), "")
    found = import_model(model, name="net")
    agreement = agree(found, images(4))
    assert [each.first for each in agreement.tensors if each.first] == []


def test_another_domain_is_named():
    graph, x = network()
    with pytest.raises(NetworkError, match=r"domain 'com.acme', not of qonnx.custom_op.general"):
        import_model(moved(graph.model(x), "com.acme", ("com.acme", 1)), name="net")


def test_a_changed_weight_is_found():
    graph, x = network()
    found = import_model(moved(graph.model(x), ""), name="net")
    first = found.network.layers[0]
    assert isinstance(first, Weighted)
    first.weights[0] = -first.weights[0]
    tensors = agree(found, images(1, 3, 4)).tensors
    assert any("row 0, column 0, channel 0" in each.first for each in tensors)
