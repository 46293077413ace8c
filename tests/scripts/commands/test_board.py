"""What `narrowgauge board` and `narrowgauge build` make of their options."""

import pytest

from narrowgauge.boards.build import bitstream
from narrowgauge.boards.proof import virtual


class Shown(Exception):
    """Ends a command with what it would have run."""


def made(invoke, monkeypatch, *arguments):
    """The accelerator that a command would have run or built."""
    monkeypatch.setattr(virtual, "VirtualBoard", lambda device, **_: _raise(device.accelerator))
    monkeypatch.setattr(bitstream, "build", lambda program, *_, **__: _raise(program))
    with pytest.raises(Shown) as shown:
        invoke(*arguments)
    return shown.value.args[0]


def _raise(what):
    raise Shown(what)


def test_a_board_multiplies_in_blocks(invoke, network_file, monkeypatch):
    command = ("board", network_file, "--virtual")
    assert not made(invoke, monkeypatch, *command).implementation.fabric.blocks.used
    in_blocks = made(invoke, monkeypatch, *command, "--multiplier", "block")
    assert in_blocks.implementation.fabric.blocks.used


def test_weights_are_writable_where_that_is_asked_for(invoke, network_file, monkeypatch):
    board = ("board", network_file, "--virtual")
    build = ("build", "icebreaker", network_file)
    assert not made(invoke, monkeypatch, *board).loads_weights
    assert not made(invoke, monkeypatch, *build).any_weights
    loaded = made(invoke, monkeypatch, *board, "--load-weights")
    assert loaded.loads_weights
    assert loaded.implementation.single_port == ()  # block RAM has room, and can be written
    assert made(invoke, monkeypatch, *build, "--load-weights").any_weights


def test_a_fit_has_its_weights_inside(invoke, network_file):
    finished = invoke("build", "icebreaker", network_file, "--fit", "--load-weights")
    finished.fails_with(2, "--fit", "leave out --load-weights")
