"""The accelerator: one array, its memories, and the parts that run a program on them."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .drain import Drain
    from .edge import EdgeMask, EdgeMaskConfig, Edges
    from .emitter import Emitter, EmitterConfig
    from .feeder import Feeder, FeederConfig
    from .implementation import Implementation
    from .loader import Loader, LoaderConfig
    from .max_pool import PoolOutput, PoolUnit, PoolUnitConfig
    from .memories import (
        ActivationMemory,
        ActivationMemoryConfig,
        WeightMemory,
        WeightMemoryConfig,
    )
    from .packer import Packer, PackerConfig
    from .requantize import Requantize
    from .scoreboard import Scoreboard
    from .sequencer import Sequencer
    from .streams import element_layout, result_layout
    from .thresholds import Thresholds
    from .top import Accelerator, trace_layout
    from .walker import PatchLoops, Step, Walker, WalkerConfig
    from .writer import Writer

__all__ = [
    "Accelerator",
    "ActivationMemory",
    "ActivationMemoryConfig",
    "Drain",
    "EdgeMask",
    "EdgeMaskConfig",
    "Edges",
    "Emitter",
    "EmitterConfig",
    "Feeder",
    "FeederConfig",
    "Implementation",
    "Loader",
    "LoaderConfig",
    "Packer",
    "PackerConfig",
    "PatchLoops",
    "PoolOutput",
    "PoolUnit",
    "PoolUnitConfig",
    "Requantize",
    "Scoreboard",
    "Sequencer",
    "Step",
    "Thresholds",
    "Walker",
    "WalkerConfig",
    "WeightMemory",
    "WeightMemoryConfig",
    "Writer",
    "element_layout",
    "result_layout",
    "trace_layout",
]

__getattr__, __dir__ = face(__name__)
