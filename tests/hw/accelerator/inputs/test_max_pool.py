"""The max pool against its definition: what is written where, and when a job is over."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.inputs.max_pool import PoolOutput, PoolUnit, PoolUnitConfig
from narrowgauge.hw.gates.address import CodeAddress
from narrowgauge.hw.numbers.formats import parse

from ....formal.proof import edit
from ...simulation import run


def outputs_of(config, layer, context):
    """For each window, in their order: its first code, and how many codes it has."""
    pool, found = config.layers[layer], []
    first = context * config.context_words * config.form.lanes + pool.start
    for group in range(pool.groups):
        length = pool.last_length if group == pool.groups - 1 else pool.length
        for image in range(pool.images):
            at = first + group * pool.group_step + image * pool.image_step
            found += [(at + position * pool.row_step, length) for position in range(pool.positions)]
    return found


def check(config, jobs, *, gaps=0.0, refused=0.0, taps=(1, 3), seed=0):
    """Pool windows of random codes in ``jobs``, layers and contexts; return the cycles it took."""
    unit, rng = PoolUnit(config), np.random.default_rng(seed)
    form, code = config.form, config.code
    size, cycles, memory, over = 1 << form.word_width, 0, {}, []

    async def cycle(ctx, tap=None):
        """Pass a cycle with a tap; return whether a window may end in the next one."""
        nonlocal cycles
        cycles += 1
        assert cycles < 5000
        ctx.set(unit.taps.valid, tap is not None)
        if tap is not None:
            ctx.set(unit.taps.payload, tap)
        granted = rng.random() >= refused
        ctx.set(unit.write.granted, granted)
        enable, ready = ctx.get(unit.write.enable), ctx.get(unit.o_ready)
        if enable and granted:
            (part,) = [part for part in range(form.parts) if enable >> part & 1]
            data = ctx.get(unit.write.data) >> part * form.unit * code.width
            address = ctx.get(unit.write.address) * form.lanes + part * form.unit
            for lane in range(form.unit):
                raw = data >> lane * code.width & (1 << code.width) - 1
                memory[address + lane] = code.to_level(raw)
        if ctx.get(unit.written.valid):
            job = ctx.get(unit.written.payload)
            over.append((job.layer, job.context))
        await ctx.tick()
        return ready

    async def testbench(ctx):
        for number, (layer, context) in enumerate(jobs):
            job = {"layer": layer, "context": context}
            expected, written = {}, set()
            for at, length in outputs_of(config, layer, context):
                count, ready = int(rng.integers(*taps, endpoint=True)), False
                words = code.to_level(rng.integers(0, 1 << code.width, (count, form.lanes)))
                for index, word in enumerate(words.tolist()):
                    last = index == count - 1
                    while rng.random() < gaps or (last and not ready):
                        ready = await cycle(ctx)
                    tap = {"job": job, "word": word, "first": index == 0, "last": last}
                    ready = await cycle(ctx, tap)
                for lane in range(-(-length // form.unit) * form.unit):
                    place = (at + lane) % (size * form.lanes)
                    written.add(place)
                    if lane < length:
                        expected[place] = int(words[:, lane].max())
            for _ in range(200):
                await cycle(ctx)
                if len(over) > number:
                    break
            assert over == jobs[: number + 1]
            assert set(memory) == written
            assert {place: memory[place] for place in expected} == expected
            memory.clear()

    run(unit, testbench)
    return cycles


@st.composite
def cases(draw):
    parts, segment = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    lanes = parts * segment
    form = CodeAddress(draw(st.integers(100, 200)), lanes, segment)
    layers = []
    for _ in range(draw(st.integers(1, 2))):
        counts = {name: draw(st.integers(1, 3)) for name in ("positions", "images", "groups")}
        length = lanes if counts["groups"] > 1 else draw(st.integers(1, lanes))
        # windows one after another, then images, and groups beside each other
        row = segment * draw(st.integers(counts["groups"] * parts, counts["groups"] * parts + 2))
        image = row * counts["positions"] + segment * draw(st.integers(0, 2))
        layers.append(
            PoolOutput(
                start=segment * draw(st.integers(0, 4)), **counts, row_step=row, image_step=image,
                group_step=lanes, length=length, last_length=draw(st.integers(1, length)),
            )
        )  # fmt: skip
    contexts = draw(st.integers(1, 2))
    # between layers of the array, too
    layers.insert(draw(st.integers(0, len(layers))), None)
    alone = PoolUnitConfig(tuple(layers), form, parse("int3"), 1, 0)
    used = [layer for layer, each in enumerate(layers) if each]
    words = [at + lanes for layer in used for at, _ in outputs_of(alone, layer, 0)]
    region = -(-max(words) // lanes)
    assume(region * contexts <= 1 << form.word_width)
    code = parse(draw(st.sampled_from(["int3", "uint2", "bipolar"])))
    return PoolUnitConfig(tuple(layers), form, code, contexts, region)


@settings(max_examples=20)
@given(cases(), st.sampled_from([0.0, 0.4]), st.sampled_from([0.0, 0.5]), st.integers(0, 99))
def test_equals_the_definition(config, gaps, refused, seed):
    jobs = [
        (layer, context)
        for layer, pool in enumerate(config.layers) if pool
        for context in range(config.contexts)
    ]  # fmt: skip
    check(config, jobs, gaps=gaps, refused=refused, seed=seed)


def two_groups(*, segments=1):
    """Groups of 4 channels and 2, over 3 windows in each of 2 images."""
    pool = PoolOutput(
        start=8, positions=3, images=2, groups=2, row_step=8, image_step=32, group_step=4,
        length=4, last_length=2,
    )  # fmt: skip
    form = CodeAddress(64, 4, 4 // segments)
    return PoolUnitConfig((pool,), form, parse("int4"), contexts=2, context_words=16)


def test_a_tap_a_cycle():
    """Writing hides behind the taps of the next window, and else is waited for."""
    windows, config = 12, two_groups(segments=4)
    # the last group writes 2 segments; a cycle later the job is over
    assert check(config, [(0, 0)], taps=(6, 6)) == windows * 6 + 2 + 1
    assert check(two_groups(), [(0, 0)], taps=(3, 3)) == windows * 3 + 1 + 1
    # windows of one tap: 4 or 2 segments, and two cycles until the next one may end
    assert check(config, [(0, 0)], taps=(1, 1)) == 6 * (4 + 2) + 6 * (2 + 2) + 1


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("elaborate", "tap.first | ", ""),
        ("_first", "region=self.config.context_words", "region=0"),
        ("_walk", "m.d.sync += fresh.eq(go)", "m.d.sync += fresh.eq(0)"),
        ("_write", "Mux(last_group, rest, whole)", "whole"),
        ("_write", "finishing & done", "finishing"),
    ],
)
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    config = two_groups(segments=2)
    check(config, [(0, 1), (0, 0)], refused=0.5)
    edit(monkeypatch, PoolUnit, method, old, new)
    with pytest.raises(AssertionError):
        check(config, [(0, 1), (0, 0)], refused=0.5)
