"""The output-stationary systolic array and its processing element."""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..errors import GeometryError
from ..gates.pipeline import delay, delays
from ..geometry import Geometry
from ..mac.base import MAC
from ..mac.choice import macs
from ..mac.control import CONTROL
from ..mac.fabric import ANY, Fabric
from ..numbers.arithmetic import Accumulator
from ..numbers.fixed_sum import FixedSum
from ..numbers.float_sum import FloatSum
from ..numbers.operands import Operands
from .differences import Differences

__all__ = ["PE", "SystolicArray", "drained"]


def drained(accumulator: Accumulator | FloatSum) -> data.StructLayout:
    """Return the layout of a finished partial sum, and whether any step overflowed.

    It is a level, or the code of a float.
    """
    width = accumulator.width
    shape = unsigned(width) if isinstance(accumulator, FloatSum) else signed(width)
    return data.StructLayout({"sum": shape, "overflow": 1})


class PE(wiring.Component):
    """A processing element: a multiply-accumulate, and one link of the drain chain.

    Operands enter at any cycle; their control enters ``mac.latency`` cycles later. ``mac.delay``
    cycles after the control with ``last`` the finished partial sum is captured in the drain
    register, and with ``i_shift`` that register takes over its neighbour's.

    Parameters
    ----------
    mac : MAC
        What computes.
    waits : bool
        Whether a captured partial sum stays until ``i_shift``. Where all elements capture in one
        cycle and sums leave from the next one on, none has to: ``i_shift`` is not used then, and
        the register needs no enable, which is a long way on a small FPGA.

    Members
    -------
    i_weights, i_activations : In(ArrayLayout(format, lanes))
    i_control : In(CONTROL)
    i_signed : In(1)
        As of ``mac``, where that has it.
    i_shift : In(1)
    i_drain, o_drain : In/Out(drained(accumulator))

    Raises
    ------
    GeometryError
        For a multiply-accumulate whose sums of floats are exact (`FixedSum`).
    """

    i_weights: data.View
    i_activations: data.View
    i_control: data.View
    i_signed: Signal
    i_shift: Signal
    i_drain: data.View
    o_drain: data.View

    def __init__(self, mac: MAC, *, waits: bool = True):
        self.mac, self.waits = mac, waits
        if isinstance(mac.accumulator, FixedSum):
            raise GeometryError("an array has no exact sums of floats; take a FloatSum")
        layout = drained(mac.accumulator)
        super().__init__(
            {
                "i_weights": In(data.ArrayLayout(mac.operands.weight, mac.lanes)),
                "i_activations": In(data.ArrayLayout(mac.operands.activation, mac.lanes)),
                "i_control": In(CONTROL),
                **({"i_signed": In(1)} if mac.sliced else {}),
                "i_shift": In(1),
                "i_drain": In(layout),
                "o_drain": Out(layout),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.mac = mac = self.mac
        m.d.comb += [
            mac.i_weights.eq(self.i_weights),
            mac.i_activations.eq(self.i_activations),
            mac.i_control.eq(self.i_control),
        ]
        if mac.sliced:
            m.d.comb += mac.i_signed.eq(self.i_signed)
        captured = self.i_control.enable & self.i_control.last
        captured = delay(m, captured, mac.delay, name="captured", reset_less=False)
        total = Value.cast(mac.o)
        with m.If(captured | self.i_shift | (not self.waits)):
            m.d.sync += [
                self.o_drain.sum.eq(Mux(captured, total, self.i_drain.sum)),
                self.o_drain.overflow.eq(Mux(captured, mac.o_overflow, self.i_drain.overflow)),
            ]
        return m


class SystolicArray(wiring.Component):
    """Output-stationary array: ``rows`` x ``columns`` elements keep their partial sums.

    Each cycle takes one word of activations a row, one word of weights a column, and the control
    of the step. The step with ``last`` ends the tile, a partial sum in each element; ``latency``
    cycles after it they leave, one a cycle and chain, row by row, while the next tile computes: the
    first chain has rows 0, ``chains``, ``2 * chains``, ..., the second one those that follow. Two
    steps with ``last`` must be at least ``interval`` cycles apart.

    Parameters
    ----------
    geometry : Geometry
        Rows, columns, lanes, chains, the hop (pipeline distance), and the bits of a slice.
    operands : Operands
        Formats of weights and activations; of slices of weights, where there are any.
    accumulator : Accumulator or FloatSum
        Width and overflow mode; of floats, their format and partial sums.
    doubling : bool
        Whether steps may double the partial sum (bit planes), or shift it (slices).
    fabric : Fabric
        The devices whose structures are taken; with DSP blocks, as far as there are enough.

    Attributes
    ----------
    latency : int
        Cycles from the operands of the last step to the first drained partial sums.
    interval : int
        Least cycles between two last steps.
    gap : int or None
        Of floats, cycles after a last step in which no step of the next tile may come. Their steps
        are in consecutive cycles, from the first of a tile to the last. None where steps may pause.
    observes_overflow : bool
        Whether sums come with their flags; if not, the flags are 0.

    Raises
    ------
    GeometryError
        As `mac.macs` does.

    Members
    -------
    i_activations : In(ArrayLayout(ArrayLayout(format, lanes), rows))
    i_weights : In(ArrayLayout(ArrayLayout(format, lanes), columns))
    i_control : In(CONTROL)
    i_signed : In(1)
        The top bits of these slices count negative; only where there are slices.
    o : Out(ArrayLayout(drained(accumulator), chains))
    o_valid : Out(1)
    """

    i_activations: data.View
    i_weights: data.View
    i_control: data.View
    i_signed: Signal
    o: data.View
    o_valid: Signal

    def __init__(
        self,
        geometry: Geometry,
        operands: Operands,
        accumulator: Accumulator | FloatSum,
        *,
        doubling: bool = False,
        fabric: Fabric = ANY,
    ):
        self.geometry, self.accumulator = geometry, accumulator
        count, lanes = geometry.elements, geometry.lanes
        sliced = geometry.slice is not None
        found, self.blocks = macs(
            operands,
            lanes,
            accumulator,
            count,
            doubling=doubling,
            sliced=sliced,
            fabric=fabric,
        )
        self.observes_overflow = all(mac.observes_overflow for mac in found)
        # the elements may differ: sums leave when the last one has captured its own
        captures = [mac.latency + mac.delay for mac in found]
        waits = geometry.skew > 0 or min(captures) < max(captures)
        elements = [PE(mac, waits=waits) for mac in found]
        self.elements = [
            elements[first : first + geometry.columns]
            for first in range(0, count, geometry.columns)
        ]
        self._captured = max(captures) + geometry.skew
        self._differences = None
        if found[0].cumulative:
            self._differences = Differences(
                accumulator.width, geometry.chains, geometry.drain_cycles
            )
        self.latency = self._captured + 1 + (Differences.latency if found[0].cumulative else 0)
        self.interval = geometry.drain_cycles + geometry.skew + max(captures) - min(captures)
        of_floats = isinstance(accumulator, FloatSum)
        self.gap = max(mac.gap for mac in found) if of_floats else None
        activations = data.ArrayLayout(operands.activation, geometry.lanes)
        weights = data.ArrayLayout(operands.weight, geometry.lanes)
        super().__init__(
            {
                "i_activations": In(data.ArrayLayout(activations, geometry.rows)),
                "i_weights": In(data.ArrayLayout(weights, geometry.columns)),
                "i_control": In(CONTROL),
                **({"i_signed": In(1)} if sliced else {}),
                "o": Out(data.ArrayLayout(drained(accumulator), geometry.chains)),
                "o_valid": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        rows, columns, hop = self.geometry.rows, self.geometry.columns, self.geometry.hop
        controls = delays(m, self.i_control, self._captured, name="stage", reset_less=False)
        signed = self._signed(m)
        draining = self._drain_counter(m, controls[-1])
        for index, block in enumerate(self.blocks):
            m.submodules[f"block_{index}"] = block
        drained_sums = self._output(m, draining)
        for index in range(self.geometry.chains):
            chain = [each for row in self.elements[index :: self.geometry.chains] for each in row]
            m.d.comb += drained_sums[index].eq(chain[0].o_drain)
            for element, following in zip(chain, [*chain[1:], None], strict=True):
                m.d.comb += element.i_shift.eq(draining)
                if following is not None:
                    m.d.comb += element.i_drain.eq(following.o_drain)

        for r in range(rows):
            word = delay(m, self.i_activations[r], r // hop, name="stage")
            for c in range(columns):
                if c and c % hop == 0:
                    word = delay(m, word, name="stage")
                m.submodules[f"pe_{r}_{c}"] = element = self.elements[r][c]
                m.d.comb += [
                    element.i_activations.eq(word),
                    element.i_control.eq(controls[element.mac.latency + r // hop + c // hop]),
                ]
                if signed:
                    lag = element.mac.sign_latency + r // hop + c // hop
                    m.d.comb += element.i_signed.eq(signed[lag])
        for c in range(columns):
            word = delay(m, self.i_weights[c], c // hop, name="stage")
            for r in range(rows):
                if r and r % hop == 0:
                    word = delay(m, word, name="stage")
                m.d.comb += self.elements[r][c].i_weights.eq(word)
        return m

    def _signed(self, m: Module) -> list[Signal]:
        """Return the sign of the slices, cycle after cycle; nothing where there are none."""
        if self.geometry.slice is None:
            return []
        most = self.elements[0][0].mac.sign_latency + self.geometry.skew
        return delays(m, self.i_signed, most, name="signed")

    def _output(self, m: Module, draining: Signal) -> data.View:
        """Return what the chains drive: the output, or what becomes it."""
        if self._differences is None:
            m.d.comb += self.o_valid.eq(draining)
            return self.o
        m.submodules.differences = differences = self._differences
        totals = Signal.like(self.o)
        m.d.comb += differences.i_valid.eq(draining)
        for index in range(self.geometry.chains):
            m.d.comb += [
                differences.i[index].eq(totals[index].sum),
                self.o[index].sum.eq(differences.o[index]),
            ]
        valid = delay(m, draining, differences.latency, name="valid", reset_less=False)
        m.d.comb += self.o_valid.eq(valid)
        return totals

    def _drain_counter(self, m: Module, control):
        """Return the signal, high while partial sums leave, from the cycle after ``control.last``.

        It comes from a register: every element and the loops behind the array hang on it.
        """
        left = Signal(range(self.geometry.drain_cycles))  # sums after this one
        draining, more = Signal(), Signal()
        with m.If(control.enable & control.last):
            others = self.geometry.drain_cycles - 1
            m.d.sync += [draining.eq(1), left.eq(others), more.eq(others != 0)]
        with m.Elif(draining):
            m.d.sync += [draining.eq(more), left.eq(left - 1), more.eq(more & (left != 1))]
        return draining
