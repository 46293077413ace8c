"""Both memories against lists of words: who writes, who waits, what is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator import memories
from narrowgauge.hw.accelerator.memories import (
    ActivationMemory,
    ActivationMemoryConfig,
    WeightMemory,
    WeightMemoryConfig,
)
from narrowgauge.hw.errors import GeometryError

from ...formal.proof import edit
from ..simulation import run

WRITERS = ("writer", "pool", "loader")  # the first one that asks, writes


def check_activations(config, cycles=120, seed=0):
    memory, rng = ActivationMemory(config), np.random.default_rng(seed)
    width = config.width // config.segments
    known: list[list[int | None]] = [[None] * config.segments for _ in range(config.words)]
    allowed = [name for name in WRITERS if name != "pool" or config.pool]
    waits, reads = set(), 0

    async def testbench(ctx):
        nonlocal reads
        expected = [None] * config.segments
        for _ in range(cycles):
            requests = {}
            for name in WRITERS:
                enable = int(rng.integers(1 << config.segments))
                asks = name in allowed and rng.random() < 0.4
                request = {
                    "address": int(rng.integers(config.words)),
                    "data": int(rng.integers(1 << config.width)),
                    "enable": enable if asks else 0,
                }
                port = getattr(memory, name)
                for field, value in request.items():
                    ctx.set(getattr(port, field), value)
                if request["enable"]:
                    requests[name] = request
            first = next(iter(requests), None)
            address = int(rng.integers(config.words))
            if first and requests[first]["address"] == address:
                address = (address + 1) % config.words  # a word is not read while it is written
            ctx.set(memory.read.address, address)
            await ctx.delay(1e-8)
            for name in ("pool", "loader"):
                granted = ctx.get(getattr(memory, name).granted)
                if name in requests:
                    assert granted == (first == name)
                    waits.add((name, bool(granted)))
            reading = ctx.get(memory.read.granted)
            assert reading == (not config.single_port or not requests)
            for segment, value in enumerate(expected):
                here = ctx.get(memory.read.data) >> segment * width & (1 << width) - 1
                assert value is None or here == value
                reads += value is not None
            await ctx.tick()
            # with a single port the word that was read before may be gone
            expected = list(known[address]) if reading else [None] * config.segments
            if first:
                request = requests[first]
                for segment in range(config.segments):
                    if request["enable"] >> segment & 1:
                        here = request["data"] >> segment * width & (1 << width) - 1
                        known[request["address"]][segment] = here

    run(memory, testbench)
    return waits, reads


@settings(max_examples=15)
@given(
    st.builds(
        ActivationMemoryConfig, width=st.just(12), words=st.integers(2, 9),
        segments=st.sampled_from([1, 2, 4]), pool=st.booleans(), single_port=st.booleans(),
    ),
    st.integers(0, 99),
)  # fmt: skip
def test_activations_equal_a_list(config, seed):
    check_activations(config, seed=seed)


@pytest.mark.parametrize("single_port", [False, True])
def test_writers_wait_for_each_other(single_port):
    config = ActivationMemoryConfig(8, 4, segments=2, single_port=single_port)
    waits, reads = check_activations(config, cycles=300)
    assert waits == {(name, granted) for name in ("pool", "loader") for granted in (False, True)}
    assert reads > 100


def load(config, words, pauses=0.3, more=3):
    """Load ``words`` and offer some more.

    Return what every address reads, once it is ready, the words that it has taken, and the cycles
    in which it was ready early or late.
    """
    memory, rng, seen, taken = WeightMemory(config), np.random.default_rng(0), [], []
    wrong, cycle = [], 0
    left = [] if config.contents else [*words, *range(more)]

    async def testbench(ctx):
        nonlocal cycle
        waits, idle = False, 5  # cycles in which nothing more may be taken
        while idle:
            full = bool(config.contents) or len(taken) >= len(words)
            if ctx.get(memory.o_ready) != full:
                wrong.append(cycle)
            if left:
                waits = waits or rng.random() >= pauses
                ctx.set(memory.i.valid, waits)
                ctx.set(memory.i.payload, left[0])
                if waits and ctx.get(memory.i.ready):
                    taken.append(left.pop(0))
                    waits = False
            idle -= full
            await ctx.tick()
            cycle += 1
        for address in range(len(words)):
            ctx.set(memory.i_address, address)
            await ctx.tick()
            seen.append(ctx.get(memory.o_word))

    run(memory, testbench)
    return seen, taken, wrong


@settings(max_examples=15)
@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=9), st.booleans(), st.sampled_from([0, 0.5])
)
def test_loaded_weights_are_read(words, single_port, pauses):
    config = WeightMemoryConfig(8, len(words), single_port=single_port)
    assert load(config, words, pauses) == (words, words, [])


def test_weights_as_contents_are_there_at_once():
    config = WeightMemoryConfig(8, 3, (7, 0, 200))
    assert load(config, [7, 0, 200]) == ([7, 0, 200], [], [])
    assert not hasattr(WeightMemory(config), "i")


def test_contents_that_cannot_be_are_refused():
    with pytest.raises(GeometryError, match="single port has no contents: load it"):
        WeightMemoryConfig(8, 1, (7,), single_port=True)
    with pytest.raises(GeometryError, match="contents are 2 words, not 1"):
        WeightMemoryConfig(8, 2, (7,))


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("elaborate", "self.pool.granted & ~self.pool.enable.any()", "self.pool.granted"),
        ("elaborate", "if config.pool:", "if False:"),
        ("_put", "request.enable", "~0"),
    ],
)
def test_a_planted_fault_of_activations_is_found(monkeypatch, method, old, new):
    config = ActivationMemoryConfig(8, 4, segments=2)
    check_activations(config)
    edit(monkeypatch, ActivationMemory, method, old, new)
    with pytest.raises(AssertionError):
        check_activations(config)


def test_a_port_that_reads_where_it_writes_is_found(monkeypatch):
    config = ActivationMemoryConfig(8, 4, segments=2, single_port=True)
    check_activations(config)
    connect = memories._connect_ports

    def always(m, write_port, read_port, write_address, read_address, single):
        connect(m, write_port, read_port, read_address, read_address, single)

    monkeypatch.setattr(memories, "_connect_ports", always)
    with pytest.raises(AssertionError):
        check_activations(config)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.o_ready.eq(ready)", "self.o_ready.eq(1)"),
        ("self.o_ready.eq(ready)", "self.o_ready.eq(ready | (self.i.valid & (index == 2)))"),
        ("self.i.ready.eq(~ready)", "self.i.ready.eq(1)"),
        ("self.i.valid & ~ready", "self.i.valid"),
    ],
    ids=["always", "a cycle early", "takes more", "overwrites"],
)
def test_a_planted_fault_of_loading_is_found(monkeypatch, old, new):
    config, words = WeightMemoryConfig(8, 3), [5, 6, 7]
    assert load(config, words) == (words, words, [])
    edit(monkeypatch, WeightMemory, "elaborate", old, new)
    assert load(config, words) != (words, words, [])
