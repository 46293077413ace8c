"""Average pools whose windows have more or fewer elements: each place has a divisor of its own."""

import numpy as np
import pytest

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.executor import Executor
from narrowgauge.model.exchange.importer import import_model
from narrowgauge.model.exchange.output_values import OutputValues
from narrowgauge.scripts.runs.checked import simulate_and_compare

from .test_placing import around, conv, drawn, ended, image
from .test_placing import compare as against_oracle


def pooled(*size, **more):
    def average(shape=(2, 5, 5), **options):
        graph, x = image(shape)
        return graph, graph.average_pool(x, kernel_shape=list(size), **more, **options)

    return average


def quantised_then_convolved(shape=(2, 5, 5)):
    graph, x = pooled(3, 3, strides=[1, 1], pads=[1] * 4)(shape)
    return graph, conv(graph, graph.quant(x, 4, 0.2), pads=[1] * 4)


def of_a_zero_point():
    graph, x = image((2, 4, 4), zero=1)
    x = graph.node("Add", x, np.float32(0.125))
    return graph, graph.average_pool(x, 3, strides=[2, 2], pads=[1] * 4)


def of_channels_of_other_scales():
    graph, x = image((2, 4, 4))
    x = graph.node("Mul", x, np.array([1, 2, -0.5], np.float32).reshape(3, 1, 1))
    return graph, graph.node("Relu", graph.average_pool(x, 3, strides=[2, 2], pads=[1] * 4))


def behind_a_pad():
    """Zeros of a Pad count, those of the pool do not."""
    graph, x = image((2, 4, 4))
    return graph, graph.average_pool(around(graph, x), 3, strides=[2, 2], pads=[1] * 4)


def of_a_line():
    graph, x = image((2, 9))
    return graph, graph.average_pool(x, kernel_shape=[3], strides=[2], pads=[1, 1])


def before_a_sigmoid():
    graph, x = pooled(3, 3, strides=[2, 2], pads=[1] * 4)()
    return graph, graph.node("Sigmoid", x)


EXACT = {
    "all around": pooled(3, 3, strides=[1, 1], pads=[1, 1, 1, 1]),
    "at the end of rows": pooled(2, 2, strides=[2, 2], ceil_mode=1),
    "SAME_UPPER": pooled(2, 3, strides=[2, 2], auto_pad="SAME_UPPER"),
    "ceil_mode that divides": pooled(3, 3, strides=[2, 2], ceil_mode=1),
    **{
        each.__name__: each
        for each in (
            quantised_then_convolved, of_a_zero_point, of_channels_of_other_scales, behind_a_pad,
            of_a_line, before_a_sigmoid,
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_is_what_the_graph_is(name):
    given = drawn(ended(*EXACT[name]()))
    found = import_model(given.model, name="net")
    assert against_oracle(given, found) == []
    assert [each.first for each in agree(found, given.images).tensors if each.first] == []
    assert any(each.kind == "move" for each in found.network) == ("divides" not in name)


def test_windows_that_all_leave_the_image_as_far():
    given = drawn(ended(*pooled(2, 2, strides=[2, 2], pads=[1] * 4)((2, 2, 2))))
    found = import_model(given.model, name="net")
    assert against_oracle(given, found) == []
    assert [each.kind for each in found.network] == ["conv2d", "average_pool", "dense"]


def test_hardware_does_what_these_layers_say():
    given = drawn(ended(*quantised_then_convolved((1, 3, 2))))
    imported = import_model(given.model, name="net", lanes=2)
    found = agree(imported, given.images[:2], 2)
    accelerator = Accelerator(Program(imported.network, Geometry(3, 2, 2)))
    run, comparison, _ = simulate_and_compare(accelerator, found.levels, "amaranth", traced=2)
    assert comparison, comparison.first
    assert np.array_equal(run.levels, found.result.levels)


def test_at_the_end_it_is_an_image():
    graph, x = pooled(3, 3, strides=[2, 2], pads=[1] * 4)()
    given = drawn(graph.model(graph.quant(x, 8, 0.0123)))
    imported = import_model(given.model, name="net")
    assert not imported.network.classes
    agreed = agree(imported, given.images)
    assert agreed.first == ""
    values = OutputValues.of(imported.network)
    executed = Executor(imported.model).run(given.images)[imported.output]
    assert values.shape == executed.shape[1:] == (3, 3, 3)
    assert np.allclose(values.values(agreed.result.levels.numpy()), executed, atol=1e-5)


@pytest.mark.parametrize(
    ("operator", "shape"),
    [("Add", (1, 3, 4, 5)), ("Sub", (4, 5)), ("Mul", (1, 5)), ("Div", (3, 4, 1))],
)
def test_constants_of_each_element(operator, shape):
    graph, x = image()
    values = np.random.default_rng(0).choice([0.5, 0.75, 1, 2], shape).astype(np.float32)
    x = graph.quant(graph.node(operator, x, values), 4, 0.3)
    given = drawn(ended(graph, conv(graph, x)))
    found = import_model(given.model, name="net")
    assert against_oracle(given, found) == []
    assert [each.first for each in agree(found, given.images).tensors if each.first] == []


def test_constants_of_too_many_elements():
    graph, x = image((1, 80, 80))
    values = np.linspace(0, 1, 6400, dtype=np.float32).reshape(1, 80, 80)
    with pytest.raises(NetworkError, match=r"Add_0.*more than 16,384 elements; use one number"):
        import_model(graph.model(graph.quant(graph.node("Add", x, values))), name="net")


def test_another_divisor_is_found(monkeypatch):
    """The planted twin: windows at the edge that count what lies outside."""
    from narrowgauge.hw.network.window import Window

    given = drawn(ended(*EXACT["all around"]()))
    inside = Window.inside
    monkeypatch.setattr(
        Window, "inside", lambda self, size: tuple((3, *each[1:]) for each in inside(self, size))
    )
    assert against_oracle(given, import_model(given.model, name="net")) != []
