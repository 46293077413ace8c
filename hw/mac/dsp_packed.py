"""Dot products in wide multipliers: two or three narrow lanes in one product."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Value

from ..errors import GeometryError
from ..gates.adder import Term, adder_tree, tree_latency
from ..numbers.arithmetic import bits_for
from ..numbers.operands import Operands
from .dot import DotProduct
from .dsp_cells import Mult18x18D
from .fabric import Fabric

__all__ = ["PackedMultiply", "packing"]


def packing(operands: Operands, lanes: int, *, width: int) -> tuple[int, int]:
    """Return how many lanes share a signed product of ``width`` bits, and the bits between them.

    No lane at all, 0, where even one does not fit. Weights ``w[i]`` lie ``field`` bits apart in
    ascending order, activations ``a[i]`` in descending order, so that the digit of the product at
    ``field * (count - 1)`` is ``sum(w[i] * a[i])``. A digit is as wide as that sum needs; the lower
    digits only have to be told from it by their sign, the upper ones are cut off.
    """
    best = 0, 0
    for count in range(1, lanes + 1):
        field = bits_for(*operands.sum_range(count))
        places = sum(1 << (field * i) for i in range(count))
        needed = (
            bits_for(places * min(0, fmt.min_level), places * fmt.max_level)
            for fmt in (operands.weight, operands.activation)
        )
        if max(needed) > width:
            break
        best = count, field
    return best


class PackedMultiply(DotProduct):
    """Integer weights, integer activations, as many lanes to a `Mult18x18D` as `packing` says.

    Of int4 x uint4 two lanes, of int2 x uint2 three, of int8 x uint8 one. With packed lanes the
    sum of products is a digit in the middle of the product. Where the lower digits are negative
    they have borrowed one from it, which is added again with all lanes.

    The registers of the DSP block are used: inputs and output.

    Parameters
    ----------
    operands, lanes
        As of any `DotProduct`.
    fabric : Fabric
        It says how wide a product of its DSP blocks is (`Blocks.packing`).

    Raises
    ------
    GeometryError
        For formats that are too wide for a DSP block, and on a fabric whose blocks take one lane.
    """

    multiplies = True

    def __init__(self, operands: Operands, lanes: int, *, fabric: Fabric):
        super().__init__(operands, lanes, fabric=fabric, dsp=True)
        width = fabric.blocks.packing
        if not width:
            raise GeometryError(
                "the DSP blocks of this fabric do not take several lanes: its packing is 0"
            )
        self.count, self.field = packing(operands, lanes, width=width)
        if not self.count:
            raise GeometryError(
                f"a multiplier of {width}x{width} bits is too narrow for {operands.weight} x "
                f"{operands.activation}"
            )
        together = [min(self.count, lanes - first) for first in range(0, lanes, self.count)]
        self.multipliers = [Mult18x18D() for _ in together]
        terms = sum(1 + (each > 1) for each in together)  # a sum; a borrow, of several lanes
        self.latency = self.multipliers[0].latency + tree_latency(terms)

    def elaborate(self, platform) -> Module:
        m = Module()
        sums, borrows = [], []
        for index, multiplier in enumerate(self.multipliers):
            m.submodules[f"multiplier_{index}"] = multiplier
            pairs = self.pairs[index * self.count :][: self.count]
            shift = self.field * (len(pairs) - 1)
            m.d.comb += [
                multiplier.a.eq(_packed([w.level for w, _ in pairs], self.field)),
                multiplier.b.eq(_packed([a.level for _, a in reversed(pairs)], self.field)),
            ]
            digit = multiplier.o[shift : shift + self.field].as_signed()
            sums.append(Term.of(digit))
            if shift:
                borrows.append(Term(multiplier.o[shift - 1], 0, 1))
        m.d.comb += self.o.eq(adder_tree(m, sums + borrows))
        return m


def _packed(levels: Sequence[Value], field: int) -> Value:
    """Return levels ``field`` bits apart in one signed number: ``sum(level << (field * i))``."""
    parts, borrow = [], None
    for level in levels:
        value = level if borrow is None else level - borrow
        signed = value if value.shape().signed else Cat(value, 0).as_signed()
        parts.append(signed)
        borrow = signed[-1]
    *lower, top = parts
    fields = [Cat(part, part[-1].replicate(field))[:field] for part in lower]
    return Cat(*fields, top).as_signed()
