"""The feeder against plain loops: banks of patches for the array, windows for the max pool."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.inputs.feeder import Feeder, FeederConfig
from narrowgauge.hw.accelerator.inputs.packer import PackerConfig
from narrowgauge.hw.numbers.formats import parse

from ....formal.proof import edit
from ...simulation import run
from .patches import convolution, steps_of, walkers, words_of

CODE = parse("uint3")
PAD = 5


def feeder_for(walker, to_pool=None):
    """A feeder around a walker; lanes behind the last code of a pass may carry anything."""
    layers = len(walker.layers)
    to_pool = to_pool or (False,) * layers
    packer = PackerConfig(
        walker.form, CODE.width, walker.job, walker.step, masked=walker.padded,
        pads=tuple(PAD - layer for layer in range(layers)),
    )  # fmt: skip
    banks = [sum(step.get("bank_end", 0) for step in steps_of(walker, n)) for n in range(layers)]
    return FeederConfig(
        walker, packer, CODE, row_words=walker.words, to_pool=to_pool,
        one_bank=all(count == 1 for count, pool in zip(banks, to_pool, strict=True) if not pool),
    )  # fmt: skip


def fillings(config, codes, layer, context):
    """For each bank its words by row and place; a max pool has one, of windows' words in order."""
    walker, lanes = config.walker, config.walker.form.lanes
    words = (word for each in words_of(walker, layer, context).values() for word in each)
    pad, found, fresh = config.packer.pads[layer], [], True
    for step in steps_of(walker, layer, context):
        if fresh:
            found.append({"words": {}, "next_group": bool(found) and bool(step["group_start"])})
            fresh = False
        if step["emit"]:
            word = [
                codes[at // lanes % len(codes)][at % lanes] if inside else pad
                for at, inside in next(words)
            ]
            place = step["row"], step["word"]
            if config.to_pool[layer]:
                place = len(found[-1]["words"])
                word = word, step["first"], step["last"]
            found[-1]["words"][place] = word
        fresh = step.get("bank_end", False) and not config.to_pool[layer]
    assert next(words, None) is None
    return found


class Bench:
    """Around a feeder: a scoreboard, a memory, a sequencer and a pool, all of which may pause."""

    def __init__(self, config, jobs, *, pauses, refused, seed):
        self.config, self.jobs = config, jobs
        self.pauses, self.refused = pauses, refused
        self.rng = np.random.default_rng(seed)
        self.feeder = Feeder(config)
        form = config.walker.form
        self.codes = self.rng.integers(0, 8, (1 << form.word_width, form.lanes)).tolist()
        self.times = {"take": [], "read": [], "full": [], "fetched": []}

    def expected(self):
        """All banks in their order, as (job, first, filling); and all taps."""
        banks, taps = [], []
        for layer, context in self.jobs:
            found = fillings(self.config, self.codes, layer, context)
            if self.config.to_pool[layer]:
                taps += [((layer, context), *tap) for tap in found[0]["words"].values()]
            else:
                banks += [((layer, context), not n, bank) for n, bank in enumerate(found)]
        return banks, taps

    def idles(self):
        return self.rng.random() < self.pauses

    async def run(self, ctx):
        feeder = self.feeder
        banks, taps = self.expected()
        waiting, fetched, reading, offers, busy, idle = list(self.jobs), [], None, False, 0, 0
        filling = {}
        for cycle in range(6000):
            # the scoreboard
            offers = bool(waiting) and (offers or not self.idles())
            ctx.set(feeder.jobs.valid, offers)
            if offers:
                ctx.set(feeder.jobs.payload, {"layer": waiting[0][0], "context": waiting[0][1]})
            # the pool: never asked to write while it still does
            tap = self.tap(ctx) if ctx.get(feeder.taps.valid) else None
            if tap:
                assert tap == taps.pop(0)
                assert not (tap[-1] and busy), "a window ends while the one before is written"
            busy = int(self.rng.integers(1, 4)) if tap and tap[-1] else max(0, busy - 1)
            ctx.set(feeder.i_pool_ready, not busy)
            # the memory
            granted = self.rng.random() >= self.refused
            ctx.set(feeder.read.granted, granted)
            address = ctx.get(feeder.read.address)
            # the sequencer
            ctx.set(feeder.banks.ready, 0)
            if ctx.get(feeder.banks.valid) and reading is None:
                self.times["full"].append(cycle)
                bank, (job, first, filling) = ctx.get(feeder.banks.payload), banks.pop(0)
                assert (bank.job.layer, bank.job.context, bank.first) == (*job, first)
                assert first or bank.next_group == filling["next_group"]
                reading = sorted({word for _, word in filling["words"]})
            elif reading and not self.idles():
                ctx.set(feeder.i_address, word := reading.pop())
                await self.tick(ctx, granted, address, cycle, waiting, fetched)
                rows = [list(ctx.get(row)) for row in feeder.o_words]
                for (row, place), codes in filling["words"].items():
                    assert place != word or rows[row][: len(codes)] == codes
                continue
            elif reading == [] and not self.idles():
                ctx.set(feeder.banks.ready, 1)
                reading = None
            await self.tick(ctx, granted, address, cycle, waiting, fetched)
            done = not waiting and not banks and not taps and reading is None
            idle = idle + 1 if done else 0
            if idle > 12:
                break
        assert fetched == self.jobs
        assert not banks
        assert not taps

    def tap(self, ctx):
        tap = ctx.get(self.feeder.taps.payload)
        codes = list(tap.word)[: self.config.walker.layers[tap.job.layer].length]
        return (tap.job.layer, tap.job.context), codes, tap.first, tap.last

    async def tick(self, ctx, granted, address, cycle, waiting, fetched):
        feeder, rng = self.feeder, self.rng
        if ctx.get(feeder.jobs.valid) and ctx.get(feeder.jobs.ready):
            self.times["take"].append(cycle)
            waiting.pop(0)
        if ctx.get(feeder.fetched.valid):
            job = ctx.get(feeder.fetched.payload)
            self.times["fetched"].append(cycle)
            fetched.append((job.layer, job.context))
        word = self.codes[address] if granted else rng.integers(0, 8, len(self.codes[0]))
        await ctx.tick()
        ctx.set(feeder.read.data, sum(int(code) << 3 * lane for lane, code in enumerate(word)))


def check(config, jobs, *, pauses=0.0, refused=0.0, seed=0):
    bench = Bench(config, jobs, pauses=pauses, refused=refused, seed=seed)
    run(bench.feeder, bench.run)
    return bench.times


@settings(max_examples=15)
@given(
    walkers(), st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=3),
    st.booleans(), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.3]), st.integers(0, 99),
)  # fmt: skip
def test_equals_plain_loops(walker, jobs, pools, pauses, refused, seed):
    to_pool = tuple(pools and loops.separate for loops in walker.layers)
    jobs = [(layer % len(to_pool), context % walker.contexts) for layer, context in jobs]
    check(feeder_for(walker, to_pool), jobs, pauses=pauses, refused=refused, seed=seed)


def test_fillings_by_hand():
    """Windows of 2x2 over 2x2 pixels with a frame, two positions a bank, words of two."""
    walker = convolution(lanes=2, side=2, kernel=2, padding=1)
    found = fillings(feeder_for(walker), [[1, 2], [3, 4]], 0, 0)
    assert [bank["words"] for bank in found[:2]] == [
        {(0, 0): [PAD, PAD], (0, 1): [PAD, 1], (1, 0): [PAD, PAD], (1, 1): [1, 2]},
        {(0, 0): [PAD, PAD], (0, 1): [2, PAD], (1, 0): [PAD, 1], (1, 1): [PAD, 3]},
    ]


def test_timing():
    """Three cycles to the first word that is asked for, a cycle a word, four to the bank."""
    walker = replace(convolution(lanes=3, channels=3, padding=0), rows=2)
    times = check(feeder_for(walker), [(0, 0)])
    assert times["full"][0] - times["take"][0] == 3 + 9 - 1 + 4
    assert times["fetched"][0] - times["take"][0] == 3 + 9 - 1 + 2


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("elaborate", "following.eq(reading ^ release)", "following.eq(reading)"),
        ("_fetch", "wait & (~occupied | to_pool)", "wait"),
        ("_fetch", "active & self.read.granted", "active"),
        ("_fetch", "description.first.eq(0)", "description.first.eq(1)"),
        ("_row_buffers", "(place.row == row) & ", ""),
    ],
)
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    config = feeder_for(convolution(lanes=2, side=3, images=2, contexts=2))
    jobs = [(0, 1), (0, 0)]
    check(config, jobs, pauses=0.9, refused=0.3)
    edit(monkeypatch, Feeder, method, old, new)
    with pytest.raises(AssertionError):
        check(config, jobs, pauses=0.9, refused=0.3)


@pytest.mark.parametrize(
    ("old", "new"), [(" & ~ended_before", ""), ("~self.taps.valid", "1"), ("settle & ended", "0")]
)
def test_a_planted_fault_of_windows_is_found(monkeypatch, old, new):
    walker = convolution(lanes=2)
    windows = replace(walker.layers[0], separate=True, length=2, outer=1, edges=None)
    walker = replace(walker, layers=(walker.layers[0], windows))
    config, jobs = feeder_for(walker, (False, True)), [(0, 0), (1, 0)]
    check(config, jobs, pauses=0.9)
    edit(monkeypatch, Feeder, "_row_buffers" if "tap" in old else "_fetch", old, new)
    with pytest.raises(AssertionError):
        check(config, jobs, pauses=0.9)
