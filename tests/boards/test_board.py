import json
import os
import stat
from dataclasses import replace

import pytest

from narrowgauge.boards.board import BOARDS, board
from narrowgauge.boards.constraints import constraints
from narrowgauge.boards.flash import command, flash
from narrowgauge.boards.pll import PLLS, highest
from narrowgauge.hw.errors import NarrowgaugeError, ToolError
from narrowgauge.hw.synth.targets import TARGETS


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


@pytest.fixture
def programmer(tmp_path, monkeypatch):
    """Return what makes a program that says its arguments, and ends with a status."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def make(name, status=0):
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "$0 $@"\necho "error: cable lost"\nexit {status}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return make


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "digits.bin"
    path.write_bytes(b"bits")
    return path


def test_the_first_programmer_that_is_there_is_used(programmer, file):
    found = replace(
        board("icebreaker"), programmers=(("none-such", "{file}"), ("prog", "-S", "{file}"))
    )
    programmer("prog")
    assert command(found, file)[1:] == ("-S", str(file))
    assert flash(found, file).splitlines()[0].endswith(f"prog -S {file}")


def test_a_programmer_that_fails_is_an_error_with_its_words(programmer, file):
    programmer("openFPGALoader", 1)
    with pytest.raises(ToolError, match="openFPGALoader failed: error: cable lost"):
        flash(board("icebreaker"), file)


def test_no_programmer_is_an_error_that_says_which(programmer, file):
    with pytest.raises(ToolError, match="install openFPGALoader or iceprog"):
        flash(board("icebreaker"), file)


def test_a_bitstream_of_another_board_is_not_loaded(programmer, file):
    programmer("openFPGALoader")
    with pytest.raises(NarrowgaugeError, match=r"bitstreams of ulx3s_85f end in \.bit"):
        flash(board("ulx3s_85f"), file)
    file.with_suffix(".json").write_text(json.dumps({"board": "upduino_v3"}))
    with pytest.raises(NarrowgaugeError, match="was built for upduino_v3, not for icebreaker"):
        flash(board("icebreaker"), file)
    assert flash(board("upduino_v3"), file)
    with pytest.raises(NarrowgaugeError, match="no such file"):
        flash(board("icebreaker"), file.with_name("none.bin"))
