"""Adders whose second operand is chosen, or complemented, in the LUTs that add.

A LUT in front of a carry chain has inputs to spare, for a function of the second operand. Where
synthesis does not put it there, the component elaborates to an `Instance` of the vendor's cells,
if there is a platform, and to operators otherwise, as in every simulation.
"""

from amaranth.hdl import Cat, Const, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .fabric import ANY, Fabric

__all__ = ["ChoosingAdder"]

_SUBTRACTING, _CHOOSING = 0x96AA, 0x665A
"""LUTs of ``CCU2C``: the sum without carry where D is set, or as a function of C and D; in their
lowest four bits the carry that is generated, which is A, the first operand."""


class ChoosingAdder(wiring.Component):
    """Add one of two operands, or subtract one.

    Parameters
    ----------
    width : int
        Bits; the sum wraps.
    subtracts : bool
        With ``i_other`` set, ``i_b`` is subtracted; else ``i_c`` is added in its place.
    fabric : Fabric
        Whose cells are taken.

    Members
    -------
    i_a, i_b : In(signed(width))
    i_c : In(signed(width))
        Only where it does not subtract.
    i_other : In(1)
    o : Out(signed(width))
    """

    i_a: Signal
    i_b: Signal
    i_c: Signal
    i_other: Signal
    o: Signal

    def __init__(self, width: int, *, subtracts: bool = False, fabric: Fabric = ANY):
        self.width, self.subtracts, self.fabric = width, subtracts, fabric
        members = {"i_a": In(signed(width)), "i_b": In(signed(width))}
        if not subtracts:
            members["i_c"] = In(signed(width))
        super().__init__(members | {"i_other": In(1), "o": Out(signed(width))})

    def elaborate(self, platform) -> Module:
        m = Module()
        if platform is not None and self.fabric.adder_cell == "CCU2C":
            self._cells(m)
        elif self.subtracts:
            # the lowest bit of both is the carry-in
            a, b = self.i_a, self.i_b ^ self.i_other.replicate(self.width)
            total = Signal(self.width + 1)
            m.d.comb += [total.eq(Cat(1, a) + Cat(self.i_other, b)), self.o.eq(total[1:])]
        else:
            m.d.comb += self.o.eq(self.i_a + Mux(self.i_other, self.i_c, self.i_b))
        return m

    def _cells(self, m: Module) -> None:
        """Make a chain of cells, two bits each."""
        zero, one = Const(0, 1), Const(1, 1)
        carry: Value = self.i_other if self.subtracts else zero
        chosen = one if self.subtracts else ~self.i_other
        init = Const(_SUBTRACTING if self.subtracts else _CHOOSING, 16)
        for low in range(0, self.width, 2):
            following, spare = Signal(name=f"carry_{low + 2}"), Signal(name=f"spare_{low}")
            ports: dict[str, Value] = {"i_CIN": carry, "o_COUT": following}
            for place, bit in enumerate((low, low + 1)):
                there = bit < self.width
                third = self.i_other if self.subtracts else self.i_c[bit] if there else zero
                ports |= {
                    f"i_A{place}": self.i_a[bit] if there else zero,
                    f"i_B{place}": self.i_b[bit] if there else zero,
                    f"i_C{place}": third,
                    f"i_D{place}": chosen,
                    f"o_S{place}": self.o[bit] if there else spare,
                }
            m.submodules[f"cell_{low // 2}"] = Instance(
                "CCU2C", p_INIT0=init, p_INIT1=init, p_INJECT1_0="NO", p_INJECT1_1="NO", **ports
            )
            carry = following
