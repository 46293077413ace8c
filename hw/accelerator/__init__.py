"""The accelerator: one array, its memories, and the parts that run a program on them."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .drain import Drain, DrainConfig, DrainLayer
    from .edge import EdgeMask, EdgeMaskConfig, Edges
    from .emitter import Emitter, EmitterConfig, OutputMemory
    from .feeder import Feeder, FeederConfig
    from .implementation import Implementation
    from .levels import LevelUnit, LevelUnitConfig
    from .loader import Loader, LoaderConfig
    from .max_pool import PoolOutput, PoolUnit, PoolUnitConfig
    from .memories import ActivationMemory, ActivationMemoryConfig, WeightMemory, WeightMemoryConfig
    from .packer import Packer, PackerConfig
    from .probe import Probe, ProbeConfig, ProbeLayer, Traced, trace_layout
    from .requantize import Requantize, RequantizeConfig
    from .scoreboard import Scoreboard, ScoreboardConfig
    from .sequencer import Sequencer, SequencerConfig, SequencerLayer
    from .streams import element_layout, result_layout
    from .thresholds import Thresholds, ThresholdsConfig
    from .top import Accelerator
    from .walker import PatchLoops, Step, Walker, WalkerConfig
    from .writer import Writer, WriterConfig, WriterLayer

__all__ = [
    "Accelerator",
    "ActivationMemory",
    "ActivationMemoryConfig",
    "Drain",
    "DrainConfig",
    "DrainLayer",
    "EdgeMask",
    "EdgeMaskConfig",
    "Edges",
    "Emitter",
    "EmitterConfig",
    "Feeder",
    "FeederConfig",
    "Implementation",
    "LevelUnit",
    "LevelUnitConfig",
    "Loader",
    "LoaderConfig",
    "OutputMemory",
    "Packer",
    "PackerConfig",
    "PatchLoops",
    "PoolOutput",
    "PoolUnit",
    "PoolUnitConfig",
    "Probe",
    "ProbeConfig",
    "ProbeLayer",
    "Requantize",
    "RequantizeConfig",
    "Scoreboard",
    "ScoreboardConfig",
    "Sequencer",
    "SequencerConfig",
    "SequencerLayer",
    "Step",
    "Thresholds",
    "ThresholdsConfig",
    "Traced",
    "Walker",
    "WalkerConfig",
    "WeightMemory",
    "WeightMemoryConfig",
    "Writer",
    "WriterConfig",
    "WriterLayer",
    "element_layout",
    "result_layout",
    "trace_layout",
]

__getattr__, __dir__ = face(__name__)
