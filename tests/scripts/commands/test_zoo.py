"""The zoo on the command line, and its names where network files are taken."""

import json
import os

import pytest
from click import Context

from narrowgauge.hw.network.file import load, save
from narrowgauge.model.zoo import networks as zoo
from narrowgauge.scripts.cli import group

from ..conftest import tiny_network, with_about

NAME = "digits-tiny-int4"
ARRAY = ("--rows", "2", "--columns", "2", "--lanes", "2")
KEYS = [
    *("name", "dataset", "network", "weight", "activation", "accuracy_float"),
    *("accuracy_integer", "parameters", "parameter_bits", "command"),
]


# --- narrowgauge zoo -----------------------------------------------------------------------------


def test_the_list(invoke, small_zoo):
    finished = invoke("zoo")
    assert (finished.status, finished.err) == (0, "")
    (line,) = [line for line in finished.out.splitlines() if NAME in line]
    for cell in ("digits", "mlp", "int4", "uint4", "50.00 %", "1,184"):
        assert f" {cell} " in line


def test_the_list_as_json_has_exactly_these_keys(invoke, small_zoo):
    (row,) = json.loads(invoke("zoo", "--json").out)
    assert list(row) == KEYS
    assert (row["name"], row["accuracy_float"], row["parameters"]) == (NAME, 0.5, 296)
    assert 0 < row["accuracy_integer"] < 1


def test_the_list_that_comes_with_the_package(invoke):
    rows = json.loads(invoke("zoo", "--json").out)
    assert [row["name"] for row in rows] == zoo.names()
    for row in rows:
        words = row["command"].split()
        assert words[0] == "narrowgauge"
        train = group.get_command(Context(group), words[1])
        assert train is not None
        train.make_context("train", words[2:])


def test_a_card(invoke, small_zoo):
    finished = invoke("zoo", NAME)
    assert finished.status == 0
    for text in ("296 weights in 1,184 bits", "1 epochs in 2 s on cpu, seed 0", "layer1", "1x1x10"):
        assert text in finished.out
    card = json.loads(invoke("zoo", NAME, "--json").out)
    assert list(card)[: len(KEYS)] == KEYS
    assert [row["layer"] for row in card["layers"]] == ["layer0", "layer1"]
    assert (card["seed"], card["device"]) == (0, "cpu")


def test_a_card_shows_a_first_layer_of_another_format(invoke, small_zoo):
    save(with_about(tiny_network(), weight="int2"), small_zoo / f"{NAME}.network")
    assert "weights int2 (first int4, last int4)" in invoke("zoo", NAME).out
    assert "int2 (first int4, last int4)" in invoke("zoo").out


def test_an_unknown_name_lists_what_there_is(invoke, small_zoo):
    invoke("zoo", "nope").fails_with(1, "'nope'", NAME)


def test_verification_passes_and_fails(invoke, small_zoo):
    assert "as its card says" in invoke("zoo", NAME, "--verify").err
    assert invoke("zoo", "--verify").status == 0
    save(with_about(tiny_network(), accuracy_reference=0.9), small_zoo / f"{NAME}.network")
    invoke("zoo", NAME, "--verify").fails_with(1, NAME, "its card says 405")
    invoke("zoo", "--verify").fails_with(1, NAME, "its card says 405")


def test_adding_verifies_first(invoke, small_zoo, tmp_path):
    save(with_about(tiny_network(), accuracy_reference=0.9), tmp_path / "false.safetensors")
    invoke("zoo", "other", "--add", tmp_path / "false.safetensors").fails_with(1, "card says 405")
    assert zoo.names() == [NAME]
    save(tiny_network(), tmp_path / "true.safetensors")
    assert invoke("zoo", "other", "--add", tmp_path / "true.safetensors").status == 0
    assert zoo.names() == [NAME, "other"]
    assert zoo.load("other").name == "other"
    invoke("zoo", "../x", "--add", tmp_path / "true.safetensors").fails_with(1, "'../x'")


# --- names where files are taken -----------------------------------------------------------------


def test_simulate_takes_a_name(invoke, small_zoo):
    finished = invoke("simulate", NAME, "--images", "12", "--json", *ARRAY)
    assert finished.status == 0, finished.err
    found = json.loads(finished.out)
    assert (found["network"], found["images"], found["mismatches"]) == (NAME, 12, 0)
    assert found["traced"] == 12
    assert [row["layer"] for row in found["layers"]] == ["layer0", "layer1"]
    assert all(0 < row["utilisation"] <= 1 for row in found["layers"])
    text = invoke("simulate", NAME, "--images", "12", "--traced", "3", *ARRAY).out
    assert "3 compared sum by sum" in text
    assert " layer1 " in text


def test_a_file_of_that_name_comes_first(invoke, small_zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = tiny_network()
    save(with_about(tiny, dataset="nothing"), NAME)
    invoke("simulate", NAME, *ARRAY).fails_with(1, "'nothing'")


@pytest.mark.slow
def test_synthesize_takes_a_name_and_tells_how_full_memories_are(invoke, small_zoo):
    options = ["--rows", "1", "--columns", "1", "--lanes", "1", "--seeds", "1", "--target", "hx8k"]
    row = json.loads(invoke("synthesize", NAME, *options, "--json").out)
    memories = {memory["memory"]: memory for memory in row["memories"]}
    assert set(memories) == {"weights", "activations", "row buffers", "parameters", "outputs"}
    assert (memories["weights"]["width"], memories["weights"]["depth"]) == (4, 296)
    assert memories["weights"]["blocks"] == 1
    assert memories["weights"]["filled"] == pytest.approx(4 * 296 / 4096)
    text = invoke("synthesize", NAME, *options).out
    assert " weights " in text
    assert "29 %" in text


def test_verilog_takes_a_name(invoke, small_zoo, tmp_path):
    assert invoke("verilog", NAME, "-o", tmp_path / "n.v", *ARRAY).status == 0
    assert (tmp_path / "n.v").exists()


def test_synthesize_estimates(invoke, small_zoo):
    options = ["--rows", "1", "--columns", "1", "--lanes", "2", "--estimate"]
    row = json.loads(invoke("synthesize", NAME, *options, "--json").out)
    assert row["lut"] > 100
    assert 0 < row["lut_error"] < 0.5
    assert row["memories"]
    text = invoke("synthesize", NAME, *options).out
    assert f"estimated: {row['lut']:,} of 5,280 LUT (+-" in text
    finished = invoke("synthesize", NAME, *options, "--seeds", "2")
    finished.fails_with(1, "--seeds", "--estimate has none")


@pytest.mark.parametrize("command", ["simulate", "synthesize", "verilog"])
def test_neither_a_file_nor_in_the_zoo(invoke, small_zoo, tmp_path, command):
    output = ["-o", tmp_path / "x.v"] if command == "verilog" else []
    invoke(command, "nope", *output).fails_with(1, "nope", "no such file", NAME)


# --- run -----------------------------------------------------------------------------------------


def run(invoke, tmp_path, *options):
    return invoke("run", *options, *ARRAY, "--output", tmp_path / "out")


def test_run_takes_a_name_and_trains_nothing(invoke, small_zoo, tmp_path):
    options = ["--network", NAME, "--images", "20", "--no-route", "--chains", "2", "--json"]
    finished = run(invoke, tmp_path, *options)
    assert finished.status == 0, finished.err
    assert "train" not in finished.err
    assert "place and route" not in finished.err
    (row,) = json.loads(finished.out)
    assert row == json.loads((tmp_path / "out" / "results.json").read_text())[0]
    assert (row["network"], row["weight"], row["activation"]) == (NAME, "int4", "uint4")
    assert (row["dataset"], row["images"], row["mismatches"]) == ("digits", 20, 0)
    assert (row["chains"], row["contexts"], row["batch"]) == (2, 2, 2)
    assert (row["accuracy_float"], row["routed"]) == (0.5, False)
    assert not {"lut", "fmax_mhz", "seeds"} & set(row)
    assert [layer["layer"] for layer in row["layers"]] == ["layer0", "layer1"]
    cycles = sum(layer["cycles_per_image"] for layer in row["layers"])
    assert 0 < cycles <= row["cycles_per_image"]
    assert (tmp_path / "out" / f"{NAME}.safetensors").exists()
    text = run(invoke, tmp_path, *options[:-1]).out
    assert f"{NAME} on digits, up5k, 20 test images" in text
    assert " layer1 " in text


@pytest.mark.slow
def test_run_runs_the_whole_test_set_and_routes(invoke, small_zoo, tmp_path):
    finished = run(invoke, tmp_path, "--network", NAME, "--seeds", "1", "--json")
    (row,) = json.loads(finished.out)
    assert (row["images"], row["mismatches"], row["routed"]) == (450, 0, True)
    assert row["accuracy_hardware"] == zoo.entries()[0].accuracy_integer
    assert (tmp_path / "out" / "chart.svg").exists()


def test_run_takes_a_network_file_and_its_accumulator(invoke, tmp_path):
    save(tiny_network(), tmp_path / "tiny.safetensors")
    options = ["--network", tmp_path / "tiny.safetensors", "--images", "9", "--no-route", "--json"]
    (row,) = json.loads(run(invoke, tmp_path, *options).out)
    assert row["accumulator_bits"] == load(tmp_path / "tiny.safetensors").accumulator.width == 14
    (row,) = json.loads(run(invoke, tmp_path, *options, "--accumulator", "20").out)
    assert row["accumulator_bits"] == 20


@pytest.mark.slow
def test_run_trains_a_topology(invoke, tmp_path):
    options = ["--network", "lenet5", "--width", "0.1", "--dataset", "folder:none"]
    run(invoke, tmp_path, *options, "--no-route").fails_with(1, "none")
    options = ["--network", "resnet8", "--width", "0.1", "--formats", "int4", "--epochs", "1"]
    finished = run(invoke, tmp_path, *options, "--first", "int8", "--images", "3", "--no-route")
    assert finished.status == 0, finished.err
    first, row = json.loads((tmp_path / "out" / "results.json").read_text())
    assert first["network"] == "digits-resnet8-x0.1-float"
    assert row["network"] == "digits-resnet8-x0.1-int4"
    assert (row["images"], row["mismatches"]) == (3, 0)
    weights = [layer["weight"] for layer in row["layers"] if layer["weight"]]
    assert weights[0] == "int8"
    assert set(weights[1:]) == {"int4"}
    assert {layer["kind"] for layer in row["layers"]} >= {"conv2d", "add", "average_pool"}


def test_an_unknown_network_lists_topologies_and_zoo(invoke, small_zoo, tmp_path):
    run(invoke, tmp_path, "--network", "nope").fails_with(1, "'nope'", "lenet5", NAME)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--formats=int4", "--dataset=digits", "--epochs=3"])
def test_options_of_training_are_refused_for_a_trained_network(invoke, small_zoo, tmp_path, option):
    name = option.partition("=")[0]
    run(invoke, tmp_path, "--network", NAME, option).fails_with(1, name, f"{NAME} is trained")


def test_a_missing_data_set_is_one_line(invoke, small_zoo, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("offline")

    save(with_about(tiny_network(), dataset="mnist"), small_zoo / f"{NAME}.network")
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("NARROWGAUGE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("pooch.retrieve", offline)
    for arguments in (["simulate", NAME], ["zoo", NAME, "--verify"]):
        invoke(*arguments).fails_with(1, "mnist needs ", "NARROWGAUGE_DATA")
    run(invoke, tmp_path, "--network", NAME).fails_with(1, "mnist needs ", "NARROWGAUGE_DATA")
    assert not (tmp_path / "out").exists()


def test_a_network_that_does_not_fit_is_refused_before_it_is_simulated(
    invoke, small_zoo, tmp_path, monkeypatch
):
    from narrowgauge.scripts.runs import network_job as job

    monkeypatch.setattr(job, "check", pytest.fail)
    options = ["--network", NAME, "--rows", "2", "--columns", "64", "--lanes", "64"]
    finished = invoke("run", *options, "--target", "hx8k", "--output", tmp_path / "out")
    finished.fails_with(1, "does not fit hx8k", "of 32 block RAMs", "layer0", "larger target")


def test_a_difference_ends_with_1(invoke, small_zoo, tmp_path, monkeypatch):
    from narrowgauge.model.integers import reference

    requantize = reference.requantize
    monkeypatch.setattr(reference, "requantize", lambda *a, **k: requantize(*a, **k) ^ 1)
    options = ["--network", NAME, "--images", "4", "--no-route"]
    finished = run(invoke, tmp_path, *options)
    finished.fails_with(1, "first difference: ", "layer0")
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert row["mismatches"] == 4
    assert os.path.exists(tmp_path / "out" / "results.csv")
