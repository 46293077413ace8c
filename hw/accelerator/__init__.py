"""The accelerator: one array, its memories, and the parts that run a program on them."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .implementation import Implementation
    from .inputs.edge import EdgeMask, EdgeMaskConfig, Edges
    from .inputs.feeder import Feeder, FeederConfig
    from .inputs.loader import Loader, LoaderConfig
    from .inputs.max_pool import PoolOutput, PoolUnit, PoolUnitConfig, Tap
    from .inputs.packer import Packer, PackerConfig
    from .inputs.walker import PatchLoops, Step, Walker, WalkerConfig
    from .job import LOOPS, Bank, Batch, ContextBatch, Job, Tag
    from .memories import ActivationMemory, ActivationMemoryConfig, WeightMemory, WeightMemoryConfig
    from .outputs.drain import Drain, DrainConfig, DrainLayer
    from .outputs.emitter import Emitter, EmitterConfig, EmitterOutput, OutputMemory
    from .outputs.levels import LevelUnit, LevelUnitConfig
    from .outputs.requantize import Requantize, RequantizeConfig
    from .outputs.thresholds import Thresholds, ThresholdsConfig
    from .outputs.writer import Writer, WriterConfig, WriterLayer, WriterOutput
    from .probe import Probe, ProbeConfig, ProbeLayer
    from .scoreboard import Scoreboard, ScoreboardConfig
    from .sequencer import Sequencer, SequencerConfig, SequencerLayer
    from .streams import element_layout, result_layout
    from .top import Accelerator
    from .traced import Traced, entry_layout, trace_layout

__all__ = [
    "LOOPS",
    "Accelerator",
    "ActivationMemory",
    "ActivationMemoryConfig",
    "Bank",
    "Batch",
    "ContextBatch",
    "Drain",
    "DrainConfig",
    "DrainLayer",
    "EdgeMask",
    "EdgeMaskConfig",
    "Edges",
    "Emitter",
    "EmitterConfig",
    "EmitterOutput",
    "Feeder",
    "FeederConfig",
    "Implementation",
    "Job",
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
    "Tag",
    "Tap",
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
    "WriterOutput",
    "element_layout",
    "entry_layout",
    "result_layout",
    "trace_layout",
]

__getattr__, __dir__ = face(__name__)
