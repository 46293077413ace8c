"""Elements for weights of several widths: what all kinds have in common.

An element sums products of weights of 2, 4 or 8 bits, and of 1 where its slices have one bit, in
two's complement, with unsigned activations. Each kind takes a weight apart in another way, into
slices of ``slice`` bits. Their size is their peak: products of a bit and a bit in a cycle, such as
128, which are two of ``int8`` and ``uint8``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from amaranth.hdl import Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, Signature

from ...errors import GeometryError
from ...numbers.arithmetic import Accumulator
from ...numbers.formats import Fixed
from ..control import CONTROL
from ..fabric import ANY, Fabric

__all__ = ["WHOLE", "WORK", "WORKS", "Beat", "Rate", "ScalableElement", "Widths", "packed"]

WORKS = (64, 128, 256, 512)
"""Products of a bit and a bit in a cycle that an element can do."""
WORK = 128
"""Those of an element of an array with 8 lanes and slices of 2 bits."""
WHOLE = 8
"""Bits of the widest weights and activations."""


@dataclass(frozen=True)
class Widths:
    """Bits of signed weights and of unsigned activations."""

    weight: int
    activation: int = WHOLE

    def __str__(self) -> str:
        return f"int{self.weight} x uint{self.activation}"


@dataclass(frozen=True)
class Rate:
    """What an element takes at once: ``inputs`` activations, and as many weights an output.

    Attributes
    ----------
    inputs, outputs : int
        Activations; sums that each of them belongs to.
    cycles : int
        How long it takes.
    """

    inputs: int
    outputs: int
    cycles: int

    @property
    def products(self) -> Fraction:
        """Products of a weight and an activation in a cycle."""
        return Fraction(self.inputs * self.outputs, self.cycles)


@dataclass(frozen=True)
class Beat:
    """What an element is given for a cycle: the bits of its ports.

    Attributes
    ----------
    weights, activations : int
        Bits of ``i_weights`` and ``i_activations``.
    signed : bool
        Bit of ``i_signed``, where it has one.
    double, last : bool
        Bits of ``i_control``, beside ``enable``.
    """

    weights: int
    activations: int
    signed: bool = False
    double: bool = False
    last: bool = False


class ScalableElement(wiring.Component):
    """Base of the kinds: dot products of weights in slices, and their accumulators.

    Operands enter at any cycle, ``i_signed`` of their step ``sign_latency`` cycles later, and its
    control ``latency`` cycles later. The sum of output ``n`` is there ``delays[n]`` cycles after
    the control with ``last``. ``i_weight_slices`` and ``i_activation_slices`` stay as they are
    while anything is on the way.

    Activations and weights come as the slices need them: an array would copy them once a row and
    once a column, in front of its elements, where a slice takes the same as its neighbour.

    Parameters
    ----------
    slice : int
        Bits of a slice, as many as the kind is ``allowed``.
    accumulator : Accumulator
        That of sums of 8-bit weights; it wraps.
    work : int
        Products of a bit and a bit in a cycle; one of `WORKS`.
    fabric : Fabric
        Whose structures are taken.

    Attributes
    ----------
    latency, sign_latency : int
        Cycles from the operands of a step to its control, and to ``i_signed``.
    delays : sequence of int
        Cycles from the control with ``last`` to each output.
    units, lanes : int
        Products of the widest operands, and of a slice and a whole activation, in a cycle.
    positions : int
        Slices of the widest weight.

    Members
    -------
    i_weights, i_activations : In
        Slices of weights, and activations or slices of them; the order is that of `steps`.
    i_signed : In(1)
        The top bits of these slices count negative; of kinds that take slices in time.
    i_weight_slices, i_activation_slices : In
        Slices that make a weight, and an activation: the logarithm of their number; of kinds that
        have them side by side.
    i_control : In(CONTROL)
    o : Out(StructLayout)
        The sums: members ``0``, ``1`` and on, signed.

    Raises
    ------
    GeometryError
        For slices of other bits, other work, and an accumulator that saturates.
    """

    i_weights: Signal
    i_activations: Signal
    i_signed: Signal
    i_weight_slices: Signal
    i_activation_slices: Signal
    i_control: data.View
    o: data.View

    latency: int
    sign_latency: int = 0
    delays: Sequence[int]
    allowed: tuple[int, ...] = (1, 2, 4)
    """Slices that the kind has."""

    def __init__(
        self,
        slice: int,
        accumulator: Accumulator,
        *,
        work: int = WORK,
        fabric: Fabric = ANY,
    ):
        if slice not in self.allowed:
            *others, last = map(str, self.allowed)
            allowed = f"{', '.join(others)} or {last}" if others else last
            bits = "bits" if others else "bit"
            raise GeometryError(f"slices of this kind have {allowed} {bits}, not {slice}")
        if accumulator.overflow != "wrap":
            raise GeometryError(
                "sums of slices are not those of whole products, step by step: their accumulator "
                f"wraps, it does not {accumulator.overflow}"
            )
        if work not in WORKS:
            raise GeometryError(
                f"elements do {', '.join(map(str, WORKS))} products of bits a cycle, not {work}"
            )
        self.slice, self.accumulator, self.fabric = slice, accumulator, fabric
        self.work, self.units = work, work // WHOLE // WHOLE
        self.lanes, self.positions = work // WHOLE // slice, WHOLE // slice
        sums = {str(n): signed(width) for n, width in enumerate(self._sums())}
        super().__init__(
            Signature(
                {
                    **self._operands(),
                    "i_control": In(CONTROL),
                    "o": Out(data.StructLayout(sums)),
                }
            )
        )
        self._build()

    def _build(self) -> None:
        """Make the parts of the element, and tell its latencies."""
        raise NotImplementedError

    def _operands(self) -> dict[str, wiring.Member]:
        """Return the ports of operands."""
        raise NotImplementedError

    def _sums(self) -> list[int]:
        """Return the bits of each accumulator."""
        return [self.accumulator.width]

    def rate(self, widths: Widths) -> Rate:
        """Return how fast the element is with operands of such widths.

        Raises
        ------
        GeometryError
            For widths that it does not have.
        """
        raise NotImplementedError

    def widths(self) -> list[Widths]:
        """Return all widths that the element has."""
        sizes = [1 << n for n in range(WHOLE.bit_length())]
        pairs = [Widths(weight, activation) for weight in sizes for activation in sizes]
        return [each for each in pairs if self._has(each)]

    def _has(self, widths: Widths) -> bool:
        """Tell whether the element has operands of such widths, of 1 to `WHOLE` bits."""
        return widths.activation == WHOLE and widths.weight >= self.slice

    def _slices(self, widths: Widths) -> int:
        """Return the slices of a weight.

        Raises
        ------
        GeometryError
            For widths that the element does not have.
        """
        if widths not in self.widths():
            there = ", ".join(map(str, self.widths()))
            raise GeometryError(f"the element has no {widths}; it has {there}")
        return widths.weight // self.slice

    def steps(
        self, widths: Widths, weights: Sequence[Sequence[int]], activations: Sequence[int]
    ) -> list[Beat]:
        """Return what the element is given for some sums, cycle by cycle; the last step ends them.

        Parameters
        ----------
        widths : Widths
            Those of the operands.
        weights : sequence of sequence of int
            For each of ``rate(widths).outputs`` sums a weight for each activation.
        activations : sequence of int
            A multiple of ``rate(widths).inputs`` levels.

        Raises
        ------
        GeometryError
            For widths that it does not have, and other numbers of operands.
        FormatError
            For operands that their widths do not hold.
        """
        rate = self.rate(widths)
        counts = [len(row) for row in weights]
        if counts != [len(activations)] * rate.outputs or len(activations) % rate.inputs:
            raise GeometryError(
                f"{widths}: the element takes a multiple of {rate.inputs} activations, and as many "
                f"weights for each of {rate.outputs} sums, not {len(activations)} and {counts}"
            )
        for row in weights:
            Fixed(widths.weight).to_code(np.array(row))  # refuses what it does not hold
        Fixed(widths.activation, signed=False).to_code(np.array(activations))
        return self._steps(widths, weights, activations)

    def _steps(
        self, widths: Widths, weights: Sequence[Sequence[int]], activations: Sequence[int]
    ) -> list[Beat]:
        """Return the steps of operands that are as many as the element takes."""
        raise NotImplementedError

    def chosen(self, widths: Widths) -> dict[str, int]:
        """Return what ports have that stay as they are for operands of such widths."""
        return {}

    def sums(
        self, widths: Widths, weights: Sequence[Sequence[int]], activations: Sequence[int]
    ) -> dict[int, int]:
        """Return what is to come out, by output: exact sums that wrap; the reference of `steps`."""
        ports = self.outputs(widths)
        exact = [sum(w * a for w, a in zip(row, activations, strict=True)) for row in weights]
        return {
            port: Accumulator(self._sums()[port]).fit(total)
            for port, total in zip(ports, exact, strict=True)
        }

    def outputs(self, widths: Widths) -> list[int]:
        """Return the outputs that have sums, in the order of the weights."""
        return [0]


def packed(codes: Sequence[int], bits: int) -> int:
    """Return integers as the bits of a port, the first one lowest; of negative ones the code."""
    return sum((code & ((1 << bits) - 1)) << (bits * place) for place, code in enumerate(codes))
