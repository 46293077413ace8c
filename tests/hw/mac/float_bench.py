"""Float multiply-accumulates compiled together, and the vectors that they are fed with."""

import ctypes
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from narrowgauge.hw.mac.base import MAC
from narrowgauge.hw.mac.control import CONTROL
from narrowgauge.hw.sim.compiler import compile_library, cxxrtl_headers, find_compiler
from narrowgauge.hw.tools.programs import find, run
from narrowgauge.hw.tools.rtlil import convert

HARNESS = """
#include <cstring>
extern "C" void simulate(const uint32_t *in, uint32_t *out, uint64_t cycles) {
  cxxrtl_design::p_top top;
  for (; cycles--; in += IN, out += OUT) {
    memcpy(top.p_i.data, in, 4 * IN);
    top.p_clk.data[0] = 0;
    top.step();
    memcpy(out, top.p_o.data, 4 * OUT);
    top.p_clk.data[0] = 1;
    top.step();
  }
}
"""


class Bench(wiring.Component):
    """Many multiply-accumulates side by side, so that Yosys and the compiler run once.

    They stay modules of their own (``-noflatten``): one function for all would compile for minutes.
    Every code, control and flag has a word of 32 bits of its own in ``i`` and ``o``.
    """

    i: Signal
    o: Signal

    def __init__(self, macs: Mapping[str, MAC]):
        self.macs = macs
        words = sum(2 * mac.lanes + 1 for mac in macs.values())
        super().__init__({"i": In(32 * words), "o": Out(32 * 2 * len(macs))})

    def elaborate(self, platform) -> Module:
        m = Module()
        at = 0
        for index, (name, mac) in enumerate(self.macs.items()):
            m.submodules[name] = mac
            for word in (mac.i_weights, mac.i_activations):
                for lane in range(mac.lanes):
                    m.d.comb += Value.cast(word[lane]).eq(self.i.word_select(at, 32))
                    at += 1
            m.d.comb += [
                mac.i_control.eq(self.i.word_select(at, 32)),
                self.o.word_select(2 * index, 32).eq(Value.cast(mac.o)),
                self.o.word_select(2 * index + 1, 32).eq(mac.o_overflow),
            ]
            at += 1
        return m


class Compiled:
    """The bench as a shared library in ``folder``."""

    def __init__(self, macs: Mapping[str, MAC], folder: Path):
        self.bench = Bench(macs)
        self.widths = len(self.bench.i) // 32, len(self.bench.o) // 32
        yosys = find("yosys")
        (folder / "top.il").write_text(convert(self.bench))
        run(yosys, ["-q", "-p", "read_rtlil top.il; write_cxxrtl -noflatten -g0 top.cc"], folder)
        sizes = "#define IN {}\n#define OUT {}\n".format(*self.widths)
        source = folder / "simulator.cc"
        source.write_text((folder / "top.cc").read_text() + sizes + HARNESS)
        library = folder / "simulator.so"
        compile_library(find_compiler(), source, library, cxxrtl_headers(yosys), optimise="-O1")
        self.library = ctypes.CDLL(str(library))

    def sums(self, name, weights, activations, control):
        """Feed one multiply-accumulate, and return ``o`` and ``o_overflow`` of each step.

        They come ``delay`` cycles after the step's control. ``weights`` and ``activations`` have
        shape (steps, lanes), ``control`` (steps, 3).
        """
        mac, names = self.bench.macs[name], list(self.bench.macs)
        start = sum(2 * self.bench.macs[each].lanes + 1 for each in names[: names.index(name)])
        steps, lanes, latency = len(weights), mac.lanes, mac.latency
        late = latency + mac.delay
        words = np.zeros((steps + late, self.widths[0]), np.uint32)
        seen = np.zeros((steps + late, self.widths[1]), np.uint32)
        words[:steps, start : start + lanes] = weights
        words[:steps, start + lanes : start + 2 * lanes] = activations
        offsets = [field.offset for _, field in CONTROL]
        packed = (np.asarray(control) << offsets).sum(axis=1)
        words[latency : latency + steps, start + 2 * lanes] = packed
        pointers = [ctypes.c_void_p(each.ctypes.data) for each in (words, seen)]
        self.library.simulate(*pointers, ctypes.c_uint64(len(words)))
        index = 2 * names.index(name)
        return seen[late:, index].astype(np.int64), seen[late:, index + 1] == 1


def random_codes(rng, fmt, shape):
    """Codes of every kind: any bits, near one, near the smallest, special ones, many ones."""
    low = (1 << fmt.mantissa) - 1
    bits = rng.integers(0, 1 << fmt.width, shape)
    sign = rng.integers(0, 2, shape) << (fmt.width - 1)
    field = np.clip(fmt.bias + rng.integers(-3, 4, shape), 0, (2 << fmt.bias.bit_length()) - 1)
    near_one = sign | (field << fmt.mantissa) | (bits & low)
    tiny = sign | (rng.integers(0, 3, shape) << fmt.mantissa) | (bits & low)
    one = fmt.bias << fmt.mantissa
    limits = [0, 1, low, low + 1, one - 1, one, one + 1, fmt.infinity - 1]
    special = sign | rng.choice([*limits, fmt.infinity, fmt.infinity + 1, fmt.nan], shape)
    ones = near_one | rng.integers(0, low + 1, shape) | rng.integers(0, low + 1, shape)
    return np.choose(rng.integers(0, 5, shape), [bits, near_one, tiny, special, ones])


def cancelling(rng, fmt, codes):
    """Codes near the negatives of ``codes``, some places of the exponent away."""
    places = 1 << rng.integers(0, fmt.mantissa + 2, codes.shape)
    return codes ^ (1 << (fmt.width - 1)) ^ rng.integers(0, places)
