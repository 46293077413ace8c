"""The drain alone, against loops in Python."""

import random

import pytest
from amaranth.hdl import Value
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.job import Job, Tag
from narrowgauge.hw.accelerator.outputs.drain import Drain, DrainConfig, DrainLayer

from ....formal.proof import edit
from ...simulation import run
from .sums import configs, jobs, tags


def observed(ctx, tag, used):
    """The fields of a tag that count, as those of `tags`."""
    names = ["rank", "channel"] if used else ["rank"]
    fields = {name: ctx.get(tag[name]) for name in names}
    rows = ctx.get(Value.cast(tag.rows))
    return fields | {
        "context": ctx.get(tag.job.context),
        "layer": ctx.get(tag.job.layer),
        "last": {name: bool(ctx.get(tag.last[name])) for name, _ in tag.last.shape()},
        "used": bool(ctx.get(tag.used)),
        "rows": [bool(rows >> k & 1) for k in range(len(tag.rows))],
    }


def follow(config, jobs, seed):
    """What a drain gives for the sums of jobs, beside what is right.

    Of every sum its tag and parameters, and of every cycle whether there is a tag.
    """
    drain, chance = Drain(config), random.Random(seed)
    sums = [list(tags(config, *job)) for job in jobs]
    seen, valid = [], []

    async def testbench(ctx):
        given, current, index, parameters, since = 0, 0, 0, None, []
        for cycle in range(1000):
            if current == len(jobs):
                break
            offers = given < len(jobs) and chance.random() < 0.5
            ctx.set(drain.jobs.valid, offers)
            if offers:
                context, layer = jobs[given]
                ctx.set(drain.jobs.payload, {"context": context, "layer": layer})
            # the sums of a job come three cycles after it, and then in any cycle
            can = current < len(since) and cycle >= since[current] + 3
            moves = can and chance.random() < 0.7
            ctx.set(drain.i_valid, moves)
            valid.append((bool(ctx.get(drain.tags.valid)), moves))
            if moves:
                _, tag, row = sums[current][index]
                found = observed(ctx, drain.tags.payload, tag["used"])
                seen.append(((found, ctx.get(drain.o_row), parameters), (tag, row, row)))
                index += 1
                if index == len(sums[current]):
                    current, index = current + 1, 0
            if ctx.get(drain.parameters.valid):
                parameters = ctx.get(drain.parameters.payload)
            if offers and ctx.get(drain.jobs.ready):
                since.append(cycle)
                given += 1
            await ctx.tick()

    run(drain, testbench)
    assert len(seen) == sum(map(len, sums))
    return seen + valid


@st.composite
def cases(draw):
    contexts = draw(st.integers(1, 2))
    return draw(configs(contexts)), draw(jobs(contexts))


@settings(max_examples=20)
@given(cases(), st.integers(0, 99))
def test_every_sum_has_its_tag_and_its_parameters(case, seed):
    config, jobs = case
    for found, right in follow(config, jobs, seed):
        assert found == right


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_rows", "(first + k < rest)", "(first + k <= rest)"),
        ("_channels", "m.If(moves[\"group\"])", "m.If(moves[\"image\"])"),
        ("_addresses", 'ends["chunk"] & ends["image"] & own', 'ends["chunk"] & own'),
        ("_addresses", "self.i_valid | start", "self.i_valid"),
        ("elaborate", "self.tags.valid.eq(self.i_valid)", "self.tags.valid.eq(1)"),
    ],
    ids=["a row more", "groups go on too early", "parameters go on too early", "none are read",
         "tags of nothing"],
)  # fmt: skip
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    layer = DrainLayer(
        tiles=2, chunks=2, images=2, groups=2, positions=5, channels=7, group_channels=4,
        parameter_base=3, own_parameters=True,
    )  # fmt: skip
    config = DrainConfig(Tag(Job(2, 1), chains=2, ranks=2, channels=11), 3, 2, 2, 15, [layer])
    jobs = [(0, 0), (1, 0)]
    assert all(found == right for found, right in follow(config, jobs, 0))
    edit(monkeypatch, Drain, method, old, new)
    assert any(found != right for found, right in follow(config, jobs, 0))
