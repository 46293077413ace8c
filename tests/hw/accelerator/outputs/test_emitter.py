"""The output memory, and the emitter beside one and areas that fill up, against lists."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.job import Batch, ContextBatch
from narrowgauge.hw.accelerator.outputs.emitter import (
    Emitter,
    EmitterConfig,
    EmitterOutput,
    OutputMemory,
)
from narrowgauge.hw.numbers.formats import parse

from ....formal.proof import edit
from ...simulation import run

BATCH = 3


@st.composite
def configs(draw):
    level = parse(draw(st.sampled_from(["int3", "uint2", "bipolar"])))
    chains, contexts = draw(st.integers(1, 2)), draw(contextss)
    shapes = st.tuples(st.integers(1, 4), st.sampled_from([1, 1, 2, 5]))
    return config_of(level, draw(st.lists(shapes, min_size=1, max_size=3)), chains, contexts)


contextss = st.integers(1, 2)


def config_of(level, shapes, chains, contexts):
    """Outputs of so many channels and positions, with a label where there is one position."""
    outputs, area = [], 0
    for channels, positions in shapes:
        outputs.append(EmitterOutput(channels, positions, channels * (positions == 1), area))
        rows = BATCH * -(-positions // chains) if positions > 1 else -(-BATCH // chains)
        area += rows * channels
    batch = ContextBatch(contexts, Batch(BATCH))
    return EmitterConfig(level, outputs, chains, batch, area, contexts * area)


def expected(config, memory, context, count):
    """Level, last, label (with the last one) of each level of a batch."""
    for image in range(count):
        for output in config.outputs:
            yield from expected_output(config, output, memory, context, image)


def expected_output(config, output, memory, context, image):
    """Level, last, label (with the last one) of each level of an output of an image."""
    several = output.positions > 1
    each = -(-output.positions // config.chains) * config.chains if several else 1
    for place in (image * each + at for at in range(output.positions)):
        base = context * config.context_words + output.start
        base += place // config.chains * output.channels
        shift, mask = place % config.chains * config.level.width, (1 << config.level.width) - 1
        codes = [memory[base + channel] >> shift & mask for channel in range(output.channels)]
        levels = [int(config.level.to_level(code)) for code in codes]
        for channel, level in enumerate(levels):
            last = channel == output.channels - 1 and place % each == output.positions - 1
            label = levels.index(max(levels)) if output.classes else 0
            yield level, last, label if last else None


def emit(config, counts, seed):
    """What comes out for batches of so many images, what is right, and the cycles it takes.

    Batches go to the areas in turn, and each is in memory until it is taken. With a ``seed`` they
    come some time later, and the receiver pauses.
    """
    emitter, chance = Emitter(config), random.Random(seed or 0)
    areas = config.words // config.context_words
    memories = [
        [chance.getrandbits(config.chains * config.level.width) for _ in range(config.words)]
        for _ in counts
    ]
    right = [
        each
        for index, (memory, count) in enumerate(zip(memories, counts, strict=True))
        for each in expected(config, memory, index % areas, count)
    ]
    seen = []
    cycles = 0

    async def testbench(ctx):
        nonlocal cycles
        taken, full = 0, False
        while taken < len(counts) and cycles < 2000:
            memory = memories[taken]
            full = full or seed is None or chance.random() < 0.3
            ctx.set(emitter.batches.valid, full)
            batch = (taken % areas, counts[taken]) if full else (0, chance.randint(1, BATCH))
            ctx.set(emitter.batches.payload.context, batch[0])
            ctx.set(emitter.batches.payload.batch.count, batch[1])
            ready = seed is None or chance.random() < 0.6
            ctx.set(emitter.o.ready, ready)
            if ready and ctx.get(emitter.o.valid):
                offered = emitter.o.payload
                last = bool(ctx.get(offered.last))
                level = ctx.get(config.level.level_of(offered.level.as_value()))
                seen.append((level, last, ctx.get(offered.label) if last else None))
            if full and ctx.get(emitter.batches.ready):
                taken, full = taken + 1, False
            word = memory[ctx.get(emitter.read.address) % len(memory)]
            await ctx.tick()
            cycles += 1
            ctx.set(emitter.read.data, word)

    run(emitter, testbench)
    return seen, right, cycles


counts = st.lists(st.integers(1, BATCH), min_size=1, max_size=4)


@settings(max_examples=40)
@given(configs(), counts, st.integers(0, 99))
def test_levels_and_labels_come_in_order(config, counts, seed):
    seen, right, _ = emit(config, counts, seed)
    assert seen == right


@settings(max_examples=15)
@given(configs(), counts)
def test_a_level_takes_two_cycles_and_the_last_one_three(config, counts):
    """And a batch two more, to begin."""
    _, right, cycles = emit(config, counts, None)
    assert cycles == 2 * len(right) + sum(last for _, last, _ in right) + 2 * len(counts)


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_last_chain", "last_chain | loops.ends_output", "last_chain"),
        ("_positions", "ends_position & last_position", "ends_position"),
    ],
    ids=["chains of the next image", "images of one position"],
)
def test_a_fault_of_images_is_found(monkeypatch, method, old, new):
    config = config_of(parse("int2"), [(2, 3)], 2, 2)
    seen, right, _ = emit(config, [3, 2, 3], 1)
    assert seen == right
    edit(monkeypatch, Emitter, method, old, new)
    seen, right, _ = emit(config, [3, 2, 3], 1)
    assert seen != right


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_compare", "level + below >= 0", "level + below >= -1"),
        ("_walk", "Mux(back, 1 - output.channels, 1)", "1"),
        ("_walk", "Mux(batch.context, config.context_words + output.start, output.start)", "0"),
        ("elaborate", "(send & ~self.o.ready)", "(send & 0)"),
        ("elaborate", "read.eq(idle & full)", "read.eq(idle)"),
    ],
    ids=["the last of equal ones", "no chains", "one area", "offers a level for one cycle only",
         "does not wait for a batch"],
)  # fmt: skip
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    config = config_of(parse("int2"), [(4, 1)], 2, 2)
    seen, right, _ = emit(config, [3, 2, 3], 1)
    assert seen == right
    edit(monkeypatch, Emitter, method, old, new)
    seen, right, _ = emit(config, [3, 2, 3], 1)
    assert seen != right


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_of", "loops.which == index", "1"),
        ("_loops", "layer=layer", "layer=which"),
        ("_walk", "config.context_words + output.start, output.start", "config.context_words, 0"),
        ("_loops", "ends & last", "ends"),
        ("_send", "Mux(has_label, label, 0)", "label"),
    ],
    ids=["addresses of all", "loops of the output before", "one place", "one output",
         "a label of values"],
)  # fmt: skip
def test_a_fault_of_several_outputs_is_found(monkeypatch, method, old, new):
    config = config_of(parse("int2"), [(4, 1), (1, 3), (2, 3), (3, 1)], 2, 2)
    seen, right, _ = emit(config, [3, 2, 3], 1)
    assert seen == right
    edit(monkeypatch, Emitter, method, old, new)
    seen, right, _ = emit(config, [3, 2, 3], 1)
    assert seen != right


def remember(words, width, seed, cycles=60):
    """What an output memory reads, cycle by cycle, and what is right, for random accesses."""
    memory, chance = OutputMemory(words, width), random.Random(seed)
    known, seen, right = {}, [], []

    async def testbench(ctx):
        for _ in range(cycles):
            enable, to = chance.random() < 0.6, chance.randrange(words)
            word, address = chance.getrandbits(width), chance.randrange(words)
            if enable and address == to:
                address = (to + 1) % words  # a word is not read while it is written
            ctx.set(memory.write.enable, enable)
            ctx.set(memory.write.address, to)
            ctx.set(memory.write.data, word)
            ctx.set(memory.read.address, address)
            expected = known.get(address)
            await ctx.tick()
            if expected is not None:
                seen.append(ctx.get(memory.read.data))
                right.append(expected)
            if enable:
                known[to] = word

    run(memory, testbench)
    return seen, right


@settings(max_examples=10)
@given(st.integers(2, 9), st.integers(1, 8), st.integers(0, 99))
def test_the_output_memory_equals_a_list(words, width, seed):
    seen, right = remember(words, width, seed)
    assert seen == right


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("write.en.eq(self.write.enable)", "write.en.eq(1)"),
        ("read.addr.eq(self.read.address)", "read.addr.eq(self.write.address)"),
    ],
    ids=["writes always", "reads where it writes"],
)
def test_a_planted_fault_of_the_memory_is_found(monkeypatch, old, new):
    seen, right = remember(5, 8, 0)
    assert seen == right
    assert len(right) > 30
    edit(monkeypatch, OutputMemory, "elaborate", old, new)
    seen, right = remember(5, 8, 0)
    assert seen != right
