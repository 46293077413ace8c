"""The probe alone, against loops in Python: which sum it is, what it became, whether it counts."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.job import Batch, Job, Tag
from narrowgauge.hw.accelerator.outputs.drain import DrainConfig, DrainLayer
from narrowgauge.hw.accelerator.probe import Probe, ProbeConfig, ProbeLayer
from narrowgauge.hw.array.systolic import drained
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse

from ...formal.proof import edit
from ..simulation import run
from .outputs.sums import configs, jobs, payload_of, tags

LEVELS = [parse(name) for name in ("uint3", "int4", "bipolar")]
BATCH = 4


def config_of(drain, contexts, latency, modes, singles):
    """A probe behind the array whose sums a drain of ``drain`` has tagged."""
    layers = [
        ProbeLayer(mode, layer.channels, single and layer.shifts == 1, layer.shifts)
        for layer, mode, single in zip(drain.layers, modes, singles, strict=True)
    ]
    sums = drained(Accumulator(6))
    return ProbeConfig(
        drain.tag, Batch(BATCH), contexts, drain.rows, sums, drain.chains, latency, LEVELS, layers
    )


def expected(config, batches, at, tag, sums, levels):
    """The entries of the chains for sums and levels of one cycle; None where they do not count."""
    layer = config.layers[tag["layer"]]
    count, first = batches[tag["context"]]
    for chain in range(config.chains):
        position = at["chunk"] * config.rows + at["rank"] * config.chains + chain
        image, place = (position, 0) if layer.single else (at["image"], position)
        if not tag["used"] or not tag["rows"][chain] or image >= count:
            yield None
            continue
        element = (place * layer.shifts + at["shift"]) * layer.channels + tag["channel"]
        total, overflow = sums[chain]
        yield first + image, element, total, overflow, levels[layer.mode][chain]


def observed(ctx, entry):
    """An entry as those of `expected`."""
    if not ctx.get(entry.valid):
        return None
    names = ("image", "element", "sum", "overflow", "level")
    return tuple(ctx.get(getattr(entry, name)) for name in names)


def trace(config, drain, jobs, seed):
    """Entries in every cycle, and what they are to be; with cycles in which no sum leaves."""
    probe, chance = Probe(config), random.Random(seed)
    batches = [(chance.randint(1, BATCH), chance.randrange(50)) for _ in range(config.contexts)]
    coming = [(at, tag) for job in jobs for at, tag, _ in tags(drain, *job)]
    seen, right = [], []
    later: list = [(None, None)] * config.latency

    async def testbench(ctx):
        for context, (count, image) in enumerate(batches):
            ctx.set(probe.i_batches[context], {"count": count, "image": image})
        left = list(coming)
        while left or any(sums for _, sums in later):
            sums = [(chance.randrange(-32, 32), chance.randrange(2)) for _ in range(config.chains)]
            for chain, (total, overflow) in enumerate(sums):
                ctx.set(probe.i_sums[chain], {"sum": total, "overflow": overflow})
            moves = bool(left) and chance.random() < 0.7
            ctx.set(probe.tags.valid, moves)
            if moves:
                ctx.set(probe.tags.payload, payload_of(left[0][1]))
            later.append((left.pop(0), sums) if moves else (None, None))
            levels = [
                [int(fmt.to_level(chance.getrandbits(fmt.width))) for _ in sums] for fmt in LEVELS
            ]
            for port, each in zip(probe.levels, levels, strict=True):
                for chain, level in enumerate(each):
                    ctx.set(port[chain], level)
            place, then = later.pop(0)
            seen.append([observed(ctx, entry) for entry in probe.o.sums])
            if place is None:
                right.append([None] * config.chains)
            else:
                at, tag = place
                right.append(list(expected(config, batches, at, tag, then, levels)))
                assert ctx.get(probe.o.layer) == tag["layer"]
            await ctx.tick()

    run(probe, testbench)
    return seen, right


@st.composite
def cases(draw):
    contexts, latency = draw(st.integers(1, 2)), draw(st.integers(0, 4))
    drain = draw(configs(contexts))
    modes = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    singles = draw(st.tuples(st.booleans(), st.booleans()))
    config = config_of(drain, contexts, latency, modes, singles)
    return config, drain, draw(jobs(contexts))


@settings(max_examples=15)
@given(cases(), st.integers(0, 99))
def test_every_sum_is_told_once_with_its_level(case, seed):
    config, drain, found = case
    seen, right = trace(config, drain, found, seed)
    assert seen == right


def test_what_runs_is_told_at_once():
    """The array comes before the max pool."""
    drain = planted_drain()
    probe, seen = Probe(config_of(drain, 2, 3, [0, 1], [False, True])), []

    async def testbench(ctx):
        ctx.set(probe.i_layer, 1)
        for computing, pooling, step in [(0, 0, 1), (1, 0, 0), (0, 1, 1), (1, 1, 0)]:
            ctx.set(probe.i_computing, computing)
            ctx.set(probe.i_pooling, pooling)
            ctx.set(probe.i_step, step)
            trace = ctx.get(probe.o)
            seen.append((trace.running, trace.current, trace.step))

    run(probe, testbench)
    assert seen == [(0, 0, 1), (1, 1, 0), (1, 0, 1), (1, 1, 0)]


def planted_drain():
    """Two layers with all loops: of an image each position, and of a position each image."""
    many = DrainLayer(
        tiles=2, chunks=2, images=2, groups=2, positions=5, channels=7, group_channels=4,
        parameter_base=0, own_parameters=True,
    )  # fmt: skip
    dense = DrainLayer(1, 1, 1, 1, 4, 3, 3, 0, own_parameters=True)
    tag = Tag(Job(2, 2), chains=2, ranks=2, channels=11)
    return DrainConfig(tag, 3, 2, 2, 15, [many, dense])


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_places", "Mux(tag.last.chunk, 0, chunk + config.rows)", "chunk + config.rows"),
        ("_places", "Mux(tag.last.image, 0, image + 1)", "image + 1"),
        ("elaborate", " & (image < batch.count)", ""),
        ("elaborate", "Mux(single, index, 0)", "0"),
        ("elaborate", "index * step", "index"),
        ("elaborate", "then.sums[index].sum", "now.sums[index].sum"),
        ("elaborate", "levels[mode]", "levels[0]"),
    ],
    ids=["chunks go on", "images go on", "images of no batch", "one image for all chains",
         "neighbouring positions", "another cycle's sum", "another mode"],
)  # fmt: skip
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    drain = planted_drain()
    config, jobs = config_of(drain, 2, 2, [1, 0], [False, True]), [(0, 0), (1, 0), (1, 1), (0, 1)]
    seen, right = trace(config, drain, jobs, 1)
    assert seen == right
    edit(monkeypatch, Probe, method, old, new)
    seen, right = trace(config, drain, jobs, 1)
    assert seen != right
