"""The designs whose currents others have measured, rebuilt.

Each computes what the measured one does, and is observed as that is: a counter, and beside it two
counters of 8 bits whose product of 16 bits is formed anew in every cycle. One output depends on
everything, so that nothing is swept away. The oscillator of some is left out: what it takes is
among the measured currents, and here the clock comes from a pin. So are pins that never change.
"""

import random
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from ...mac.dsp_cells import SbMac16

__all__ = ["Counted", "Multiplied", "MultiplyAccumulate"]

_DEPTH = 256  # words of a memory


class Counted(wiring.Component):
    """A counter, of which the highest bit comes out.

    Parameters
    ----------
    width : int
        Bits.
    """

    o: Signal

    def __init__(self, width: int):
        self.width = width
        super().__init__({"o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Build it without a reset, as the measured ones have none."""
        m = Module()
        count = Signal(self.width, reset_less=True)
        m.d.sync += count.eq(count + 1)
        m.d.comb += self.o.eq(count[-1])
        return m


class Multiplied(wiring.Component):
    """A counter of 24 bits; counters that advance by 3 and 5, and the product of these.

    Whether the product is formed in LUTs or in a multiplier block is the choice of synthesis.
    """

    o: Signal

    def __init__(self) -> None:
        super().__init__({"o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Build it without a reset, as the measured ones have none."""
        m = Module()
        count = Signal(24, reset_less=True)
        a, b = (Signal(8, name=name, reset_less=True) for name in "ab")
        product = Signal(16, attrs={"keep": True})  # of which no bit pattern is all ones
        m.d.sync += [count.eq(count + 1), a.eq(a + 3), b.eq(b + 5)]
        m.d.comb += product.eq(a * b)
        m.d.comb += self.o.eq(Cat(count[-1], a.all(), b.all(), product.all()).any())
        return m


class MultiplyAccumulate(wiring.Component):
    """Sixteen products of int8 a cycle for two sums, as MARLANN's data path forms them.

    Eight data of a word and twice as many weights come from block RAM with random contents (there
    the data come from single-port RAM), the products from multiplier blocks, two each; two trees
    of adders, and two accumulators of 32 bits. What is around them is not there: instruction
    fetch, sequencer, shifts and saturation, and the interface of the host.
    """

    o: Signal

    def __init__(self) -> None:
        super().__init__({"o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Build memories, products, sums and accumulators, a register behind each."""
        m = Module()
        address = Signal(range(_DEPTH), reset_less=True)
        m.d.sync += address.eq(address + 1)
        data, weights = (self._words(m, name, count, address) for name, count in _OPERANDS)
        products = [self._products(m, f"block{i}", data, weights, i) for i in range(8)]
        shown = []
        for half, terms in enumerate((products[:4], products[4:])):
            total, accumulator = (
                Signal(signed(width), name=f"{name}{half}", reset_less=True)
                for name, width in (("sum", 20), ("accumulator", 32))
            )
            added = sum(term for pair in terms for term in pair)
            m.d.sync += [total.eq(added), accumulator.eq(accumulator + total)]
            shown.append(accumulator.xor())
        m.d.comb += self.o.eq(Cat(shown).xor())
        return m

    def _products(
        self, m: Module, name: str, data: list[Signal], weights: list[Signal], index: int
    ) -> list[Value]:
        """Return the two products of a block, behind registers in it and one after it."""
        m.submodules[name] = block = SbMac16(**_TWO_PRODUCTS)
        first = 2 * index
        m.d.comb += [
            block.a.eq(Cat(data[first % 8], data[first % 8 + 1])),
            block.b.eq(Cat(weights[first], weights[first + 1])),
        ]
        kept = Signal(32, name=f"{name}_products", reset_less=True)
        m.d.sync += kept.eq(block.o)
        return [kept[:16].as_signed(), kept[16:].as_signed()]

    def _words(self, m: Module, name: str, count: int, address: Signal) -> list[Signal]:
        """Return ``count`` random levels a cycle, from a memory."""
        shape = ArrayLayout(signed(8), count)
        source = random.Random(name)
        init: Any = [[source.randint(-128, 127) for _ in range(count)] for _ in range(_DEPTH)]
        m.submodules[name] = memory = Memory(shape=shape, depth=_DEPTH, init=init)
        read = memory.read_port()
        m.d.comb += [read.addr.eq(address), read.en.eq(1)]
        return [read.data[index] for index in range(count)]


_OPERANDS = (("data", 8), ("weights", 16))
_TWO_PRODUCTS = {
    **{f"{name}_{what}": 1 for name in "AB" for what in ("REG", "SIGNED")},
    **{f"{half}_8x8_MULT_REG": 1 for half in ("TOP", "BOT")},
    **{f"{half}OUTPUT_SELECT": 2 for half in ("TOP", "BOT")},
    "MODE_8x8": 1,
}
