"""Requantises sums of floats: multiply, add, convert, clamp."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from amaranth.hdl import Const, Fragment, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...gates.float_add import add
from ...gates.float_convert import convert
from ...gates.float_product import Factor, multiply
from ...gates.ieee import Parts, Sum
from ...gates.multiplier import recoded_latency, recoded_product
from ...gates.pipeline import Path, delay
from ...mac.float_stages import float_stages
from ...numbers.float_sum import FloatSum
from ...numbers.formats import Float, Format
from ...numbers.mode import Mode

__all__ = ["FloatRequantize", "FloatRequantizeConfig"]


@dataclass(frozen=True)
class FloatRequantizeConfig:
    """What a `FloatRequantize` computes.

    Attributes
    ----------
    accumulator : FloatSum
        Of the sums.
    multiplies : bool
        Whether there are multipliers; else all are 1, and take no gates.
    modes : sequence of Mode
        What each output is, in formats that the accumulator's holds.
    dsp : bool
        Multiply significands in DSP blocks.
    """

    accumulator: FloatSum
    multiplies: bool
    modes: Sequence[Mode]
    dsp: bool = False

    @property
    def sum(self) -> Shape:
        """Shape of a sum: its code."""
        return unsigned(self.accumulator.width)

    @property
    def parameters(self) -> data.StructLayout:
        """Layout of bias and multiplier: codes."""
        width = self.accumulator.width
        multiplier = width if self.multiplies else 0
        return data.StructLayout({"bias": unsigned(width), "multiplier": unsigned(multiplier)})

    @cached_property
    def latency(self) -> int:
        """Cycles from input to output."""
        fields = self.parameters["bias"].shape, self.parameters["multiplier"].shape
        values = [Signal(shape) for shape in (self.sum, *fields)]
        m = Module()
        _, latency = _requantized(m, self, *values)
        Fragment.get(m, None)  # which was only made to count registers
        return latency

    def component(self) -> "FloatRequantize":
        """Return the gates."""
        return FloatRequantize(self)


class FloatRequantize(wiring.Component):
    """Scale, convert and clamp: ``clamp(convert(i * multiplier + bias), low, high)``.

    The product and the sum are rounded to the accumulator's format, each to nearest even, and the
    result to that of the mode. Ends of the clamp are ranks, as are the outputs; minus zero is rank
    0. Every mode has an output of its own, always valid; a new input each cycle. Stages are those
    of the array's elements (`mac.float_stages`), and one for the clamp.

    Parameters
    ----------
    config : FloatRequantizeConfig

    Members
    -------
    i : In(config.sum)
        The code of a sum.
    i_bias, i_multiplier : In
        Codes, as ``config.parameters`` has them.
    o : Out of the level shape of ``config.modes[k].output``
        In ``outputs[k]``; members ``o_0``, ``o_1``.
    """

    i: Signal
    i_bias: Signal
    i_multiplier: Signal

    def __init__(self, config: FloatRequantizeConfig):
        self.config = config
        parameters = config.parameters
        super().__init__(
            {
                "i": In(config.sum),
                "i_bias": In(parameters["bias"].shape),
                "i_multiplier": In(parameters["multiplier"].shape),
            }
            | {f"o_{k}": Out(mode.output.level_shape) for k, mode in enumerate(config.modes)}
        )

    @property
    def outputs(self) -> list[Signal]:
        """The output of each mode."""
        return [getattr(self, f"o_{k}") for k in range(len(self.config.modes))]

    def elaborate(self, platform) -> Module:
        m = Module()
        levels, _ = _requantized(m, self.config, self.i, self.i_bias, self.i_multiplier)
        m.d.comb += [o.eq(level) for o, level in zip(self.outputs, levels, strict=True)]
        return m


def _requantized(
    m: Module, config: FloatRequantizeConfig, total: Value, bias: Value, multiplier: Value
) -> tuple[list[Value], int]:
    """Return the level of each mode, and after how many cycles they come."""
    fmt = config.accumulator.format
    parts, latency = Parts.of(fmt, total), 0
    stages = float_stages(None, config.accumulator, dsp=config.dsp)
    if config.multiplies:
        factors = Factor.of(fmt, total), Factor.of(fmt, multiplier)
        stages = float_stages(factors, config.accumulator, dsp=config.dsp)
        path = Path(m, stages.product)
        product = _times_in_blocks if config.dsp else _times
        parts = multiply(path, fmt, *factors, product).parts.stored(m)
        latency = path.stage + 1
    path = Path(m, stages.add)
    scaled = add(path, fmt, parts, Parts.of(fmt, delay(m, bias, latency)))
    latency += path.stage + 1
    codes, late = _converted(m, fmt, scaled, stages.add, config.modes)
    levels = []
    for mode in config.modes:
        level = Signal(mode.output.level_shape, reset_less=True)
        m.d.sync += level.eq(_clamp(m, mode, codes[mode.output]))
        levels.append(level)
    return levels, latency + late + 1


def _converted(
    m: Module, fmt: Float, scaled: Sum, places: Collection[str], modes: Sequence[Mode]
) -> tuple[dict[Format, Value], int]:
    """Return codes of each output, a cycle later or more, and how many more."""
    parts = scaled.parts.stored(m)
    codes: dict[Format, Value] = {fmt: delay(m, scaled.code())}
    stages: dict[Format, int] = {fmt: 0}
    for output in dict.fromkeys(mode.output for mode in modes):
        assert isinstance(output, Float)
        if output != fmt:
            path = Path(m, places)
            codes[output] = delay(m, convert(path, fmt, output, parts).code())
            stages[output] = path.stage + 1
    late = max(stages[mode.output] for mode in modes)
    later = {each: delay(m, code, late - stages[each]) for each, code in codes.items()}
    return later, late


def _times(path: Path, a: Value, b: Value) -> Value:
    """Return the product of two significands, as `mac.ieee` has it."""
    registered = "multiply" in path.places
    if registered:
        path.stage += recoded_latency(a.shape(), b.shape())
    return recoded_product(path.m, a, b, registered=registered)


def _times_in_blocks(path: Path, a: Value, b: Value) -> Value:
    return a * b


def _clamp(m: Module, mode: Mode, code: Value) -> Value:
    """Return the rank of a code, clamped as ``mode`` says."""
    fmt, (low, high) = mode.output, mode.clamp
    level = Signal(fmt.level_shape)
    m.d.comb += level.eq(fmt.level_of(code))
    clamped: Value = level
    if low > fmt.min_level:
        clamped = Mux(level < low, Const(low, fmt.level_shape), clamped)
    if high < fmt.max_level:
        clamped = Mux(level > high, Const(high, fmt.level_shape), clamped)
    return clamped
