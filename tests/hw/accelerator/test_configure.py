"""Configurations of a program: forms of addresses and tails by hand, tables of single layers."""

import pytest

from narrowgauge.hw.accelerator import configure
from narrowgauge.hw.accelerator.configure import (
    drain_config,
    feeder_config,
    pool_unit_config,
    probe_config,
    sequencer_config,
    writer_config,
)
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program

from ...formal.proof import edit
from ..networks import random_convnet

BIPOLAR, INT4 = ("bipolar", "uint3", "uint5"), ("int4", "uint3", "uint5")
LANES = 4


def program_of(family, *spec):
    network = random_convnet(1, family, (*spec, ("dense", 4)), Accumulator(16))
    return Program(network, Geometry(2, 2, LANES))


def row_of(family, kernel, stride=2):
    """One row of pixels under a kernel of one row: a run is a whole pass."""
    window = Window((1, kernel), (1, stride))
    return program_of(family, Size(1, 12, 1), ("conv", 4, window, 1))


# a kernel, and the unit in which its codes are cut: two, as the stride is, unless its last word
# ends inside the last two of the four lanes, where it would pass for a full one
CUTS = [(1, 2), (2, 2), (3, 1), (4, 2), (5, 2), (7, 1)]


def test_a_cut_word_does_not_pass_for_a_full_one():
    for kernel, unit in CUTS:
        config = feeder_config(row_of(BIPOLAR, kernel))
        assert config.walker.form.unit == config.packer.form.unit == unit
        assert feeder_config(row_of(INT4, kernel)).walker.form.unit == 2


def test_words_are_not_cut_where_all_is_aligned():
    config = feeder_config(row_of(BIPOLAR, 3, stride=4))
    assert config.walker.form.parts == 1, "a run of 3 codes begins and ends a word"
    assert config.packer.tails
    assert config.packer.tails[0] == (3, 3)


def test_tails_matter_where_no_weight_is_0():
    assert feeder_config(row_of(INT4, 3)).packer.tails is None
    assert feeder_config(row_of(BIPOLAR, 3)).packer.tails == ((3, 3), (4, 4))
    full = program_of(BIPOLAR, Size(1, 1, 8))
    assert feeder_config(full).packer.tails is None, "every word is full"


@pytest.mark.parametrize(
    ("check", "function", "old", "new"),
    [
        (test_a_cut_word_does_not_pass_for_a_full_one, "_patch_form", "[*steps, *ends]", "steps"),
        (test_a_cut_word_does_not_pass_for_a_full_one, "_patch_form", "lanes - form.unit <", ""),
        (test_tails_matter_where_no_weight_is_0, "_cuts_tails",
         "not program.operands.weight.holds(0)", "True"),
        (test_tails_matter_where_no_weight_is_0, "_cuts_tails",
         "min(feed.tail, feed.last_tail) < lanes", "True"),
    ],
    ids=["a cut word passes", "cuts too fine", "cuts what meets 0", "cuts full words"],
)  # fmt: skip
def test_a_planted_fault_is_found(monkeypatch, check, function, old, new):
    edit(monkeypatch, configure, function, old, new)
    with pytest.raises(AssertionError):
        check()


def test_layers_have_what_they_need():
    """A convolution, a max pool and a dense layer; the last one's levels lie apart."""
    window = Window((3, 3), (1, 1), (1, 1, 1, 1))
    program = program_of(
        INT4, Size(4, 4, 2), ("conv", 4, window, 1), ("max", Window((2, 2), (2, 2)))
    )
    conv, pool, dense = program.records
    loops = feeder_config(program).walker.layers
    assert [each.edges and each.edges.right for each in loops] == [8, None, None]
    assert (loops[0].length, loops[0].outer) == (6, 3)
    pools = [layer and layer.positions for layer in pool_unit_config(program).layers]
    assert pools == [None, pool.place.positions, None]
    assert [layer.runs for layer in sequencer_config(program, 4).layers] == [
        ((2, 1),),
        ((1, 1),),
        ((2, 1),),
    ]
    assert [layer.tiles for layer in drain_config(program).layers] == [2, 1, 2]
    written = writer_config(program).layers
    assert (written[0].row_step, written[0].chunk_step) == (4, 8)
    assert conv.place.image_step == written[0].image_step > 0
    assert dense.place.row_step > 0
    steps = ("row_step", "chunk_step", "image_step", "group_step")
    assert [getattr(written[-1], step) for step in steps] == [0] * 4
    probed = probe_config(program, latency=3)
    assert probed.latency == 3
    assert [layer.single for layer in probed.layers] == [False, False, True]
    assert [layer.channels for layer in probed.layers] == [4, 4, 4]
