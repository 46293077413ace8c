"""Cells of Amaranth's netlist, with the attributes that its type stubs leave out."""

from typing import TYPE_CHECKING, TypeAlias

__all__ = [
    "AssignmentList",
    "AsyncReadPort",
    "Cell",
    "FlipFlop",
    "Instance",
    "Matches",
    "Memory",
    "Net",
    "Netlist",
    "Operator",
    "Part",
    "PriorityMatch",
    "SyncReadPort",
    "SyncWritePort",
    "Word",
]

Net: TypeAlias = int
"""One bit of a netlist: a cell in the upper bits, a bit of what it gives in the lower."""
Word: TypeAlias = tuple[Net, ...]

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    class Netlist:
        """A design's cells, the first of which is its top."""

        cells: Sequence["Cell"]
        top: "_Top"

    class Cell:
        """What all cells have; ``comb_edges_to`` gives the nets that a bit reads."""

        def comb_edges_to(self, bit: int) -> Iterable[tuple[Net, object]]: ...

    class _Top(Cell):
        ports_o: dict[str, Word]
        ports_i: dict[str, tuple[int, int]]

    class Operator(Cell):
        """An operator, such as ``+`` or ``u<``, of one to three words."""

        operator: str
        inputs: tuple[Word, ...]
        width: int

    class Part(Cell):
        """``width`` bits of ``value``, from ``offset`` times ``stride`` on."""

        value: Word
        value_signed: bool
        offset: Word
        width: int
        stride: int

    class Matches(Cell):
        """Whether a word matches any of some patterns of ``0``, ``1`` and ``-``."""

        value: Word
        patterns: tuple[str, ...]

    class PriorityMatch(Cell):
        """The first of its inputs that is 1, alone; 0 unless enabled."""

        en: Net
        inputs: Word

    class _Assignment:
        cond: Net
        start: int
        value: Word

    class AssignmentList(Cell):
        """A default, and assignments to bits of it, in order."""

        default: Word
        assignments: tuple[_Assignment, ...]

    class FlipFlop(Cell):
        """A register."""

        data: Word
        init: int

    class Memory(Cell):
        """The words of a memory."""

        width: int
        depth: int
        init: tuple[int, ...]
        attributes: dict[str, object]

    class SyncWritePort(Cell):
        """A write port, with an enable a bit; ``memory`` is a number of a cell."""

        memory: int
        data: Word
        addr: Word
        en: Word

    class AsyncReadPort(Cell):
        """A read port without a clock."""

        memory: int
        addr: Word

    class SyncReadPort(Cell):
        """A read port that gives its word a cycle later."""

        memory: int
        addr: Word
        en: Net

    class Instance(Cell):
        """A vendor's cell, or a module from elsewhere."""

        type: str
        ports_i: dict[str, Word]

else:
    from amaranth.hdl._nir import (
        AssignmentList,
        AsyncReadPort,
        Cell,
        FlipFlop,
        Instance,
        Matches,
        Memory,
        Netlist,
        Operator,
        Part,
        PriorityMatch,
        SyncReadPort,
        SyncWritePort,
    )
