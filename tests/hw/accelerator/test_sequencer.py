"""The sequencer alone, against loops in Python."""

import random
from dataclasses import replace
from itertools import pairwise, product
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.job import Job
from narrowgauge.hw.accelerator.sequencer import Sequencer, SequencerConfig, SequencerLayer

from ...formal.proof import edit
from ..simulation import run


class Step(NamedTuple):
    """What the array computes in a cycle."""

    weight: int
    word: int
    double: bool
    last: bool
    signed: bool


layers = st.builds(
    SequencerLayer,
    runs=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3),
    steps=st.integers(1, 3),
    bitwise=st.booleans(),
    weight_base=st.integers(0, 9),
    group_weights=st.integers(0, 9),
    shifts=st.sampled_from([1, 1, 2, 3]),
    shift_words=st.integers(0, 3),
    signed=st.booleans(),
).filter(lambda layer: not layer.bitwise or (layer.shifts == 1 and len(layer.runs) == 1))
banks = st.lists(  # context, layer, the first of its job, of another group than the one before
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.booleans(), st.booleans()),
    min_size=1, max_size=5,
)  # fmt: skip


def config_of(layers, interval, sliced=False, gap=None):
    if sliced:  # each slice has weights of its own
        layers = [replace(layer, bitwise=False) for layer in layers]
    return SequencerConfig(
        Job(2, len(layers)), interval, weight_words=256, bank_words=16, layers=layers,
        sliced=sliced, gap=gap,
    )  # fmt: skip


def jobs_of(banks):
    """Banks in which every job has a first one: (context, layer, first, next group)."""
    current = None
    for context, layer, first, next_group in banks:
        first = first or (context, layer) != current
        current = context, layer
        yield context, layer, first, next_group and not first


def expected(config, banks):
    """The steps of each bank."""
    base = 0
    for _, number, first, next_group in banks:
        layer = config.layers[number]
        base = layer.weight_base if first else base + next_group * layer.group_weights
        steps = []
        for shift, plane, step, planes, begin in loops_of(layer):
            ends_plane, ends_sum = step == layer.steps - 1, plane == planes - 1
            word = plane * layer.steps + step
            weight = base + begin + (step if layer.bitwise else word)
            double = (layer.bitwise or config.sliced) and ends_plane and not ends_sum
            word = shift * layer.shift_words + (step if config.sliced else word)
            signed = config.sliced and layer.signed and not plane
            steps.append(Step(weight, word, double, ends_plane and ends_sum, signed))
        yield steps


def loops_of(layer):
    """The steps of a bank: shift, plane and step, planes of the tile, where it begins."""
    tiles = [planes for count, planes in layer.runs for _ in range(count)]
    for shift in range(layer.shifts):
        begin = 0
        for planes in tiles:
            for plane, step in product(range(planes), range(layer.steps)):
                yield shift, plane, step, planes, begin
            begin += layer.steps * (1 if layer.bitwise else planes)


def walk(config, banks, seed=None):
    """Steps with their cycles, jobs, and the cycle after the last bank; pauses with a ``seed``."""
    sequencer, chance = Sequencer(config), random.Random(seed)
    steps, jobs = [], []
    busy = 1.0 if seed is None else 0.6

    async def testbench(ctx):
        index, full, addresses = 0, False, (0, 0)
        for cycle in range(2000):
            full = index < len(banks) and (full or chance.random() < busy)
            ctx.set(sequencer.banks.valid, full)
            if full:
                context, layer, first, next_group = banks[index]
                job = {"context": context, "layer": layer}
                bank = {"job": job, "first": first, "next_group": next_group}
                ctx.set(sequencer.banks.payload, bank)
            ready = chance.random() < busy
            ctx.set(sequencer.jobs.ready, ready)
            if ctx.get(sequencer.o_control.enable):
                bits = [ctx.get(sequencer.o_control.double), ctx.get(sequencer.o_control.last)]
                bits.append(config.sliced and ctx.get(sequencer.o_signed))
                steps.append((cycle, Step(*addresses, *map(bool, bits))))
            addresses = ctx.get(sequencer.o_weight_address), ctx.get(sequencer.o_word_address)
            if ready and ctx.get(sequencer.jobs.valid):
                job = ctx.get(sequencer.jobs.payload)
                jobs.append((job.context, job.layer))
            if ctx.get(sequencer.banks.ready):
                assert full
                assert ctx.get(sequencer.o_running)
                index, full = index + 1, False
            elif index == len(banks):
                return
            await ctx.tick()

    run(sequencer, testbench)
    return steps, jobs


def is_right(config, banks, seed):
    steps, jobs = walk(config, banks, seed)
    right = [step for bank in expected(config, banks) for step in bank]
    ends = [cycle for cycle, step in steps if step.last]
    return (
        [step for _, step in steps] == right
        and jobs == [bank[:2] for bank in banks if bank[2]]
        and all(after - before >= config.interval for before, after in pairwise(ends))
    )


@settings(max_examples=40)
@given(
    st.lists(layers, min_size=2, max_size=2), st.integers(1, 5), banks, st.booleans(),
    st.integers(0, 99),
)  # fmt: skip
def test_every_step_of_every_bank(layers, interval, banks, sliced, seed):
    assert is_right(config_of(layers, interval, sliced), list(jobs_of(banks)), seed)


@settings(max_examples=20)
@given(layers, st.integers(1, 5), st.integers(1, 3))
def test_nothing_waits_but_for_the_drain(layer, interval, count):
    """A bank takes a cycle and its steps; tiles shorter than a drain take as long as the drain."""
    banks = [(0, 0, index == 0, False) for index in range(count)]
    steps, _ = walk(config_of([layer], interval), banks)
    words = [planes * layer.steps for tiles, planes in layer.runs for _ in range(tiles)]
    ends = [cycle for cycle, step in steps if step.last]
    bank = words * layer.shifts
    least = [each + (not index) for index, each in enumerate(bank)] * count
    assert [b - a for a, b in pairwise(ends)] == [max(interval, each) for each in least[1:]]


def follow_at_once(config, steps):
    """Whether steps of a tile are in consecutive cycles, and tiles as far apart as they must be."""
    if not steps[-1][1].last:
        return False
    firsts = [True, *(step.last for _, step in steps[:-1])]
    pairs = zip(pairwise(cycle for cycle, _ in steps), firsts[1:], strict=True)
    return all(b - a > config.gap if first else b - a == 1 for (a, b), first in pairs)


tiles = st.builds(  # of floats: no planes, and no strips
    SequencerLayer,
    runs=st.integers(1, 3).map(lambda count: [(count, 1)]),
    steps=st.integers(1, 4),
    bitwise=st.just(False),
    weight_base=st.integers(0, 9),
    group_weights=st.integers(0, 9),
)


@settings(max_examples=30)
@given(
    st.lists(tiles, min_size=2, max_size=2), st.integers(1, 5), st.integers(0, 6), banks,
    st.integers(0, 99),
)  # fmt: skip
def test_with_a_gap_the_steps_of_a_tile_follow_at_once(layers, interval, gap, banks, seed):
    config, banks = config_of(layers, interval, gap=gap), list(jobs_of(banks))
    assert is_right(config, banks, seed)
    assert follow_at_once(config, walk(config, banks, seed)[0])


@settings(max_examples=20)
@given(tiles, st.integers(1, 5), st.integers(0, 6), st.integers(1, 3))
def test_tiles_wait_for_the_gap_and_the_drain_alone(layer, interval, gap, count):
    banks = [(0, 0, index == 0, False) for index in range(count)]
    steps, _ = walk(config_of([layer], interval, gap=gap), banks)
    ends = [cycle for cycle, step in steps if step.last]
    bank = [layer.steps + (not index) for index in range(layer.runs[0][0])]  # one more to start
    least = max(layer.steps + gap, interval)
    assert [b - a for a, b in pairwise(ends)] == [max(least, each) for each in (bank * count)[1:]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max(gap, interval", "max(0, interval"),
        ("interval - layer.steps", "0"),
        ("Mux(ends, 0,", "Mux(ends, 1,"),
    ],
    ids=["no gap", "no drain", "a cycle less"],
)
def test_a_fault_of_the_gap_is_found(monkeypatch, old, new):
    layers = [SequencerLayer([(3, 1)], steps, False, 3, 4) for steps in (2, 3)]
    banks = [(0, 0, True, False), (0, 0, False, True), (1, 1, True, False)]

    def holds():
        configs = [config_of(layers, *each) for each in ((5, False, 1), (2, False, 4))]
        return all(
            is_right(config, banks, 0) and follow_at_once(config, walk(config, banks, 0)[0])
            for config in configs
        )

    assert holds()
    edit(monkeypatch, Sequencer, "_begins", old, new)
    assert not holds()


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("elaborate", "tile_base.eq(following)", "tile_base.eq(base)"),
        ("_base", "Mux(self.banks.payload.next_group,", "Mux(1,"),
        ("_free", "self.config.interval == 1", "1"),
        ("elaborate", "& (self.jobs.ready | ~bank.first)", ""),
        ("elaborate", "jobs.payload.eq(bank.job)", "jobs.payload.context.eq(bank.job.context)"),
    ],
    ids=["all planes at the first tile", "always another group", "does not wait", "loses jobs",
         "jobs of layer 0"],
)  # fmt: skip
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    finds(monkeypatch, method, old, new, sliced=False)


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_slice", "first.eq(last_slice)", "first.eq(0)"),
        ("_slice", "self.o_word_address.eq(begin)", "self.o_word_address.eq(1)"),
        ("elaborate", "Const(1) if self.config.sliced else bitwise", "bitwise"),
    ],
    ids=["one signed slice in all", "words from the second on", "does not shift"],
)
def test_a_fault_of_slices_is_found(monkeypatch, method, old, new):
    finds(monkeypatch, method, old, new, sliced=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("current + last_of_run", "current + 1"),
        ("current + last_of_run", "current"),
        ("Mux(start, first, following)", "Mux(start, 0, following)"),
        ("Mux(last_of_run & last_run, first, following)", "following"),
        ("return last_of_run & last_run", "return last_of_run"),
    ],
    ids=["a run a tile", "one run", "runs of layer 0", "no first run again", "one run in all"],
)
def test_a_fault_of_runs_is_found(monkeypatch, old, new):
    finds(monkeypatch, "_follow", old, new, sliced=True, runs=[(2, 3), (1, 2), (2, 1)], shifts=2)


def finds(monkeypatch, method, old, new, *, sliced, runs=(), shifts=1):
    layer = SequencerLayer(
        runs or [(2, 2)], 2, bitwise=not runs, weight_base=3, group_weights=4, signed=True,
        shifts=shifts,
    )  # fmt: skip
    other = replace(layer, runs=layer.runs[::-1])
    config = config_of([layer, other], 5, sliced)
    banks = [(0, 0, True, False), (0, 0, False, True), (0, 0, False, False), (1, 1, True, False)]
    assert all(is_right(config, banks, seed) for seed in range(4))
    edit(monkeypatch, Sequencer, method, old, new)
    assert not all(is_right(config, banks, seed) for seed in range(4))
