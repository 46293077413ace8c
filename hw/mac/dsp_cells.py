"""Vendors' DSP blocks as components: the cell for synthesis, its behaviour otherwise.

Each elaborates to an `Instance` of the vendor's cell where there is a platform (a board's, or
the target that `synth.measure` passes on), and to gates that do the same, cycle by cycle, where
there is none, as in every simulation. Ports are the vendor's in lower case; parameters have the
vendor's names and, where nothing is said, the vendor's default 0.
"""

from collections.abc import Mapping

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..errors import GeometryError
from ..gates.pipeline import delay

__all__ = ["Mult18x18D", "SbMac16"]

_HALVES = ("TOP", "BOT")


class SbMac16(wiring.Component):
    """Lattice iCE40 UltraPlus ``SB_MAC16``: four 8x8 products, two 16-bit adders, two accumulators.

    With ``MODE_8x8`` it holds two multiply-accumulates that share nothing but the clock; without,
    one of 16x16 bits whose 32-bit accumulator is both adders behind each other. Nine register
    stages can be switched on one by one. Not modelled, and so refused or tied low: the cascade
    between blocks, the asynchronous resets, the falling edge.

    nextpnr 0.11 takes every port for one of a register: it does not see paths through the block.
    Only with ``A_REG``, ``B_REG`` and ``*OUTPUT_SELECT=1`` a clock that it reports is one that
    holds at the ports; paths inside are the vendor's matter.

    ``o`` is behind its inputs by as many cycles as registers on the way are switched on: one for
    ``A_REG`` and ``B_REG``, one for a product of 8x8 bits or two for one of 16x16, and one for
    ``*OUTPUT_SELECT=1``; by none where none is.

    Yosys 0.70 with ``synth_ice40 -dsp`` takes a block that is there already for one of its own and
    loses all of its parameters: do not let it infer blocks beside these.

    Source: Lattice, iCE Technology Library 3.0, SB_MAC16; the model in Yosys, with which tests
    compare this one, is ``ice40/cells_sim.v``.

    Parameters
    ----------
    parameters : int
        As the vendor's, ``A_REG=1``; those that are not given are 0.

    Members
    -------
    a, b, c, d : In(16)
    ce : In(1)
        Enables all registers; 1 where it is not connected.
    ahold, bhold, chold, dhold, oholdtop, oholdbot : In(1)
        Keep a register.
    oloadtop, oloadbot : In(1)
        The output register takes ``c``, ``d``, unless it is held.
    addsubtop, addsubbot : In(1)
        Subtract.
    o : Out(32)
        The top half's output above the bottom half's.

    Raises
    ------
    GeometryError
        For a parameter that does not exist or a value that is not modelled.
    """

    a: Signal
    b: Signal
    c: Signal
    d: Signal
    ce: Signal
    oholdtop: Signal
    oholdbot: Signal
    oloadtop: Signal
    oloadbot: Signal
    addsubbot: Signal
    o: Signal

    CONTROLS = (
        *("ahold", "bhold", "chold", "dhold", "oholdtop", "oholdbot"),
        *("oloadtop", "oloadbot", "addsubtop", "addsubbot"),
    )
    TIED = ("IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "CI", "ACCUMCI", "SIGNEXTIN")
    # parameter: its bits, and the values that are modelled
    PARAMETERS: Mapping[str, tuple[int, range]] = {
        **{name: (1, range(2)) for name in ("A_REG", "B_REG", "C_REG", "D_REG")},
        **{f"{half}_8x8_MULT_REG": (1, range(2)) for half in ("TOP", "BOT")},
        **{f"PIPELINE_16x16_MULT_REG{stage}": (1, range(2)) for stage in (1, 2)},
        **{name: (1, range(2)) for name in ("MODE_8x8", "A_SIGNED", "B_SIGNED")},
        **{f"{half}OUTPUT_SELECT": (2, range(4)) for half in ("TOP", "BOT")},
        **{f"{half}ADDSUB_UPPERINPUT": (1, range(2)) for half in ("TOP", "BOT")},
        "TOPADDSUB_LOWERINPUT": (2, range(4)),
        "BOTADDSUB_LOWERINPUT": (2, range(3)),
        "TOPADDSUB_CARRYSELECT": (2, range(4)),
        "BOTADDSUB_CARRYSELECT": (2, range(2)),
    }

    def __init__(self, **parameters: int):
        for name, value in parameters.items():
            if name not in self.PARAMETERS:
                raise GeometryError(
                    f"SB_MAC16 has no parameter {name} here; it has {', '.join(self.PARAMETERS)}"
                )
            allowed = self.PARAMETERS[name][1]
            if value not in allowed:
                raise GeometryError(f"{name} of SB_MAC16 is 0 to {allowed[-1]}, not {value}")
        self.parameters = dict.fromkeys(self.PARAMETERS, 0) | parameters
        idle = [
            name for name in self.parameters if name.startswith("PIPELINE") and parameters.get(name)
        ]
        if idle and parameters.get("MODE_8x8"):
            raise GeometryError(f"{idle[0]} of SB_MAC16 never loads with MODE_8x8; leave it 0")
        members: dict[str, wiring.Member] = {name: In(16) for name in "abcd"}
        members |= {name: In(1) for name in self.CONTROLS}
        members["ce"] = In(1, init=1)  # pyright: ignore[reportCallIssue] (not in the stubs)
        members["o"] = Out(32)
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        m = Module()
        if platform is None:
            self._behave(m)
            return m
        inputs = {name: getattr(self, name) for name in (*"abcd", "ce", *self.CONTROLS)}
        m.submodules.cell = Instance(
            "SB_MAC16",
            **{f"p_{k}": Const(v, self.PARAMETERS[k][0]) for k, v in self.parameters.items()},
            **{f"i_{name.upper()}": value for name, value in inputs.items()},
            **{f"i_{name}": Const(0) for name in self.TIED},
            i_CLK=ClockSignal(),
            o_O=self.o,
        )
        return m

    def _behave(self, m: Module) -> None:
        """Add gates that do what the DSP block does."""
        p = self.parameters
        a, b, c, d = (
            self._stored(m, getattr(self, name), p[f"{name.upper()}_REG"], f"{name}hold")
            for name in "abcd"
        )
        f, g, h = self._products(m, a, b)
        low, borrow = self._half(m, 1, d, (b, g, h[:16]), p["BOTADDSUB_CARRYSELECT"], (g, h[:16]))
        carry = (0, 1, borrow, borrow ^ self.addsubbot)[p["TOPADDSUB_CARRYSELECT"]]
        sign = (b, g, h[:16])[p["BOTADDSUB_LOWERINPUT"]][15].replicate(16)
        high, _ = self._half(m, 0, c, (a, f, h[16:], sign), carry, (f, h[16:]))
        m.d.comb += self.o.eq(Cat(low, high))

    def _stored(self, m: Module, value: Value, present: int, hold: str = "") -> Value:
        """Return ``value`` behind a register, if there is one."""
        if not present:
            return value
        with m.If(self.ce & ~getattr(self, hold) if hold else self.ce):
            return delay(m, value.as_unsigned(), name="register")

    def _products(self, m: Module, a: Value, b: Value) -> tuple[Value, Value, Value]:
        """Return the products of the upper bytes, of the lower bytes, and of both words."""
        p = self.parameters

        def byte(word: Value, at: int, *, is_signed: int) -> Value:
            part = word[at : at + 8]
            return part.as_signed() if is_signed and (at or p["MODE_8x8"]) else part

        high_a, high_b = (byte(w, 8, is_signed=p[f"{n}_SIGNED"]) for n, w in (("A", a), ("B", b)))
        low_a, low_b = (byte(w, 0, is_signed=p[f"{n}_SIGNED"]) for n, w in (("A", a), ("B", b)))
        middle = p["PIPELINE_16x16_MULT_REG1"]
        f = self._stored(m, (high_a * high_b)[:16], p["TOP_8x8_MULT_REG"])
        g = self._stored(m, (low_a * low_b)[:16], p["BOT_8x8_MULT_REG"])
        j = self._stored(m, (a[:8] * high_b)[:16], middle)
        k = self._stored(m, (high_a * b[:8])[:16], middle)
        j = j.as_signed() if p["B_SIGNED"] else j
        k = k.as_signed() if p["A_SIGNED"] else k
        total = Signal(32)
        m.d.comb += total.eq(g + (k << 8) + (j << 8) + (f << 16))
        return f, g, self._stored(m, total, p["PIPELINE_16x16_MULT_REG2"])

    def _half(
        self, m: Module, index: int, initial: Value, lower: tuple, carry: Value | int, direct: tuple
    ) -> tuple[Value, Value]:
        """Return the output of an adder with its register, and its carry."""
        name = _HALVES[index]
        low_name, p = name.lower(), self.parameters
        subtract = getattr(self, f"addsub{low_name}")
        register = Signal(16, reset_less=True, name=f"{low_name}_register")
        upper = initial if p[f"{name}ADDSUB_UPPERINPUT"] else register
        total = Signal(17, name=f"{low_name}_total")
        mask = subtract.replicate(16)
        other = lower[p[f"{name}ADDSUB_LOWERINPUT"]]
        m.d.comb += total.eq(other + (upper ^ mask) + carry)
        result = Signal(16, name=f"{low_name}_result")
        m.d.comb += result.eq(Mux(getattr(self, f"oload{low_name}"), initial, total[:16] ^ mask))
        with m.If(self.ce & ~getattr(self, f"ohold{low_name}")):
            m.d.sync += register.eq(result)
        return (result, register, *direct)[p[f"{name}OUTPUT_SELECT"]], total[16]


class Mult18x18D(wiring.Component):
    """Lattice ECP5 ``MULT18X18D``: one signed 18x18 product, behind any of its three registers.

    The die could split it into two 9x9, but Project Trellis, and so nextpnr-ecp5, knows no
    ``MULT9X9D``. Yosys infers the block without registers, which then take flip-flops.

    Source: Lattice, ECP5 sysDSP Usage Guide (FPGA-TN-02205). Yosys has no model of it: tests
    compare the cell with the one that Yosys infers, and what it multiplies is `o`'s definition.

    Parameters
    ----------
    registers : int
        How many register stages, in this order: 1 the output, 2 the inputs too, 3 all.

    Attributes
    ----------
    latency : int
        As many cycles.

    Members
    -------
    a, b : In(signed(18))
    o : Out(signed(36))

    Raises
    ------
    GeometryError
        For another number of register stages.
    """

    a: Signal
    b: Signal
    o: Signal

    def __init__(self, registers: int = 2):
        if registers not in range(1, 4):
            raise GeometryError(f"MULT18X18D has 1 to 3 register stages here, not {registers}")
        self.latency = registers
        super().__init__({"a": In(signed(18)), "b": In(signed(18)), "o": Out(signed(36))})

    def elaborate(self, platform) -> Module:
        m = Module()
        if platform is None:
            product = delay(m, self.a * self.b, self.latency, name="stage")
            m.d.comb += self.o.eq(product)
            return m
        stages = {"OUTPUT": 1, "INPUTA": 2, "INPUTB": 2, "PIPELINE": 3}
        clocks = {
            f"p_REG_{name}_CLK": "CLK0" if self.latency >= needed else "NONE"
            for name, needed in stages.items()
        }
        operands = {"A": self.a, "B": self.b, "C": Const(0, 18)}
        m.submodules.cell = Instance(
            "MULT18X18D",
            **clocks,
            **{f"i_{name}{i}": bits[i] for name, bits in operands.items() for i in range(18)},
            **{f"o_P{i}": self.o[i] for i in range(36)},
            i_SIGNEDA=Const(1),
            i_SIGNEDB=Const(1),
            i_SOURCEA=Const(0),
            i_SOURCEB=Const(0),
            i_CLK0=ClockSignal(),
            i_CE0=Const(1),
            i_RST0=Const(0),
        )
        return m
