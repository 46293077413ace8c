"""Requantises accumulators to output levels: multiply, add, shift, round, clamp."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...gates.adder import Term, adder_tree, partial_products, tree_latency
from ...gates.pipeline import delay
from ...numbers.formats import Bipolar
from ...numbers.mode import Mode

__all__ = ["Requantize", "RequantizeConfig"]


@dataclass(frozen=True)
class RequantizeConfig:
    """Sizes of a `Requantize`.

    Attributes
    ----------
    width, bias_width, multiplier_width : int
        Bits of the signed accumulator, the signed bias and the unsigned multiplier; a
        ``multiplier_width`` of 0 multiplies by 1, with no gates.
    modes : sequence of Mode
        What each output is; none of them with thresholds.
    dsp : bool
        Multiply in a DSP block.
    totals : sequence of int, optional
        Bits that ``i * multiplier + bias`` has at most where a mode is used; those above it are
        not looked at.
    """

    width: int
    bias_width: int
    multiplier_width: int
    modes: Sequence[Mode]
    dsp: bool = False
    totals: Sequence[int] | None = None

    @property
    def sum(self) -> Shape:
        """Shape of an accumulator."""
        return signed(self.width)

    @property
    def parameters(self) -> data.StructLayout:
        """Layout of bias and multiplier."""
        return data.StructLayout(
            {"bias": signed(self.bias_width), "multiplier": unsigned(self.multiplier_width)}
        )

    def component(self) -> "Requantize":
        """Return the gates."""
        return Requantize(self)

    @property
    def latency(self) -> int:
        """Cycles from input to output."""
        if not self.multiplier_width:
            return 2
        return 4 if self.dsp else 1 + tree_latency(self.multiplier_width + 1) + 1


class Requantize(wiring.Component):
    """Scale, shift and clamp: ``clamp((i * multiplier + bias) >> shift, low, high)``.

    With the half ``2**(shift - 1)`` in the bias, where `Program` puts it, this is the rounding
    requantisation of `Dense`: halves leave nothing below the shift, so that those of ``half_even``
    are seen there. A `Bipolar` output is ``+1 if i * multiplier + bias >= 0 else -1``.
    Every mode has an output of its own, always valid; a new input each cycle.

    Parameters
    ----------
    config : RequantizeConfig

    Attributes
    ----------
    latency : int
        Cycles from input to output.

    Members
    -------
    i : In(signed(config.width))
    i_bias : In(signed(config.bias_width))
    i_multiplier : In(unsigned(config.multiplier_width))
    o : Out of the level shape of ``config.modes[k].output``
        In ``outputs[k]``; members ``o_0``, ``o_1``.
    """

    i: Signal
    i_bias: Signal
    i_multiplier: Signal

    def __init__(self, config: RequantizeConfig):
        self.config, self.latency = config, config.latency
        super().__init__(
            {
                "i": In(signed(config.width)),
                "i_bias": In(signed(config.bias_width)),
                "i_multiplier": In(unsigned(config.multiplier_width)),
            }
            | {f"o_{k}": Out(mode.output.level_shape) for k, mode in enumerate(config.modes)}
        )

    @property
    def outputs(self) -> list[Signal]:
        """The output of each mode."""
        return [getattr(self, f"o_{k}") for k in range(len(self.config.modes))]

    def elaborate(self, platform) -> Module:
        m = Module()
        scaled = self._scaled(m)
        modes = self.config.modes
        widths = self.config.totals or [len(scaled)] * len(modes)
        for mode, output, width in zip(modes, self.outputs, widths, strict=True):
            total = scaled[:width].as_signed()
            level = Signal.like(output, reset_less=True)
            m.d.sync += level.eq(_clamp(mode, _shifted(mode, total), total))
            m.d.comb += output.eq(level)
        return m

    def _scaled(self, m: Module) -> Value:
        """Return ``i * multiplier + bias``, registered."""
        bias = Term.of(self.i_bias)
        if not self.config.multiplier_width:
            return adder_tree(m, [bias, Term.of(self.i)])
        if not self.config.dsp:
            # registered where they are selected: such a register costs no cell
            rows = [_stored(m, row) for row in partial_products(self.i, self.i_multiplier)]
            shifted = [row.shifted(bit) for bit, row in enumerate(rows)]
            return adder_tree(m, [_stored(m, bias), *shifted])
        # registers before and behind the product, which the block has inside
        level, multiplier = _stored(m, Term.of(self.i)), _stored(m, Term.of(self.i_multiplier))
        product = _stored(m, Term.of(level.value * multiplier.value))
        return adder_tree(m, [product, _stored(m, _stored(m, bias))])


def _stored(m: Module, term: Term) -> Term:
    """Return ``term`` a cycle later."""
    return replace(term, value=delay(m, term.value))


def _shifted(mode: Mode, total: Value) -> Value:
    """Return ``total``, which has the half in it, shifted and rounded."""
    level = total >> mode.shift
    if mode.rounding == "half_up" or not mode.shift:  # without a shift there are no halves
        return level
    # a half that went up to an odd level steps back, which only takes its lowest bit
    return Cat(level[0] & total[: mode.shift].any(), level[1:]).as_signed()


def _clamp(mode: Mode, value: Value, total: Value) -> Value:
    """Return ``value`` clamped as ``mode`` says; ``total`` gives a bipolar sign."""
    if mode.output == Bipolar():
        return Mux(total[-1], Const(-1, 2), Const(1, 2))
    low, high = mode.clamp
    if low == high:
        return Const(low, mode.output.level_shape)
    shape = Shape.cast(range(low, high + 1))
    level = _fitted(value, shape)
    if shape != mode.output.level_shape:  # it will be extended
        level = level[: shape.width].as_signed() if shape.signed else level[: shape.width]
    # where the ends are not those of the shape
    if low > _ends(shape)[0]:
        level = Mux(_exceeds(level, shape, low - 1), level, Const(low, shape))
    if high < _ends(shape)[1]:
        level = Mux(_exceeds(level, shape, high), Const(high, shape), level)
    return level


def _ends(shape: Shape) -> tuple[int, int]:
    """Return the lowest and the highest level of a shape."""
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    return low, low + (1 << shape.width) - 1


def _fitted(value: Value, shape: Shape) -> Value:
    """Return ``value`` clamped to the range of ``shape``."""
    magnitude = shape.width - shape.signed
    if len(value) <= magnitude + 1:
        value = value | Const(0, signed(magnitude + 2))
    negative, upper = value[-1], value[magnitude:-1]
    low, high = (Const(end, shape) for end in _ends(shape))
    fits = Mux(negative, upper.all() & shape.signed, ~upper.any())
    return Mux(fits, value[: shape.width], Mux(negative, low, high))


def _exceeds(level: Value, shape: Shape, limit: int) -> Value:
    """Return ``level > limit`` in gates that merge with others; a ``>`` would be a carry chain."""
    exceeds: Value = Const(0)
    above = limit - _ends(shape)[0]
    for bit in range(shape.width):
        # counted from the lowest level, where a sign bit stands upside down
        each = level[bit] ^ (shape.signed and bit == shape.width - 1)
        exceeds = each & exceeds if above >> bit & 1 else each | exceeds
    return exceeds
