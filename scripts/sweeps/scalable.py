"""Points that are elements for weights of several widths, alone."""

from dataclasses import asdict, dataclass

from ...hw.mac.scalable.base import WHOLE, ScalableElement, Widths
from ...hw.mac.scalable.kinds import scalable
from ...hw.numbers.arithmetic import Accumulator
from ...hw.synth.shell import Shell
from ...hw.tools import rtlil
from ...hw.tools.store import Store
from ..rows.row import ResultRow
from .points import BUILDING, Built, Point

__all__ = ["RATES", "Scalable"]

RATES = (Widths(8), Widths(4), Widths(2), Widths(4, 4), Widths(2, 2))
"""Operands whose products a cycle a row has."""


@dataclass(frozen=True, kw_only=True)
class Scalable(Point):
    """An element of a kind; ``accumulator`` is in bits, ``work`` in products of two a cycle."""

    element: str
    slice: int
    accumulator: int
    work: int

    @property
    def text(self) -> str:
        """Name of the point."""
        bits = f"{self.slice} bit{'s' * (self.slice > 1)}"
        return f"{self.element}, slices of {bits}, {self.accumulator} bits, work {self.work}"

    @property
    def group(self) -> tuple[object, ...]:
        """Key that points of one design share."""
        own = asdict(self)
        del own["target"], own["seeds"]
        return type(self).__name__, self.device.family.name, tuple(own.values())

    def check(self) -> None:
        """Raise an error where there is no such element."""
        self._element()

    def row(self) -> ResultRow:
        """Return the row as far as it is known before anything is measured."""
        whole = self.element == "whole"
        return ResultRow(
            weight=f"int{self.slice if whole else WHOLE}",
            activation=f"uint{WHOLE}",
            accumulator_bits=self.accumulator,
            overflow="wrap",
            lanes=self._element().lanes,
            slice=None if whole else self.slice,
            structure=self.element,
            products=self._products(),
            target=self.target,
            routed=False,
        )

    def _products(self) -> dict[str, float]:
        """Return the products a cycle of operands of some widths, in wider ones if need be."""
        element, found = self._element(), {}
        for asked in RATES:
            fitting = [
                each
                for each in element.widths()
                if each.weight >= asked.weight and each.activation >= asked.activation
            ]
            if fitting:
                found[str(asked)] = float(max(element.rate(each).products for each in fitting))
        return found

    def build(self, store: Store) -> Built:
        """Return the design."""
        with BUILDING:
            shell = Shell(self._element())
            return Built(rtlil.convert(shell, platform=self.device), shell)

    def _element(self) -> ScalableElement:
        accumulator = Accumulator(self.accumulator)
        return scalable(
            self.element,
            self.slice,
            accumulator,
            work=self.work,
            fabric=self.device.fabric(),
        )
