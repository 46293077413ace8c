"""Lowers a torch module to the layers that hardware has.

Start with `lower.lower`; `NETWORKS` has the topologies that come along.
"""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .topologies import NETWORKS

__all__ = ["NETWORKS"]

__getattr__, __dir__ = face(__name__)
