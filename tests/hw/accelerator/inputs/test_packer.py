"""The packer against plain lists: pieces of words in, words without gaps out."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.inputs.packer import Packer, PackerConfig

from ....formal.proof import edit
from ...simulation import run
from .patches import convolution, steps_of, walkers, words_of

WIDTH = 3
FLAGS = ("emit", "tail", "last_group", "first", "last", "row", "word")


def packer_for(walker, *, tails=True):
    """A packer behind a walker; lanes behind the last code get the pad code."""
    ends = []
    for layer, loops in enumerate(walker.layers):
        words = words_of(walker, layer)
        last = {position[0]: len(found[-1]) for position, found in words.items()}
        assert loops.groups == len(last)
        ends.append((last[0], last[loops.groups - 1]))
    layers = len(walker.layers)
    return PackerConfig(
        walker.form, WIDTH, walker.job, walker.step, masked=walker.padded,
        pads=tuple(5 + layer for layer in range(layers)), tails=tuple(ends) if tails else None,
    )  # fmt: skip


def packed(config, layer, steps, memory, pauses=0.0, seed=0):
    """The words that come out, with their places; ``steps`` go in with what they read."""
    packer, rng, found = Packer(config), np.random.default_rng(seed), []
    form = config.form
    assert packer.latency == (2 if config.masked or form.parts > 1 else 1)
    emits = []  # whether a word was completed so many cycles ago

    async def testbench(ctx):
        ctx.set(packer.i_job, {"layer": layer, "context": 0})

        async def tick(step, data):
            if step:
                fields = {name: step[name] or 0 for name in (*FLAGS, "level")}
                fields |= {"part": step["part"] or 0, "active": 1}
                # lanes that are not read are inside or outside, as it happens
                outside = sum(1 << lane for lane, inside in step["codes"] if not inside)
                fields["mask"] = (1 << form.lanes) - 1 - outside
                ctx.set(packer.i_step, fields)
            else:
                ctx.set(packer.i_step, {"active": 0, "emit": 0, "level": int(rng.integers(2))})
            emits.append(bool(step and step["emit"]))
            await ctx.tick()
            # what was asked for in the cycle before
            ctx.set(packer.i_data, data)
            valid = ctx.get(packer.o_valid)
            assert valid == (len(emits) >= packer.latency and emits[-packer.latency])
            if valid:
                place = ctx.get(packer.o_place)
                here = {name: int(place[name]) for name in FLAGS}
                found.append((here, ctx.get(packer.o_word)))

        for step in steps:
            while rng.random() < pauses:
                await tick(None, int(rng.integers(1 << min(60, form.lanes * WIDTH))))
            address = step["address"]
            await tick(step, 0 if address is None else memory[address])
        await tick(None, 0)
        await tick(None, 0)

    run(packer, testbench)
    return found


def check(walker, layer, *, tails=True, **options):
    config, form = packer_for(walker, tails=tails), walker.form
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 1 << WIDTH, (1 << form.word_width, form.lanes)).tolist()
    memory = [sum(code << lane * WIDTH for lane, code in enumerate(word)) for word in codes]
    steps = steps_of(walker, layer)
    found = packed(config, layer, steps, memory, **options)
    places = [{name: int(s[name]) for name in FLAGS} for s in steps if s["emit"]]
    assert [place for place, _ in found] == places
    words = [word for words in words_of(walker, layer).values() for word in words]
    assert len(found) == len(words)
    pad = config.pads[layer]
    for (_, word), expected in zip(found, words, strict=True):
        here = [word >> lane * WIDTH & (1 << WIDTH) - 1 for lane in range(form.lanes)]
        wanted = [
            codes[code // form.lanes % len(codes)][code % form.lanes] if inside else pad
            for code, inside in expected
        ]
        assert here[: len(wanted)] == wanted
        if tails:
            assert set(here[len(wanted) :]) <= {pad}


@settings(max_examples=15)
@given(walkers(), st.booleans(), st.sampled_from([0.0, 0.4]), st.integers(0, 99))
def test_equals_plain_lists(walker, tails, pauses, seed):
    for layer in range(len(walker.layers)):
        check(walker, layer, tails=tails, pauses=pauses, seed=seed)


@pytest.mark.parametrize(("lanes", "channels"), [(4, 1), (4, 3), (6, 2)])
def test_padded_convolutions(lanes, channels):
    check(convolution(lanes=lanes, channels=channels), 0)


def test_whole_words_pass_in_a_cycle():
    """Where nothing is rotated or masked, a word is there with what was read."""
    walker = convolution(lanes=3, channels=3)
    plain = replace(walker, layers=tuple(replace(each, edges=None) for each in walker.layers))
    assert Packer(packer_for(plain)).latency == 1
    check(plain, 0)


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_rotated", "difference + form.parts", "difference"),
        ("_merge", "Mux(place.emit, piece, merged)", "piece"),
        ("_cut", "before.tail", "0"),
        ("elaborate", "read.mask[lane]", "1"),
    ],
)
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    walker = convolution(lanes=6)
    check(walker, 0)
    edit(monkeypatch, Packer, method, old, new)
    with pytest.raises(AssertionError):
        check(walker, 0)
