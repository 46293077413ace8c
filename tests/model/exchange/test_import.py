"""Networks of Brevitas and QKeras: executor, integers and hardware agree on every level."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
from qonnx.util.cleanup import cleanup_model

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Requantised
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.exchange.agree import Agreement, agree
from narrowgauge.model.exchange.brevitas import import_brevitas
from narrowgauge.model.exchange.importer import Imported, import_model, import_qonnx
from narrowgauge.model.exchange.preparation import KEY, Preparation
from narrowgauge.model.exchange.writing.qonnx import to_qonnx
from narrowgauge.scripts.runs.checked import simulate_and_compare

from . import brevitas_networks
from .brevitas_networks import NETWORKS, export, infer, quiet
from .graphs import Graph

HERE = Path(__file__).parent
IMAGES = 200
LANES = 4
REFUSED = ("minifloat activations",)
DECOUPLED = ("weight norm", "a2q, 12 bits", "a2q+, 12 bits", "a2q+, 10 bits")  # test_decoupled
RUN = [name for name in NETWORKS if name not in REFUSED + DECOUPLED]
BY_DYNAMO = ("bipolar conv", "int8 residual, one scale", "trunc pool", "asymmetric")
KERAS = ("conv", "dense", "low")


def exported(name: str, folder: Path, *, dynamo: bool = False) -> tuple[Path, torch.nn.Module]:
    module, _, test = brevitas_networks.train(name)
    path = folder / "model.onnx"
    export(module, test[:1], path, dynamo=dynamo)
    return path, module


def images() -> np.ndarray:
    pixels, _ = brevitas_networks.digits()
    return pixels[-IMAGES:].numpy()


def agreed(imported: Imported, inputs: np.ndarray, *, ties: int = 5) -> Agreement:
    """Every level is the same, but for a few ties; return how all agree."""
    found = agree(imported, inputs, LANES)
    assert [each.first for each in found.tensors if each.first] == []
    assert ties_of(found) <= ties
    assert found.same_levels >= len(inputs) - ties_of(found)
    assert found.same_class >= len(inputs) - ties_of(found)
    assert all(each.distance < 1e-3 for each in found.tensors)
    assert sum(each.elements for each in found.tensors) > 10 * len(inputs)
    return found


def ties_of(found: Agreement) -> int:
    return sum(each.ties for each in found.tensors)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_a_brevitas_network_in_executor_integers_and_hardware(name, tmp_path, record_property):
    path, module = exported(name, tmp_path)
    imported = import_qonnx(path, lanes=LANES)
    inputs = images()

    found = agreed(imported, inputs)
    record_property("ties", ties_of(found))

    classes = infer(module, torch.from_numpy(inputs)).argmax(dim=1)
    assert int((classes == found.result.labels).sum()) >= IMAGES - ties_of(found)

    accelerator = Accelerator(Program(imported.network, Geometry(2, 2, LANES)))
    run, comparison, _ = simulate_and_compare(accelerator, found.levels, "auto", traced=IMAGES)
    assert comparison.first is None
    assert comparison.mismatches == 0
    assert (run.labels == found.result.labels.numpy()).all()


def test_one_scale_of_all_logits_takes_no_multiplier(tmp_path):
    path, _ = exported("bipolar conv", tmp_path)
    *_, last = import_qonnx(path).report
    assert (last.method, last.multiplier_bits, last.logit_error) == ("sums", 1, 0.0)


@pytest.mark.parametrize("name", BY_DYNAMO)
def test_the_graphs_of_the_newer_exporter(name):
    module, _, test = brevitas_networks.train(name)
    imported = import_brevitas(module, test[:1], lanes=LANES)
    agreed(imported, images())


@pytest.mark.parametrize("of_input", [False, True])
@pytest.mark.parametrize("name", ["ternary conv", "bipolar conv"])
def test_the_channels_last_operators_of_qonnx(name, of_input, tmp_path):
    path, _ = exported(name, tmp_path)
    with quiet():
        model = cleanup_model(ModelWrapper(str(path)))
        model = model.transform(ConvertToChannelsLastAndClean(make_input_channels_last=of_input))
    assert any("channels_last" in node.domain for node in model.graph.node)
    imported = import_model(model.model, name="last", lanes=LANES)
    inputs = images()
    agreed(imported, np.moveaxis(inputs, 1, -1) if of_input else inputs)


@pytest.mark.parametrize("name", KERAS)
def test_a_qkeras_network_gives_what_qkeras_gives(name):
    imported = import_qonnx(HERE / f"qkeras/{name}.onnx", lanes=LANES)
    stored = np.load(HERE / f"qkeras/{name}.npz")
    found = agreed(imported, stored["images"], ties=0)
    assert (found.result.labels.numpy() == stored["output"].argmax(axis=1)).all()
    own = [stored[key] for key in stored if key not in ("images", "output")]
    compared = 0
    traces = {trace.name: trace.levels.numpy() for trace in found.result.layers}
    for watched in imported.watched[1:]:
        levels = watched.levels
        shape = (-1, levels.size.channels)
        trace = traces[levels.source].reshape(len(found.levels), *shape)
        values = (trace + levels.offset.astype(float)) * levels.scale.astype(float)
        compared += any(
            each.size == values.size and np.array_equal(each.reshape(values.shape), values)
            for each in own
        )
    assert compared == len(imported.watched) - 1


@pytest.mark.parametrize("name", ["int4 quantised bias", "bipolar conv", "int6 sigmoid tanh"])
def test_a_changed_bias_or_threshold_is_found_and_named(name, tmp_path):
    path, _ = exported(name, tmp_path)
    imported = import_qonnx(path, lanes=LANES)
    (at, layer) = next(
        (index, layer)
        for index, layer in enumerate(imported.network)
        if isinstance(layer, Requantised)
    )
    if layer.thresholds is None:
        faulty = replace(layer, bias=layer.bias + (3 << max(layer.shift - 2, 0)))
    else:
        faulty = replace(layer, thresholds=layer.thresholds + 9)
    layers = list(imported.network)
    layers[at] = faulty
    planted = replace(imported, network=replace(imported.network, layers=tuple(layers)))

    (first, *_) = [each.first for each in agree(planted, images()).tensors if each.first]
    assert layer.name in first


def test_a_wrong_rounding_of_exact_ties_is_no_tie_of_float32():
    """Every other sum is halfway between two levels, and all is exact in float32."""
    graph = Graph((1, 4))
    x = graph.quant(graph.input, scale=1.0, signed=False)
    sums = graph.matmul(x, graph.weights((4, 3), scale=1.0))
    output = graph.quant(sums, 7, 8.0)
    imported = import_model(graph.model(output), name="halves", lanes=LANES)
    (layer,) = imported.network
    assert isinstance(layer, Requantised)
    assert layer.rounding == "half_even"
    inputs = np.random.default_rng(1).integers(0, 16, (50, 4)).astype(np.float32)
    assert [each.first for each in agree(imported, inputs).tensors if each.first] == []

    faulty = replace(imported.network, layers=(replace(layer, rounding="half_up"),))
    (found,) = [
        each for each in agree(replace(imported, network=faulty), inputs).tensors if each.different
    ]
    assert found.ties == 0
    assert layer.name in found.first


def test_floating_point_activations_are_refused_by_name(tmp_path):
    path, _ = exported("minifloat activations", tmp_path)
    with pytest.raises(NetworkError, match=r"FloatQuant\).*floating point activations"):
        import_qonnx(path)


def test_a_module_that_brevitas_cannot_export():
    class Stubborn(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError("no")

    with pytest.raises(NetworkError, match="Brevitas cannot export the module"):
        import_brevitas(Stubborn(), torch.zeros(1, 1, 8, 8), dynamo=False)


def test_an_imported_network_that_is_exported_again_reads_the_same_pixels(tmp_path):
    path, _ = exported("ternary conv", tmp_path)
    first = import_qonnx(path, lanes=LANES, logit_bits=8)
    first.network.about[KEY]["mean"] = [0.25]  # type: ignore[index]
    again = import_model(to_qonnx(first.network), name="again", lanes=LANES)

    pixels = images().transpose(0, 2, 3, 1)
    own, other = (Preparation.from_plain(each.network.about[KEY]) for each in (first, again))
    levels = own.levels(own.images(pixels))
    assert np.array_equal(levels, other.levels(other.images(pixels)))
    assert not np.array_equal(levels, own.levels(images()))  # the mean was taken off
    assert [each.name for each in again.network] == [each.name for each in first.network]
