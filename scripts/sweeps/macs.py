"""Points that are multiply-accumulates and arrays alone."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...hw.array.systolic import PE, SystolicArray
from ...hw.errors import FormatError, GeometryError
from ...hw.geometry import Geometry
from ...hw.mac.base import MAC
from ...hw.mac.choice import mac
from ...hw.mac.control import CONTROL
from ...hw.mac.fabric import Fabric
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.float_sum import FloatSum
from ...hw.numbers.formats import Bipolar, Fixed, Float, parse
from ...hw.numbers.operands import Operands
from ...hw.synth.shell import Shell
from ...hw.tools import rtlil
from ...hw.tools.store import Store
from ..rows.row import ResultRow, geometry_columns
from .points import BUILDING, GEOMETRY, Built, Point, check_blocks, shape

__all__ = ["Array", "ArraySums", "Mac"]


@dataclass(frozen=True, kw_only=True)
class Mac(Point):
    """A multiply-accumulate alone; the formats are names, ``accumulator`` is in bits."""

    weight: str
    activation: str
    accumulator: int
    overflow: str | None
    lanes: int
    multiplier: str

    @classmethod
    def of(cls, *, activation: str, overflow: str | None, **values: Any) -> Self:
        """Return the point; floats do not wrap or saturate."""
        is_float = isinstance(parse(activation), Float)
        return cls(activation=activation, overflow=None if is_float else overflow, **values)

    @property
    def text(self) -> str:
        """Name of the point."""
        return ", ".join([f"{self.weight} x {self.activation}", *self._sizes()])

    def _sizes(self) -> list[str]:
        found = [f"{self.accumulator} bits"]
        found += [] if self.overflow in (None, "wrap") else [str(self.overflow)]
        return [*found, self._shape(), *(["blocks"] if self.multiplier == "block" else [])]

    def _shape(self) -> str:
        return f"{self.lanes} lane{'s' * (self.lanes > 1)}"

    @property
    def group(self) -> Any:
        """Key that points of one design share."""
        # what a design is may depend on the family, with DSP blocks on the device
        where = self.target if self.multiplier == "block" else self.device.family.name
        own = asdict(self)
        del own["target"], own["seeds"]
        return type(self).__name__, where, tuple(own.values())

    @property
    def operands(self) -> Operands:
        """The formats."""
        return Operands(parse(self.weight), parse(self.activation))

    def check(self) -> None:
        """Raise an error where there is no such design."""
        if self.multiplier == "block":
            check_blocks(self.operands.weight, self.device)
        self._mac()  # refuses what there is none of

    def row(self) -> ResultRow:
        """Return the row as far as it is known before anything is measured."""
        return ResultRow(
            weight=self.weight,
            activation=self.activation,
            accumulator_bits=self.accumulator,
            overflow=self.overflow,
            lanes=self.lanes,
            multiplier=self.multiplier,
            target=self.target,
            routed=False,
        )

    def build(self, store: Store) -> Built:
        """Return the design."""
        with BUILDING:
            shell = self.shell()
            text = rtlil.convert(shell, platform=self.device)
        return Built(text, shell, dsp=self._inferred)

    def shell(self) -> Shell:
        """Return the design in its shell."""
        # nothing reads the overflow flag of an accelerator either
        return Shell(self._mac(), ignore=["o_overflow"])

    def _mac(self) -> MAC:
        return mac(self.operands, self.lanes, self._accumulator(), fabric=self._fabric)

    @property
    def _inferred(self) -> bool:
        """Whether synthesis finds the blocks; Yosys would spoil those that are there already."""
        # floats have only their significands' product there
        places = self._fabric.blocks.accumulate and not isinstance(self.operands.activation, Float)
        return self.multiplier == "block" and not places

    @property
    def _fabric(self) -> Fabric:
        return self.device.fabric(blocks=self.multiplier == "block")

    def _accumulator(self) -> Any:
        fmt = self.operands.activation
        if not isinstance(fmt, Float):
            assert self.overflow is not None
            return Accumulator(self.accumulator, self.overflow)
        # in one cycle: what several partial sums cost is a study of its own
        if self.accumulator == fmt.width:
            return FloatSum(fmt)
        if fmt.width <= 16 and self.accumulator == 32:
            return FloatSum(Float(8, 23))
        raise FormatError(
            f"{fmt} is not accumulated in {self.accumulator} bits: a float's accumulator is of "
            "its own format or, for formats of up to 16 bits, fp32"
        )


@dataclass(frozen=True, kw_only=True)
class Array(Mac):
    """A systolic array alone, without memories and control."""

    rows: int
    columns: int
    hop: int
    chains: int
    slice: int | None

    def _shape(self) -> str:
        return shape(vars(self))

    @property
    def geometry(self) -> Geometry:
        """Rows, columns, lanes, hop, chains and slice."""
        return Geometry(*(getattr(self, name) for name in GEOMETRY))

    def check(self) -> None:
        """Raise an error where there is no such design."""
        _ = self.geometry
        super().check()
        PE(self._mac())  # refuses what does not sum integers

    def row(self) -> ResultRow:
        """Return the row as far as it is known before anything is measured."""
        return super().row() | geometry_columns(self.geometry)

    def shell(self) -> Shell:
        """Return the design in its shell."""
        array = SystolicArray(
            self.geometry,
            self._multiplied,
            self._accumulator(),
            doubling=self._shifts,
            fabric=self._fabric,
        )
        return Shell(ArraySums(array))

    def _mac(self) -> MAC:
        return mac(
            self._multiplied,
            self.lanes,
            self._accumulator(),
            doubling=self._shifts,
            sliced=self.slice is not None,
            fabric=self._fabric,
        )

    @property
    def _multiplied(self) -> Operands:
        """Formats that an element multiplies; of weights their slices, where it has such.

        Raises
        ------
        GeometryError
            For weights without slices.
        """
        weight = self.operands.weight
        if self.slice is None:
            return self.operands
        if not isinstance(weight, Fixed | Bipolar):
            raise GeometryError(f"{weight} weights have no slices; integers and bipolar ones have")
        return Operands(Fixed(self.slice, signed=False), self.operands.activation)

    @property
    def _shifts(self) -> bool:
        """Whether weights have several slices, between which a sum is shifted."""
        weight = self.operands.weight
        width = 2 if isinstance(weight, Bipolar) else weight.width
        return self.slice is not None and width > self.slice


class ArraySums(wiring.Component):
    """An array whose overflow flags nothing reads, as in an accelerator."""

    i_activations: data.View
    i_weights: data.View
    i_control: data.View
    o: data.View
    o_valid: Signal

    def __init__(self, array: SystolicArray):
        self.array, self._chains = array, array.geometry.chains
        super().__init__(
            {
                "i_activations": array.signature.members["i_activations"],
                "i_weights": array.signature.members["i_weights"],
                "i_control": In(CONTROL),
                "o": Out(data.ArrayLayout(array.accumulator.width, array.geometry.chains)),
                "o_valid": Out(1),
                **self._slices(),
            }
        )

    def _slices(self) -> dict[str, Any]:
        """Return the port that only an array of slices has."""
        members = self.array.signature.members
        return {"i_signed": members["i_signed"]} if "i_signed" in members else {}

    def elaborate(self, platform: Any) -> Module:
        """Join the array with the ports."""
        m = Module()
        m.submodules.array = array = self.array
        m.d.comb += [
            array.i_activations.eq(self.i_activations),
            array.i_weights.eq(self.i_weights),
            array.i_control.eq(self.i_control),
            self.o_valid.eq(array.o_valid),
            *(getattr(array, name).eq(getattr(self, name)) for name in self._slices()),
        ]
        m.d.comb += [self.o[chain].eq(array.o[chain].sum) for chain in range(self._chains)]
        return m
