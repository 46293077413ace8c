"""Accumulator and requantiser: gates compute what `narrowgauge.hw.numbers.arithmetic` defines."""

from collections.abc import Iterator
from functools import partial

import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from narrowgauge.hw.accelerator.outputs import requantize
from narrowgauge.hw.accelerator.outputs.requantize import Requantize, RequantizeConfig
from narrowgauge.hw.mac import accumulator as accumulate
from narrowgauge.hw.mac.accumulator import Accumulate
from narrowgauge.hw.numbers.arithmetic import Accumulator, round_shift
from narrowgauge.hw.numbers.formats import Bipolar, parse
from narrowgauge.hw.numbers.mode import Mode

from ..hw.fabrics import FABRICS
from .proof import Assert, Assume, Inside, Proof, Spec, delayed, edit, free

__all__ = ["PROOFS"]


def clamp(value: Value, low: int, high: int) -> Value:
    return Mux(value < low, low, Mux(value > high, high, value))


class AccumulateSpec(Spec):
    """Beside the gates runs a sum as `Accumulator` defines it, step by step."""

    def __init__(self, accumulator: Accumulator, step_width: int, **options):
        super().__init__()
        self.accumulator, self.gates = accumulator, Accumulate(accumulator, step_width, **options)

    def fitted(self, exact: Value) -> Value:
        low, high = self.accumulator.min_level, self.accumulator.max_level
        if self.accumulator.overflow == "saturate":
            return clamp(exact, low, high)
        return ((exact - low) & (high - low)) + low

    def properties(self, m: Module) -> None:
        gates, fits = self.gates, self.accumulator
        inside = Inside(gates)
        m.submodules.gates = inside.fragment
        control = gates.i_control
        m.d.comb += [gates.i.eq(free(len(gates.i))), control.eq(free(control.shape().size))]
        m.d.comb += Assume(~(control.double & control.last))
        if not gates.doubling:
            m.d.comb += Assume(~control.double)
        total, overflowed = Signal(signed(fits.width)), Signal()  # before this step
        added, added_over = Signal.like(total), Signal()  # with it
        doubled, doubled_over = Signal.like(total), Signal()  # and doubled, where it says so
        exact = total + gates.i
        m.d.comb += [
            added.eq(self.fitted(exact)),
            added_over.eq(overflowed | fits.overflows(exact)),
            doubled.eq(Mux(control.double, self.fitted(added << gates.shift), added)),
            doubled_over.eq(added_over | (control.double & fits.overflows(added << gates.shift))),
        ]
        ends = control.last & gates.restart
        with m.If(control.enable):
            m.d.sync += [
                total.eq(Mux(ends, 0, doubled)),
                overflowed.eq(~ends & doubled_over),
            ]
        self.compare(m, control, (added, added_over), (doubled, doubled_over))
        # what makes it inductive: the registers hold the sum between steps
        fresh = inside["fresh"] if gates.latency and gates.restart else Const(0)
        self.invariant(
            m,
            fresh | (inside["register"] == total),
            fresh | (inside["sticky"] == overflowed),
            ~fresh | ((total == 0) & ~overflowed),
        )

    def compare(self, m: Module, control, now: tuple, after: tuple) -> None:
        """Assert that sum and flag are right in every step, the one with ``last`` included."""
        gates = self.gates
        if not gates.latency:
            right = (gates.o == now[0]) & (gates.o_overflow == now[1])
            # a step that is doubled is seen only in the next one
            m.d.comb += Assert(~control.enable | control.double | right)
            return
        stepped, total, flag = Signal(), Signal.like(after[0]), Signal()
        m.d.sync += [stepped.eq(control.enable), total.eq(after[0]), flag.eq(after[1])]
        m.d.comb += Assert(~stepped | ((gates.o == total) & (gates.o_overflow == flag)))


class RequantizeSpec(Spec):
    """`hw.numbers.arithmetic.requantize`, with the half in the bias, where `Program` puts it."""

    WIDTHS = 6, 7, 3  # of accumulator, bias and multiplier

    def __init__(self, modes: list[Mode], *, dsp: bool = False, multiplier: bool = True):
        super().__init__()
        width, bias_width, multiplier_width = self.WIDTHS
        config = RequantizeConfig(
            width, bias_width, multiplier_width if multiplier else 0, modes=modes, dsp=dsp
        )
        self.gates = Requantize(config)

    def properties(self, m: Module) -> None:
        m.submodules.gates = gates = self.gates
        ports = gates.i, gates.i_bias, gates.i_multiplier
        i, biased, multiplier = (Signal.like(port) for port in ports)
        before = []
        for port, value in zip(ports, (i, biased, multiplier), strict=True):
            m.d.comb += [value.eq(free(len(port))), port.eq(value)]
            before.append(delayed(m, value, gates.latency))
        i, biased, multiplier = before
        product = i * multiplier if gates.config.multiplier_width else i
        for mode, output in zip(gates.config.modes, gates.outputs, strict=True):
            half = 1 << (mode.shift - 1) if mode.shift else 0
            scaled = product + (biased - half)  # the bias of the formula
            if mode.output == Bipolar():
                m.d.comb += Assert(output == Mux(product + biased >= 0, 1, -1))
                continue
            m.d.comb += Assert(output == clamp(rounded(scaled, mode), *mode.clamp))


def rounded(scaled: Value, mode: Mode) -> Value:
    """Return ``round_shift(scaled, shift, rounding)``; its comparison with 0 gives no number."""
    up = round_shift(scaled, mode.shift)
    if mode.rounding == "half_up" or not mode.shift:
        return up
    remainder = scaled[: mode.shift]
    return up - Mux(remainder == 1 << (mode.shift - 1), up[0], 0)


# --- faults ------------------------------------------------------------------------------------


def fit_too_late(patch: pytest.MonkeyPatch) -> None:
    """One bit above the register is looked at, not its sign."""
    right = accumulate._fit

    def wrong(value, accumulator):
        fitted, _ = right(value, accumulator)
        return fitted, ~(value[accumulator.width :].all() | ~value[accumulator.width :].any())

    patch.setattr(accumulate, "_fit", wrong)


def saturate_to_the_other_side(patch: pytest.MonkeyPatch) -> None:
    right = accumulate._fit

    def wrong(value, accumulator):
        fitted, overflow = right(value, accumulator)
        if len(value) <= accumulator.width:
            return fitted, overflow
        sign = value[-1]
        limit = Cat(sign.replicate(accumulator.width - 1), ~sign)
        return Mux(overflow, limit, fitted).as_signed(), overflow

    patch.setattr(accumulate, "_fit", wrong)


def never_begin_anew(patch: pytest.MonkeyPatch) -> None:
    edit(
        patch,
        Accumulate,
        "elaborate",
        "self.i_control.enable, self.i_control.last",
        "self.i_control.enable, self.i_control.last & 0",
    )


def shift_once(patch: pytest.MonkeyPatch) -> None:
    edit(patch, Accumulate, "elaborate", "total << self.shift", "total << 1")


def clamp_one_too_far(patch: pytest.MonkeyPatch) -> None:
    right = requantize._ends

    def wrong(shape):
        low, high = right(shape)
        return low, high - 1

    patch.setattr(requantize, "_ends", wrong)


def round_halves_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(requantize, "_shifted", lambda mode, total: total >> mode.shift)


def shift_too_far(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(requantize, "_shifted", lambda mode, total: total >> (mode.shift + 1))


def lose_a_register(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(requantize, "_stored", lambda m, term: term)


# --- the list ----------------------------------------------------------------------------------


def _accumulators() -> Iterator[Proof]:
    faults = {
        "wrap": [(fit_too_late, "the sign is not looked at")],
        "saturate": [(saturate_to_the_other_side, "saturates to the other side")],
    }
    for fabric, overflow, step, doubling in [
        ("any fabric", "wrap", 3, True),
        ("any fabric", "wrap", 7, False),
        ("any fabric", "saturate", 3, True),
        ("any fabric", "saturate", 7, False),
        ("ice40", "wrap", 3, True),
        ("ice40", "saturate", 3, True),
        ("ice40", "saturate", 7, False),
    ]:
        where = f"Accumulate, {fabric}, {overflow}, 5 bits, steps of {step}"
        build = partial(
            AccumulateSpec,
            Accumulator(5, overflow),
            step,
            doubling=doubling,
            fabric=FABRICS[fabric],
        )
        claim = "every sum and its sticky flag" + (", doubled where told" if doubling else "")
        for fault, broken in faults[overflow]:
            yield Proof(where, claim, build, "prove", 2, fault, broken, quick=False)
    for fabric in ("any fabric", "ice40"):
        yield Proof(
            f"Accumulate, {fabric}, restart",
            "a sum begins anew after the last step of another, and its flag too",
            partial(AccumulateSpec, Accumulator(4, "saturate"), 4, fabric=FABRICS[fabric]),
            "prove",
            2,
            never_begin_anew,
            "`last` does not arrive",
            quick=fabric == "ice40",
        )
    for fabric in ("any fabric", "ice40"):
        yield Proof(
            f"Accumulate, {fabric}, slices of 2 bits",
            "every sum, shifted where told",
            partial(
                AccumulateSpec, Accumulator(5), 3, doubling=True, slice=2, fabric=FABRICS[fabric]
            ),
            "prove",
            2,
            shift_once,
            "it is doubled",
        )
    yield Proof(
        "Accumulate, ice40, without restart",
        "the sum runs on",
        partial(AccumulateSpec, Accumulator(5), 3, restart=False, fabric=FABRICS["ice40"]),
        "prove",
        2,
        fit_too_late,
        "the sign is not looked at",
    )


def _requantisers() -> Iterator[Proof]:
    claim = "is clamp(round_shift(i * multiplier + bias, shift))"
    uint4, int3 = parse("uint4"), parse("int3")
    yield Proof(
        "Requantize, several modes",
        claim,
        partial(
            RequantizeSpec,
            [Mode(uint4, 2), Mode(int3, 3), Mode(Bipolar(), 0), Mode(uint4, 1, 2, 11)],
        ),
        "window",
        5,
        clamp_one_too_far,
        "the upper end is one less",
    )
    yield Proof(
        "Requantize, halves to even",
        claim,
        partial(RequantizeSpec, [Mode(uint4, 2, rounding="half_even"), Mode(int3, 0)]),
        "window",
        5,
        round_halves_up,
        "halves go up",
    )
    yield Proof(
        "Requantize with `dsp`",
        claim,
        partial(RequantizeSpec, [Mode(int3, 2), Mode(uint4, 3)], dsp=True),
        "window",
        5,
        lose_a_register,
        "the registers beside the product are left out",
    )
    yield Proof(
        "Requantize without multiplier",
        claim,
        partial(RequantizeSpec, [Mode(int3, 2), Mode(uint4, 0)], multiplier=False),
        "window",
        3,
        shift_too_far,
        "shifts one more",
    )


PROOFS = [*_accumulators(), *_requantisers()]
