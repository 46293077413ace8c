"""Bitstreams from the command line: what they hold, and what is refused."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from narrowgauge.boards import bitstream
from narrowgauge.boards.board import BOARDS
from narrowgauge.hw.arithmetic import Accumulator
from narrowgauge.hw.network_file import save
from narrowgauge.scripts.boards import RECORDS, STATES

from ..hw.networks import random_network

RESULTS = Path(__file__).parents[2] / "docs" / "results"
SMALL = ("--rows", 1, "--columns", 1, "--lanes", 1, "--contexts", 1)


@pytest.fixture
def network(tmp_path):
    """The file of a network of 9-4-3."""
    path = tmp_path / "small.safetensors"
    save(random_network(59, ("int4", "uint3", "int4"), (9, 4, 3), Accumulator(14)), path)
    return path


def test_boards_are_listed(invoke):
    done = invoke("boards", "--json")
    rows = json.loads(done.out)
    assert [row["board"] for row in rows] == list(BOARDS)
    assert all(row["state"] in STATES for row in rows)
    assert rows[0]["budget"]["lut"] == 5280
    assert rows[0]["pins"] == {"clk": "35", "rx": "6", "tx": "9"}
    assert not any(row["state"] == "seen on hardware" for row in rows)
    table = invoke("boards").out
    assert all(name in table for name in BOARDS)


def test_a_state_has_a_record():
    """What the list says was built or simulated is in the results, with the clock met."""
    records = json.loads(RECORDS.read_text())
    built = {row["board"]: row for row in json.loads((RESULTS / "bitstreams.json").read_text())}
    assert set(records) == {"bitstream built", "simulated"}
    assert set(records["bitstream built"]) == set(built)
    for row in built.values():
        assert row["fmax_mhz"] >= row["frequency_mhz"]
    families = {BOARDS[name].target.family.name for name in built}
    assert (len(built) >= 6, len(families)) == (True, 3)
    proofs = json.loads((RESULTS / "proofs.json").read_text())
    proven = {row["bitstream"]["board"] for row in proofs if row["proven"]}
    assert set(records["simulated"]) == proven
    for row in proofs:
        assert all(link["mismatches"] == 0 and link["holds"] for link in row["links"])


@pytest.mark.slow
def test_a_bitstream_and_where_it_came_from(invoke, network, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    command = ("build", "icebreaker", network, *SMALL, "--frequency", 24)
    done = invoke(*command, "-o", folder, "--json")
    assert done.status == 0, done.err
    row = json.loads(done.out)
    files = sorted(path.suffix for path in folder.iterdir())
    assert files == [".bin", ".json"]
    content = Path(row["file"]).read_bytes()
    assert sha256(content).hexdigest() == row["sha256"]
    assert content.startswith(b"\xff\x00\x00\xff\x7e\xaa\x99\x7e")  # what an iCE40 looks for
    assert row["fmax_mhz"] >= row["frequency_mhz"] == 24
    assert 0 < row["utilisation"]["lut"]["used"] < 5280
    kept = json.loads(Path(row["file"]).with_suffix(".json").read_text())
    assert {**kept, "file": row["file"]} == row

    # a routing that is too slow for the clock
    monkeypatch.setattr(bitstream, "SEEDS", (1,))
    monkeypatch.setattr(bitstream._Bench, "_fmax", lambda self, routed: 23.9e6)
    slow = invoke(*command, "-o", folder / "slow")
    slow.fails_with(1, "reaches 23.90 MHz", "not 24.00", "--frequency")
    assert not (folder / "slow").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("icestick", "{network}"), ("unknown board 'icestick'", "boards are icebreaker")),
        (("icebreaker", "nowhere.safetensors"), ("no such file", "zoo")),
        (("icebreaker", "mnist-lenet5-int4"), ("does not fit up5k", "of 30 block RAMs")),
        (("icebreaker", "{network}", "--frequency", 5), ("no clock of at most 5.00 MHz", "12.00")),
    ],
    ids=["board", "network", "size", "clock"],
)
def test_what_cannot_be_built_is_one_line_and_leaves_nothing(
    invoke, network, tmp_path, arguments, words
):
    given = [str(each).format(network=network) for each in arguments]
    done = invoke("build", *given, *SMALL, "-o", tmp_path / "out")
    done.fails_with(1, *words)
    assert not (tmp_path / "out").exists()


def test_flash_refuses_what_is_not_there(invoke, tmp_path):
    invoke("flash", "icebreaker", tmp_path / "none.bin").fails_with(1, "no such file")
    invoke("flash", "icestick", tmp_path / "none.bin").fails_with(1, "unknown board 'icestick'")
