"""The multiply-accumulate of IEEE floats: the baseline that narrow integers are compared with."""

from dataclasses import replace
from itertools import pairwise
from math import ceil, prod

from amaranth.hdl import Cat, Const, Module, Signal, Value

from ..errors import GeometryError
from ..gates.float_add import add
from ..gates.float_product import Factor, multiply
from ..gates.ieee import Parts, Rounded, Sum
from ..gates.multiplier import recoded_latency, recoded_product
from ..gates.pipeline import Path, delay, delays
from ..numbers.arithmetic import Accumulator
from ..numbers.float_sum import FloatSum
from ..numbers.formats import Bipolar
from ..numbers.ieee import Float
from ..numbers.operands import Operands
from .base import MAC
from .float_stages import FloatStages, float_stages
from .turns import turns

__all__ = ["FloatMAC", "blocks_of_lane"]

BLOCK = 16  # bits of unsigned factors that the DSP blocks of all families multiply


def blocks_of_lane(operands: Operands) -> int:
    """Return how many DSP blocks a product of significands takes; 0 of one bit, which has none."""
    formats = operands.weight, operands.activation
    widths = [len(Factor.of(fmt, Signal(fmt.width)).significand) for fmt in formats]
    return prod(ceil(width / BLOCK) for width in widths) if min(widths) > 1 else 0


class FloatMAC(MAC):
    """Multiply floats and accumulate them in floats, as IEEE 754 does with single operations.

    Each product is rounded to the accumulator's format; the products of several lanes are added in
    a tree (neighbours in pairs, ascending; an odd one at the end waits), each sum rounded; then one
    of the partial sums takes the tree's sum, rounded again. All rounding is to nearest even.
    Subnormals, signed zeros and infinities are kept, nothing is flushed to zero, and a NaN is
    `Float.nan`. This is `numbers.float_sum.float_total`, to the bit. Weights may also have levels:
    then a product is that of the activation and the number that the level is.

    An addition is compare exponents, align, add, normalise, round. With one partial sum it is
    needed again in the next cycle, so all of that is one combinational path, and limits the clock.
    With more of them it has as many stages, and they take turns: what comes back from the adder is
    the partial sum that is next. After the last step the adder adds the partial sums (`turns`); its
    other operand, which is the register that products or the tree end in, is where one waits for
    its neighbour.

    Steps of a sum are in consecutive cycles, where there are several partial sums: a cycle that is
    not enabled ends none, but counts as a step of +0 between two others.

    Parameters
    ----------
    operands : Operands
        A float activation, and a weight of any format.
    lanes : int
        Pairs a step.
    accumulator : FloatSum
        Its format holds every value of floats among the operands: the same, or a wider one
        (``bf16`` in ``fp32``).
    doubling : bool
        There for `choice.macs`; floats refuse it.
    dsp : bool
        Whether significands are multiplied by one ``*``, which synthesis maps to DSP blocks.
    stages : FloatStages, optional
        Where registers are; by default `float_stages` says it.

    Raises
    ------
    GeometryError
        For operands or an accumulator that do not go together, an accumulator that is narrower, for
        bit planes, or without lanes.

    Notes
    -----
    ``o`` has the accumulator's format. ``o_overflow``: some product or sum of finite numbers became
    infinite. ``i_control.double`` has no meaning here and is not read.
    """

    def __init__(
        self,
        operands: Operands,
        lanes: int,
        accumulator: Accumulator | FloatSum,
        *,
        doubling: bool = False,
        dsp: bool = False,
        stages: FloatStages | None = None,
    ) -> None:
        self.total = _checked(operands, accumulator)
        assert isinstance(accumulator, FloatSum)
        if doubling:
            raise GeometryError("floats have no bit planes, so nothing is doubled")
        if lanes < 1:
            raise GeometryError(f"a multiply-accumulate has at least 1 lane, not {lanes}")
        super().__init__(operands, lanes, accumulator)
        self.dsp, self.partial_sums = dsp, accumulator.partial_sums
        self.stages = stages or float_stages(self._shapes(), accumulator, dsp=dsp)
        self.gap = turns(self.partial_sums).last
        self.delay = self.gap + self.partial_sums - 1
        # each path ends in a register
        tree = (lanes - 1).bit_length() * (1 + len(self.stages.add))
        self.latency = self._product_latency() + 1 + tree

    def elaborate(self, platform) -> Module:
        m = Module()
        level = [self._product(m, lane) for lane in range(self.lanes)]
        while len(level) > 1:
            level = [_stored(m, each) for each in level]
            pairs = zip(level[::2], level[1::2], strict=False)
            sums = [self._add(m, a, b) for a, b in pairs]
            level = sums + [
                _stored(m, each, len(self.stages.add)) for each in level[2 * len(sums) :]
            ]
        register = _Register(self.total)
        if self.partial_sums == 1:
            total = self._alone(m, register, level[0])
        else:
            total = self._in_turn(m, register, level[0])
        m.d.comb += [self.o.eq(total.code()), self.o_overflow.eq(total.overflow)]
        return m

    def _alone(self, m: Module, register: "_Register", step: Rounded) -> Sum:
        """Return the one sum with the step that control is of, which it keeps."""
        total = self._add(m, register.content, _stored(m, step))
        with m.If(self.i_control.enable):
            m.d.sync += register.take(total)
            with m.If(self.i_control.last):
                m.d.sync += register.clear()
        return total

    def _in_turn(self, m: Module, back: "_Register", step: Rounded) -> Sum:
        """Return what the adder gives that partial sums take turns in."""
        plan, enable = turns(self.partial_sums), self.i_control.enable
        ended = enable & self.i_control.last
        after = delays(m, ended, plan.last, name="after_{}", reset_less=False)
        stack = [_Register(self.total) for _ in range(plan.depth)]
        total = self._add(m, back.content, stack[0].content)
        # what comes back counts as +0, but for steps and sums that are still to be added
        feed = Cat(after[cycle] for cycle in plan.feeds[:-1]).any()
        counts = delay(m, enable | feed, self.partial_sums - 1, name="counts", reset_less=False)
        m.d.sync += back.take(total)
        with m.If(~counts):
            m.d.sync += back.clear()
        cycles = range(1, plan.last + 1)
        push = Cat(after[cycle] for cycle in plan.pushes).any()
        pop = Cat(after[cycle] for cycle in plan.feeds if plan.waiting(cycle) > 1).any()
        held = [each for each in cycles if plan.waiting(each) and each not in plan.feeds]
        held = Cat(after[each] for each in held).any()
        with m.If(push):
            m.d.sync += stack[0].take(back.content)
        with m.Elif(~held):
            m.d.sync += stack[0].take(step)
        for upper, lower in pairwise(stack):
            with m.If(push):
                m.d.sync += lower.take(upper.content)
            with m.If(pop):
                m.d.sync += upper.take(lower.content)
        return total

    @property
    def _exact(self) -> bool:
        """Whether a product is the activation, with another sign."""
        weight, activation = self.operands.weight, self.operands.activation
        assert isinstance(activation, Float)
        return isinstance(weight, Bipolar) and activation.exponent == self.total.exponent

    def _factors(self, *codes: Value) -> tuple[Factor, Factor]:
        weight, activation = self.operands.weight, self.operands.activation
        return Factor.of(weight, codes[0]), Factor.of(activation, codes[1])

    def _shapes(self) -> tuple[Factor, Factor] | None:
        """Return the factors of no codes in particular; None where there is nothing to multiply."""
        widths = self.operands.weight.width, self.operands.activation.width
        return None if self._exact else self._factors(*map(Signal, widths))

    def _product_latency(self) -> int:
        """Return the cycles of a product, without its last register."""
        places = self.stages.product
        if "multiply" not in places:
            return len(places)
        shapes = [each.significand.shape() for each in self._shapes() or ()]
        return len(places) - 1 + recoded_latency(*shapes)

    def _product(self, m: Module, lane: int) -> Rounded:
        """Return a lane's rounded product."""
        weight, code = Value.cast(self.i_weights[lane]), Value.cast(self.i_activations[lane])
        if self._exact:
            activation = self.operands.activation
            assert isinstance(activation, Float)
            parts = Parts.of(activation, code)
            mantissa = Cat(Const(0, self.total.mantissa - len(parts.mantissa)), parts.mantissa)
            signed = replace(parts, mantissa=mantissa, sign=parts.sign ^ ~weight[0])
            return Rounded(signed, Const(0, 1))
        path = Path(m, self.stages.product)
        return multiply(path, self.total, *self._factors(weight, code), self._significands)

    def _significands(self, path: Path, a: Value, b: Value) -> Value:
        """Return the product of two significands."""
        if len(a) == 1:
            return b & a.replicate(len(b))
        if self.dsp:
            return a * b
        registered = "multiply" in path.places
        if registered:
            path.stage += recoded_latency(a.shape(), b.shape())
        return recoded_product(path.m, a, b, registered=registered)

    def _add(self, m: Module, a: Rounded, b: Rounded) -> Sum:
        """Return a sum, as many cycles late as `FloatStages` says."""
        path = Path(m, self.stages.add)
        before = path.later(a.overflow | b.overflow)
        total = add(path, self.total, a.parts, b.parts)
        return replace(total, overflow=before() | total.overflow)


def _checked(operands: Operands, accumulator: Accumulator | FloatSum) -> Float:
    """Return the format of the sum, if operands and accumulator go together."""
    pair = f"{operands.weight} x {operands.activation}"
    if not isinstance(operands.activation, Float):
        total = f", in {accumulator.format}" if isinstance(accumulator, FloatSum) else ""
        raise GeometryError(
            f"floats are summed of products with float activations; got {pair}{total}"
        )
    if not isinstance(accumulator, FloatSum):
        raise GeometryError(
            f"{pair} accumulates in a float, such as {operands.activation}; got an integer "
            f"accumulator of {accumulator.width} bits"
        )
    floats = [each for each in (operands.weight, operands.activation) if isinstance(each, Float)]
    if not all(map(accumulator.format.holds_all, floats)):
        raise GeometryError(
            f"a {accumulator.format} accumulator does not hold all of {pair}; it needs as many "
            "bits of exponent and of mantissa as both"
        )
    return accumulator.format


class _Register:
    """A float taken apart, plus zero at first, and its overflow flag."""

    def __init__(self, fmt: Float):
        # the biased exponent of zero is 1
        self.fields = [
            Signal(fmt.mantissa),
            Signal(fmt.exponent, init=1),
            *(Signal() for _ in range(3)),
        ]
        self.overflow = Signal()
        self.content = Rounded(Parts(*self.fields), self.overflow)

    def take(self, total: Rounded) -> list:
        pairs = zip(
            [*self.fields, self.overflow], [*total.parts.fields, total.overflow], strict=True
        )
        return [signal.eq(value) for signal, value in pairs]

    def clear(self) -> list:
        return [signal.eq(signal.init) for signal in (*self.fields, self.overflow)]


def _stored(m: Module, each: Rounded, cycles: int = 1) -> Rounded:
    """Return the same some cycles later."""
    overflow = delay(m, each.overflow, cycles, name="overflow")
    return Rounded(each.parts.stored(m, cycles), overflow)
