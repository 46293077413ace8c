"""The binary search over thresholds: its memories, its gates, and its part of a program."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.outputs.thresholds import Thresholds, ThresholdsConfig
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Dense
from narrowgauge.hw.network.network import Network
from narrowgauge.hw.numbers.arithmetic import Accumulator, count_thresholds
from narrowgauge.hw.numbers.formats import Fixed, parse
from narrowgauge.hw.program.contents import ThresholdTable, threshold_table
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.program.mapping import map_network
from narrowgauge.hw.synth.placement import memory_use
from narrowgauge.hw.synth.targets import target

from ...networks import random_thresholds
from ...simulation import clocked


def layer(name, input, output, thresholds, weights=None):
    ones = np.ones(len(thresholds), np.int64)
    weights = np.ones((len(thresholds), 1)) if weights is None else weights
    return Dense(
        name=name, weight=parse("int2"), weights=weights, input=parse(input),
        output=parse(output), bias=0 * ones, multiplier=ones, thresholds=thresholds,
    )  # fmt: skip


@settings(max_examples=25)
@given(st.integers(1, 5), st.booleans(), st.integers(1, 3), st.integers(0, 3), st.integers(0, 999))
def test_counts_every_sum(bits, signed, rows, delay, seed):
    """All sums of 6 bits in every row; thresholds of 8 bits, so that some are beyond them."""
    rng = np.random.default_rng(seed)
    table = ThresholdTable(bits, 8, np.sort(rng.integers(-128, 128, (rows, (1 << bits) - 1))))
    wide, narrow = Fixed(bits, signed=signed), Fixed(1)
    config = ThresholdsConfig(6, table.width, table.images, [wide, narrow])
    component = Thresholds(config, latency=bits + 1 + delay)

    def drive(ctx, case):
        ctx.set(component.i_row, case[0])
        ctx.set(component.i, case[1])

    def sample(ctx):
        return ctx.get(component.levels[0])

    cases = [(row, total) for total in range(-32, 32) for row in range(rows)]
    seen = clocked(component, drive, sample, cases, component.latency)
    assert seen == [
        wide.min_level + count_thresholds(total, table.rows[row].tolist()) for row, total in cases
    ]


def test_the_memories_by_hand():
    table = ThresholdTable(3, 5, np.array([[-3, -2, -1, 0, 1, 2, 16], [1, 2, 3, 4, 5, 6, 7]]))
    assert table.images == [[0, 4], [30, 2, 2, 6], [29, 31, 1, 16, 1, 3, 5, 7]]
    assert table.memories(1) == {
        "thresholds 0, chain 0": (5, 2),
        "thresholds 1, chain 0": (5, 4),
        "thresholds 2, chain 0": (5, 8),
    }


def test_a_table_by_hand():
    """Narrower outputs are filled with what no sum reaches; what lies far off comes near."""
    first = layer("a", "uint2", "uint2", [[-(1 << 62), 2, 1 << 62], [1, 1, 2], [0, 1, 3]])
    last = layer("b", "uint2", "uint1", [[4]], [[1, 1, -1]])
    network = Network("two", (first, last), Accumulator(8))
    table = threshold_table(map_network(network, 1), Geometry(1, 2, 1), network.accumulator)
    assert table is not None
    # sums are 0 to 3, and -3 to 6; tiles have two channels
    assert table.rows.tolist() == [
        [0, 2, 4], [1, 1, 2], [0, 1, 3], [0, 1, 3], [4, 7, 7], [4, 7, 7],
    ]  # fmt: skip
    assert (table.bits, table.width) == (2, 4)
    narrow = threshold_table(map_network(network, 1), Geometry(1, 2, 1), Accumulator(3))
    assert narrow is not None
    # -3 to 6 leave a register of 3 bits, which holds -4 to 3
    assert narrow.rows[-1].tolist() == [4, 4, 4]


def test_a_program_has_rows_of_both_kinds():
    rng = np.random.default_rng(0)
    fmt = parse("uint3")
    plain = Dense(
        name="plain", weight=parse("int2"), weights=np.ones((3, 5)), input=fmt, output=fmt,
        bias=np.arange(3), multiplier=np.ones(3), shift=1,
    )  # fmt: skip
    layers = (
        layer("first", "uint3", "uint3", random_thresholds(rng, fmt, 5), np.ones((5, 4))),
        plain,
        layer("last", "uint3", "int5", random_thresholds(rng, parse("int5"), 3), np.ones((3, 3))),
    )
    program = Program(Network("mixed", layers, Accumulator(12)), Geometry(2, 2, 2, chains=1))
    assert [record.tiles.parameter_base for record in program.records] == [0, 0, 6]
    assert program.contents.thresholds is not None
    assert (len(program.contents.thresholds.rows), len(program.contents.parameters)) == (10, 4)
    assert program.contents.parameter_rows == 10
    assert [mode.thresholds for mode in program.modes] == [True, False, True]
    use = {each.name: each for each in memory_use(program, target("hx8k"))}
    depths = [use[f"thresholds {stage}"].depth for stage in range(5)]
    assert depths == [10, 20, 40, 80, 160]


@pytest.mark.parametrize("chains", [1, 2])
def test_every_chain_searches_memories_of_its_own(chains):
    thresholds = random_thresholds(np.random.default_rng(0), parse("uint2"), 4)
    only = layer("only", "uint2", "uint2", thresholds)
    program = Program(Network("only", (only,), Accumulator(8)), Geometry(2, 2, 2, chains=chains))
    use = {each.name: each for each in memory_use(program, target("hx8k"))}
    assert use["thresholds 1"].count == chains
    # nothing is scaled, and a memory has a word at least
    assert program.contents.parameters == [(0, 1)]
