"""A shell with six pins around any component, so that it can be placed on any package."""

from collections.abc import Collection, Iterator
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..errors import NarrowgaugeError

__all__ = ["Shell"]


class Shell(wiring.Component):
    """Feed every input of a component from registers and catch every output in registers.

    The input registers are a shift register that moves while ``shift`` is 1; the output registers
    take all outputs while ``load`` is 1, and otherwise shift what comes from the input chain. So
    each path of the component starts and ends in a register, nothing is constant, nothing is
    unused, and six pins do (with ``clk`` and ``rst``). The chains are not reset.

    ``shift`` is there for a second reason: a free-running shift register would do the same as
    a component that passes its input on through a register, and Yosys would merge the two.

    Parameters
    ----------
    component : wiring.Component
        What is to be measured; its clock domain is ``sync``.
    ignore : collection of str
        Outputs that stay unconnected, so that what drives only them is swept away: names of
        members (``trace``) or of one signal inside (``trace.payload``).

    Attributes
    ----------
    inputs, outputs : int
        Bits driven and bits caught.
    driven, caught : tuple of (str, int)
        Ports and their bits, in the order of the chains, as Amaranth names them: ``o__payload``.
    ff, lut : int
        What the shell itself costs: a register a bit, and three for ``d``, ``shift`` and ``load``;
        a LUT a caught bit (its multiplexer, which shares a logic cell with its register).

    Members
    -------
    d : In(1)
        Into the input chain.
    shift, load : In(1)
        Advance the input chain; take the outputs.
    q : Out(1)
        Out of the output chain.

    Raises
    ------
    NarrowgaugeError
        For an ``ignore`` that names no output, or a component without inputs or outputs.
    """

    d: Signal
    shift: Signal
    load: Signal
    q: Signal

    def __init__(self, component: wiring.Component, *, ignore: Collection[str] = ()) -> None:
        self.component: Any = component
        inputs = [(path, value) for path, flow, value in _ports(component) if flow is In]
        outputs = [(path, value) for path, flow, value in _ports(component) if flow is Out]
        caught = [(path, value) for path, value in outputs if not _named(path, ignore)]
        self._driven, self._caught = ([value for _, value in each] for each in (inputs, caught))
        self.driven, self.caught = (
            tuple(("__".join(path), len(value)) for path, value in each)
            for each in (inputs, caught)
        )
        unknown = [name for name in ignore if not any(_named(path, [name]) for path, _ in outputs)]
        if unknown:
            raise NarrowgaugeError(
                f"no output named {', '.join(unknown)} to ignore in {type(component).__name__}; "
                f"its outputs are {', '.join('.'.join(path) for path, _ in outputs)}"
            )
        self.inputs = sum(map(len, self._driven))
        self.outputs = sum(map(len, self._caught))
        if not self.inputs or not self.outputs:
            raise NarrowgaugeError(
                f"{type(component).__name__} has {self.inputs} input and {self.outputs} output "
                "bits to measure between; both must be at least 1"
            )
        self.ff = self.inputs + self.outputs + 3
        self.lut = self.outputs
        super().__init__({"d": In(1), "shift": In(1), "load": In(1), "q": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Build the two chains."""
        m = Module()
        m.submodules.component = self.component
        source = Signal(self.inputs, reset_less=True)
        result = Signal(self.outputs, reset_less=True)
        # The controls go to every register: from a register, they can become global nets.
        d, shift, load = (Signal(name=name, reset_less=True) for name in ("d", "shift", "load"))
        m.d.sync += [d.eq(self.d), shift.eq(self.shift), load.eq(self.load)]
        with m.If(shift):
            m.d.sync += source.eq(Cat(d, source))
        # A constant at the beginning of the chain would make its first bit cost more than others.
        m.d.sync += result.eq(Mux(load, Cat(*self._caught), Cat(source[-1], result)))
        m.d.comb += [Cat(*self._driven).eq(source), self.q.eq(result[-1])]
        return m


def _ports(component: wiring.Component) -> Iterator[tuple[tuple[str, ...], Any, Value]]:
    """Yield path, direction and value of every port that is a signal."""
    for path, member, value in component.signature.flatten(component):
        bits = Value.cast(value)
        if not isinstance(bits, Const):  # a stream's constant ready or valid is no port
            yield tuple(str(part) for part in path), member.flow, bits


def _named(path: tuple[str, ...], names: Collection[str]) -> bool:
    return any(".".join(path[:length]) in names for length in range(1, len(path) + 1))
