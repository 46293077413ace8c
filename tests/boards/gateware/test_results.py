"""Answers of networks with several outputs, byte by byte, against the frames that they are."""

import random

import pytest

from narrowgauge.boards.gateware.results import Results, answer_bytes
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program

from ...formal.proof import edit
from ...hw.networks import random_exits
from ...hw.simulation import run

SPEC = (Size(3, 3, 1), ("conv", 2, Window((2, 2)), 1), ("dense", 5))


def program_of(values):
    """A program of a network that gives an image, 3 and 5 classes; or three times values."""
    exits = {"layer0": (None, None)}
    network = random_exits(
        4, ("int4", "uint3", "uint4"), SPEC, exits, Accumulator(14), values=values
    )
    return Program(network, Geometry(2, 1, 1))


def answered(program, wants, seed):
    """The bytes of an answer for each image, with pauses, and what is right."""
    results, chance = Results(program), random.Random(seed)
    network, width = program.network, program.network.output.width
    elements, right = [], []
    for wanted in wants:
        answer = []
        for end in network.ends:
            codes = [chance.getrandbits(width) for _ in range(end.size.elements)]
            label = chance.randrange(end.classes) if end.classes else 0
            elements += [(code, label, at == len(codes) - 1) for at, code in enumerate(codes)]
            if wanted or not end.classes:
                answer += [
                    each >> shift & 255 for each in codes for shift in (0, 8)[: -(-width // 8)]
                ]
            answer += [label] if end.classes else []
        right.append(answer)
    seen = [[]]

    async def testbench(ctx):
        coming = iter(elements)
        now = next(coming)
        for _ in range(3000):
            if len(seen) > len(wants) or now is None:
                break
            ctx.set(results.i_levels, wants[len(seen) - 1])
            ctx.set(results.i.valid, offered := chance.random() < 0.8)
            ctx.set(results.i.payload.level.as_value(), now[0])
            ctx.set(results.i.payload.label, now[1])
            ctx.set(results.i.payload.last, now[2])
            ctx.set(results.o.ready, ready := chance.random() < 0.7)
            taken = offered and ctx.get(results.i.ready)
            ends = ctx.get(results.o_end)
            if ready and ctx.get(results.o.valid):
                seen[-1].append(ctx.get(results.o.payload))
            await ctx.tick()
            if taken:
                now = next(coming, None)
            if ends:
                ctx.set(results.o.ready, 1)
                ctx.set(results.i.valid, 0)
                if ctx.get(results.o.valid):
                    seen[-1].append(ctx.get(results.o.payload))
                await ctx.tick()
                seen.append([])

    run(results, testbench)
    return seen[: len(wants)], right


WANTS = [True, False, False, True, True]


@pytest.mark.parametrize("values", [False, True])
def test_each_output_is_followed_by_its_class(values):
    program = program_of(values)
    seen, right = answered(program, WANTS, 1)
    assert seen == right
    assert [len(each) for each in right] == [answer_bytes(program, levels=each) for each in WANTS]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ends_levels & has_class", "ends_levels"),
        ("ends_label | (ends_levels & ~has_class)", "ends_label"),
        ("ends & last_output", "ends"),
        ("self.i_levels | ~has_class", "self.i_levels"),
    ],
    ids=["a class of values", "values end nothing", "an answer of one output", "no values"],
)
def test_a_planted_fault_is_found(monkeypatch, old, new):
    edit(monkeypatch, Results, "_several", old, new)
    seen, right = answered(program_of(False), WANTS, 1)
    assert seen != right
