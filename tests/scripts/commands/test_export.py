"""``narrowgauge export``: the file, the table, and bad input."""

import errno
import json
import os
import sys
import warnings

import pytest

from narrowgauge.hw import files

from ..conftest import write_network

NAME = "digits-tiny-int4"


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnx

    model = onnx.load(path)
    onnx.checker.check_model(model)
    return model


def wide(path):
    """A network whose sums are too large for float32."""
    return write_network(path, ("int16", "uint16", "uint4"), bits=48)


def test_it_writes_a_graph_and_shows_a_table(invoke, network_file, tmp_path):
    finished = invoke("export", network_file, "-o", tmp_path / "new" / "small.onnx")
    assert finished.status == 0, finished.err
    assert "small.onnx: " in finished.out
    assert " nodes, input 1x64" in finished.out
    (line,) = [line for line in finished.out.splitlines() if "layer0" in line]
    assert line.split()[:3] == ["layer0", "dense", "mul-add"]
    model = read(tmp_path / "new" / "small.onnx")
    assert len(model.graph.output) == 1


def test_as_json(invoke, network_file, tmp_path):
    path = tmp_path / "small.onnx"
    finished = invoke("export", network_file, "-o", path, "--batch", "7", "--json")
    found = json.loads(finished.out)
    assert list(found) == ["network", "file", "nodes", "input", "layers"]
    assert (found["network"], found["file"], found["input"]) == ("random", str(path), [7, 64])
    assert [list(layer) for layer in found["layers"]] == [
        ["layer", "kind", "method", "compared", "tensor"]
    ] * 2
    assert found["layers"][0]["compared"] > 4
    assert found["nodes"] == len(read(path).graph.node)


def test_it_takes_a_name_of_the_zoo_and_replaces_a_file(invoke, small_zoo, tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_text("old")
    assert invoke("export", NAME, "-o", path).status == 0
    (name,) = [each.value for each in read(path).metadata_props if each.key == "narrowgauge.name"]
    assert name == NAME
    invoke("export", "nope", "-o", path).fails_with(1, "nope", "no such file", NAME)
    assert read(path)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ([], 2, ["--output"]),
        (["-o", "x.onnx", "--batch", "0"], 2, ["--batch"]),
        (["-o", "x.onnx", "--batch", "x"], 2, ["--batch", "'x'"]),
        (["-o", "."], 2, ["--output", "directory"]),
    ],
)
def test_options_are_checked(invoke, network_file, tmp_path, monkeypatch, options, status, words):
    monkeypatch.chdir(tmp_path)
    invoke("export", network_file, *options).fails_with(status, *words)
    assert not (tmp_path / "x.onnx").exists()


def test_a_damaged_file_is_named(invoke, network_file, tmp_path):
    network_file.write_bytes(network_file.read_bytes()[:-100])
    output = tmp_path / "x.onnx"
    invoke("export", network_file, "-o", output).fails_with(1, "small.safetensors", "cut short")
    assert not output.exists()


def test_what_float32_cannot_do_is_one_line_and_leaves_the_old_file(invoke, tmp_path):
    (tmp_path / "x.onnx").write_text("old")
    finished = invoke("export", wide(tmp_path / "wide"), "-o", tmp_path / "x.onnx")
    finished.fails_with(1, "layer layer0: its sums take", "float32", "narrower")
    assert (tmp_path / "x.onnx").read_text() == "old"


def test_an_accumulator_that_overflows_is_one_line(invoke, tmp_path):
    path = write_network(tmp_path / "narrow", bits=8)
    finished = invoke("export", path, "-o", tmp_path / "x.onnx")
    finished.fails_with(1, "network random: its accumulator of 8 bits can overflow")
    assert not (tmp_path / "x.onnx").exists()


def test_without_the_extra_it_says_what_to_install(invoke, network_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    finished = invoke("export", network_file, "-o", tmp_path / "x.onnx")
    finished.fails_with(1, "need the Python package onnx", "pip install 'narrowgauge[qonnx]'")
    assert not (tmp_path / "x.onnx").exists()


def test_a_full_disk_leaves_no_half_file(invoke, network_file, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.onnx")

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(files.os, "replace", full)
    finished = invoke("export", network_file, "-o", tmp_path / "out" / "x.onnx")
    finished.fails_with(1, "No space left", "make room")
    assert list((tmp_path / "out").iterdir()) == []
