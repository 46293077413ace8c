"""Integer networks, without any hardware: their layers, and the network file."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .ends import End
    from .file import VERSIONS, from_bytes, load, save, to_bytes
    from .layers import (
        LAYERS,
        MAX_SHIFT,
        MAX_SUMMAND,
        Add,
        AveragePool,
        Conv2d,
        Dense,
        Layer,
        MaxPool,
        Move,
        Requantised,
        Weighted,
    )
    from .network import INPUT, MAX_ENDS, Network
    from .window import Size, Window

__all__ = [
    "INPUT",
    "LAYERS",
    "MAX_ENDS",
    "MAX_SHIFT",
    "MAX_SUMMAND",
    "VERSIONS",
    "Add",
    "AveragePool",
    "Conv2d",
    "Dense",
    "End",
    "Layer",
    "MaxPool",
    "Move",
    "Network",
    "Requantised",
    "Size",
    "Weighted",
    "Window",
    "from_bytes",
    "load",
    "save",
    "to_bytes",
]

__getattr__, __dir__ = face(__name__)
