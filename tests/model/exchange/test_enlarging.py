"""Nearest upsampling, DepthToSpace within a network, and tensors that broadcast."""

import numpy as np
import pytest

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Move
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.executor import Executor
from narrowgauge.model.exchange.importer import import_model
from narrowgauge.model.exchange.output_values import OutputValues
from narrowgauge.model.exchange.writing.qonnx import export
from narrowgauge.model.integers.reference import evaluate
from narrowgauge.scripts.runs.checked import simulate_and_compare

from .refusals import Cases
from .test_placing import compare as against_oracle
from .test_placing import conv, drawn, ended, image

cases = Cases()
PLAIN = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def enlarged(graph, x, *scales, **more):
    values = {"mode": "nearest", **PLAIN} | more
    return graph.node("Resize", x, "", np.array((1, 1, *scales), np.float32), **values)


def another(graph, x, scale=0.25):
    return graph.quant(graph.conv(x, graph.weights((3, 3, 1, 1))), 4, scale)


def before_a_convolution():
    graph, x = image()
    return graph, conv(graph, enlarged(graph, x, 2, 2), pads=[1] * 4)


def before_a_dense_layer():
    graph, x = image()
    return graph, enlarged(graph, x, 2, 3)


def by_sizes_and_half_pixels():
    graph, x = image()
    x = graph.node("Resize", x, "", "", graph.integers(1, 3, 12, 5), mode="nearest")
    return graph, conv(graph, x)


def of_old_files():
    graph, x = image(opset=9)
    x = graph.node("Upsample", x, np.array([1, 1, 1, 2], np.float32), mode="nearest")
    return graph, conv(graph, x)


def before_its_quantiser():
    graph, x = image()
    x = graph.conv(x, graph.weights((3, 3, 1, 1)), graph.real(3))
    x = graph.quant(graph.node("Relu", enlarged(graph, x, 2, 2)), 4, 0.3)
    return graph, conv(graph, x)


def of_a_sum():
    """Both are as large: they are added before."""
    graph, x = image()
    x = graph.node("Add", enlarged(graph, x, 2, 2), enlarged(graph, another(graph, x), 2, 2))
    return graph, conv(graph, graph.quant(x, 4, 0.3))


def beside_a_larger_one():
    """A pyramid: what was pooled is enlarged, and added to what it was before."""
    graph, x = image((2, 4, 6))
    small = another(graph, graph.max_pool(x), 0.5)
    x = graph.node("Add", x, enlarged(graph, small, 2, 2))
    return graph, conv(graph, graph.quant(x, 4, 0.3))


def a_sum_with_one_pixel():
    graph, x = image()
    mean = graph.quant(graph.node("GlobalAveragePool", x), 4, 0.25)
    return graph, conv(graph, graph.quant(graph.node("Sub", x, mean), 4, 0.25))


def before_pools_and_padding():
    graph, x = image()
    x = graph.max_pool(enlarged(graph, x, 2, 2), 3)
    x = graph.node("Pad", enlarged(graph, x, 1, 2), graph.integers(0, 0, 1, 0, 0, 0, 0, 2))
    return graph, conv(graph, x)


def depth_to_space(mode):
    def inside():
        graph, x = image()
        x = graph.quant(graph.conv(x, graph.weights((8, 3, 1, 1))), 4, 0.3)
        return graph, conv(graph, graph.node("DepthToSpace", x, blocksize=2, mode=mode), channels=2)

    return inside


def channels_of_other_scales():
    graph, x = image()
    x = graph.node("Mul", x, np.array([1, 2, 0.5], np.float32).reshape(3, 1, 1))
    return graph, graph.conv(enlarged(graph, x, 2, 2), graph.weights((3, 1, 3, 3)), group=3)


EXACT = [
    (before_a_convolution, 2), (before_a_dense_layer, 0), (by_sizes_and_half_pixels, 1),
    (of_old_files, 1), (before_its_quantiser, 2), (of_a_sum, 2), (beside_a_larger_one, 2),
    (a_sum_with_one_pixel, 1), (before_pools_and_padding, 3), (depth_to_space("DCR"), 2),
    (depth_to_space("CRD"), 3), (channels_of_other_scales, 2),
]  # fmt: skip


@pytest.mark.parametrize(("make", "moves"), EXACT)
def test_is_what_the_graph_is(make, moves):
    given = drawn(ended(*make()))
    found = import_model(given.model, name="net")
    assert against_oracle(given, found) == []
    assert [each.first for each in agree(found, given.images).tensors if each.first] == []
    assert sum(isinstance(each, Move) for each in found.network) == moves


def test_two_readers_share_what_is_enlarged():
    graph, x = image()
    x = enlarged(graph, x, 2, 2)
    one, two = (graph.quant(conv(graph, x), 4, 0.3) for _ in range(2))
    found = import_model(ended(graph, graph.node("Add", one, two)), name="net")
    assert sum(isinstance(each, Move) for each in found.network) == 2


@pytest.mark.parametrize("lanes", [1, 3, 4])
def test_hardware_does_what_these_layers_say(lanes):
    graph, x = image((2, 2, 4))
    small = another(graph, graph.max_pool(x), 0.5)
    x = graph.quant(graph.node("Add", x, enlarged(graph, small, 2, 2)), 4, 0.3)
    x = graph.quant(graph.conv(x, graph.weights((8, 3, 1, 1))), 4, 0.3)
    x = graph.node("DepthToSpace", x, blocksize=2)
    given = drawn(ended(graph, conv(graph, x, channels=2)))
    imported = import_model(given.model, name="net", lanes=lanes)
    found = agree(imported, given.images[:2], lanes)
    accelerator = Accelerator(Program(imported.network, Geometry(2, 2, lanes)))
    run, comparison, _ = simulate_and_compare(accelerator, found.levels, "amaranth", traced=2)
    assert comparison, comparison.first
    assert np.array_equal(run.levels, found.result.levels)


def at_the_end(scales=(2, 2)):
    graph, x = image()
    return graph.model(enlarged(graph, graph.quant(conv(graph, x), 6, 0.1234), *scales))


def test_at_the_end_the_host_repeats():
    given = drawn(at_the_end())
    found = import_model(given.model, name="net")
    assert not any(isinstance(each, Move) for each in found.network)
    agreed = agree(found, given.images)
    assert agreed.first == ""
    values = OutputValues.of(found.network)
    executed = Executor(found.model).run(given.images)[found.output]
    assert values.shape == executed.shape[1:] == (2, 4, 6)
    right = values.values(agreed.result.levels.numpy())
    assert np.allclose(right, executed, atol=1e-5)
    assert found.network.outputs == 12


def test_another_factor_is_found():
    """The planted twin: a graph that repeats rows where the import repeats columns."""
    graph, x = image((2, 4, 4))
    x = graph.quant(conv(graph, enlarged(graph, x, 1, 2), size=1), 4, 0.3)
    model = graph.model(graph.node("GlobalAveragePool", x))
    imported = import_model(model, name="net")
    place, move = next(
        (place, each) for place, each in enumerate(imported.network) if isinstance(each, Move)
    )
    layers = list(imported.network.layers)
    object.__setattr__(move, "steps", (0, move.steps[0]))
    object.__setattr__(move, "blocks", move.blocks[::-1])
    assert layers[place] is move
    assert any(each.first for each in agree(imported, drawn(model).images).tensors)


@cases.refused("Resize_0", "linear", "use nearest")
def between_pixels():
    graph, x = image()
    return graph, enlarged(graph, x, 2, 2, mode="linear")


@cases.refused("Resize_0", "makes 6 of 4", "whole multiples")
def one_and_a_half():
    graph, x = image((2, 4, 4))
    return graph, enlarged(graph, x, 1.5, 1)


@cases.refused("Resize_0", "makes 2 of 4")
def smaller():
    graph, x = image((2, 4, 4))
    return graph, enlarged(graph, x, 0.5, 1)


@cases.refused("Resize_0", "align_corners", "more often than others", "asymmetric")
def corners():
    graph, x = image()
    return graph, enlarged(graph, x, 2, 2, coordinate_transformation_mode="align_corners")


@cases.refused("repeats its one position", "to the host")
def one_pixel_at_the_end():
    graph, x = image()
    x = graph.quant(graph.node("GlobalAveragePool", x), 6, 0.1)
    return graph, enlarged(graph, x, 4, 4)


@cases.refused("Gather_0", "leaves out elements")
def some_channels():
    graph, x = image()
    return graph, graph.node("Gather", x, graph.integers(0, 2), axis=1)


test_refused, _ = cases.tests()


def in_rows(graph, x):
    """Blocks of two columns, side by side."""
    x = graph.node("Reshape", x, graph.integers(1, 2, 2, 2, 3))
    return graph.node("Transpose", x, perm=[0, 1, 3, 4, 2])


@pytest.mark.parametrize(
    ("end", "operator"),
    [
        (lambda graph, x: graph.node("DepthToSpace", x, blocksize=2), "DepthToSpace"),
        (lambda graph, x: graph.node("DepthToSpace", x, blocksize=2, mode="CRD"), "DepthToSpace"),
        (lambda graph, x: enlarged(graph, x, 1, 3), "Resize"),
        (lambda graph, x: graph.node("Transpose", x, perm=[0, 2, 3, 1]), "Transpose"),
        (lambda graph, x: x, "Quant"),
        (in_rows, "Reshape"),
    ],
)
def test_what_the_host_moves_is_written(end, operator):
    graph, x = image((2, 4, 5))
    x = graph.quant(graph.conv(x, graph.weights((4, 3, 3, 3))), 6, 0.1234)
    imported = import_model(graph.model(end(graph, x)), name="net")
    assert imported.network.input_size is not None
    written = export(imported.network).model
    assert written.graph.node[-1].op_type == operator
    again = import_model(written, name="again")
    levels = np.random.default_rng(0).integers(-8, 8, (5, *imported.network.input_size))
    first, second = (evaluate(each.network, levels, 4).levels.numpy() for each in (imported, again))
    right, found = (
        OutputValues.of(each.network).values(given)
        for each, given in ((imported, first), (again, second))
    )
    card = imported.network.about["result"]
    assert np.allclose(right, card["scale"] * (found + card["offset"]))
    batch = levels[:1].transpose(0, 3, 1, 2).astype(np.float32)
    executed = Executor(again.model).run(batch)[again.output]
    assert np.array_equal(executed, found[:1])
