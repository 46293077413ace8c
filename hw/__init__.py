"""Arithmetic, arrays and accelerators for every number format, in Amaranth, without torch.

Numbers, gates, multiply-accumulates and arrays form one wing, networks and programs the other one;
they meet in the accelerator. Simulation and synthesis are `sim` and `synth`. The names below are
what most users need; each package shows more.
"""

from typing import TYPE_CHECKING

from .lazy import face

if TYPE_CHECKING:
    from .accelerator.implementation import Implementation
    from .accelerator.top import Accelerator
    from .array.systolic import PE, SystolicArray
    from .errors import NarrowgaugeError
    from .geometry import Geometry
    from .mac.choice import dot_product
    from .mac.fabric import Fabric
    from .network.file import load, save
    from .network.network import Network
    from .numbers.arithmetic import Accumulator
    from .numbers.format import Format
    from .numbers.formats import Bipolar, Fixed, PowerOfTwo, parse
    from .numbers.ieee import Float
    from .numbers.minifloat import MiniFloat
    from .numbers.operands import Operands, common
    from .program.layout import Program

__all__ = [
    "PE",
    "Accelerator",
    "Accumulator",
    "Bipolar",
    "Fabric",
    "Fixed",
    "Float",
    "Format",
    "Geometry",
    "Implementation",
    "MiniFloat",
    "NarrowgaugeError",
    "Network",
    "Operands",
    "PowerOfTwo",
    "Program",
    "SystolicArray",
    "common",
    "dot_product",
    "load",
    "parse",
    "save",
]

__getattr__, __dir__ = face(__name__)
