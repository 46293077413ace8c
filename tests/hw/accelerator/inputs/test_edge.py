"""The edge mask against the definition of padding, window after window."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.inputs.edge import EdgeMask, EdgeMaskConfig, Edges
from narrowgauge.hw.gates.address import CodeAddress

from ....formal.proof import edit
from ...simulation import run
from .patches import convolution, runs_of, walkers


def masks(config, layer, pauses=0.0):
    """The mask of every word of a job; a word of a run each."""
    mask, form, found = EdgeMask(config.edge_mask), config.form, []
    runs, rng = runs_of(config, layer), np.random.default_rng(0)
    strobes = {
        "run": lambda each: True,
        "position": lambda each: each.position,
        "line": lambda each: each.position[:3],
        "image": lambda each: each.position[:2],
    }

    async def testbench(ctx):
        ctx.set(mask.i_layer, layer)
        ctx.set(mask.i_start, 1)
        await ctx.tick()
        ctx.set(mask.i_start, 0)
        for here, following in zip(runs, [*runs[1:], None], strict=True):
            words = -(-(here.start % form.lanes + len(here.inside)) // form.lanes)
            turned = config.layers[layer].by_column
            ctx.set(mask.i_outer, here.inner if turned else here.outer)
            ctx.set(mask.i_inner, here.outer if turned else here.inner)
            ctx.set(mask.i_entry, here.start % form.lanes // form.unit)
            for word in range(words):
                for strobe in ("word", *strobes):
                    ctx.set(getattr(mask, f"i_{strobe}"), 0)
                while rng.random() < pauses:
                    await ctx.tick()
                found.append((here, word, ctx.get(mask.o)))
                ends = word == words - 1
                ctx.set(mask.i_word, 1)
                ctx.set(mask.i_run, ends)
                for strobe, key in list(strobes.items())[1:]:
                    goes_on = following is not None and key(here) == key(following)
                    ctx.set(getattr(mask, f"i_{strobe}"), ends and not goes_on)
                await ctx.tick()

    run(mask, testbench)
    return found


def check(config, layer, **options):
    lanes = config.form.lanes
    for here, word, found in masks(config, layer, **options):
        first = word * lanes - here.start % lanes
        for lane in range(lanes):
            if 0 <= first + lane < len(here.inside):
                assert found >> lane & 1 == here.inside[first + lane], (here, word, lane)


@settings(max_examples=15)
@given(walkers(), st.sampled_from([0.0, 0.4]))
def test_equals_the_definition(config, pauses):
    assume(config.padded)
    for layer in range(len(config.layers)):
        check(config, layer, pauses=pauses)


@pytest.mark.parametrize(("lanes", "channels", "padding"), [(4, 1, 1), (2, 3, 2), (8, 2, 1)])
def test_convolutions(lanes, channels, padding):
    check(convolution(lanes=lanes, channels=channels, padding=padding, images=2), 0)


def test_windows_by_hand():
    """Pixels of windows 2 wide and 1 high over an image of 2x1, with padding left and right."""
    edges = Edges(
        whole_rows=False, left=1, left_step=1, right=2, top=0, top_step=1, input_rows=1,
        width=3, height=1,
    )  # fmt: skip
    mask = EdgeMask(EdgeMaskConfig(CodeAddress(4, 2, 2), (edges,), outer=1, inner=2, length=2))
    seen = []

    async def testbench(ctx):
        ctx.set(mask.i_start, 1)
        await ctx.tick()
        ctx.set(mask.i_start, 0)
        for _ in range(3):
            for column in range(2):
                ctx.set(mask.i_inner, column)
                ctx.set(mask.i_position, column == 1)
                seen.append(ctx.get(mask.o))
                await ctx.tick()

    run(mask, testbench)
    assert seen == [0b00, 0b11, 0b11, 0b11, 0b11, 0b00]


def test_layers_without_edges_are_inside():
    edges = Edges(True, 9, 0, 9, 9, 0, 1, 1, 1)
    form = CodeAddress(4, 3, 1)
    mask = EdgeMask(EdgeMaskConfig(form, (None, edges), outer=1, inner=1, length=3))
    seen = []

    async def testbench(ctx):
        for layer in (0, 1):
            ctx.set(mask.i_layer, layer)
            ctx.set(mask.i_start, 1)
            await ctx.tick()
            seen.append(ctx.get(mask.o))

    run(mask, testbench)
    assert seen == [0b111, 0]


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_window", "self.i_image | self.i_start", "self.i_start"),
        ("_window", '[left.eq(first_left), top', "[top"),
        ("_lanes", "lane < end", "lane <= end"),
        ("_lanes", "self.i_entry * unit", "0"),
        ("elaborate", "line >= 0", "line > 0"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    config = convolution(lanes=4, channels=2, images=2)
    check(config, 0)
    edit(monkeypatch, EdgeMask, method, old, new)
    with pytest.raises(AssertionError):
        check(config, 0)
