import json
import stat
from dataclasses import replace
from hashlib import sha256

import pytest

from narrowgauge.boards.build.constraints import constraints
from narrowgauge.boards.build.largest import _left
from narrowgauge.boards.build.programmer import FlashWarning, flash, programmers
from narrowgauge.boards.catalogue.entries import BOARDS, board
from narrowgauge.boards.catalogue.pll import PLLS, highest
from narrowgauge.boards.gateware.buffer import FrameBuffer
from narrowgauge.boards.gateware.device import Device
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import NarrowgaugeError, ToolError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.synth.targets import TARGETS

from ...hw.networks import random_network

FAMILY = ("int8", "uint8", "uint8")


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_complete(name):
    found = board(name)
    assert found.name == name
    assert found.target_name in TARGETS
    assert [pin.port for pin in found.pins][:3] == ["clk", "rx", "tx"]
    assert len({pin.site for pin in found.pins}) == len(found.pins)
    assert found.pll in PLLS
    assert highest(found.pll, found.clock_frequency, 1e9).frequency > found.clock_frequency
    assert all("{file}" in arguments for arguments in found.programmers)
    assert not found.seen, "somebody must have seen it, and say so in docs/boards.md"
    for pin in found.pins:
        assert f"{pin.port} {pin.site}" in constraints(found).replace('"', "").replace("SITE ", "")


def test_boards_are_of_three_families():
    assert {each.target.family.name for each in BOARDS.values()} == {"ice40", "ecp5", "gowin"}


def test_pins_of_two_boards_from_their_schematics():
    sites = {pin.port: pin.site for pin in board("icebreaker").pins}
    assert sites == {"clk": "35", "rx": "6", "tx": "9"}
    sites = {pin.port: pin.site for pin in board("ulx3s_85f").pins}
    assert sites == {"clk": "G2", "rx": "M1", "tx": "L4"}


def test_attributes_come_along():
    assert constraints(board("icebreaker")).splitlines()[1] == "set_io -pullup yes rx 6"
    assert 'IOBUF PORT "tx" IO_TYPE=LVCMOS33;' in constraints(board("ulx3s_25f"))
    assert 'IO_PORT "rx" IO_TYPE=LVCMOS33 PULL_MODE=UP;' in constraints(board("tang_nano_9k"))


def test_an_unknown_board_is_refused():
    with pytest.raises(NarrowgaugeError, match="unknown board 'icestick'; boards are icebreaker, "):
        board("icestick")


def test_names_of_boards_are_openfpgaloaders():
    """As in its ``board.hpp``, where case matters: those that boards here may have."""
    known = {"ice40_generic", "ulx3s", "ulx3s_dfu", "orangeCrab", "tangnano9k", "colorlight"}
    loaders = [each for found in BOARDS.values() for each in found.programmers if "-b" in each]
    assert len(loaders) >= len(BOARDS) - 1
    assert {each[each.index("-b") + 1] for each in loaders} <= known


@pytest.mark.parametrize(("inputs", "blocks"), [(9, 1), (784, 2)])
def test_frames_find_room_beside_the_largest_array(inputs, blocks):
    found, network = board("icebreaker"), random_network(3, FAMILY, (inputs, 2), Accumulator(24))
    program = Program(network, Geometry(1, 1, 1))
    device = Device(Accelerator(program), clock_frequency=12e6)
    depth = FrameBuffer(device.buffer_entry).depth
    assert found.target.family.brams(8, depth) == blocks
    assert _left(network, found).budget["bram"] == found.target.budget["bram"] - blocks


@pytest.fixture
def programmer(tmp_path, monkeypatch):
    """Return what makes a program that says its arguments, and ends with a status."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name, status=0, shell="/bin/sh"):
        path = folder / name
        path.write_text(f'#!{shell}\necho "$0 $@"\necho "error: cable lost"\nexit {status}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make


@pytest.fixture
def file(tmp_path):
    """A bitstream for the icebreaker, as `narrowgauge build` leaves it."""
    path = tmp_path / "digits.bin"
    path.write_bytes(b"bits")
    describe(path)
    return path


def describe(path, board="icebreaker"):
    """Write where a bitstream came from."""
    row = {"board": board, "sha256": sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(row))


def test_the_first_programmer_that_is_there_is_used(programmer, file):
    found = replace(
        board("icebreaker"), programmers=(("none-such", "{file}"), ("prog", "-S", "{file}"))
    )
    programmer("prog")
    ((tool, arguments),) = programmers(found)
    assert (tool.name, arguments) == ("prog", ("-S", "{file}"))
    assert flash(found, file).splitlines()[0].endswith(f"prog -S {file}")


def test_one_that_does_not_start_is_passed_over(programmer, file):
    programmer("openFPGALoader", shell="/nonexistent/shell")
    with pytest.raises(ToolError, match="openFPGALoader did not start"):
        flash(board("icebreaker"), file)
    programmer("iceprog")
    with pytest.warns(FlashWarning, match="openFPGALoader did not start.*; trying the next"):
        assert flash(board("icebreaker"), file).splitlines()[0].endswith(f"iceprog {file}")


def test_a_programmer_that_fails_is_an_error_with_its_words(programmer, file):
    programmer("openFPGALoader", 1)
    programmer("iceprog")  # what was begun is not begun again with another
    with pytest.raises(ToolError, match="openFPGALoader failed: error: cable lost"):
        flash(board("icebreaker"), file)


def test_no_programmer_is_an_error_that_says_which(programmer, file):
    with pytest.raises(ToolError, match="install openFPGALoader or iceprog"):
        flash(board("icebreaker"), file)


def test_a_variable_names_the_programmer_or_is_refused(programmer, file, monkeypatch, tmp_path):
    programmer("iceprog")
    monkeypatch.setenv("OPENFPGALOADER", "/nonexistent/openFPGALoader")
    with pytest.raises(ToolError, match=r"OPENFPGALOADER is '/nonexistent/.*correct or unset it"):
        flash(board("icebreaker"), file)
    moved = programmer("openFPGALoader").rename(tmp_path / "mine")
    monkeypatch.setenv("OPENFPGALOADER", f"{moved} --verbose")
    said = flash(board("icebreaker"), file).splitlines()[0]
    assert said == f"{moved} --verbose -b ice40_generic {file}"


def test_a_bitstream_of_another_board_is_not_loaded(programmer, file):
    programmer("openFPGALoader")
    with pytest.raises(NarrowgaugeError, match=r"bitstreams of ulx3s_85f end in \.bit"):
        flash(board("ulx3s_85f"), file)
    describe(file, "upduino_v3")
    with pytest.raises(NarrowgaugeError, match="was built for upduino_v3, not for icebreaker"):
        flash(board("icebreaker"), file)
    assert flash(board("upduino_v3"), file)
    with pytest.raises(NarrowgaugeError, match="no such file"):
        flash(board("icebreaker"), file.with_name("none.bin"))


@pytest.mark.parametrize("content", [b"", b"bit", b"bits!", b"bots"])
def test_a_damaged_bitstream_is_not_loaded(programmer, file, content):
    programmer("openFPGALoader")
    file.write_bytes(content)
    text = "is not what digits.json describes: it was damaged" if content else "is empty"
    with pytest.raises(NarrowgaugeError, match=text):
        flash(board("icebreaker"), file)


@pytest.mark.parametrize("beside", [b"", b"[1]", b'{"board": "icebreaker"}', b"\xff{}"])
def test_damaged_provenance_is_no_missing_one(programmer, file, beside):
    programmer("openFPGALoader")
    file.with_suffix(".json").write_bytes(beside)
    with pytest.raises(NarrowgaugeError, match=r"digits.json does not say what digits.bin is"):
        flash(board("icebreaker"), file)


def test_without_provenance_there_is_a_warning(programmer, file):
    programmer("openFPGALoader")
    file.with_suffix(".json").unlink()
    with pytest.warns(FlashWarning, match="no file digits.json beside it says what it is"):
        flash(board("icebreaker"), file)
    file.write_bytes(b"")
    with pytest.raises(NarrowgaugeError, match="is empty"):
        flash(board("icebreaker"), file)
