"""The chain of proof from the command line."""

import json
from types import SimpleNamespace

import pytest

from narrowgauge.boards.proof import chain
from narrowgauge.boards.proof.recovery import find_icebox
from narrowgauge.hw.errors import ToolError

from .test_build import SMALL, network

__all__ = ["network"]


def need_icebox():
    try:
        find_icebox()
    except ToolError as error:
        pytest.skip(f"no bitstream can be read back: {error}")


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Random images for the small network, in the place of a data set."""
    from ...hw.networks import random_images

    def load(loaded, origin, data, count):
        return random_images(3, loaded, count), None

    monkeypatch.setattr("narrowgauge.scripts.runs.loading.load_inputs", load)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "last"),
    [("icebreaker", "netlist recovered from the bitstream"), ("ulx3s_25f", "routed netlist")],
)
def test_every_link_holds_and_a_broken_one_is_named(
    board, last, invoke, network, images, monkeypatch
):
    if board == "icebreaker":
        need_icebox()
    command = ("verify", board, network, *SMALL, "--frequency", 24, "--images", 5)
    done = invoke(*command, "--json")
    assert done.status == 0, done.err
    row = json.loads(done.out)
    assert row["proven"]
    assert [link["name"].rpartition(" = ")[2] for link in row["links"]] == [
        "RTL of the accelerator",
        "RTL of the top level",
        "mapped netlist",
        last,
    ]
    for link in row["links"]:
        assert (link["images"], link["mismatches"], link["holds"]) == (5, 0, True)
    assert [link["same_cycles"] for link in row["links"]] == [None, None, True, True]

    # the twin: images that reach the first netlist in another order
    family = {"icebreaker": "ice40", "ulx3s_25f": "ecp5"}[board]
    monkeypatch.setitem(chain.STAGES, family, chain.STAGES[family][:1])
    true = chain._run
    monkeypatch.setattr(chain, "_run", lambda built, stage, given: true(built, stage, given[::-1]))
    broken = invoke(*command)
    assert broken.status == 1
    assert "BROKEN: reference = RTL of the top level" in broken.out
    assert "of 5 images differ" in broken.err


def test_a_family_without_models_is_refused_at_once(invoke, network, monkeypatch):
    monkeypatch.delitem(chain.STAGES, "gowin")
    done = invoke("verify", "tang_nano_9k", network)
    done.fails_with(1, "tang_nano_9k: netlists of gowin are not simulated")


def test_without_icestorm_it_says_what_to_install(invoke, network, monkeypatch):
    monkeypatch.setenv("ICEBOX_VLOG", "none-such")
    done = invoke("verify", "icebreaker", network)
    done.fails_with(1, "icebox_vlog was not found", "fpga-icestorm")


def test_loaded_weights_are_refused_before_anything_is_simulated(invoke, network, monkeypatch):
    accelerator = SimpleNamespace(loads_weights=True)
    built = SimpleNamespace(
        board=SimpleNamespace(name="icebreaker"), device=SimpleNamespace(accelerator=accelerator)
    )
    monkeypatch.setattr("narrowgauge.boards.proof.chain.check_tools", lambda board: None)
    monkeypatch.setattr("narrowgauge.scripts.commands.verify.make", lambda *_: built)
    done = invoke("verify", "icebreaker", network)
    done.fails_with(1, "weights that are loaded at run time are no part of the bitstream")
