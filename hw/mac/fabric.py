"""Fabrics: what the cells of a family of devices do best, as data."""

from dataclasses import dataclass, replace

from ..errors import GeometryError
from ..gates.popcount import PLAIN, Structure

__all__ = ["ANY", "Blocks", "Fabric"]

_PACKED = {18: "MULT18X18D"}  # cells that take several lanes (`dsp_packed`), by their width


@dataclass(frozen=True)
class Blocks:
    """The DSP blocks of a fabric, and how many of them may be used.

    Parameters
    ----------
    count : int or None
        How many may be used; what finds no room in them is made of logic cells. None for as many
        as it takes, 0 to multiply in logic cells.
    accumulate : bool
        They are ``SB_MAC16``, with accumulators of their own. If not, a product is a ``*``, for
        which synthesis chooses the DSP block.
    packing : int
        Bits of the signed operands of a DSP block that is given several narrow lanes; 0 where it is
        left to synthesis. 18, of ``MULT18X18D``.
    halves : int
        Bits of signed operands of which a DSP block multiplies two pairs; 0 where it does not.

    Raises
    ------
    GeometryError
        For a packing that no cell has.
    """

    count: int | None = 0
    accumulate: bool = False
    packing: int = 0
    halves: int = 0

    def __post_init__(self) -> None:
        if self.packing and self.packing not in _PACKED:
            cells = ", ".join(f"{width} ({cell})" for width, cell in _PACKED.items())
            raise GeometryError(
                f"DSP blocks of {self.packing} bits have no cell for several lanes; take {cells}, "
                "or 0 to leave it to synthesis"
            )

    @property
    def used(self) -> bool:
        """Whether anything may be multiplied in them."""
        return self.count != 0


@dataclass(frozen=True)
class Fabric:
    """Best structures of logic cells and DSP blocks on a family of devices.

    `ANY` is at home on every family, and multiplies in logic cells.

    Parameters
    ----------
    popcount : Structure
        How lanes are counted.
    recoding : int
        Bits from which on a single multiplier takes fewer cells with Booth recoding of its narrower
        operand.
    output_registers : int
        Where a logic cell has one output, the sum or the register: bits of an accumulator below
        which its output is the register. 0 where a register beside an adder costs nothing.
    chooses : bool
        Whether the LUTs of an adder can choose or complement its second operand, and have a
        register behind them, so that this is where slices are shifted and subtracted
        (`ChoosingAdder`). If not, it is beside a register that an adder's cell has no room for.
    adder_cell : str
        The cell that is to be instantiated for that; empty where synthesis finds it.
    blocks : Blocks
        Its DSP blocks; none is used unless `using_blocks` says so.
    """

    popcount: Structure = PLAIN
    recoding: int = 4
    output_registers: int = 0
    chooses: bool = False
    adder_cell: str = ""
    blocks: Blocks = Blocks()

    def using_blocks(self, count: int | None = None) -> "Fabric":
        """Return the same with DSP blocks: ``count``, or as many as it takes."""
        return replace(self, blocks=replace(self.blocks, count=count))


ANY = Fabric()
"""Four-input LUTs and carry chains, as every family has them."""
