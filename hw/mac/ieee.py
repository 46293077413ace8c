"""The multiply-accumulate of IEEE floats: the baseline that narrow integers are compared with."""

from amaranth.hdl import Module, Signal, Value

from ..errors import GeometryError
from ..gates.ieee import Parts, Product, Rounded, add
from ..gates.multiplier import recoded_product
from ..gates.pipeline import delay
from ..numbers.arithmetic import Accumulator
from ..numbers.ieee import Float
from ..numbers.operands import Operands
from .base import MAC

__all__ = ["FloatMAC"]


class FloatMAC(MAC):
    """Multiply floats and accumulate them in a float, as IEEE 754 does with single operations.

    Each product is rounded to the accumulator's format; the products of several lanes are added in
    a tree (neighbours in pairs, ascending; an odd one at the end waits), each sum rounded; then the
    accumulator takes the tree's sum, rounded again. All rounding is to nearest even. Subnormals,
    signed zeros and infinities are kept, nothing is flushed to zero, and a NaN is `Float.nan`. The
    accumulator starts at plus zero. This is `numbers.ieee.float_step`, to the bit.

    The accumulator is needed again in the next cycle, so its addition (compare exponents, align,
    add, normalise, round) is one combinational path, and limits the clock. Products have a register
    behind the multiplier and one behind the rounding, and each level of the tree has one.

    Parameters
    ----------
    operands : Operands
        Two floats, mostly the same.
    lanes : int
        Pairs a step.
    accumulator : Float
        Holds every value of both operands' formats: the same, or wider ones (``bf16`` in ``fp32``).
    doubling : bool
        There for `choice.macs`; floats refuse it.
    dsp : bool
        Whether significands are multiplied by one ``*``, which synthesis maps to DSP blocks.

    Raises
    ------
    GeometryError
        For operands or an accumulator that are no floats, an accumulator that is narrower, for bit
        planes, or without lanes.

    Notes
    -----
    ``o`` has the accumulator's format. ``o_overflow``: some product or sum of finite numbers became
    infinite. ``i_control.double`` has no meaning here and is not read.
    """

    def __init__(
        self,
        operands: Operands,
        lanes: int,
        accumulator: Accumulator | Float,
        *,
        doubling: bool = False,
        dsp: bool = False,
    ) -> None:
        self.formats = _checked(operands, accumulator)
        if doubling:
            raise GeometryError("floats have no bit planes, so nothing is doubled")
        if lanes < 1:
            raise GeometryError(f"a multiply-accumulate has at least 1 lane, not {lanes}")
        super().__init__(operands, lanes, accumulator)
        self.dsp = dsp
        self.latency = 2 + (lanes - 1).bit_length()

    def elaborate(self, platform) -> Module:
        m = Module()
        level = [self._product(m, lane) for lane in range(self.lanes)]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=False)
            sums = [self._add(m, a, b) for a, b in pairs]
            level = [_stored(m, each) for each in sums + level[2 * len(sums) :]]
        register = _Register(self.formats[2])
        total = self._add(m, Rounded(register.parts, register.overflow), level[0])
        with m.If(self.i_control.enable):
            m.d.sync += register.take(total)
            with m.If(self.i_control.last):
                m.d.sync += register.clear()
        m.d.comb += [self.o.eq(total.parts.code()), self.o_overflow.eq(total.overflow)]
        return m

    def _product(self, m: Module, lane: int) -> Rounded:
        """Return a lane's rounded product, two cycles late."""
        weight, activation, _ = self.formats
        a = Parts.of(weight, Value.cast(self.i_weights[lane]))
        b = Parts.of(activation, Value.cast(self.i_activations[lane]))
        product = self._multiply(m, a.significand, b.significand)
        exact = Product.of(a, b, product, self.formats).stored(m)
        return _stored(m, exact.rounded(m, self.formats))

    def _multiply(self, m: Module, a: Value, b: Value) -> Value:
        """Return the product of two significands."""
        return a * b if self.dsp else recoded_product(m, a, b)

    def _add(self, m: Module, a: Rounded, b: Rounded) -> Rounded:
        total = add(m, self.formats[2], a.parts, b.parts)
        return Rounded(total.parts, a.overflow | b.overflow | total.overflow)


def _checked(operands: Operands, accumulator: Accumulator | Float) -> tuple[Float, Float, Float]:
    """Return the formats of weights, activations and accumulator, if they go together."""
    weight, activation = operands.weight, operands.activation
    if not isinstance(weight, Float) or not isinstance(activation, Float):
        total = f", in {accumulator}" if isinstance(accumulator, Float) else ""
        raise GeometryError(
            f"floats are multiplied with floats and summed in floats; got {weight} x "
            f"{activation}{total}"
        )
    if not isinstance(accumulator, Float):
        raise GeometryError(
            f"{weight} x {activation} accumulates in a float, such as {weight}; got an integer "
            f"accumulator of {accumulator.width} bits"
        )
    if not (accumulator.holds_all(weight) and accumulator.holds_all(activation)):
        raise GeometryError(
            f"a {accumulator} accumulator does not hold all of {weight} x {activation}; it needs "
            "as many bits of exponent and of mantissa as both"
        )
    return weight, activation, accumulator


class _Register:
    """The accumulator: a float taken apart, plus zero at first, and its overflow flag."""

    def __init__(self, fmt: Float):
        self.fields = [Signal(width) for width in (fmt.mantissa, fmt.exponent, 1, 1)]
        self.parts = Parts(*self.fields)
        self.overflow = Signal()

    def take(self, total: Rounded) -> list:
        parts = total.parts
        values = (parts.mantissa, parts.exponent, parts.sign, parts.nan, total.overflow)
        pairs = zip([*self.fields, self.overflow], values, strict=True)
        return [signal.eq(value) for signal, value in pairs]

    def clear(self) -> list:
        return [signal.eq(0) for signal in (*self.fields, self.overflow)]


def _stored(m: Module, each: Rounded) -> Rounded:
    """Return the same a cycle later."""
    overflow = delay(m, each.overflow, name="overflow")
    return Rounded(each.parts.stored(m), overflow)
