"""Stimulus and results of a simulation, the same for every engine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..accelerator.top import Accelerator
from ..errors import NetworkError
from ..network.network import INPUT

__all__ = ["EVENT", "CycleWindow", "Run", "Stimulus"]

EVENT = np.dtype(
    [
        ("cycle", np.uint64),
        ("sum", np.int64),
        ("level", np.int64),
        ("image", np.uint32),
        ("element", np.uint32),
        ("layer", np.uint32),
        ("overflow", np.uint32),
    ]
)
"""One partial sum and the level it became; the layout is shared with ``harness.cc``."""


@dataclass(frozen=True)
class CycleWindow:
    """Cycles ``start`` to ``stop`` (not included) of which waveforms go to ``path`` as VCD."""

    path: Path
    start: int = 0
    stop: int = 1000


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Images for an accelerator, and how its streams pause.

    Parameters
    ----------
    images : int array of shape (images, inputs) or (images, height, width, channels)
        Input levels.
    gaps, stalls : float
        Probability that the input holds an element back, or the output is not taken, in a cycle.
    seed : int
        Seed of these pauses.
    traced : int
        Images, from the first, whose sums and levels are recorded.
    window : CycleWindow, optional
        Waveforms to write.
    progress : callable, optional
        Told now and then which share of the work is done, by engines that know it.
    """

    images: np.ndarray
    gaps: float = 0.0
    stalls: float = 0.0
    seed: int = 0
    traced: int = 0
    window: CycleWindow | None = None
    progress: Callable[[float], None] | None = None

    def codes(self, accelerator: Accelerator) -> np.ndarray:
        """Return the input codes, flat; raises `NetworkError` when images do not fit."""
        network = accelerator.program.network
        images = np.asarray(self.images)
        size = tuple(network.sizes[INPUT])
        if images.shape[1:] not in (size, (network.inputs,)):
            raise NetworkError(
                f"network {network.name} takes images of {size} or {network.inputs} levels; "
                f"got an array of shape {images.shape}"
            )
        return network.input.to_code(images).reshape(-1)


@dataclass(frozen=True, eq=False)
class Run:
    """Results of running an accelerator.

    Attributes
    ----------
    levels : int64 array of shape (images, outputs)
        Levels of the network's output, or of its outputs one after the other.
    labels : int64 array of shape (images,), or (images, outputs of the network)
        Classes; 0 where an output has none.
    cycles : int
        Cycles from the first element offered to the last level taken.
    steps : int
        Cycles in which the array computed.
    overflows : tuple of int
        Sums in each layer of which at least one step overflowed; empty where the accelerator does
        not observe that.
    layer_cycles : tuple of int
        Cycles in which each layer had the array, or the max pool, or was waited for.
    events : EVENT array
        The traced sums, in the order in which they left the array.
    seconds : float
        Wall time of the simulation proper, without building it or comparing.
    engine : str
        Which engine ran.
    """

    levels: np.ndarray
    labels: np.ndarray
    cycles: int
    steps: int
    overflows: tuple[int, ...]
    layer_cycles: tuple[int, ...]
    events: np.ndarray
    seconds: float
    engine: str
