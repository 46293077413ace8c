"""Simulation of a netlist of a family's cells: mapped, routed, or recovered from a bitstream.

The batch engine runs it, many boards a pass: each has a line of its own, and nothing is compiled
for a design.
"""

import ctypes
from collections.abc import Sequence
from typing import Self

import numpy as np

from ...hw.errors import MismatchError
from ...hw.sim.batch.lanes import vectors
from ...hw.sim.batch.lowering import lower
from ...hw.sim.batch.native import Exchange, Native, width_for
from ...hw.sim.batch.netlist import GateNetlist, read_netlist
from ...hw.sim.batch.plan import make_plan
from ...hw.tools.programs import STOP, check_interrupt
from ...hw.tools.rtlil import uncollected

__all__ = ["PinSimulation", "read"]

_NOTHING, _UNSTOPPED = 1, 4  # what an exchange ends with


def read(netlist: str, form: str, family: str) -> GateNetlist:
    """Return the gates of a top level, from its pins on.

    Parameters
    ----------
    netlist : str
        Its text, with a module ``top``.
    form : str
        One of `lowering.FORMS`.
    family : str
        One of `lowering.FAMILIES`.

    Raises
    ------
    ToolError
        Without Yosys; for another family; for a cell that nothing models, a combinational loop,
        and another clock.
    """
    with uncollected():
        return read_netlist(lower(netlist, form, family))


class PinSimulation:
    """Boards side by side: top levels with the pins ``clk``, ``rx`` and ``tx``, and UARTs there.

    Use it in a ``with`` statement, or `close` it.

    Parameters
    ----------
    netlist, form, family
        As `read` takes them.
    divisor : int
        Cycles of a bit.
    boards : int
        At most as many as a vector has bits.

    Attributes
    ----------
    cycles : int
        Cycles of the clock since the bitstream was loaded.
    digest : int
        Of the cycles in which ``tx`` changed, and at which boards: equal for two netlists that
        drove it alike in every cycle.

    Raises
    ------
    ToolError
        As `read`; without a C++ compiler.
    """

    def __init__(self, netlist: str, form: str, family: str, *, divisor: int, boards: int = 1):
        self.divisor, self.boards, self.cycles, self.digest = divisor, boards, 0, 0
        self.width = width_for(boards)
        found = read(netlist, form, family)
        (rx,), (tx,) = found.ports["rx"], found.ports["tx"]
        plan = make_plan(found.live([tx]), [tx], None)
        self._pins = {"rx": plan.slot[rx], "tx": plan.slot[tx]}
        self._native = Native(plan, self.width, "board")
        self._board: int | None = self._native.create_board()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the simulation."""
        if self._board:
            self._native.destroy_board(self._board)
            self._board = None

    def wait(self, cycles: int) -> None:
        """Let ``cycles`` pass on a quiet line.

        Raises
        ------
        MismatchError
            Where a byte came.
        """
        if self._exchange([b""] * self.boards, 1, cycles)[0] != _NOTHING:
            raise MismatchError("a byte came that was not asked for")

    def exchange(self, sent: Sequence[bytes], wanted: int, *, limit: int) -> list[bytes]:
        """Send each board bytes, and return ``wanted`` bytes of each that come in the end.

        Parameters
        ----------
        sent : sequence of bytes
            For each board, equally long.
        wanted : int
            Bytes. They are read at the times at which the first board's come.
        limit : int
            Cycles after which none comes any more.

        Raises
        ------
        MismatchError
            Where more bytes came, or none for ``limit`` cycles.
        """
        status, count, received = self._exchange(sent, wanted, limit)
        if status == _NOTHING:
            raise MismatchError(f"nothing came for {limit} cycles, after {count} of {wanted} bytes")
        if status == _UNSTOPPED:
            raise MismatchError("a byte came without a stop bit")
        if count != wanted:
            raise MismatchError(f"{count} bytes came instead of {wanted}")
        return received

    def _exchange(
        self, sent: Sequence[bytes], wanted: int, limit: int
    ) -> tuple[int, int, list[bytes]]:
        assert self._board is not None, "not after close"
        words = self.width // 64
        octets = np.zeros((len(sent[0]), self.width), np.uint16)
        rows = np.frombuffer(b"".join(sent), np.uint8).reshape(len(sent), -1)
        octets[:, : len(sent)] = rows.T
        bits = vectors(octets << 1 | 1 << 9, 10)  # a start bit, the byte, a stop bit
        received = np.zeros((wanted, 8, words), np.uint64)
        exchange = Exchange(
            **self._pins,
            bits=bits.shape[0] * bits.shape[1],
            divisor=self.divisor,
            sent=bits.ctypes.data,
            received=received.ctypes.data,
            wanted=wanted,
            limit=limit,
            stop=ctypes.addressof(STOP),
        )
        status = self._native.exchange(self._board, exchange)
        check_interrupt()
        self.cycles, self.digest = exchange.cycles, exchange.digest
        found = self._native.unpack(received)[: exchange.count, : self.boards].astype(np.uint8)
        return status, exchange.count, [row.tobytes() for row in found.T]
