"""``narrowgauge explore``: the front, its files, what is kept, and bad input; no tool routes."""

import json
import sys
import threading
from collections import Counter
from dataclasses import replace

import pytest

from narrowgauge.hw.errors import FitError
from narrowgauge.hw.network.file import load
from narrowgauge.hw.network.layers import Weighted
from narrowgauge.hw.synth.estimate import Estimate
from narrowgauge.hw.synth.measure import Measurement
from narrowgauge.model.data import load as load_data
from narrowgauge.model.post_training import quantization
from narrowgauge.scripts.exploring import arrays, candidates, quantised, shown
from narrowgauge.scripts.exploring.shown import FILES
from narrowgauge.scripts.runs import network_job
from narrowgauge.scripts.runs.checked import Checked

from ...hw.networks import weighted
from ..commands.test_quantize import SOURCE

ASKED = ("--data", "digits", "--widths", "2,4", "--activations", "uint4", "--calibration", 50)
ASKED += ("--validation", 100, "--random", 2, "--images", 4)


def estimate_of(program, target):
    cells = 900 + 30 * program.geometry.macs
    return Estimate(
        lut=cells,
        ff=cells // 2,
        bram=8,
        spram=0,
        dsp=0,
        fmax_mhz=40.0,
        lut_error=0.2,
        fmax_error=0.2,
    )


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A working folder with a Python module of networks; few arrays, and nothing synthesised."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_nets.py").write_text(SOURCE)
    monkeypatch.setattr(arrays, "estimate", estimate_of)
    monkeypatch.setattr(arrays, "source_digest", lambda *used: "none")
    for name, value in (
        ("SLICES", (2,)),
        ("ROWS", (1, 2)),
        ("COLUMNS", (2,)),
        ("LANES", (4, 8)),
        ("KEPT", 2),
    ):
        monkeypatch.setattr(arrays, name, value)
    yield "own_nets:small"
    sys.modules.pop("own_nets", None)


@pytest.fixture
def routed(monkeypatch):
    """Simulation and routing that take no time; what is refused does not fit."""
    refused, lock = [], threading.Lock()

    def cost(accelerator, target, store, seeds=()):
        cells = 1000 + 28 * accelerator.program.geometry.macs
        with lock:
            if refused:
                raise FitError(refused.pop())
        clock = 41.0 if seeds else None
        return Measurement(
            target.name,
            lut=cells,
            seeds=tuple(seeds),
            routed=bool(seeds),
            fmax_mhz=clock,
            fmax_mhz_min=clock,
            fmax_mhz_max=clock,
        )

    def check(accelerator, dataset, store, **_):
        cycles = round(4 * accelerator.program.cycles.per_image)
        layers = [cycles // 2] * len(accelerator.program.network.layers)
        return Checked(4, 0.5, 0.5, 0, 0, 0, cycles, cycles, layers, 0.1, "none", "")

    monkeypatch.setattr(network_job, "cost", cost)
    monkeypatch.setattr(network_job, "check", check)
    return refused


def test_it_writes_a_front_of_networks(invoke, nets, routed, tmp_path, monkeypatch):
    finished = invoke("explore", nets, *ASKED, "--points", 2, "--accuracy-drop", 100)
    assert finished.status == 0, finished.err
    folder = tmp_path / "explored"
    assert all((folder / name).exists() for name in FILES)
    rows = json.loads((folder / "explore.json").read_text())
    built = [row for row in rows if row["routed"]]
    assert len(built) == 2
    for row in built:
        assert (row["mismatches"], row["images"], row["fmax_mhz"]) == (0, 4, 41)
        network = load(folder / f"{row['network']}.safetensors")
        formats = [str(layer.weight) for layer in network if isinstance(layer, Weighted)]
        assert row["layer_weights"] in (", ".join(formats), formats[0])
        assert row["lut"] != row["predicted_lut"]
        assert row["measured_images"] == row["images_per_second"]
    assert {row.get("compared") for row in rows} == {None, "uniform", "random"}
    assert "best uniform: int" in finished.out
    assert "of 2 random assignments" in finished.out

    def anew(*_):
        raise AssertionError("it is kept")

    monkeypatch.setattr(quantization, "_quantise_weights", anew)
    monkeypatch.setattr(shown, "draw", lambda *_: None)
    again = invoke("explore", nets, *ASKED, "--points", 2, "--accuracy-drop", 100, "--json")
    assert again.status == 0, again.err
    assert [row for row in json.loads(again.out) if row["routed"]] == built


def test_channels_have_widths_of_their_own(invoke, nets, routed, tmp_path, monkeypatch):
    monkeypatch.setattr(shown, "draw", lambda *_: None)
    monkeypatch.setattr(candidates, "BUDGETS", 4)
    asked = (*ASKED, "--per", "channel", "--objective", "bits", "--points", 3)
    asked += ("--accuracy-drop", 100)
    finished = invoke("explore", nets, *asked)
    assert finished.status == 0, finished.err
    rows = json.loads((tmp_path / "explored" / "explore.json").read_text())
    built = [row for row in rows if row["routed"]]
    cut = 0
    for row in built:
        assert row["mismatches"] == 0
        hidden, last = weighted(load(tmp_path / "explored" / f"{row['network']}.safetensors"))
        counts = Counter(hidden.channel_widths)
        cut += len(counts) > 1
        assert list(hidden.channel_widths) == sorted(hidden.channel_widths, reverse=True)
        assert row["weight_bits"] == 64 * counts[2] * 2 + 64 * counts[4] * 4 + last.weight_bits
        if len(counts) > 1:
            assert row["weight"] == "mixed"
            text = f"{counts[4]} int4 + {counts[2]} int2, {last.weight}"
            assert row["layer_weights"] == text
            assert f"| {text} |" in (tmp_path / "explored" / "explore.md").read_text()
        assert last.widths is None
    assert 0 < cut < len(built)
    assert "widths of their own in 1; one width each have 3" in finished.out

    def anew(*_):
        raise AssertionError("it is kept")

    monkeypatch.setattr(quantization, "_quantise_weights", anew)
    again = invoke("explore", nets, *asked, "--json")
    assert again.status == 0, again.err
    assert [row for row in json.loads(again.out) if row["routed"]] == built


def test_a_network_without_channels_to_sort_is_refused(invoke, nets, tmp_path):
    hidden = "nn.Linear(height * width * channels, 12), nn.ReLU(), nn.Linear(12, classes)"
    assert hidden in SOURCE
    alone = SOURCE.replace(hidden, "nn.Linear(height * width * channels, classes)")
    (tmp_path / "one_layer.py").write_text(alone)
    finished = invoke("explore", "one_layer:small", *ASKED, "--per", "channel")
    finished.fails_with(1, "no layer's channels can have widths of their own", "take --per layer")


def test_a_point_that_does_not_fit_is_said_and_replaced(
    invoke, nets, routed, tmp_path, monkeypatch
):
    routed.append("too many cells")
    monkeypatch.setattr(shown, "draw", lambda *_: None)
    finished = invoke("explore", nets, *ASKED, "--points", 1, "--accuracy-drop", 100)
    assert finished.status == 0, finished.err
    assert "too many cells" in finished.err
    rows = json.loads((tmp_path / "explored" / "explore.json").read_text())
    assert sum(row["routed"] for row in rows) == 1


def test_an_accuracy_that_nothing_keeps_is_named(invoke, nets, routed, monkeypatch):
    monkeypatch.setattr(quantised.Quantiser, "accuracy_float", lambda self: 1.0)
    monkeypatch.setattr(quantised.Quantiser, "accuracy", lambda *_: 0.9)
    finished = invoke("explore", nets, *ASKED, "--points", 1)
    finished.fails_with(1, "no widths meet --accuracy-drop 1", "take --accuracy-drop 10.00")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--widths", "2,17"), "weights have 1 to 16 bits, which is what slices multiply, not 17"),
        (("--target", "xc7"), "xc7 is mapped only"),
        (("--activations", "e2m1"), "activations are"),
        (("--accuracy-drop", -1), "an accuracy drop is 0 to 100 points"),
        (("--data", "nothing"), "unknown data set 'nothing'"),
        (("--epochs", 2), "--epochs is for networks that are trained here"),
        (("--accumulator", 3), "--accumulator is at most 3 bits, and at least"),
        (("--accumulator", 3, "--per", "channel"), "--accumulator is at most 3 bits, and at least"),
        (("--widths", "1,4", "--per", "channel"), "--widths has 1, 4: give at least two"),
    ],
)
def test_bad_input_is_one_line(invoke, nets, options, message):
    finished = invoke("explore", nets, *ASKED, *options)
    assert finished.status == 1
    assert message in finished.err.strip().splitlines()[-1]


def test_data_to_test_with_only_is_refused(invoke, nets, monkeypatch):
    digits = load_data("digits")
    tests = replace(digits, train_images=digits.train_images[:0])
    monkeypatch.setattr(quantised, "load_dataset", lambda name: tests)
    invoke("explore", nets, *ASKED).fails_with(1, "has test images only")


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--target", "up9k"), "up9k"), (("--objective", "beauty"), "beauty")],
)
def test_misuse_is_said(invoke, nets, options, message):
    finished = invoke("explore", nets, *ASKED, *options)
    assert finished.status == 2
    assert message in finished.err


def test_without_data_it_asks(invoke, nets):
    finished = invoke("explore", nets)
    finished.fails_with(1, "name them with --data")
