"""The writer alone, against a list of writes in Python."""

import random
from collections import deque
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.job import Job, Tag
from narrowgauge.hw.accelerator.outputs.drain import DrainConfig, DrainLayer
from narrowgauge.hw.accelerator.outputs.writer import (
    Writer,
    WriterConfig,
    WriterLayer,
    WriterOutput,
)
from narrowgauge.hw.gates.address import CodeAddress
from narrowgauge.hw.numbers.formats import parse

from ....formal.proof import edit
from ...simulation import run
from .sums import configs, jobs, payload_of, tags

FORMATS = [  # of codes, and of the levels of each mode; the last one is the last layer's
    ("uint3", ("uint3", "uint2", "int4")),
    ("int3", ("int3", "int2", "uint1")),
    ("bipolar", ("bipolar", "bipolar", "bipolar")),
]
REGION = 24  # words of a context


@st.composite
def cases(draw):
    """Configurations of a drain, whose tags are used, and of a writer, for the same layers; jobs.

    Distances are any, since writes are compared one by one, and not a memory.
    """
    unit, contexts = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    drain, formats = draw(configs(contexts, unit)), draw(st.sampled_from(FORMATS))
    mode, distances = draw(st.integers(0, 1)), st.lists(st.integers(0, 4), min_size=6, max_size=6)
    form = CodeAddress(2 * REGION, unit * draw(st.integers(1, 3)), unit)
    given = drain, formats, form, mode, draw(distances), contexts, draw(st.booleans())
    return drain, config_of(*given), draw(jobs(contexts))


def config_of(drain, formats, form, mode, distances, contexts=2, gives_images=False):
    """A writer for a hidden layer of a mode, with distances in segments, and a last layer.

    If the last one gives images, its positions are in memory, else those of a batch.
    """
    hidden, last = drain.layers
    code, levels = formats

    def layer(of, mode, distances):
        *steps, shift_step = (form.unit * distance for distance in distances)
        loops = of.tiles, of.chunks, of.images, of.groups
        return WriterLayer(mode < 2, mode, *loops, *steps, shifts=of.shifts, shift_step=shift_step)

    outputs = last.groups * last.group_channels
    image_rows = -(-last.positions // drain.chains) if gives_images else 0
    rows = last.images * image_rows or drain.ranks
    return WriterConfig(
        drain.tag, drain.columns, drain.ranks, drain.chains,
        code=parse(code),
        levels=[parse(each) for each in levels],
        output=parse(levels[-1]),
        form=form,
        contexts=contexts,
        context_words=REGION,
        outputs=[WriterOutput(1, outputs, image_rows=image_rows)],
        output_context_words=rows * outputs,
        output_words=contexts * rows * outputs,
        layers=[layer(hidden, mode, distances), layer(last, 2, [0] * 6)],
    )  # fmt: skip


def expected(config, sums):
    """The writes of a job, whose sums have rounds, a tag, and the levels of every chain."""
    segments, used = [[] for _ in range(config.chains)], False
    for at, tag, levels in sums:
        context, layer = tag["context"], config.layers[tag["layer"]]
        fmt = config.levels[layer.mode]
        if layer is config.layers[-1]:
            if tag["used"] and tag["rows"][0]:
                (output,), row = config.outputs, tag["rank"]
                if output.image_rows:
                    row += at["image"] * output.image_rows + at["chunk"] * config.ranks
                codes = [int(fmt.to_code(level)) for level in levels]
                place = context * config.output_context_words + row * output.channels
                yield "outputs", place + tag["channel"], codes
            continue
        used = used if segments[0] else tag["used"]
        for codes, level in zip(segments, levels, strict=True):
            codes.append(int(config.code.to_code(level)) if tag["used"] else 0)
        if len(segments[0]) < config.form.unit:
            continue
        for chain, codes in enumerate(segments):
            if used and tag["rows"][chain]:
                begin = at["tile"] * config.columns + at["column"] + 1 - config.form.unit
                begin += layer.start + context * config.context_words * config.form.lanes
                begin += (at["rank"] * config.chains + chain) * layer.row_step
                for name in ("shift", "chunk", "image", "group"):
                    begin += at[name] * getattr(layer, f"{name}_step")
                yield "activations", begin, codes
        segments = [[] for _ in segments]


def is_right(config, drain, jobs, seed):
    """Whether each write is made once, in order, and before its job is reported; with pauses."""
    writer, chance = Writer(config), random.Random(seed)
    sums = []  # of each job
    for job in jobs:
        fmt = config.levels[config.layers[job[1]].mode]
        sums.append([(at, tag, _levels(fmt, chance, config)) for at, tag, _ in tags(drain, *job)])
    right = [list(expected(config, each)) for each in sums]
    seen, reported = [], []

    async def testbench(ctx):
        coming = deque(each for job in sums for each in job)
        soon = deque([None, None])  # levels are two cycles behind their tags
        for _ in range(2000):
            now = coming.popleft() if coming and chance.random() < 0.8 else None
            ctx.set(writer.tags.valid, now is not None)
            if now:
                ctx.set(writer.tags.payload, payload_of(now[1]))
            soon.append(now)
            if levels := soon.popleft():
                _drive(ctx, writer, levels, chance)
            if ctx.get(writer.written.valid):
                job = writer.written.payload
                reported.append(((ctx.get(job.context), ctx.get(job.layer)), len(seen)))
            seen.extend(_writes(ctx, writer))
            if len(reported) == len(jobs):
                return
            await ctx.tick()

    run(writer, testbench)
    ends = accumulate(map(len, right))
    return (
        [job for job, _ in reported] == jobs
        and all(count >= end for (_, count), end in zip(reported, ends, strict=True))
        and all(
            [each for each in seen if each[0] == memory]
            == [each for job in right for each in job if each[0] == memory]
            for memory in ("activations", "outputs")
        )
    )


def _levels(fmt, chance, config):
    return [int(fmt.to_level(chance.getrandbits(fmt.width))) for _ in range(config.chains)]


def _drive(ctx, writer, arriving, chance):
    """Give the levels to the input of their mode, and others to the other inputs."""
    _, tag, levels = arriving
    mode = writer.config.layers[tag["layer"]].mode
    for index, (port, fmt) in enumerate(zip(writer.levels, writer.config.levels, strict=True)):
        others = _levels(fmt, chance, writer.config)
        for chain, level in enumerate(levels if index == mode else others):
            ctx.set(port[chain], level)


def _writes(ctx, writer):
    """What is written in this cycle, as in `expected`."""
    config, form = writer.config, writer.config.form
    if ctx.get(writer.outputs.enable):
        word = ctx.get(writer.outputs.data)
        yield (
            "outputs",
            ctx.get(writer.outputs.address),
            _codes(config.levels[-1], word, config.chains),
        )
    if enable := ctx.get(writer.activations.enable):
        part = enable.bit_length() - 1
        assert enable == 1 << part, "one segment"
        word = ctx.get(writer.activations.data) >> part * form.unit * config.code.width
        begin = ctx.get(writer.activations.address) * form.lanes + part * form.unit
        yield "activations", begin, _codes(config.code, word, form.unit)


def _codes(fmt, word, count):
    return [word >> index * fmt.width & ((1 << fmt.width) - 1) for index in range(count)]


@settings(max_examples=20)
@given(cases(), st.integers(0, 99))
def test_every_level_is_written_before_its_job_is_done(case, seed):
    drain, config, jobs = case
    assert is_right(config, drain, jobs, seed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("config.ranks * output.channels", "output.channels"),
        ("whole * config.ranks", "0"),
        ("soon.last.chunk & soon.last.image", "soon.last.image"),
        ("valid_soon & ends", "ends"),
    ],
    ids=["chunks overlap", "gaps", "images overlap", "sums that do not come count"],
)
def test_a_fault_of_images_is_found(monkeypatch, old, new):
    hidden = DrainLayer(1, 1, 1, 1, 4, 3, 3, 0, own_parameters=True)
    last = DrainLayer(2, 2, 2, 2, 5, 6, 3, 0, own_parameters=True)
    drain = DrainConfig(Tag(Job(2, 2), chains=2, ranks=2, channels=9), 2, 2, 2, 8, [hidden, last])
    form = CodeAddress(2 * REGION, 4, 2)
    config = config_of(drain, FORMATS[0], form, 0, [1, 3, 2, 4, 1, 0], gives_images=True)
    jobs = [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert is_right(config, drain, jobs, 0)
    edit(monkeypatch, Writer, "_output_chunk", old, new)
    assert not is_right(config, drain, jobs, 0)


def both_layers():
    """A drain and a writer for a layer with all loops, and a last one."""
    layer = DrainLayer(
        tiles=2, chunks=2, images=2, groups=2, positions=6, channels=7, group_channels=4,
        parameter_base=0, own_parameters=True,
    )  # fmt: skip
    last = DrainLayer(2, 1, 1, 1, 1, 3, 3, 0, own_parameters=True)
    tag = Tag(Job(2, 2), chains=2, ranks=2, channels=12)
    drain = DrainConfig(tag, 2, 2, 2, 8, [layer, last])
    return drain, config_of(drain, FORMATS[0], CodeAddress(2 * REGION, 4, 2), 0, [1, 3, 2, 4, 1, 0])


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("elaborate", "Mux(begins, tag.used, used_before)", "tag.used"),
        ("_code", "m.If(used)", "m.If(1)"),
        ("_walk", "has_moved | moves_now", "moves_now"),
        ("_write", "~waiting[1:].any()", "1"),
        ("_write_outputs", "& tag.rows[0]", ""),
    ],
    ids=["half a segment", "codes of no channel", "loops forget", "too early", "rows of no image"],
)
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    drain, config = both_layers()
    jobs = [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert is_right(config, drain, jobs, 0)
    edit(monkeypatch, Writer, method, old, new)
    assert not is_right(config, drain, jobs, 0)
