import random
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.array.systolic import SystolicArray
from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.numbers.operands import Operands

from ..fabrics import FABRICS
from ..networks import accumulators, geometries
from ..simulation import run


def random_tiles(chance, geometry, operands):
    """Tiles of steps; a step is (activations[row][lane], weights[column][lane], double)."""

    def word(fmt):
        return [fmt.to_level(chance.randrange(1 << fmt.width)) for _ in range(geometry.lanes)]

    tiles = []
    for _ in range(5):
        length = chance.randint(1, 10)
        tiles.append(
            [
                (
                    [word(operands.activation) for _ in range(geometry.rows)],
                    [word(operands.weight) for _ in range(geometry.columns)],
                    chance.random() < 0.2 and step < length - 1,
                )
                for step in range(length)
            ]
        )
    return tiles


def expected_sums(tiles, geometry, accumulator):
    chains = geometry.chains
    for tile in tiles:
        for rank, column, chain in product(
            range(geometry.rows // chains), range(geometry.columns), range(chains)
        ):
            row = rank * chains + chain
            total, flag = 0, False
            for activations, weights, double in tile:
                pairs = zip(activations[row], weights[column], strict=True)
                exact = total + sum(a * w for a, w in pairs)
                flag, total = flag or accumulator.overflows(exact), accumulator.fit(exact)
                if double:
                    flag = flag or accumulator.overflows(2 * total)
                    total = accumulator.fit(2 * total)
            yield total, int(flag)


def schedule(chance, tiles, interval):
    """Place the steps in cycles: None is a pause; last steps keep their distance."""
    cycles, previous = [], -interval
    for tile in tiles:
        for index, step in enumerate(tile):
            last = index == len(tile) - 1
            while chance.random() < 0.1 or (last and len(cycles) - previous < interval):
                cycles.append(None)
            previous = len(cycles) if last else previous
            cycles.append((*step, last))
    return cycles


async def feed(ctx, array, cycles):
    """Send the schedule in; return the drained sums and the cycles in which they came."""
    seen = []
    for cycle in range(len(cycles) + array.latency + array.interval + 2):
        step = cycles[cycle] if cycle < len(cycles) else None
        ctx.set(array.i_control.enable, step is not None)
        if step:
            activations, weights, double, last = step
            for row, word in enumerate(activations):
                for lane, level in enumerate(word):
                    ctx.set(array.i_activations[row][lane], level)
            for column, word in enumerate(weights):
                for lane, level in enumerate(word):
                    ctx.set(array.i_weights[column][lane], level)
            ctx.set(array.i_control.double, double)
            ctx.set(array.i_control.last, last)
        if ctx.get(array.o_valid):
            for each in range(array.geometry.chains):
                sums = array.o[each]
                seen.append((cycle, (ctx.get(sums.sum), ctx.get(sums.overflow))))
        await ctx.tick()
    return seen


def drive(array, cycles):
    """Run the schedule; return the drained sums and the cycles in which they came."""
    seen = []

    async def testbench(ctx):
        seen.extend(await feed(ctx, array, cycles))

    run(array, testbench)
    return seen


@settings(max_examples=15)
@given(
    geometry=geometries,
    accumulator=accumulators,
    formats=st.sampled_from([("bipolar", "bipolar"), ("int4", "uint4"), ("pow2_4", "uint3")]),
    chains=st.sampled_from([1, 2, 3]),
    fabric=st.sampled_from(["any fabric", "ice40", "xc7"]),
    seed=st.integers(0, 999),
)
def test_drains_the_sums_of_all_elements(geometry, accumulator, formats, chains, fabric, seed):
    if geometry.rows % chains == 0:
        geometry = replace(geometry, chains=chains)
    chance, operands = random.Random(seed), Operands(*map(parse, formats))
    array = SystolicArray(geometry, operands, accumulator, doubling=True, fabric=FABRICS[fabric])
    tiles = random_tiles(chance, geometry, operands)
    cycles = schedule(chance, tiles, array.interval)
    seen = drive(array, cycles)
    assert [pair for _, pair in seen] == list(expected_sums(tiles, geometry, accumulator))
    first_last = next(cycle for cycle, step in enumerate(cycles) if step and step[-1])
    assert seen[0][0] == first_last + array.latency


def test_last_steps_closer_than_the_interval_spoil_the_drain():
    geometry, operands = Geometry(2, 2, 1), Operands(parse("int4"), parse("uint4"))
    accumulator, chance = Accumulator(12), random.Random(1)
    array = SystolicArray(geometry, operands, accumulator)
    tiles = [
        [(*step[:2], False)] for tile in random_tiles(chance, geometry, operands) for step in tile
    ]
    seen = drive(array, schedule(chance, tiles, array.interval - 1))
    assert [pair for _, pair in seen] != list(expected_sums(tiles, geometry, accumulator))


@pytest.mark.parametrize("field", ["rows", "columns", "lanes", "hop", "chains"])
def test_impossible_geometries_are_refused(field):
    sizes = {"rows": 2, "columns": 2, "lanes": 2, "hop": 1, field: 0}
    with pytest.raises(GeometryError, match=f"{field} is 1 to"):
        Geometry(**sizes)


def test_chains_divide_the_rows():
    with pytest.raises(GeometryError, match="2 does not divide 3"):
        Geometry(3, 2, 2, chains=2)
