"""The accelerator: one array, its memories, and the parts that run a program on them."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .drain import Drain
    from .edge import EdgeMask
    from .emitter import Emitter, EmitterConfig
    from .feeder import Feeder
    from .implementation import Implementation
    from .loader import Loader
    from .max_pool import PoolUnit
    from .memories import ActivationMemory, WeightMemory
    from .packer import Packer
    from .requantize import Requantize
    from .scoreboard import Scoreboard
    from .sequencer import Sequencer
    from .streams import element_layout, result_layout
    from .thresholds import Thresholds
    from .top import Accelerator, trace_layout
    from .walker import Step, Walker
    from .writer import Writer

__all__ = [
    "Accelerator",
    "ActivationMemory",
    "Drain",
    "EdgeMask",
    "Emitter",
    "EmitterConfig",
    "Feeder",
    "Implementation",
    "Loader",
    "Packer",
    "PoolUnit",
    "Requantize",
    "Scoreboard",
    "Sequencer",
    "Step",
    "Thresholds",
    "Walker",
    "WeightMemory",
    "Writer",
    "element_layout",
    "result_layout",
    "trace_layout",
]

__getattr__, __dir__ = face(__name__)
