"""The walker's addresses against plain loops: order, ends, places in a bank, lanes outside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.inputs.walker import PatchLoops, Walker, WalkerConfig
from narrowgauge.hw.gates.address import CodeAddress

from ....formal.proof import edit
from ...simulation import run
from .patches import convolution, steps_of, walkers

FLAGS = ("emit", "tail", "last_group", "first", "last", "part", "level", "row", "word")
ENDS = ("pass_end", "bank_end", "job_end", "group_start")


def walked(config, jobs, pauses=0.0, seed=0):
    """What a walker puts out for each of ``jobs``, layer and context; a step an address."""
    walker, found = Walker(config), []
    rng = np.random.default_rng(seed)

    async def testbench(ctx):
        for layer, context in jobs:
            ctx.set(walker.i_job, {"layer": layer, "context": context})
            ctx.set(walker.i_start, 1)
            await ctx.tick()
            ctx.set(walker.i_start, 0)
            steps = []
            for _ in range(2000):
                ctx.set(walker.i_enable, 0)
                while rng.random() < pauses:
                    step = ctx.get(walker.o_step)
                    assert not step.active
                    assert not step.emit
                    await ctx.tick()
                ctx.set(walker.i_enable, 1)
                step = ctx.get(walker.o_step)
                assert step.active
                here = {name: int(step[name]) for name in FLAGS}
                here |= {name: ctx.get(getattr(walker, f"o_{name}")) for name in ENDS}
                steps.append(here | {"address": ctx.get(walker.o_word), "mask": step.mask})
                await ctx.tick()
                if here["job_end"]:
                    break
            ctx.set(walker.i_enable, 0)
            found.append(steps)

    run(walker, testbench)
    return found


def check(config, jobs, **options):
    for (layer, context), found in zip(jobs, walked(config, jobs, **options), strict=True):
        expected = steps_of(config, layer, context)
        assert len(found) == len(expected)
        for seen, wanted in zip(found, expected, strict=True):
            wanted = {"bank_end": False, "job_end": False} | wanted
            mask, codes = seen.pop("mask"), wanted.pop("codes")
            assert {lane: bool(mask >> lane & 1) for lane, _ in codes} == dict(codes)
            known = {name: value for name, value in wanted.items() if value is not None}
            assert {name: seen[name] for name in known} == known


@settings(max_examples=20)
@given(walkers(), st.sampled_from([0.0, 0.4]), st.integers(0, 99))
def test_equals_plain_loops(config, pauses, seed):
    layers = range(len(config.layers))
    jobs = [(layer, context) for layer in layers for context in range(config.contexts)]
    check(config, jobs, pauses=pauses, seed=seed)


@pytest.mark.parametrize(("lanes", "channels"), [(2, 1), (4, 2), (4, 3), (3, 3)])
def test_padded_convolutions(lanes, channels):
    check(convolution(lanes=lanes, channels=channels, images=2, contexts=2), [(0, 1), (0, 0)])


def test_addresses_by_hand():
    """A window of 2x2 over 2x3 pixels in words of two: rows of it begin within a word."""
    loops = PatchLoops(
        start=2, groups=1, height=1, width=2, planes=1, outer=2, inner=1, length=2, group_step=0,
        image_step=0, row_step=0, x_step=1, plane_step=0, outer_step=3, inner_step=0,
        separate=False,
    )  # fmt: skip
    config = WalkerConfig((loops,), CodeAddress(8, 2, 1), 1, 8, 1, rows=4, words=2)
    (steps,) = walked(config, [(0, 0)])
    # runs at codes 2 and 5, then at 3 and 6; a cycle for what is left at the end of a pass
    assert [(step["address"], step["part"]) for step in steps if not step["tail"]] == [
        (1, 0), (2, 1), (3, 0), (1, 1), (2, 0), (3, 0),
    ]  # fmt: skip
    assert [step["row"] for step in steps if step["emit"]] == [0, 0, 1, 1]
    assert [step["word"] for step in steps if step["emit"]] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_loops", "counter + 2 == limit", "counter + 1 == limit"),
        ("_addresses", '("planes", "pass")', '("planes", "row")'),
        ("_words", "rest <= 2 * parts", "rest < 2 * parts"),
        ("_places", "last_row | (image_end", "(image_end"),
    ],
)
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    loops = PatchLoops(
        start=0, groups=2, height=2, width=2, planes=2, outer=2, inner=1, length=6, group_step=2,
        image_step=20, row_step=4, x_step=2, plane_step=40, outer_step=10, inner_step=0,
        separate=False,
    )  # fmt: skip
    config = WalkerConfig((loops,), CodeAddress(99, 4, 2), 1, 40, 2, rows=3, words=6)
    check(config, [(0, 0)])
    edit(monkeypatch, Walker, method, old, new)
    with pytest.raises(AssertionError):
        check(config, [(0, 0)])
