"""The level unit alone: chains and modes against the integer formulas, tags that keep pace."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.job import Job, Tag
from narrowgauge.hw.accelerator.outputs.levels import AHEAD, LevelUnit, LevelUnitConfig
from narrowgauge.hw.accelerator.outputs.requantize import RequantizeConfig
from narrowgauge.hw.accelerator.outputs.thresholds import ThresholdsConfig
from narrowgauge.hw.numbers.arithmetic import count_thresholds, requantize
from narrowgauge.hw.numbers.formats import Bipolar, Fixed
from narrowgauge.hw.numbers.mode import Mode

from ....formal.proof import edit
from ...simulation import run

WIDTH, SHIFT, ROWS = 8, 2, 3
SCALED = [Fixed(4), Fixed(3, signed=False), Bipolar()]
BOTH = (True, False)  # a mode with thresholds, and one without


def case_of(chains, multiplier_width, bits, chance, kinds=BOTH):
    """A unit with modes of these kinds, its parameters and its thresholds."""
    pairs = [
        (chance.randrange(-40, 40), chance.getrandbits(multiplier_width) if multiplier_width else 1)
        for _ in range(ROWS)
    ]
    words = [
        (bias & 0x7F) | (multiplier << 7 if multiplier_width else 0) for bias, multiplier in pairs
    ]
    counted = [Fixed(bits, signed=bool(index % 2)) for index in range(sum(kinds))]
    scaled = [Mode(fmt, SHIFT) for fmt in SCALED[: list(kinds).count(False)]]
    steps = [sorted(chance.randrange(-99, 99) for _ in range((1 << bits) - 1)) for _ in range(ROWS)]
    halves = [1 << (bits - 1 - stage) for stage in range(bits)]
    images = [
        [each & 0xFF for row in steps for each in row[half - 1 :: 2 * half]] for half in halves
    ]
    config = LevelUnitConfig(
        Tag(Job(2, 2), chains=chains, ranks=2, channels=8),
        chains,
        RequantizeConfig(WIDTH, 7, multiplier_width, modes=scaled),
        ThresholdsConfig(WIDTH, 8, images, counted) if counted else None,
        by_thresholds=kinds,
        rows=ROWS,
        parameters=words,
    )
    return config, pairs, steps


def scale(sums, multiplier, bias, fmt):
    """Levels of a mode; the half of the rounding is in the bias, and a sign takes none."""
    half = 0 if fmt == Bipolar() else 1 << (SHIFT - 1)
    return [int(requantize(total, multiplier, bias - half, SHIFT, fmt)) for total in sums]


def pass_through(case, seed, cycles=40):
    """Levels and tags that come, and those that are right, cycle by cycle."""
    config, pairs, steps = case
    unit, chance = LevelUnit(config), random.Random(seed)
    rows = [chance.randrange(ROWS) for _ in range(cycles)]
    valid = [chance.random() < 0.7 for _ in range(cycles)]
    sums = [[chance.randrange(-128, 128) for _ in range(config.chains)] for _ in range(cycles)]
    seen, right = [], []
    for row, each in zip(rows, sums, strict=True):
        bias, multiplier = pairs[row]
        counts = [count_thresholds(total, steps[row]) for total in each]
        scaled, levels = iter(SCALED), []
        for by_thresholds, fmt in zip(config.by_thresholds, config.levels, strict=True):
            levels.append(
                [fmt.min_level + count for count in counts]
                if by_thresholds
                else scale(each, multiplier, bias, next(scaled))
            )
        right.append(levels)

    async def testbench(ctx):
        ctx.set(unit.parameters.valid, 1)
        ctx.set(unit.parameters.payload, rows[0])
        await ctx.tick()
        for cycle in range(cycles + config.latency):
            if cycle < cycles:
                following = rows[min(cycle + 1, cycles - 1)]
                changes = following != rows[cycle]  # what was read last stays
                ctx.set(unit.parameters.valid, changes)
                ctx.set(unit.parameters.payload, following if changes else (following + 1) % ROWS)
                ctx.set(unit.i_row, rows[cycle])
                for chain, total in enumerate(sums[cycle]):
                    ctx.set(unit.i[chain], total)
                ctx.set(unit.tags.payload.channel, cycle % 8)
            ctx.set(unit.tags.valid, cycle < cycles and valid[cycle])
            if (before := cycle - config.latency + AHEAD) in range(cycles):
                assert ctx.get(unit.ahead.valid) == valid[before]
                assert ctx.get(unit.ahead.payload.channel) == before % 8
            if cycle >= config.latency:
                seen.append([[ctx.get(each) for each in levels] for levels in unit.levels])
            await ctx.tick()

    run(unit, testbench)
    return seen, right


@settings(max_examples=12)
@given(
    st.integers(1, 2), st.sampled_from([0, 1, 3]), st.integers(1, 4),
    st.lists(st.booleans(), min_size=1, max_size=3), st.integers(0, 99),
)  # fmt: skip
def test_sums_of_every_chain_become_levels(chains, multiplier_width, bits, kinds, seed):
    """Searches take longer than requantisers, or less; several modes, or none of a kind."""
    case = case_of(chains, multiplier_width, bits, random.Random(seed), kinds)
    seen, right = pass_through(case, seed)
    assert seen == right


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("elaborate", "requantize.i.eq(sums[index])", "requantize.i.eq(sums[0])"),
        ("elaborate", "delay(m, self.i, config.late, ones=True)", "self.i"),
        ("_parameters", "delay(m, self.parameters.valid, late, reset_less=False)", "1"),
    ],
    ids=["one chain for all", "too early", "reads always"],
)
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    case = case_of(2, 0, 4, random.Random(0))
    seen, right = pass_through(case, 0)
    assert seen == right
    edit(monkeypatch, LevelUnit, method, old, new)
    seen, right = pass_through(case, 0)
    assert seen != right
