"""Gates of small circuits, counted without synthesis."""

from collections import Counter

import pytest
from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from narrowgauge.hw.synth.gates import count_gates


class Circuit(wiring.Component):
    """What ``make`` gives of ``a`` and ``b``, four bits each, and ``c``."""

    a: Signal
    b: Signal
    c: Signal
    o: Signal

    def __init__(self, make, width=4):
        self.make = make
        super().__init__({"a": In(4), "b": In(4), "c": In(1), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.make(m, self.a, self.b, self.c))
        return m


def counted(make, *, width=4, inputs=4):
    found, _ = count_gates(Circuit(make, width), None, inputs)
    return {name: count for name, count in found.items() if count}


def held(m, value, enable, **options):
    """A register that takes a value where it is enabled."""
    register = Signal(4, **options)
    with m.If(enable):
        m.d.sync += register.eq(value)
    return register


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda m, a, b, c: a & b, {"lut": 4}),
        (lambda m, a, b, c: Mux(c, a & b, a ^ b), {"lut": 4}),  # three inputs a bit
        (lambda m, a, b, c: Mux(c, a, a), {}),
        (lambda m, a, b, c: a & 0, {}),
        (lambda m, a, b, c: (a & b) | (b & a), {"lut": 4}),  # equal gates are one
        (lambda m, a, b, c: (a + b)[:4], {"add": 4, "adders": 1}),
        (lambda m, a, b, c: (a + b)[:2], {"add": 2, "adders": 1}),  # of which two bits are read
        (lambda m, a, b, c: (a + (b << 2))[:4], {"add": 2, "adders": 1}),  # two bits pass through
        (lambda m, a, b, c: (a - b)[:4], {"add": 4, "adders": 1, "sub_inverted": 4}),
        (lambda m, a, b, c: Const(5, 4) + Const(3, 4), {}),
        (lambda m, a, b, c: a < b, {"compare": 4, "compare_both": 4}),
        (lambda m, a, b, c: a == b, {"lut": 3}),  # 8 inputs: 4, 4, and what joins them
        (lambda m, a, b, c: a * b, {"multiplier 4x4": 1}),
        (lambda m, a, b, c: held(m, a, c), {"ff": 4, "ff_lone": 4}),  # no gates for the enable
        (lambda m, a, b, c: held(m, a ^ b, c), {"lut": 4, "ff": 4}),
        (lambda m, a, b, c: held(m, Mux(c, 0, a), b[0]), {"ff": 4, "ff_lone": 4}),  # nor a reset
        (lambda m, a, b, c: held(m, 0, c), {}),  # it stays 0
    ],
)
def test_small_circuits(make, found):
    assert counted(make) == found


def test_luts_of_more_inputs_hold_more():
    def parity(m, a, b, c):
        return (a ^ b).xor()

    assert counted(parity, width=1) == {"lut": 3}
    assert counted(parity, width=1, inputs=6) == {"lut": 2}


def test_what_has_two_readers_is_a_lut_of_its_own():
    def shared(m, a, b, c):
        register = held(m, a & b, 1)
        return register ^ (a & b)

    found = counted(shared)
    assert found["ff_shared"] == 4
    assert found["lut"] == 8


class Stored(wiring.Component):
    """A memory whose writing may be off."""

    address: Signal
    data: Signal
    enable: Signal
    o: Signal

    def __init__(self, *, written):
        self.written = written
        super().__init__({"address": In(4), "data": In(8), "enable": In(2), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=16, init=[])
        write, read = memory.write_port(granularity=4), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.address),
            read.addr.eq(self.address),
            write.data.eq(self.data),
            write.en.eq(self.enable if self.written else 0),
            self.o.eq(read.data),
        ]
        return m


def test_memories_and_their_parts():
    found, memories = count_gates(Stored(written=True), None, 4)
    assert [tuple(each) for each in memories] == [(8, 16, 2, False)]
    assert not +found
    assert count_gates(Stored(written=False), None, 4) == (Counter(), [])
