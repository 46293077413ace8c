"""The proof, link by link, that a bitstream computes what its network does; boards in simulation.

`chain.verify` is the proof; a `VirtualBoard` is a simulated device behind a pseudo-terminal.
"""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .virtual import VirtualBoard

__all__ = ["VirtualBoard"]

__getattr__, __dir__ = face(__name__)
