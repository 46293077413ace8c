"""Files that are no ONNX, or lie: an error of one line, or a network, and nothing else."""

import os
import random
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from narrowgauge.hw.errors import NarrowgaugeError, NetworkError
from narrowgauge.model.exchange.extra import require

require()

import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from narrowgauge.model.exchange.agree import agree  # noqa: E402
from narrowgauge.model.exchange.importer import SUPPORTED, import_model, import_qonnx  # noqa: E402

from .graphs import DOMAIN, Graph, dense  # noqa: E402

QKERAS = sorted((Path(__file__).parent / "qkeras").glob("*.onnx"))
LONGEST = 400  # characters of an error, with the path of a test and without the list of operators


def residual():
    """A graph with most of what there is: convolutions, a norm, a sum, pools, a softmax."""
    graph = Graph((1, 2, 6, 6))
    x = graph.quant(graph.input, 8, 1 / 64, signed=False)
    x = graph.conv(x, graph.weights((4, 2, 3, 3)), pads=[1, 1, 1, 1])
    x = graph.quant(x, 4, 0.5, signed=False)
    y = graph.conv(x, graph.weights((4, 4, 3, 3)), pads=[1, 1, 1, 1])
    y = graph.quant(graph.norm(y, 4), 4, 0.5)
    x = graph.quant(graph.node("Relu", graph.node("Add", x, y)), 4, 0.5, signed=False)
    x = graph.node("Flatten", graph.max_pool(x))
    x = graph.gemm(x, graph.weights((3, 36), scale=0.1), graph.real(3), transB=1)
    return graph.model(graph.node("Softmax", x))


def small():
    graph, x = dense()
    return graph.model(x)


MODELS = {"residual": residual, "small": small}


def refused(path, *words):
    with pytest.raises(NetworkError) as caught:
        import_qonnx(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert text.partition("supported are")[0].isprintable()
    assert len(text.partition("supported are")[0]) <= LONGEST
    for word in words:
        assert word in text


def refused_or_imported(function, *arguments, **given):
    """Call an importer; return what it gave, None for an error. Any other exception is a fault."""
    try:
        return function(*arguments, **given)
    except NarrowgaugeError as error:
        text = str(error).partition("supported are")[0]
        assert text.isprintable()
        assert len(text) <= LONGEST
        return None


# --- no ONNX -------------------------------------------------------------------------------------


def png():
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(9 * 8))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


CONTENTS = {
    "nothing": b"",
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    "png": png(),
    "text": b"import narrowgauge\nprint('hello')\n" * 20,
    "json": b'{"graph": {"node": []}}',
    "zip": b"PK\x03\x04" + bytes(range(256)),
    "a varint without end": b"\x08" + b"\xff" * 20,
    "a graph without nodes": onnx.ModelProto(graph=onnx.GraphProto(name="g")).SerializeToString(),
    **{f"random {seed}": random.Random(seed).randbytes(500) for seed in range(20)},
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_no_onnx(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    refused(path, "not an ONNX file")


def test_a_missing_file(tmp_path):
    refused(tmp_path / "nowhere.onnx", "cannot be read", "No such file")


def test_a_folder(tmp_path):
    refused(tmp_path, "cannot be read")


@pytest.mark.skipif(not Path("/dev/zero").is_char_device(), reason="no /dev/zero here")
def test_a_file_without_end():
    refused(Path("/dev/zero"), "it is not a file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "it is not a file")


def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 32)  # sparse: it takes no room
    refused(path, "larger than an ONNX file can be")


# --- damaged -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_file_that_was_cut(tmp_path, name):
    """A cut leaves a shorter graph, or none; only a file without its last bytes may still do."""
    data = MODELS[name]().SerializeToString()
    path = tmp_path / "model.onnx"
    for length in [
        *range(0, len(data) - 40, len(data) // 40),
        *range(len(data) - 40, len(data), 5),
    ]:
        path.write_bytes(data[:length])
        refused_or_imported(import_qonnx, path)


def damaged(data, seed):
    """A file with some bytes changed, taken out or put in."""
    chance, found = random.Random(seed), bytearray(data)
    kind = chance.randrange(4)
    for _ in range(chance.choice([1, 1, 2, 4, 8])):
        place = chance.randrange(len(found))
        match kind:
            case 0:
                found[place] ^= 1 << chance.randrange(8)
            case 1:
                found[place] = chance.choice([0, 1, 127, 128, 255])
            case 2:
                del found[place : place + chance.choice([1, 2, 8])]
            case _:
                found[place:place] = bytes(chance.choice([1, 2, 8]))
    return bytes(found)


@pytest.mark.parametrize("name", [*MODELS, *(path.name for path in QKERAS)])
def test_damaged_bytes(tmp_path, name):
    sources = MODELS | {path.name: lambda path=path: onnx.load(path) for path in QKERAS}
    data = sources[name]().SerializeToString()
    path = tmp_path / "model.onnx"
    for seed in range(100):
        path.write_bytes(damaged(data, seed))
        refused_or_imported(import_qonnx, path, input_format=None)


NUMBERS = (0, -1, 1, 2, 0.5, -0.3, 1e30, 1e-30, 3, 7, 33, float("inf"), 1e9)
INTEGERS = (0, -1, 1, 2, 3, 5, 100, 1 << 31, -(1 << 40), 1 << 62)


def changed(model, seed):
    """A well-formed model that says something else."""
    chance, graph = random.Random(seed), model.graph
    node = chance.choice(graph.node)
    tensor = chance.choice(graph.initializer)
    match chance.randrange(7):
        case 0:
            values = numpy_helper.to_array(tensor).copy()
            with np.errstate(invalid="ignore"):
                one = np.array(chance.choice(NUMBERS)).astype(values.dtype)
            values.flat[chance.randrange(values.size)] = one
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        case 1:
            values = numpy_helper.to_array(tensor)
            flat = values.reshape(-1)
            shapes = [flat, values[None], flat[:1], flat[:0], values.T, values[..., None]]
            shape = np.ascontiguousarray(chance.choice(shapes))
            dtype = chance.choice([np.float32, np.float64, np.int64])
            if values.dtype.kind in "iu" and chance.randrange(2):
                dtype = chance.choice([np.int8, np.uint8, np.int16])
            tensor.CopyFrom(numpy_helper.from_array(shape.astype(dtype), tensor.name))
        case 2:
            attributes = [each for node in graph.node for each in node.attribute]
            attribute = chance.choice(attributes)
            if attribute.ints:
                attribute.ints[chance.randrange(len(attribute.ints))] = chance.choice(INTEGERS)
            elif attribute.s:
                attribute.s = chance.choice([b"FLOOR", b"HALF_UP", b"nope", b"\xff"])
            else:
                attribute.i = chance.choice(INTEGERS)
        case 3:
            tensors = [*(each for node in graph.node for each in node.output), "x", tensor.name]
            node.input[chance.randrange(len(node.input))] = chance.choice(tensors)
        case 4:
            node.op_type = chance.choice(SUPPORTED)
            of_qonnx = "Quant" in node.op_type or node.op_type in ("Trunc", "MultiThreshold")
            node.domain = DOMAIN if of_qonnx else ""
        case 5:
            del node.input[-1]
        case _:
            kinds = ("Relu", "Tanh", "Flatten", "GlobalAveragePool", "Softmax", "Identity", "Cast")
            kind = chance.choice(kinds)
            more: dict[str, Any] = {"to": TensorProto.INT32} if kind == "Cast" else {}
            graph.node.append(helper.make_node(kind, [node.input[0]], ["new"], name="new", **more))
            node.input[0] = "new"
    return model


@pytest.mark.parametrize("name", MODELS)
def test_changed_graphs(name):
    """What is still imported runs as the executor runs it, where that can."""
    compared = 0
    for seed in range(150):
        imported = refused_or_imported(import_model, changed(MODELS[name](), seed), name="net")
        if imported is None:
            continue
        shape = imported.network.about["preparation"]["shape"]
        images = np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32) * 2
        found = refused_or_imported(agree, imported, images)
        if found is not None:
            assert [each.first for each in found.tensors if each.first] == [], seed
            compared += 1
    assert compared > 10


# --- what a file says of its sizes, and of other files -------------------------------------------


def test_a_constant_of_a_huge_size_takes_no_memory(tmp_path):
    model = small()
    model.graph.initializer[-1].dims[:] = [1 << 40, 1 << 20]
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    tracemalloc.start()
    try:
        refused(path, "(1099511627776, 1048576)")
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("location", ["weights.bin", "../../etc/passwd", "/etc/passwd", "", "a\nb"])
def test_data_in_another_file(tmp_path, location):
    model = small()
    tensor = model.graph.initializer[-1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = tmp_path / "in" / "a" / "folder" / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(model.SerializeToString())
    refused(path, tensor.name)


def test_data_in_another_file_that_is_too_short(tmp_path):
    model = residual()
    onnx.save(
        model, tmp_path / "model.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    assert import_qonnx(tmp_path / "model.onnx").network.layers
    (tmp_path / "w").write_bytes(b"short")
    refused(tmp_path / "model.onnx", "External data length", "c1")
