"""Dot products over lanes: the only gates that know the number formats.

All of them have the same ports: a word of weight codes, a word of activation codes, and the exact
integer sum of the products of their levels, ``latency`` cycles later, a new one each cycle. Which
one computes with a pair of formats is said in `DOT_PRODUCTS`.
"""

from dataclasses import replace

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..errors import GeometryError
from ..gates.adder import Term, adder_tree, partial_products, tree_latency
from ..gates.multiplier import recoded_latency, recoded_product
from ..gates.pipeline import delay
from ..gates.popcount import bipolar_sum, bipolar_sum_latency
from ..numbers.arithmetic import bits_for
from ..numbers.format import Format
from ..numbers.formats import Bipolar, Fixed, MiniFloat, PowerOfTwo
from ..numbers.operands import Operands
from .fabric import ANY, Fabric

__all__ = [
    "DOT_PRODUCTS",
    "AddSubtract",
    "DotProduct",
    "MiniFloatMultiply",
    "Multiply",
    "ShiftAdd",
    "XnorPopcount",
    "selected_terms",
]


class DotProduct(wiring.Component):
    """Base of the dot products.

    Parameters
    ----------
    operands : Operands
        Formats of weights and activations.
    lanes : int
        Pairs a step.
    fabric : Fabric
        The devices that it is for, where that makes a difference.
    dsp : bool
        Write products as ``*``, which synthesis maps to DSP blocks, where there are any.

    Attributes
    ----------
    latency : int
        Cycles from operands to sum.
    width : int
        Bits of the signed sum: as many as the worst operands need.
    even : bool
        Whether every sum is even, and synthesis knows it.
    sliced : bool
        Whether weights are slices (`SliceProduct`); ``i_signed`` comes ``sign_latency`` cycles
        after the operands.

    Members
    -------
    i_weights, i_activations : In(ArrayLayout(format, lanes))
    i_signed : In(1)
        The top bits of these slices count negative; only of sliced ones.
    o : Out(signed(width))

    Raises
    ------
    GeometryError
        Without lanes.
    """

    i_weights: data.View
    i_activations: data.View
    i_signed: Signal
    o: Signal

    latency: int
    sign_latency: int = 0
    sliced: bool = False
    even: bool = False
    multiplies: bool = False
    """Whether it has products that a DSP block could take."""

    def __init__(
        self,
        operands: Operands,
        lanes: int,
        *,
        fabric: Fabric = ANY,
        dsp: bool = False,
    ):
        if lanes < 1:
            raise GeometryError(f"a dot product has at least 1 lane, not {lanes}")
        self.operands, self.lanes, self.fabric, self.dsp = operands, lanes, fabric, dsp
        self.width = bits_for(*self._range())
        super().__init__(
            {
                "i_weights": In(data.ArrayLayout(operands.weight, lanes)),
                "i_activations": In(data.ArrayLayout(operands.activation, lanes)),
                **({"i_signed": In(1)} if self.sliced else {}),
                "o": Out(signed(self.width)),
            }
        )

    def elaborate(self, platform) -> Module:
        raise NotImplementedError

    def _range(self) -> tuple[int, int]:
        """Return the lowest and the highest sum."""
        return self.operands.sum_range(self.lanes)

    @property
    def pairs(self) -> list:
        """The ``lanes`` pairs of weight and activation codes."""
        return [(self.i_weights[lane], self.i_activations[lane]) for lane in range(self.lanes)]


class XnorPopcount(DotProduct):
    """Bipolar weights, bipolar activations: twice the number of agreeing lanes, less ``lanes``.

    How lanes are counted depends on the fabric (`gates.popcount`).
    """

    @property
    def even(self) -> bool:  # type: ignore[override]
        """Whether lanes are."""
        return self.lanes % 2 == 0

    @property
    def latency(self) -> int:  # type: ignore[override]
        """Those of the popcount."""
        return bipolar_sum_latency(self.lanes, self.fabric.popcount)

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = [(w.as_value()[0], a.as_value()[0]) for w, a in self.pairs]
        m.d.comb += self.o.eq(bipolar_sum(m, bits, self.fabric.popcount))
        return m


class AddSubtract(DotProduct):
    """Bipolar weights, integer activations: every lane is added or subtracted."""

    @property
    def latency(self) -> int:  # type: ignore[override]
        """Levels of the adder tree."""
        return tree_latency(2 * self.lanes)

    def elaborate(self, platform) -> Module:
        m = Module()
        terms, carries = [], []
        for weight, activation in self.pairs:
            positive, negative = _signs(activation.level, ~weight.as_value()[0])
            terms.append(positive)
            carries.append(negative)
        m.d.comb += self.o.eq(adder_tree(m, terms + carries))
        return m


class ShiftAdd(DotProduct):
    """Power-of-two weights, integer activations: shift by the exponent, add or subtract."""

    @property
    def latency(self) -> int:  # type: ignore[override]
        """Levels of the adder tree."""
        return tree_latency(2 * self.lanes)

    def elaborate(self, platform) -> Module:
        m = Module()
        field_width = self.operands.weight.width - 1
        terms, carries = [], []
        for weight, activation in self.pairs:
            field, sign = weight.as_value()[:field_width], weight.as_value()[field_width]
            # field f is 2**(f - 1); field 0 is zero, gated where the sign is applied anyway
            shifted = (activation.level << field) >> 1
            gated = Mux(field.any(), shifted, Const(0, shifted.shape()))
            positive, negative = _signs(gated, sign & field.any())
            terms.append(positive)
            carries.append(negative)
        m.d.comb += self.o.eq(adder_tree(m, terms + carries))
        return m


def _signs(level, negate) -> tuple[Term, Term]:
    """Return ``-level if negate else level`` as two terms: flipped bits, and the one that is added.

    The added ones of all lanes form a popcount, which is cheaper than an adder in each lane.
    """
    width = len(level) + 1
    flipped = (level ^ negate.replicate(width).as_signed())[:width].as_signed()
    term = Term.of(level)
    low, high = min(term.low, ~term.high), max(term.high, ~term.low)
    return Term(flipped, low, high), Term(negate, 0, 1)


class MiniFloatMultiply(DotProduct):
    """Minifloat weights, integer activations: times the significand, shifted, added or subtracted.

    The product is shifted and not the activation, which keeps the adders of the product narrow. It
    takes one register, however many they are: the shift behind it, with an adder of full width, is
    the longer way. With ``dsp`` the product is one ``*``, for a DSP block.
    """

    multiplies = True

    @property
    def latency(self) -> int:  # type: ignore[override]
        """The register of the product, and levels of the adder tree."""
        return 1 + tree_latency(2 * self.lanes)

    def elaborate(self, platform) -> Module:
        m = Module()
        fmt = self.operands.weight
        assert isinstance(fmt, MiniFloat)
        terms, carries = [], []
        for weight, activation in self.pairs:
            significand, shift, sign = fmt.fields(weight.as_value())
            product = delay(m, self._product(m, activation.level, significand))
            shifted = (product << delay(m, shift))[: len(product) + fmt.max_shift]
            level = shifted.as_signed() if product.shape().signed else shifted
            positive, negative = _signs(level, delay(m, sign))
            terms.append(positive)
            carries.append(negative)
        m.d.comb += self.o.eq(adder_tree(m, terms + carries))
        return m

    def _product(self, m: Module, level: Value, significand: Value) -> Value:
        if self.dsp:
            return level * significand
        rows = enumerate(partial_products(level, significand))
        return adder_tree(m, [row.shifted(bit) for bit, row in rows], registered=False)


class Multiply(DotProduct):
    """Integer weights, integer activations, any two widths, signed or unsigned.

    In logic cells, two lanes share their partial products: a bit of each of the two narrower
    operands selects 0, one of the wider operands, or the sum of both, which costs two LUTs a bit
    where two gates and an adder cost three. The selected terms of all lanes are summed bit by bit
    first and shifted afterwards, which keeps the adders narrow. With ``dsp`` every lane is one
    ``*``, which synthesis maps to a DSP block. A single lane takes Booth recoding
    of the narrower operand instead, if that is not too narrow (`recoded_product`).

    Parameters
    ----------
    operands, lanes, fabric, dsp
        As of all dot products.
    registered : bool
        A register behind the selected terms, where there is none: of more than two lanes, not
        recoded. It is a cycle of latency, and takes few cells.
    """

    multiplies = True

    def __init__(
        self,
        operands: Operands,
        lanes: int,
        *,
        fabric: Fabric = ANY,
        dsp: bool = False,
        registered: bool = False,
    ):
        super().__init__(operands, lanes, fabric=fabric, dsp=dsp)
        self.registered = registered and lanes > 2
        shapes = operands.weight.level_shape, operands.activation.level_shape
        narrow = min(shape.width for shape in shapes)
        self.recoded = lanes == 1 and narrow >= fabric.recoding and not dsp
        if dsp:
            self.latency = 1 + tree_latency(lanes)
        elif self.recoded:
            self.latency = recoded_latency(*shapes)
        else:
            columns = tree_latency((lanes + 1) // 2) + self.registered
            self.latency = columns + tree_latency(narrow)

    def elaborate(self, platform) -> Module:
        m = Module()
        levels = [(w.level, a.level) for w, a in self.pairs]
        if self.dsp:
            terms = [Term.of(delay(m, w * a)) for w, a in levels]
            m.d.comb += self.o.eq(adder_tree(m, terms))
            return m
        if self.recoded:
            m.d.comb += self.o.eq(recoded_product(m, *levels[0], registered=True))
            return m
        # the narrower operand selects, so that there are fewer rows
        levels = [tuple(sorted(pair, key=len, reverse=True)) for pair in levels]
        rows = [
            selected_terms(m, levels[lane : lane + 2], registered=self.registered)
            for lane in range(0, self.lanes, 2)
        ]
        sums = []
        for bit, column in enumerate(zip(*rows, strict=True)):
            low, high = sum(t.low for t in column), sum(t.high for t in column)
            same_sign = [replace(term, negative=False) for term in column]
            total = Term(adder_tree(m, same_sign), low, high, column[0].negative)
            sums.append(total.shifted(bit))
        m.d.comb += self.o.eq(adder_tree(m, sums))
        return m


def selected_terms(m: Module, pairs: list, *, registered: bool = False) -> list[Term]:
    """Return the partial products of one or two (wide, narrow) pairs, one for each narrow bit."""
    if registered:
        selected = selected_terms(m, pairs)
        return [replace(term, value=delay(m, term.value, name="selected")) for term in selected]
    if len(pairs) == 1:
        return partial_products(*pairs[0])
    (a, select_a), (b, select_b) = pairs
    both = Signal((a + b).shape())
    m.d.comb += both.eq(a + b)
    zero = Const(0, both.shape())
    singles = zip(partial_products(a, select_a), partial_products(b, select_b), strict=True)
    return [
        Term(
            Mux(select_a[bit], Mux(select_b[bit], both, a), Mux(select_b[bit], b, zero)),
            first.low + second.low,
            first.high + second.high,
            first.negative,
        )
        for bit, (first, second) in enumerate(singles)
    ]


DOT_PRODUCTS: dict[tuple[type[Format], type[Format]], type[DotProduct]] = {
    (Bipolar, Bipolar): XnorPopcount,
    (Bipolar, Fixed): AddSubtract,
    (PowerOfTwo, Fixed): ShiftAdd,
    (MiniFloat, Fixed): MiniFloatMultiply,
    (Fixed, Fixed): Multiply,
}
"""What computes with weights and activations of two kinds of formats; a new pair joins here."""
