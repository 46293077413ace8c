"""Bitstreams from the command line: what they hold, and what is refused."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from narrowgauge.boards.build import bitstream
from narrowgauge.boards.build import largest as fitting
from narrowgauge.boards.catalogue.entries import BOARDS
from narrowgauge.hw.errors import FitError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.file import load, save
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.tools.store import Store
from narrowgauge.scripts.commands.boards import RECORDS, STATES

from ...hw.networks import random_network

RESULTS = Path(__file__).parents[3] / "docs" / "results"
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

    # what --fit measures is what is built, the link and all, and is in the store already
    before = Store().count()
    program = Program(load(network), Geometry(1, 1, 1), contexts=1)
    found = bitstream.cells(program, BOARDS["icebreaker"], frequency=24e6)
    assert found == row["utilisation"]["lut"]["used"]
    assert Store().count() == before

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


@pytest.mark.parametrize("command", ["build", "verify"])
@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--rows", 4), ("--rows is what --fit chooses itself; leave it out",)),
        (("--lanes", 4), ("--lanes is what --fit chooses itself",)),
        (("--multiplier", "block"), ("--fit measures arrays of logic cells",)),
    ],
    ids=["rows", "lanes", "multiplier"],
)
def test_fit_excludes_a_size(invoke, network, option, words, command, monkeypatch):
    monkeypatch.setattr("narrowgauge.boards.proof.chain.check_tools", lambda board: None)
    invoke(command, "icebreaker", network, "--fit", *option).fails_with(1, *words)


def test_run_fits_without_a_size_as_well(invoke, tmp_path):
    done = invoke("run", "--fit", "--columns", 4, "--output", tmp_path / "out")
    done.fails_with(1, "--columns is what --fit chooses itself")
    done = invoke("run", "--fit", "--multiplier", "block", "--output", tmp_path / "out")
    done.fails_with(1, "--fit measures arrays of logic cells")
    assert not (tmp_path / "out").exists()


def test_fit_measures_the_board_with_its_link(invoke, network, tmp_path, monkeypatch):
    """The whole top level, at the clock, with the options, beside the link's block RAM."""
    asked = []

    def cells(program, board, **line):
        asked.append((program, board.name, line["frequency"], line["baud"]))
        return 2000 + 100 * program.geometry.macs

    def largest(network, target, measured, **options):
        assert target.budget["bram"] == BOARDS["icebreaker"].target.budget["bram"] - 1
        assert options == {"hop": 2, "chains": 1, "contexts": 1, "batch": None, "slice": 2}
        program = Program(network, Geometry(2, 1, 2))
        assert measured(program) == 2400
        assert asked == [(program, "icebreaker", 24e6, 500_000)]
        return Geometry(2, 1, 2, hop=2)

    def build(program, board, **options):
        assert program.geometry == Geometry(2, 1, 2, hop=2)
        raise FitError("seen")

    monkeypatch.setattr(fitting, "cells", cells)
    monkeypatch.setattr(fitting, "largest_geometry", largest)
    monkeypatch.setattr(bitstream, "build", build)
    options = ("--hop", 2, "--contexts", 1, "--frequency", 24, "--baud", 500_000, "--slice", 2)
    done = invoke("build", "icebreaker", network, "--fit", *options, "-o", tmp_path / "out")
    done.fails_with(1, "seen")
    assert "find the largest array" in done.err
    assert "2x1x2" in done.err


def test_it_says_what_it_is_doing(invoke, network, tmp_path, monkeypatch):
    def mapped(self, clock):
        self.note("map for 24.00 MHz")
        raise FitError("too large")

    monkeypatch.setattr(bitstream._Bench, "mapped", mapped)
    done = invoke("build", "icebreaker", network, *SMALL, "-o", tmp_path / "out")
    done.fails_with(1, "too large")
    assert "map for 24.00 MHz failed" in done.err


class Built:
    """A bitstream that took no time."""

    suffix = "bin"

    def __init__(self, program, board, **options):
        self.program, self.board, self.content = program, board, b"bits"

    def provenance(self):
        geometry = {"rows": 1, "columns": 1, "lanes": 1, "frequency_mhz": 24, "fmax_mhz": 25}
        digest = sha256(self.content).hexdigest()
        names = {"network": self.program.network.name, "board": self.board.name}
        return {**names, **geometry, "sha256": digest, "utilisation": {}}

    class clock:
        frequency = 24e6

    seed = 1


@pytest.fixture
def quick(monkeypatch):
    """Building takes no time; how often it was done."""
    built = []

    def build(*arguments, **options):
        built.append(Built(*arguments, **options))
        return built[-1]

    monkeypatch.setattr(bitstream, "build", build)
    return built


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["../esc/aped", "..", "", "a/b", "/tmp/absolute"])
def test_a_networks_name_leads_nowhere(invoke, network, tmp_path, quick, name):
    save(replace(load(network), name=name), network)
    folder = tmp_path / "deep" / "out"
    done = invoke("build", "icebreaker", network, *SMALL, "-o", folder, "--json")
    assert done.status == 0, done.err
    row = json.loads(done.out)
    assert row["network"] == name
    assert Path(row["file"]).parent == folder
    stem = Path(row["file"]).stem
    assert files(tmp_path / "deep") == ["out", f"out/{stem}.bin", f"out/{stem}.json"]


@pytest.mark.parametrize("inside", ["", "sub"])
def test_a_file_in_the_place_of_the_folder_is_refused_first(
    invoke, network, tmp_path, quick, inside
):
    plain = tmp_path / "plain"
    plain.write_text("mine")
    done = invoke("build", "icebreaker", network, *SMALL, "-o", plain / inside)
    done.fails_with(1, f"cannot write to {plain / inside}", "--output")
    assert not quick
    assert plain.read_text() == "mine"


@pytest.mark.parametrize("suffix", ["bin", "json"])
def test_a_folder_in_the_place_of_a_file_is_refused_first(invoke, network, tmp_path, quick, suffix):
    there = tmp_path / "out" / f"random.{suffix}"
    there.mkdir(parents=True)
    done = invoke("build", "icebreaker", network, *SMALL, "-o", tmp_path / "out")
    done.fails_with(1, f"cannot write to {there} (Is a directory)")
    assert not quick
    assert files(tmp_path / "out") == [there.name]


@pytest.mark.parametrize("suffix", [".bin", ".json"])
def test_where_one_file_cannot_be_written_there_is_none(
    invoke, network, tmp_path, quick, monkeypatch, suffix
):
    from narrowgauge.hw import files as writing

    def write(path, content):
        if path.suffix == suffix:
            raise OSError(28, "No space left on device", str(path))
        write_atomically(path, content)

    write_atomically = writing.write_atomically
    monkeypatch.setattr(writing, "write_atomically", write)
    done = invoke("build", "icebreaker", network, *SMALL, "-o", tmp_path / "out")
    done.fails_with(1, f"random{suffix}: No space left")
    assert files(tmp_path / "out") == []


@pytest.mark.filterwarnings("default")
def test_flash_warns_in_one_line(invoke, tmp_path, monkeypatch):
    file, program = tmp_path / "digits.bin", tmp_path / "prog"
    file.write_bytes(b"bits")
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setenv("OPENFPGALOADER", str(program))
    done = invoke("flash", "icebreaker", file)
    assert done.status == 0, done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("narrowgauge: ")]
    assert line.startswith(f"narrowgauge: warning: {file}: no file digits.json beside it")


def test_flash_refuses_what_is_not_there(invoke, tmp_path):
    invoke("flash", "icebreaker", tmp_path / "none.bin").fails_with(1, "no such file")
    invoke("flash", "icestick", tmp_path / "none.bin").fails_with(1, "unknown board 'icestick'")
