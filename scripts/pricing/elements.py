"""What a multiply-accumulate of a format costs on a device: mapped, placed and routed alone.

A lane-cycle of an array that is never idle costs as much as a lane of its element, whatever else an
accelerator has. So networks can be priced that no device holds, and floats beside integers.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from ...hw.errors import NarrowgaugeError
from ...hw.numbers.default_sum import default_sum
from ...hw.numbers.float_sum import PARTIAL_SUMS, FloatSum
from ...hw.numbers.formats import Bipolar, Fixed, Float, Format, PowerOfTwo, parse
from ...hw.numbers.operands import Operands
from ...hw.tools.store import Store
from ...model.layers.quantize import check_activation, check_pair, check_weight
from ..sweeps.macs import Mac

__all__ = [
    "ACCUMULATOR",
    "PricedFormat",
    "SummedMac",
    "element_points",
    "measure_element",
]

ACCUMULATOR = 20  # bits of integers' registers: those of the networks here need 13 to 20
PRODUCT = 64  # bits of an element's products, about: more lanes would save little
MOST_LANES = 64


@dataclass(frozen=True)
class PricedFormat:
    """A format of weights and activations, as it is asked for.

    ``fp32``, ``bf16`` and ``fp16`` are of both; ``int4`` has the activations that go with it, and
    ``bipolar/uint8`` says them.
    """

    text: str

    @classmethod
    def of(cls, text: str) -> "PricedFormat":
        """Return the format of a text, with its activations.

        Raises
        ------
        FormatError
            For what is no format, or cannot be trained.
        """
        weight, _, activation = text.partition("/")
        fmt = parse(weight)
        if isinstance(fmt, Float) and activation in ("", weight):
            return cls(weight)
        check_weight(fmt)
        found = parse(activation or fmt.activations)
        check_activation(found, None if activation else fmt)
        check_pair(fmt, found)
        return cls(f"{weight}/{found}")

    @property
    def is_trained(self) -> bool:
        """Whether its networks are trained further; those of float weights are rounded only."""
        return not isinstance(self.operands.weight, Float)

    @property
    def is_float(self) -> bool:
        """Whether products are floats."""
        return isinstance(self.operands.activation, Float)

    @property
    def operands(self) -> Operands:
        """What an array of it multiplies."""
        weight, _, activation = self.text.partition("/")
        return Operands(parse(weight), parse(activation or weight))

    @property
    def lanes(self) -> int:
        """Lanes of its element: as many as share a register without waste."""
        weight, activation = self.operands.weight, self.operands.activation
        if isinstance(activation, Float):
            return 1
        bits = _bits(weight) * _bits(activation)
        return min(MOST_LANES, max(4, 1 << (PRODUCT // bits).bit_length()))


def _bits(fmt: Format) -> int:
    return 2 if isinstance(fmt, PowerOfTwo) else fmt.width


@dataclass(frozen=True, kw_only=True)
class SummedMac(Mac):
    """A multiply-accumulate alone; sums of floats have so many partial sums."""

    partial_sums: int = 1

    def _accumulator(self) -> Any:
        found = super()._accumulator()
        if isinstance(found, FloatSum):
            return replace(found, partial_sums=self.partial_sums)
        return found

    def _sizes(self) -> list[str]:
        sums = f"{self.partial_sums} partial sums"
        return [*super()._sizes(), *([sums] if self.partial_sums > 1 else [])]


def element_points(
    fmt: PricedFormat, target: str, seeds: int, *, partial_sums: int = PARTIAL_SUMS
) -> list[SummedMac]:
    """Return the elements of a format: in logic, and in DSP blocks where they multiply for it."""
    weight, activation = fmt.operands.weight, fmt.operands.activation
    bits, sums = ACCUMULATOR, 1
    if isinstance(activation, Float):
        bits, sums = default_sum(weight, activation).width, partial_sums
    found = []
    for multiplier in ("logic", "block"):
        point = SummedMac.of(
            weight=str(weight),
            activation=str(activation),
            accumulator=bits,
            overflow="wrap",
            lanes=fmt.lanes,
            multiplier=multiplier,
            target=target,
            seeds=seeds,
            partial_sums=sums,
        )
        if multiplier == "block" and (
            isinstance(weight, Bipolar) or _narrow(weight) or not _has_blocks(point)
        ):
            continue
        found.append(point)
    return found


def _narrow(weight: Format) -> bool:
    """Tell whether a product is so small that no one would spend a block on it."""
    return isinstance(weight, Fixed) and weight.width < 4


def _has_blocks(point: Mac) -> bool:
    try:
        point.check()
    except NarrowgaugeError:
        return False
    return True


def measure_element(given: dict[str, Any]) -> dict[str, Any]:
    """Return what an element takes, and its clock, of the fields of a `SummedMac`.

    Returns
    -------
    mapping
        ``lut``, ``dsp``, ``ff``; ``fmax_mhz``, the median of the placements, ``fmax_mhz_min`` and
        ``fmax_mhz_max``.

    Raises
    ------
    NarrowgaugeError
        Where it does not fit, or a tool is missing.
    """
    point = SummedMac(**given)
    store = Store()
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        row = point.measure(point.build(store), store, threads)
    names = ("lut", "dsp", "ff", "fmax_mhz", "fmax_mhz_min", "fmax_mhz_max")
    return {name: getattr(row, name) for name in names} | {"failure": row.failure}
