"""Conversion of floats: every code of small formats, and of others drawn ones, against the map."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from narrowgauge.hw.gates.float_convert import convert
from narrowgauge.hw.gates.ieee import Parts
from narrowgauge.hw.gates.pipeline import Path, delay
from narrowgauge.hw.numbers.formats import Float, parse

from ..simulation import clocked


class Convert(wiring.Component):
    """A conversion, a code a cycle."""

    i: Signal
    o: Signal
    o_overflow: Signal

    def __init__(self, source, result, places=()):
        self.source, self.result, self.places = source, result, places
        super().__init__({"i": In(source.width), "o": Out(result.width), "o_overflow": Out(1)})
        self.latency = len(places) + 1

    def elaborate(self, platform):
        m = Module()
        path = Path(m, self.places)
        rounded = convert(path, self.source, self.result, Parts.of(self.source, self.i))
        code, overflow = (delay(m, each) for each in (rounded.code(), rounded.overflow))
        m.d.comb += [self.o.eq(code), self.o_overflow.eq(overflow)]
        assert path.stage == len(self.places)
        return m


@pytest.mark.parametrize(
    ("source", "result", "places"),
    [
        ("float4_3", "float3_2", ()),
        ("float5_4", "float2_1", ("normalize_2",)),
        ("float4_3", "float4_1", ()),
        ("float4_3", "float3_3", ()),
        ("fp16", "float4_3", ("normalize_4",)),
        ("fp32", "bf16", ()),
        ("fp32", "fp16", ("normalize_8", "normalize_1")),
    ],
)
def test_results_are_those_of_the_format(source, result, places):
    source, result = parse(source), parse(result)
    assert isinstance(source, Float)
    assert isinstance(result, Float)
    codes = np.arange(1 << min(source.width, 12))
    if source.width > 12:
        codes = drawn(source, result)
    gates = Convert(source, result, places)

    def drive(ctx, code):
        ctx.set(gates.i, int(code))

    def sample(ctx):
        return ctx.get(gates.o), ctx.get(gates.o_overflow)

    found = np.array(clocked(gates, drive, sample, codes.tolist(), gates.latency))
    values = source.to_value(codes)
    wanted = result.from_value(values)
    wrong = np.flatnonzero(found[:, 0] != wanted)
    assert not wrong.size, (codes[wrong[0]], values[wrong[0]], found[wrong[0]])
    assert (found[:, 1] == (np.isfinite(values) & result.is_infinite(wanted))).all()


def drawn(source, result):
    """Codes of values that ``result`` has, their halves, and neighbours of both."""
    rng = np.random.default_rng(0)
    held = result.to_value(rng.integers(0, 1 << result.width, 700))
    held = held[np.isfinite(held)]
    near = source.from_value(np.concatenate([held, held * (1 + 2.0 ** -(result.mantissa + 1))]))
    far = rng.integers(0, 1 << source.width, 500)
    return np.concatenate([near, near + 1, np.maximum(near, 1) - 1, far])
