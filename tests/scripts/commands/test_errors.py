"""Bad input, through the real command: one line, the exit status, nothing lost."""

import errno
import json
import os
import re
import sqlite3
import subprocess

import pytest
from safetensors.numpy import load_file, save_file

from narrowgauge.hw import files

from ..conftest import COMMAND, write_network

TINY = (
    *("--formats", "bipolar", "--widths", "4", "--epochs", "1"),
    *("--rows", "1", "--columns", "1", "--lanes", "1", "--seeds", "1"),
)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["bogus"], 2, ["'bogus'", "run, compare"]),
        (["run", "--bogus"], 2, ["--bogus"]),
        (["run", "--formats", "float9"], 1, ["'float9'", "formats are bipolar"]),
        (["run", "--formats", "int99"], 1, ["99", "1 to 32"]),
        (["run", "--formats", "int8/e9"], 1, ["'e9'"]),
        (["run", "--formats", ""], 1, ["unknown number format ''"]),
        (["run", "--seeds", "0"], 1, ["--seeds", "1 to 100", "0"]),
        (["run", "--accumulator", "1"], 1, ["2 to 48 bits", "not 1"]),
        (["run", "--accumulator", "x"], 2, ["--accumulator", "'x'"]),
        (["run", "--overflow", "ignore"], 2, ["'wrap', 'saturate'"]),
        (["run", "--widths", "0"], 2, ["--widths", "not positive"]),
        (["run", "--widths", "x"], 2, ["--widths", "such as 64,32"]),
        (["run", "--rows", "0"], 1, ["rows is 1 to 64, not 0"]),
        (["run", "--lanes", "5000"], 1, ["lanes is 1 to 1024, not 5000"]),
        (["run", "--contexts", "3"], 2, ["--contexts", "1<=x<=2"]),
        (["run", "--epochs", "0"], 1, ["epochs 0"]),
        (["run", "--dataset", "nope"], 1, ["'nope'", "digits"]),
        (["run", "--target", "nope"], 2, ["'nope'", "'up5k'"]),
        (["run", "--engine", "nope"], 2, ["'nope'", "'compiled'"]),
        (["compare", "scalable", "--target", "no"], 2, ["not on no, but up5k, hx8k, ecp5-25k"]),
        (["compare", "macs", "--plan", "--target", "up5k"], 2, ["--plan", "leave out --target"]),
        (["train"], 2, ["--output"]),
        (["train", "--weight", "int99", "-o", "x"], 1, ["99"]),
        (["train", "--accumulator", "99", "-o", "x"], 1, ["2 to 48 bits"]),
        (["train", "--lanes", "0", "-o", "x"], 2, ["--lanes"]),
        (["simulate", "nowhere"], 1, ["nowhere", "no such file", "no network of the zoo"]),
        (["simulate", "."], 1, ["cannot be read"]),
        (["synthesize", "nowhere"], 1, ["nowhere"]),
        (["verilog", "nowhere", "-o", "x"], 1, ["nowhere"]),
    ],
)
def test_a_wrong_argument_is_one_line(invoke, tmp_path, monkeypatch, arguments, status, words):
    monkeypatch.chdir(tmp_path)
    finished = invoke(*arguments)
    finished.fails_with(status, *words)
    assert not finished.out
    assert list(tmp_path.iterdir()) == []  # nothing was begun


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--images", "0"], 2, ["--images"]),
        (["--gaps", "1"], 2, ["--gaps"]),
        (["--accumulator", "0"], 1, ["2 to 48 bits", "not 0"]),
        (["--columns", "0"], 1, ["columns is 1 to 256, not 0"]),
        (["--slice", "3"], 1, ["1, 2 or 4 bits of a weight, not 3"]),
        (["--vcd", "x.vcd", "--window", "9"], 1, ["START:STOP", "'9'"]),
    ],
)
def test_simulate_checks_its_options(invoke, network_file, options, status, words):
    invoke("simulate", network_file, *options).fails_with(status, *words)


@pytest.mark.parametrize(
    ("arguments", "option", "why"),
    [
        (["simulate", "FILE", "--window", "0:9"], "--window", "--vcd"),
        (["simulate", "FILE", "--activity-of", "rtl"], "--activity-of", "--activity writes"),
        (["simulate", "FILE", "--activity", "x", "--gaps", "0.3"], "--gaps", "--activity"),
        (["simulate", "FILE", "--activity", "x", "--stalls", "0.3"], "--stalls", "--activity"),
        (["run", "--no-route", "--seeds", "2"], "--seeds", "--no-route"),
        (["run", "--network", "FILE", "--epochs", "3"], "--epochs", "is trained"),
        (["run", "--fit", "--rows", "3"], "--rows", "--fit"),
        (["run", "--network", "lenet5", "--widths", "4"], "--widths", "is for mlp"),
        (["train", "--network", "lenet5", "--widths", "4", "-o", "x"], "--widths", "is for mlp"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    invoke, network_file, tmp_path, monkeypatch, arguments, option, why
):
    monkeypatch.chdir(tmp_path)
    given = [network_file if each == "FILE" else each for each in arguments]
    invoke(*given).fails_with(1, f"narrowgauge: {option} ", why, "leave it out")
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == [network_file.name]


def test_verilog_wants_a_name_that_verilog_has(invoke, network_file, tmp_path):
    finished = invoke("verilog", network_file, "--name", "1 b", "-o", tmp_path / "x.v")
    finished.fails_with(1, "--name", "'1 b'")


def test_a_network_for_other_images_is_refused(invoke, tmp_path):
    path = write_network(tmp_path / "other.safetensors", widths=(9, 4))
    invoke("simulate", path).fails_with(1, "other.safetensors", "9 inputs", "64")


# --- damaged network files -----------------------------------------------------------------------


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def header_cut_short(path):
    path.write_bytes(path.read_bytes()[:20])


def emptied(path):
    path.write_bytes(b"")


def scrambled(path):
    path.write_bytes(b"\x93NUMPY" + bytes(range(256)) * 4)


def of_someone_else(path):
    save_file(load_file(path), path, {"format": "pt"})


def _with_header(path, change):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["narrowgauge"])
    del header["digest"]  # as files once were
    change(header)
    save_file(load_file(path), path, {"narrowgauge": json.dumps(header)})


def of_another_version(path):
    _with_header(path, lambda header: header.update(version=99))


def without_a_layer_array(path):
    _with_header(path, lambda header: header["layers"].append(header["layers"][0]))


def with_an_unknown_format(path):
    _with_header(path, lambda header: header["layers"][0].update(weight="int77"))


def with_a_nonsense_origin(path):
    _with_header(path, lambda header: header.update(about=["digits"]))


@pytest.mark.parametrize("command", ["simulate", "synthesize", "verilog"])
@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (cut_short, "cut short"),
        (header_cut_short, "cut short"),
        (emptied, "cut short"),
        (scrambled, "not a network file"),
        (of_someone_else, "not written by narrowgauge"),
        (of_another_version, "version 99, this narrowgauge reads version 2"),
        (without_a_layer_array, "damaged header"),
        (with_an_unknown_format, "77"),
        (with_a_nonsense_origin, "damaged header"),
    ],
)
def test_a_damaged_network_file_is_named(invoke, network_file, tmp_path, command, damage, word):
    damage(network_file)
    output = ["-o", tmp_path / "x.v"] if command == "verilog" else []
    invoke(command, network_file, *output).fails_with(1, "small.safetensors", word)
    assert not (tmp_path / "x.v").exists()


# --- too large -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_network_too_large_for_the_target_is_told_with_numbers(invoke, tmp_path):
    path = write_network(tmp_path / "small.safetensors", ("bipolar", "uint4", "bipolar"))
    options = ["--rows", "32", "--columns", "1", "--lanes", "1", "--seeds", "1"]
    for _ in range(2):  # the failure is a result and is stored too
        finished = invoke("synthesize", path, *options)
        finished.fails_with(1, "the design does not fit up5k: it needs ", " of 30 block RAMs")
        needed = re.search(r"(\d+) of 30 block RAMs", finished.err)
        assert needed is not None
        assert int(needed[1]) > 32  # a row buffer a row, and the other memories
        assert not finished.out


# --- files and folders ---------------------------------------------------------------------------


def test_output_in_place_of_a_file(invoke, tmp_path):
    (tmp_path / "taken").write_text("mine")
    invoke("run", *TINY, "--output", tmp_path / "taken").fails_with(2, "--output", "is a file")
    invoke("run", *TINY, "--output", tmp_path / "taken" / "in").fails_with(1, "--output", "taken")
    invoke("train", "-o", tmp_path / "taken" / "x").fails_with(1, "taken", "--output")
    assert (tmp_path / "taken").read_text() == "mine"


def test_cache_in_place_of_a_file(command, tmp_path):
    (tmp_path / "taken").write_text("mine")
    options = ["--weight", "bipolar", "--widths", "4", "--epochs", "1", "-o", tmp_path / "x"]
    finished = command("train", *options, NARROWGAUGE_CACHE=str(tmp_path / "taken"))
    finished.fails_with(1, "taken", "set NARROWGAUGE_CACHE")


def test_a_damaged_store_is_put_aside(command, cache, tmp_path):
    cache.mkdir()
    (cache / "results.sqlite").write_bytes(b"no database" * 1000)
    options = ["--weight", "bipolar", "--widths", "4", "--epochs", "1", "-o", tmp_path / "x"]
    finished = command("train", *options)
    assert finished.status == 0
    (warning,) = [line for line in finished.err.splitlines() if "warning" in line]
    assert "results.sqlite is damaged" in warning
    (aside,) = cache.glob("results.sqlite.damaged-*")
    assert aside.name in warning
    assert aside.read_bytes() == b"no database" * 1000
    with sqlite3.connect(cache / "results.sqlite") as store:
        kinds = store.execute("SELECT kind FROM results ORDER BY kind").fetchall()
    store.close()
    assert kinds == [("float",), ("network",)]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_no_half_file(invoke, network_file, tmp_path, monkeypatch, function):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "classifier.v")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "classifier.v").write_text("old")
    monkeypatch.setattr(files.os, function, full)
    finished = invoke("verilog", network_file, "-o", tmp_path / "out" / "classifier.v")
    finished.fails_with(1, "No space left", "make room")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["classifier.v"]
    assert (tmp_path / "out" / "classifier.v").read_text() == "old"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output(cache):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 1
    assert done.stderr.startswith("narrowgauge: No space left")
    assert done.stderr.count("\n") == 1
