"""Studies themselves, on work small enough for a test."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from narrowgauge.model.zoo import networks as zoo
from narrowgauge.scripts.studies import __main__ as cli
from narrowgauge.scripts.studies import (
    link_noise,
    mapped,
    mixed_networks,
    popcounts,
    proof_chain,
    simulator_speeds,
)
from narrowgauge.scripts.studies.record import MODULE

SHOWN = {"proven": True, "links": [{"name": "a = b", "images": 20, "mismatches": 0}]}
SHOWN |= {"bitstream": {"board": "icebreaker"}}


@pytest.fixture
def study(cache, tmp_path, monkeypatch, capsys):
    """Run a study; its status, what it says, and the rows that it keeps."""
    output = tmp_path / "rows.json"
    monkeypatch.setattr("sys.argv", ["studies"])

    def run(name, *arguments, keeps=True):
        words = [*map(str, arguments), *(["--output", str(output)] if keeps else [])]
        status = cli.main([name, *words])
        rows = json.loads(output.read_text()) if output.exists() else []
        return status, capsys.readouterr().out, rows

    return run


def test_an_accelerator_is_mapped_again_for_other_tools_and_another_design(
    study, fake, tmp_path, monkeypatch
):
    monkeypatch.setattr(mapped, "GEOMETRIES", ((1, 1, 1, 1),))
    wanted = ("mapped", "--targets", "xc7", "--formats", "bipolar")
    status, out, rows = study(*wanted)
    assert (status, [row["target"] for row in rows]) == (0, ["xc7"])
    assert out.startswith("xc7 bipolar 1 1 1 1 lut: ")
    assert study(*wanted) == (0, "", rows)
    for before in ({"rtlil": "another"}, {"versions": {"yosys": "0.1"}}):
        (tmp_path / "rows.json").write_text(json.dumps([rows[0] | before]))
        _, out, (again,) = study(*wanted)
        assert out.startswith("xc7 bipolar 1 1 1 1 lut: ")
        assert (again["rtlil"], again["versions"]) == (rows[0]["rtlil"], rows[0]["versions"])


def test_counters_are_measured_beside_trees(study, fake):
    status, _, rows = study("popcounts", "--targets", "xc7", "--lanes", 4, "--seeds", 0)
    assert status == 0
    assert {row["structure"] for row in rows} == set(popcounts.STRUCTURES)
    assert rows[0]["command"] == (f"python -m {MODULE} popcounts --targets xc7 --lanes 4 --seeds 0")


def test_options_of_tools_are_measured_once(study, fake):
    wanted = ("tool_options", "--families", "xc7", "--only", "bipolar MAC")
    _, _, rows = study(*wanted)
    assert rows
    assert {row["lut"] for row in rows} == {1000}
    count = len(fake.log("end"))
    study(*wanted)
    assert len(fake.log("end")) == count


def test_modules_are_mapped_once_or_each_by_itself(study, fake):
    wanted = ("--targets", "xc7", "--array", "1x2x1:bipolar", "--without", "1x2x1:int8")
    status, out, _ = study("hierarchy", *wanted, keeps=False)
    assert status == 0
    assert "xc7, 1x2x1:bipolar" in out
    assert "every element by itself" in out


def test_the_reference_agrees_with_pytorch(study):
    status, out, _ = study("reference_speed", "--images", 2, "--repeats", 1, keeps=False)
    assert status == 0
    assert "32 bits, wrap" in out


def test_an_exported_network_gives_the_same_levels(study, small_zoo):
    pytest.importorskip("qonnx")
    status, _, (row,) = study("qonnx_export", "digits-tiny-int4", "--images", 3)
    assert status == 0
    assert (row["images"], row["same_class"], row["same_levels"]) == (3, 3, 3)
    assert row["command"].endswith("qonnx_export digits-tiny-int4 --images 3")


def test_a_row_of_a_simulator_has_the_digests_of_what_others_simulate(study, monkeypatch):
    class Engine:
        def run(self, stimulus):
            return SimpleNamespace(levels=stimulus.images % 7, cycles=9, seconds=1.0)

    monkeypatch.setattr(simulator_speeds, "_engine", lambda *_: Engine())
    digests = []
    for images in (4, 5000, 8192):
        one = ("--one", "bipolar-2x2x4", "compiled", "--images", images)
        status, out, _ = study("simulator_speeds", *one, keeps=False)
        assert status == 0
        digests.append(json.loads(out)["digests"])
    few, more, most = digests
    assert few == {"4": most["4"]}
    assert more == most
    assert list(most) == ["4", "4096"]


@pytest.mark.parametrize(("other", "same"), [("b", True), ("c", False)])
def test_simulators_agree_on_all_images_that_two_of_them_took(other, same):
    rows = [{"4": "a", "4096": "b"}, {"4": "a", "4096": other}, {"4": "a"}]
    assert simulator_speeds.agree([{"digests": each} for each in rows]) == same


# --- chains of proof -----------------------------------------------------------------------------


def test_a_chain_that_is_kept_has_the_command_that_made_it(study, tmp_path):
    said, records = tmp_path / "said.json", tmp_path / "boards.json"
    said.write_text(json.dumps(SHOWN))
    records.write_text(json.dumps({"simulated": []}))
    path = tmp_path / "digits.safetensors"
    more = ("--baud", 9000000, "--keep", said, "--records", records)
    status, _, (row,) = study("proof_chain", "icebreaker", path, *more)
    command = "narrowgauge verify icebreaker digits.safetensors --images 20 --baud 9000000"
    assert (status, row["command"]) == (0, command)
    assert json.loads(records.read_text()) == {"simulated": ["icebreaker"]}
    with pytest.raises(SystemExit, match="2"):
        study("proof_chain", "icebreaker", path, "--images", 5, *more)


def test_a_chain_of_proof_calls_the_command_line():
    done = subprocess.run(
        [*proof_chain.PROGRAM, "--version"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("narrowgauge, version "), done.stderr


# --- noise ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_noisy_line_keeps_a_row_a_rate_with_its_seed(study, monkeypatch, wrong):
    def classify(name, rate, images, seed):
        return {
            **{"network": "n", "rate": rate, "images": images, "answered": images},
            **{"wrong": wrong, "retries": 0, "seconds": 1.0, "seed": seed},
        }

    monkeypatch.setattr(link_noise, "classify", classify)
    options = ("--rates", "0,0.1", "--images", 4, "--seed", 7)
    status, _, rows = study("link_noise", "/somewhere/n.safetensors", *options)
    assert (status, [row["rate"] for row in rows]) == (wrong, [0.0, 0.1])
    assert rows[0]["command"].endswith("link_noise n.safetensors --rates 0,0.1 --images 4 --seed 7")


def test_mixed_networks_saturate_too_narrow_sums_on_whole_weights_only(small_zoo):
    network = zoo.load("digits-tiny-int4")
    runs = list(mixed_networks.runs(network, 5))
    shown = [
        (geometry.slice, version.accumulator.width - network.accumulator.width, images)
        for geometry, version, images in runs
        if version.accumulator.overflow == "saturate"
    ]
    assert shown == [(2, 0, None), (None, -2, 5)]
    assert {geometry.slice for geometry, _, _ in runs} == {1, 2, 4, None}
