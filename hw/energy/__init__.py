"""Energy: what toggles in a routed design, the wires that it charges, and what both come to."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .delays import Delays, read_delays
    from .events import EventSimulator, Toggles
    from .model import Energy, EnergyModel, Ranged, Workload, charged
    from .placed import Placed, place
    from .routed import RoutedCells, read_routed
    from .wires import Wires, net_wires

__all__ = [
    "Delays",
    "Energy",
    "EnergyModel",
    "EventSimulator",
    "Placed",
    "Ranged",
    "RoutedCells",
    "Toggles",
    "Wires",
    "Workload",
    "charged",
    "net_wires",
    "place",
    "read_delays",
    "read_routed",
]

__getattr__, __dir__ = face(__name__)
