"""The array that makes the most of a board, its link included."""

from collections.abc import Callable
from dataclasses import replace

from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.program.layout import Program
from ...hw.synth.fit import largest_geometry
from ...hw.synth.targets import Target
from ...hw.tools.store import Store
from ..catalogue.entries import Board
from ..gateware.buffer import buffer_depth
from ..gateware.device import BAUD
from ..gateware.results import image_bytes
from .bitstream import cells

__all__ = ["largest_on"]


def largest_on(
    network: Network,
    board: Board,
    *,
    frequency: float | None = None,
    baud: float = BAUD,
    hop: int = 8,
    contexts: int = 2,
    batch: int | None = None,
    chains: int = 1,
    slice: int | None = None,
    store: Store | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Geometry:
    """Return the geometry that classifies most images a cycle of those that fit a board.

    What is measured is the board's whole top level, as `bitstream.build` maps it; the block RAM of
    the link is kept free.

    Parameters
    ----------
    frequency, baud
        As `bitstream.build` takes them.
    hop, contexts, batch, chains, slice
        As in `largest_geometry`.
    note : callable
        Told what is being measured.

    Raises
    ------
    FitError, GeometryError, ToolError
        As `largest_geometry` and `bitstream.cells` do.
    """

    def measured(program: Program) -> int:
        note(f"try {program.geometry}")
        return cells(program, board, frequency=frequency, baud=baud, store=store)

    return largest_geometry(
        network,
        _left(network, board),
        measured,
        hop=hop,
        contexts=contexts,
        batch=batch,
        chains=chains,
        slice=slice,
    )


def _left(network: Network, board: Board) -> Target:
    """Return the board's device without the block RAM in which frames wait."""
    target = board.target
    entry = 2 + image_bytes(Program(network, Geometry(1, 1, 1)))  # that of `Device`
    left = target.budget["bram"] - target.family.brams(8, buffer_depth(entry))
    return replace(target, budget={**target.budget, "bram": left})
