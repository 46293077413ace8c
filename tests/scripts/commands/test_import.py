"""``narrowgauge import`` and ``narrowgauge check``: the file, the tables, and bad input."""

import errno
import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
from onnx import StringStringEntryProto, TensorAnnotation

from narrowgauge.hw import files
from narrowgauge.hw.network.file import load
from narrowgauge.hw.network.layers import Dense
from narrowgauge.model.exchange.executor import Executor
from narrowgauge.model.exchange.extra import require
from narrowgauge.model.exchange.importer import import_qonnx

from ...model.exchange import graphs


def write(path, graph, output):
    path.write_bytes(graph.model(output).SerializeToString())
    return path


@pytest.fixture
def model(tmp_path):
    """A graph of two layers that reads digits."""
    require()
    graph, x = graphs.dense((64, 8, 10))
    return write(tmp_path / "small.onnx", graph, x)


@pytest.fixture
def raw(tmp_path):
    """A graph without a quantiser of its input."""
    require()
    graph = graphs.Graph((1, 64))
    x = graph.matmul(graph.input, graph.weights((64, 10)))
    return write(tmp_path / "raw.onnx", graph, x)


@pytest.fixture
def bad(tmp_path):
    """A graph with an operator that is not supported."""
    require()
    graph, x = graphs.dense((64, 8, 10))
    return write(tmp_path / "bad.onnx", graph, graph.node("Erf", x, name="bend"))


# --- what it does --------------------------------------------------------------------------------


def test_it_writes_a_network_and_shows_a_table(invoke, model, tmp_path):
    finished = invoke("import", model, "-o", tmp_path / "new" / "small.safetensors")
    assert finished.status == 0, finished.err
    assert "small.safetensors: 2 layers, input int4 1x1x64" in finished.out
    network = load(tmp_path / "new" / "small.safetensors")
    assert network.name == "small"
    assert [layer.kind for layer in network] == ["dense", "dense"]


def test_it_says_what_it_was_told(invoke, model, tmp_path):
    path = tmp_path / "out"
    options = ("--name", "mine", "--data", "digits", "--mean", "0.5", "--deviation", "0.25")
    finished = invoke("import", model, "-o", path, *options, "--json")
    assert finished.status == 0, finished.err
    found = json.loads(finished.out)
    assert (found["network"], found["file"], len(found["layers"])) == ("mine", str(path), 2)
    network = load(path)
    assert (network.name, network.about["dataset"]) == ("mine", "digits")
    assert network.about["preparation"]["mean"] == [0.5]
    assert network.about["preparation"]["deviation"] == [0.25]
    assert invoke("import", model, "-o", path, "--values").status == 0
    assert (network.classes, load(path).classes) == (10, 0)


def test_an_input_that_nothing_quantises(invoke, raw, tmp_path):
    options = ("--input-format", "uint4", "--input-scale", "0.0625")
    finished = invoke("import", raw, "-o", tmp_path / "out", *options)
    assert finished.status == 0, finished.err
    assert str(load(tmp_path / "out").input) == "uint4"


def test_check(invoke, model):
    finished = invoke("check", model, "--data", "digits", "--images", "3", "--json")
    assert finished.status == 0, finished.err
    found = json.loads(finished.out)
    assert (found["images"], found["same_levels"], found["hardware_mismatches"]) == (3, 3, 0)


# --- misuse --------------------------------------------------------------------------------------

IMPORT = ("import", "small.onnx", "-o", "out")
CHECK = ("check", "small.onnx", "--data")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["import"], 2, ["MODEL"]),
        (["import", "small.onnx"], 2, ["--output"]),
        (["import", "-o", "out"], 2, ["MODEL"]),
        (["import", "small.onnx", "-o", "."], 2, ["--output", "is a directory"]),
        (["import", "nowhere.onnx", "-o", "out"], 1, ["nowhere.onnx", "No such file"]),
        (["import", ".", "-o", "out"], 1, ["cannot be read"]),
        (["check", ".", "--data", "digits"], 1, ["cannot be read"]),
        (["import", "images.npz", "-o", "out"], 1, ["images.npz", "not an ONNX file"]),
        (["import", "raw.onnx", "-o", "out"], 1, ["node MatMul_0 (MatMul)", "--input-format"]),
        (["import", "bad.onnx", "-o", "out"], 1, ["node bend (Erf)", "supported are Add, "]),
        ([*IMPORT, "--input-format", "nonsense"], 1, ["'nonsense'", "formats are"]),
        ([*IMPORT, "--input-format", "uint99"], 1, ["99"]),
        ([*IMPORT, "--input-format", "e4m3"], 1, ["--input-format", "e4m3", "intN or uintN"]),
        ([*IMPORT, "--input-format", ""], 1, ["unknown number format ''"]),
        ([*IMPORT, "--input-scale", "x"], 2, ["--input-scale", "'x'"]),
        ([*IMPORT, "--input-scale", "0"], 2, ["--input-scale", "positive"]),
        ([*IMPORT, "--input-scale", "-1"], 2, ["--input-scale", "positive"]),
        ([*IMPORT, "--input-scale", "nan"], 2, ["--input-scale", "positive"]),
        ([*IMPORT, "--input-scale", "inf"], 2, ["--input-scale", "positive"]),
        ([*IMPORT, "--mean", "a,b"], 2, ["--mean", "'a,b'", "0.5,0.5,0.5"]),
        ([*IMPORT, "--mean", ""], 2, ["--mean", "''"]),
        ([*IMPORT, "--mean", "nan"], 2, ["--mean", "nan"]),
        ([*IMPORT, "--deviation", "1,x"], 2, ["--deviation"]),
        ([*IMPORT, "--deviation", "0"], 2, ["--deviation", "positive"]),
        ([*IMPORT, "--lanes", "0"], 2, ["--lanes"]),
        ([*IMPORT, "--lanes", "x"], 2, ["--lanes"]),
        ([*IMPORT, "--data", "nonsense"], 1, ["'nonsense'", "digits"]),
        ([*IMPORT, "--data", "shape.npz"], 1, ["shape.npz", "(images, 64)", "(3, 63)"]),
        (["check", "small.onnx"], 2, ["--data"]),
        ([*CHECK, "nonsense"], 1, ["'nonsense'", "digits"]),
        ([*CHECK, "digits", "--images", "0"], 2, ["--images"]),
        ([*CHECK, "digits", "--images", "x"], 2, ["--images"]),
        ([*CHECK, "digits", "--mean", "1,2,3"], 1, ["images of 1 channels", "mean"]),
        ([*CHECK, "digits", "--rows", "0"], 1, ["rows is 1 to 64"]),
        ([*CHECK, "nowhere.npz"], 1, ["nowhere.npz", "No such file"]),
        ([*CHECK, "nowhere.npy"], 1, ["nowhere.npy", "No such file"]),
        ([*CHECK, "shape.npz"], 1, ["shape.npz", "(images, 64)", "(3, 63)"]),
        ([*CHECK, "flat.npy"], 1, ["flat.npy", "(images, 64)", "(64,)"]),
        ([*CHECK, "scalar.npy"], 1, ["scalar.npy", "(images, 64)", "()"]),
        ([*CHECK, "none.npz"], 1, ["none.npz", "(0, 64)"]),
        ([*CHECK, "labels.npz"], 1, ["labels.npz", "3 images, but 2 labels"]),
        ([*CHECK, "matrix.npz"], 1, ["matrix.npz", "labels"]),
        ([*CHECK, "fractions.npz"], 1, ["fractions.npz", "labels are integers", "float64"]),
        ([*CHECK, "texts.npz"], 1, ["texts.npz", "labels"]),
        ([*CHECK, "number.npz"], 1, ["number.npz", "labels"]),
        ([*CHECK, "words.npy"], 1, ["words.npy", "numbers of shape"]),
        ([*CHECK, "nan.npy"], 1, ["nan.npy", "infinities or what is not a number"]),
        ([*CHECK, "huge.npy"], 1, ["huge.npy", "infinities or what is not a number"]),
        ([*CHECK, "other.npz"], 1, ["other.npz", "holds inputs and perhaps labels", "pictures"]),
        ([*CHECK, "pickle.npy"], 1, ["pickle.npy", "no file of arrays"]),
        ([*CHECK, "text.npy"], 1, ["text.npy", "no file of arrays"]),
        ([*CHECK, "text.npz"], 1, ["text.npz", "no file of arrays"]),
        ([*CHECK, "empty.npz"], 1, ["empty.npz", "no file of arrays"]),
        ([*CHECK, "cut.npz"], 1, ["cut.npz", "no file of arrays"]),
        ([*CHECK, "crc.npz"], 1, ["crc.npz", "no file of arrays"]),
        ([*CHECK, "array.npz"], 1, ["array.npz", "no file of arrays"]),
        (["check", "bad.onnx", "--data", "digits"], 1, ["node bend (Erf)"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_wrong_argument_is_one_line(
    invoke, model, raw, bad, tmp_path, monkeypatch, arguments, status, words
):
    write_images(tmp_path)
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    finished = invoke(*arguments)
    finished.fails_with(status, *words)
    assert not finished.out
    assert sorted(tmp_path.iterdir()) == before  # nothing was begun


def write_images(folder):
    """Files of images, all of them wrong."""
    images = np.zeros((3, 64), np.float32)
    np.savez(folder / "images.npz", images=images)
    np.savez(folder / "shape.npz", images=images[:, 1:])
    np.save(folder / "flat.npy", images[0])
    np.save(folder / "scalar.npy", np.float32(1))
    np.savez(folder / "none.npz", images=images[:0])
    np.savez(folder / "labels.npz", images=images, labels=np.zeros(2, int))
    np.savez(folder / "matrix.npz", images=images, labels=np.zeros((3, 2), int))
    np.savez(folder / "fractions.npz", images=images, labels=np.full(3, 0.5))
    np.savez(folder / "texts.npz", images=images, labels=np.array(["a", "b", "c"]))
    np.savez(folder / "number.npz", images=images, labels=np.int64(3))
    np.save(folder / "words.npy", np.full((3, 64), "a"))
    np.save(folder / "nan.npy", np.full((3, 64), np.nan))
    np.save(folder / "huge.npy", np.full((3, 64), 1e300))
    np.savez(folder / "other.npz", pictures=images)
    np.save(folder / "pickle.npy", np.array([{}, 1], object), allow_pickle=True)
    for name in ("text.npy", "text.npz"):
        (folder / name).write_text("hello")
    (folder / "empty.npz").write_bytes(b"")
    whole = (folder / "images.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "crc.npz").write_bytes(whole[:200] + b"\xff" + whole[201:])
    np.save(folder / "array.npy", images)
    (folder / "array.npy").rename(folder / "array.npz")


# --- outputs -------------------------------------------------------------------------------------


def test_a_failure_leaves_the_old_file(invoke, bad, tmp_path):
    (tmp_path / "out").write_text("old")
    invoke("import", bad, "-o", tmp_path / "out").fails_with(1, "bend")
    assert (tmp_path / "out").read_text() == "old"


def test_an_output_in_a_file(invoke, model, tmp_path):
    (tmp_path / "taken").write_text("mine")
    invoke("import", model, "-o", tmp_path / "taken" / "out").fails_with(1, "taken")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_takes_no_files(invoke, model, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    invoke("import", model, "-o", tmp_path / "closed" / "out").fails_with(1, "closed")


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_no_half_file(invoke, model, tmp_path, monkeypatch, function):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out")

    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "out").write_text("old")
    monkeypatch.setattr(files.os, function, full)
    invoke("import", model, "-o", tmp_path / "new" / "out").fails_with(1, "No space left")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
    assert (tmp_path / "new" / "out").read_text() == "old"


def test_an_output_over_the_model(invoke, model):
    """Not lost: the model is read before the network is written, and that is refused."""
    before = model.read_bytes()
    invoke("import", model, "-o", model).fails_with(2, "--output", "is the model itself")
    assert model.read_bytes() == before


@pytest.mark.parametrize("package", ["qonnx", "onnx"])
@pytest.mark.parametrize("command", ["import", "check"])
def test_a_missing_extra(invoke, model, tmp_path, monkeypatch, command, package):
    for name in [each for each in sys.modules if each.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    options = ("-o", tmp_path / "out") if command == "import" else ("--data", "digits")
    finished = invoke(command, model, *options)
    finished.fails_with(1, f"Python package {package}", "pip install 'narrowgauge[qonnx]'")


def test_libraries_write_nothing_to_the_terminal(command, tmp_path):
    """onnxruntime logs to the terminal itself when a constant cannot be computed."""
    require()
    graph, x = graphs.dense((64, 10))
    pooled = graph.node("GlobalAveragePool", np.ones((3, 2)))
    path = write(tmp_path / "model.onnx", graph, graph.node("Add", x, pooled))
    command("import", path, "-o", tmp_path / "out").fails_with(1, "GlobalAveragePool")


def test_simulate_reads_images_of_a_file(invoke, model, tmp_path):
    path, images = tmp_path / "out", tmp_path / "images.npz"
    assert invoke("import", model, "-o", path).status == 0
    shape = load(path).about["preparation"]["shape"]
    np.savez(images, inputs=np.random.default_rng(1).random((4, *shape)), labels=np.zeros(4, int))
    assert invoke("import", model, "-o", path, "--data", images).status == 0  # and from then on
    finished = invoke("simulate", path, "--images", "3", "--json")
    assert finished.status == 0, finished.err
    found = json.loads(finished.out)
    assert (found["images"], found["mismatches"]) == (3, 0)
    np.save(tmp_path / "bare.npy", np.zeros((2, *shape), np.float32))
    finished = invoke("simulate", path, "--data", tmp_path / "bare.npy", "--json")
    assert "accuracy_hardware" not in json.loads(finished.out)


def test_values_have_errors_and_no_accuracy(invoke, tmp_path):
    require()
    graph = graphs.Graph((1, 1, 4, 4))
    x = graph.quant(graph.input, 8, 1 / 256, signed=False)
    x = graph.conv(x, graph.weights((4, 1, 3, 3)), graph.real(4), pads=[1, 1, 1, 1])
    path = write(tmp_path / "super.onnx", graph, graph.node("DepthToSpace", x, blocksize=2))
    images = np.random.default_rng(0).random((3, 1, 4, 4)).astype(np.float32)
    executed = Executor(import_qonnx(path).model).run(images)["DepthToSpace_0.out"]
    np.savez(tmp_path / "right.npz", inputs=images, labels=executed + 1)
    np.savez(tmp_path / "wrong.npz", inputs=images, labels=[0, 1, 2])
    right = ("--data", tmp_path / "right.npz", "--engine", "amaranth")

    found = json.loads(invoke("check", path, *right, "--json").out)
    assert not {"accuracy_hardware", "same_class", "classes"} & set(found)
    assert found["outputs"]["values"] == 3 * 64
    assert found["outputs"]["mean"] <= found["outputs"]["largest"] < 1e-6
    assert found["hardware_mismatches"] == 0
    assert found["mean_error"] == pytest.approx(1)
    text = invoke("check", path, *right).out
    assert "outputs against the float graph: mean error" in text
    assert "class" not in text

    assert invoke("import", path, "-o", tmp_path / "out").status == 0
    found = json.loads(invoke("simulate", tmp_path / "out", *right, "--json").out)
    assert found["largest_error"] == pytest.approx(1, abs=1e-6)
    assert "accuracy_hardware" not in found
    assert "mean error 1, largest 1;" in invoke("simulate", tmp_path / "out", *right).out
    for words in (("check", path), ("simulate", tmp_path / "out")):
        finished = invoke(*words, "--data", tmp_path / "wrong.npz")
        finished.fails_with(1, "wrong.npz: the network gives values", "(3, 1, 8, 8)", "(3,)")


def test_several_outputs_have_an_accuracy_each(invoke, tmp_path):
    """Classes twice, and an image, which has errors."""
    require()
    graph = graphs.Graph((1, 1, 4, 4))
    x = graph.quant(graph.input, 8, 1 / 256, signed=False)
    x = graph.quant(graph.conv(x, graph.weights((2, 1, 3, 3)), pads=[1, 1, 1, 1]), 4, 0.25)
    image = graph.quant(graph.conv(x, graph.weights((1, 2, 1, 1))), 8, 0.1)
    heads = [graph.gemm(graph.node("Flatten", x), graph.weights((32, n))) for n in (3, 4)]
    path, out = tmp_path / "ends.onnx", tmp_path / "out"
    path.write_bytes(graph.model(heads[0], image, heads[1]).SerializeToString())
    images = np.random.default_rng(0).random((3, 1, 4, 4)).astype(np.float32)
    executed = Executor(import_qonnx(path).model).run(images)["Gemm_1.out"].argmax(axis=1)
    np.savez(tmp_path / "data.npz", inputs=images, labels=executed)
    data = ("--data", tmp_path / "data.npz", "--engine", "amaranth")

    found = json.loads(invoke("check", path, *data, "--json").out)
    assert list(found["ends"]) == ["Gemm_0", "Conv_1", "Gemm_1"]
    assert [found["ends"][name]["same_class"] for name in ("Gemm_0", "Gemm_1")] == [3, 3]
    assert found["ends"]["Conv_1"]["outputs"]["largest"] < 1e-6
    assert (found["hardware_mismatches"], found["accuracy_hardware"]["Gemm_1"]) == (0, 1)
    text = invoke("check", path, *data).out
    assert "Gemm_0: the same class in 3; Conv_1: outputs against the float graph" in text

    assert invoke("import", path, "-o", out).status == 0
    found = json.loads(invoke("simulate", out, *data, "--json").out)
    assert found["mismatches"] == 0
    assert set(found["accuracy_hardware"]) == {"Gemm_0", "Gemm_1"}
    assert "Gemm_1 100.00 % right" in invoke("simulate", out, *data).out
    assert invoke("export", out, "-o", tmp_path / "again.onnx").status == 0
    assert len(import_qonnx(tmp_path / "again.onnx", lanes=4).network.ends) == 3

    assert invoke("import", path, "-o", out, "--values").status == 0
    finished = invoke("simulate", out, *data)
    finished.fails_with(1, "the network gives values", "(3, 23)")


def test_a_format_of_the_input_needs_its_scale(invoke, raw, tmp_path):
    finished = invoke("import", raw, "-o", tmp_path / "out", "--input-format", "uint8")
    assert finished.status == 1
    assert "needs --input-scale, the value of level 1: 0.00392156863" in finished.err


def test_normalising_is_for_data_sets(invoke, model, tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((2, 4), np.float32))
    options = ("--data", tmp_path / "images.npy", "--mean", "0.5")
    finished = invoke("check", model, *options)
    assert finished.status == 2
    assert "--mean and --deviation are for data sets" in finished.err


def test_input_values_that_are_no_levels(invoke, tmp_path):
    """A graph says that its input is bipolar, and images hold 0 and 1; or halves of levels."""
    require()
    graph = graphs.Graph((1, 2, 4))
    x = graph.node("Flatten", graph.node("Transpose", graph.input, perm=[0, 2, 1]))
    model = graph.model(graph.matmul(x, graph.weights((8, 3))))
    model.graph.quantization_annotation.append(
        TensorAnnotation(
            tensor_name="x",
            quant_parameter_tensor_names=[
                StringStringEntryProto(key="finn_datatype", value="BIPOLAR")
            ],
        )
    )
    path, network, images = (tmp_path / name for name in ("b.onnx", "b", "images.npy"))
    path.write_bytes(model.SerializeToString())
    assert invoke("import", path, "-o", network).status == 0
    right = np.where(np.arange(24).reshape(3, 2, 4) % 5 > 1, 1.0, -1.0)
    np.save(images, right)
    for command in (["check", path], ["simulate", network]):
        assert invoke(*command, "--data", images, "--engine", "amaranth").status == 0
    right[1, 1, 2], right[2] = 0, right[2] * 0.5
    np.save(images, right)
    words = "9 of 24 input values", "-1 and 1, times 1", "first is 0, image 1, element (1, 2)"
    for command in (["check", path], ["simulate", network]):
        invoke(*command, "--data", images).fails_with(1, *words)


def test_classes_that_differ_are_counted_and_explained(invoke, tmp_path, monkeypatch):
    require()
    from narrowgauge.model.exchange import importer

    graph, x = graphs.dense((4, 6, 6))
    x = graph.node("Sigmoid", graph.node("Mul", x, np.float32(200)))
    path = write(tmp_path / "model.onnx", graph, x)
    np.save(tmp_path / "images.npy", np.random.default_rng(1).normal(size=(12, 4)))
    command = ("check", path, "--data", tmp_path / "images.npy", "--engine", "amaranth")
    finished = invoke(*command)
    assert finished.status == 0, finished.err
    assert "by the rounding of float32)" in finished.out

    read = importer.import_qonnx

    def faulty(*arguments, **options):
        found = read(*arguments, **options)
        last = found.network.layers[-1]
        assert isinstance(last, Dense)
        layers = (*found.network.layers[:-1], replace(last, bias=last.bias + np.arange(6) * 9))
        return replace(found, network=replace(found.network, layers=layers))

    monkeypatch.setattr(importer, "import_qonnx", faulty)
    finished = invoke(*command)
    assert finished.status == 1
    assert "class 1: level" in finished.err
    assert "for no such reason)" in finished.out


def test_images_that_are_not_prepared_as_in_training_are_remarked(invoke, model, tmp_path):
    assert invoke("import", model, "-o", tmp_path / "out").status == 0
    shape = load(tmp_path / "out").about["preparation"]["shape"]
    np.save(tmp_path / "images.npy", np.full((2, *shape), 255, np.uint8))
    finished = invoke("check", model, "--data", tmp_path / "images.npy")
    assert "100 % of the input lies beyond what its quantiser holds" in finished.err
