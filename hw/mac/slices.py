"""Dot products over slices of weights: a few bits of each, with whole activations.

A weight of ``w`` bits is ``ceil(w / k)`` slices of ``k`` bits, in two's complement where it is
signed. Slices are unsigned, but for the top one of a signed weight, whose top bit counts negative.
"""

from amaranth.hdl import Cat, Const, Module, Value

from ..errors import GeometryError
from ..gates.adder import Term, adder_tree, tree_latency
from ..gates.pipeline import delay
from ..numbers.arithmetic import bits_for
from ..numbers.formats import Fixed
from ..numbers.operands import Operands
from .adder_cells import ChoosingAdder
from .dot import DotProduct, selected_terms
from .fabric import ANY, Fabric

__all__ = ["SliceProduct"]


class SliceProduct(DotProduct):
    """Slices of weights times integer activations.

    As in `Multiply`, two lanes share their partial products, and those of a bit are summed over all
    lanes first. A signed slice takes the sum of its top bits away, in an adder that subtracts where
    the fabric has such (`ChoosingAdder`). If not, there is no subtractor either: with ``s`` the sum
    of the bits below, ``s - 2 * t`` is ``~(~s + 2 * t)``, and both complements are other functions
    of LUTs that add.

    Parameters
    ----------
    operands : Operands
        An unsigned integer of the slice's bits, and the activations, which are integers.
    lanes, fabric, dsp
        As of all dot products; slices are not for DSP blocks.
    registered : bool
        A register behind the selected terms, as of `Multiply`.

    Raises
    ------
    GeometryError
        For other formats, and for DSP blocks.
    """

    sliced = True

    def __init__(
        self,
        operands: Operands,
        lanes: int,
        *,
        fabric: Fabric = ANY,
        dsp: bool = False,
        registered: bool = False,
    ):
        bits = operands.weight.width
        if operands.weight != Fixed(bits, signed=False) or not isinstance(
            operands.activation, Fixed
        ):
            raise GeometryError(
                f"slices are unsigned integers and meet integers, not {operands.weight} x "
                f"{operands.activation}"
            )
        if dsp:
            raise GeometryError(
                "slices are not multiplied in DSP blocks; multiply in logic, or take no slice"
            )
        super().__init__(operands, lanes, fabric=fabric, dsp=dsp)
        self.registered = registered and lanes > 2
        # cycles of the sums of each bit
        self._columns = tree_latency((lanes + 1) // 2) + self.registered
        self.latency = self._columns + tree_latency(max(bits, 2))
        self.sign_latency = self._columns - (bits > 1 and not fabric.chooses)

    def _range(self) -> tuple[int, int]:
        bits = self.operands.weight.width
        slices = Fixed(bits), Fixed(bits, signed=False)
        each = [Operands(fmt, self.operands.activation).sum_range(self.lanes) for fmt in slices]
        return min(low for low, _ in each), max(high for _, high in each)

    def elaborate(self, platform) -> Module:
        m = Module()
        pairs = [(activation.level, weight.level) for weight, activation in self.pairs]
        rows = [
            selected_terms(m, pairs[lane : lane + 2], registered=self.registered)
            for lane in range(0, self.lanes, 2)
        ]
        columns = [list(column) for column in zip(*rows, strict=True)]
        *lower, top = columns
        below = lower.pop() if lower else None
        if self.fabric.chooses:
            total = self._subtracted(m, below, top)
        else:
            total = self._complemented(m, below, top)
        if lower:
            sums = [_sum(m, column).shifted(bit) for bit, column in enumerate(lower)]
            first = Term.of(adder_tree(m, sums))
            total = adder_tree(m, [first, Term.of(total).shifted(len(lower))])
        m.d.comb += self.o.eq(total)
        return m

    def _complemented(self, m: Module, below: list[Term] | None, top: list[Term]) -> Value:
        """Return the sum of the two highest bits: the complement of one of complements."""
        if below is None:
            minus = Term(self.i_signed.as_signed(), -1, 0)
            return adder_tree(m, [_sum(m, top), minus], flip=self.i_signed)
        upper = [_sum(m, below, flip=self.i_signed), _sum(m, top).shifted(1)]
        return adder_tree(m, upper, flip=delay(m, self.i_signed, name="subtracts"))

    def _subtracted(self, m: Module, below: list[Term] | None, top: list[Term]) -> Value:
        """Return the sum of the two highest bits, of an adder that subtracts."""
        added = Term(Const(0), 0, 0) if below is None else _sum(m, below)
        taken, single = _sum(m, top), below is None
        scale = 1 if single else 2
        low = added.low + min(taken.low, -taken.high) * scale
        high = added.high + max(taken.high, -taken.low) * scale
        width = bits_for(low, high) - (not single)
        m.submodules.subtract = adder = ChoosingAdder(width, subtracts=True, fabric=self.fabric)
        m.d.comb += [
            adder.i_a.eq(added.value if single else added.value >> 1),
            adder.i_b.eq(taken.value),
            adder.i_other.eq(self.i_signed),
        ]
        total = adder.o if single else Cat(added.value[0], adder.o)
        return delay(m, total.as_signed(), name="difference")


def _sum(m: Module, column: list[Term], flip: Value | None = None) -> Term:
    """Return the sum of what a bit of all lanes selects, or its complement."""
    low, high = sum(term.low for term in column), sum(term.high for term in column)
    if flip is not None:
        low, high = min(low, ~high), max(high, ~low)
    return Term(adder_tree(m, column, flip=flip), low, high)
