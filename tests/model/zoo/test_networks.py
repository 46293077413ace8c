"""The zoo: every file in it is complete and true, and a false one is seen."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from narrowgauge.hw.errors import DataError, MismatchError, NetworkError
from narrowgauge.hw.network.file import save
from narrowgauge.hw.network.layers import Dense
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.model.data import load
from narrowgauge.model.integers.reference import accuracy, evaluate
from narrowgauge.model.zoo import networks as zoo
from narrowgauge.model.zoo.verify import verify

from ...hw.networks import random_network
from .recorded import RECORD, answers

CARD = {
    "dataset": "digits",
    "network": "mlp",
    "weight": "int4",
    "activation": "uint4",
    "accuracy_float": 0.5,
    "accuracy_reference": 0.1,
    "command": "narrowgauge train -o tiny.safetensors",
    "seed": 0,
    "epochs": 1,
    "seconds": 1.5,
    "device": "cpu",
}
LARGEST, ALL = 500_000, 4_000_000  # bytes of a file, and of all


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A network of random integers, with a false card, in a zoo of its own."""
    network = random_network(1, ("int4", "uint4", "uint4"), (64, 4, 10), Accumulator(14))
    network = replace(network, name="tiny", about=CARD)
    monkeypatch.setattr(zoo, "folder", lambda: tmp_path)
    save(network, tmp_path / "tiny.network")
    return network


def share(network):
    digits = load("digits")
    levels = digits.levels(digits.test_images, network.input).reshape(450, 64)
    return accuracy(evaluate(network, levels, 4), digits.test_labels)


# --- the files -----------------------------------------------------------------------------------


def test_there_are_networks_and_they_are_small():
    files = [path for path in zoo.folder().iterdir() if path.suffix != ".py"]
    sizes = [path.stat().st_size for path in files if path.name != "__pycache__"]
    assert zoo.names()
    assert len(sizes) == len(zoo.names())  # nothing else lies there
    assert max(sizes) <= LARGEST
    assert sum(sizes) <= ALL


@pytest.mark.parametrize("name", zoo.names())
def test_a_network_has_its_name_and_a_complete_card(name):
    network = zoo.load(name)
    entry = zoo.entry(network)
    assert entry.name == name
    assert name.startswith(f"{entry.dataset}-")
    assert 0.5 < entry.accuracy_integer <= 1
    assert 0.5 < entry.accuracy_float <= 1
    assert entry.parameters == sum(row["weights"] for row in zoo.layer_rows(network))
    assert entry.command.startswith("narrowgauge train --dataset ")
    for word in (entry.dataset, entry.network, entry.weight):
        assert f" {word} " in entry.command


def recorded():
    return json.loads(RECORD.read_text())


def test_all_networks_were_verified_and_are_as_accurate_as_their_cards_say():
    found = {name: each["accuracy"] for name, each in recorded().items()}
    assert found == {entry.name: entry.accuracy_integer for entry in zoo.entries()}


def present(dataset, monkeypatch):
    """A data set, if this machine has it."""

    def refuse(*_):
        raise ConnectionError("tests download nothing")

    monkeypatch.setattr("pooch.retrieve", refuse)
    try:
        return load(dataset)
    except DataError as error:
        if not isinstance(error.__cause__, ConnectionError):
            raise
        pytest.skip(f"NARROWGAUGE_DATA has no {dataset}")


@pytest.mark.slow
@pytest.mark.parametrize("dataset", sorted({entry.dataset for entry in zoo.entries()}))
def test_networks_answer_as_when_they_were_verified(dataset, monkeypatch):
    data = present(dataset, monkeypatch)  # once for all: unpacking takes longer than they do
    names = [entry.name for entry in zoo.entries() if entry.dataset == dataset]
    found = {name: answers(zoo.load(name), data) for name in names}
    assert found == {name: recorded()[name]["digest"] for name in names}


def test_a_single_weight_changes_the_answers(monkeypatch):
    network = zoo.load("mnist-int2-64-64-64")
    first, *others = network.layers
    assert isinstance(first, Dense)
    weights = first.weights.copy()
    weights[5, 400] = -1 if weights[5, 400] >= 0 else 1
    changed = replace(network, layers=(replace(first, weights=weights), *others))
    assert answers(changed, present("mnist", monkeypatch)) != recorded()[network.name]["digest"]


# --- names and cards -----------------------------------------------------------------------------


def test_names_and_entries(tiny):
    assert zoo.names() == ["tiny"]
    (entry,) = zoo.entries()
    assert (entry.name, entry.dataset, entry.accuracy_integer) == ("tiny", "digits", 0.1)
    assert (entry.parameters, entry.parameter_bits) == (4 * 74, 16 * 74)
    assert set(entry.plain()) == {
        *("name", "dataset", "network", "weight", "activation", "accuracy_float"),
        *("accuracy_integer", "parameters", "parameter_bits", "command"),
    }


def test_an_unknown_name_lists_what_there_is(tiny):
    with pytest.raises(NetworkError, match="no network 'other' in the zoo, which has tiny"):
        zoo.load("other")
    with pytest.raises(NetworkError, match=r"no network '\.\./tiny'"):
        zoo.load("../tiny")


def test_a_file_of_another_name_is_refused(tiny):
    (zoo.folder() / "tiny.network").rename(zoo.folder() / "large.network")
    with pytest.raises(NetworkError, match=r"large\.network of the zoo holds .* called tiny"):
        zoo.load("large")


def test_a_damaged_file_is_named(tiny):
    path = zoo.folder() / "tiny.network"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(NetworkError, match=r"tiny\.network: not a network file, or cut short"):
        zoo.entries()


@pytest.mark.parametrize("missing", zoo.CARD)
def test_an_incomplete_card_is_seen(tiny, missing):
    about = {name: value for name, value in CARD.items() if name != missing}
    with pytest.raises(NetworkError, match=f"the card of network tiny lacks {missing}"):
        zoo.entry(replace(tiny, about=about))


def test_formats_name_a_first_and_last_layer_that_differ(tiny):
    assert zoo.formats(tiny, "weight") == "int4"
    other = replace(tiny, about={**CARD, "weight": "int2", "activation": "uint2"})
    assert zoo.formats(other, "weight") == "int2 (first int4, last int4)"
    assert zoo.formats(other, "activation") == "uint2 (first uint4, last uint4)"


def test_layers_as_plain_data(tiny):
    first, last = zoo.layer_rows(tiny)
    assert first["layer"] == "layer0"
    assert (first["kind"], first["weight"], first["input"]) == ("dense", "int4", "uint4")
    assert (first["size"], first["weights"], first["weight_bits"]) == ("1x1x4", 256, 1024)
    assert last["macs"] == 40


def test_the_zoo_needs_no_torch():
    lines = ["import sys", "from narrowgauge.model.zoo import networks as zoo", "zoo.entries()"]
    code = "; ".join([*lines, "print('torch' in sys.modules)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n", done.stderr


# --- verification --------------------------------------------------------------------------------


def test_a_true_card_is_verified(tiny):
    true = replace(tiny, about={**CARD, "accuracy_reference": share(tiny)})
    assert verify(true) == share(tiny)


@pytest.mark.parametrize("images", [-1, 1, 0.5])
def test_a_wrong_accuracy_is_seen(tiny, images):
    stated = share(tiny) + images / 450
    with pytest.raises(MismatchError, match=r"network tiny labels .* of 450 test images of digits"):
        verify(replace(tiny, about={**CARD, "accuracy_reference": stated}))


def test_changed_weights_are_seen(tiny):
    first, last = tiny.layers
    true = {**CARD, "accuracy_reference": share(tiny)}
    changed = replace(last, bias=last.bias[::-1] * 100)
    with pytest.raises(MismatchError, match="its card says"):
        verify(replace(tiny, layers=(first, changed), about=true))


def test_the_accumulator_of_the_file_does_not_matter(tiny):
    true = replace(tiny, about={**CARD, "accuracy_reference": share(tiny)})
    assert verify(true.with_accumulator(Accumulator(4))) == share(tiny)
