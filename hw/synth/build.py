"""An accelerator on a target: which of its blocks it uses, and what it costs there."""

from collections.abc import Sequence
from typing import NamedTuple

from ..accelerator import Accelerator
from ..errors import FitError
from ..network import Network
from ..program import Program
from .measure import Measurement, measure
from .shell import Shell
from .store import Store
from .targets import Target

__all__ = ["MemoryUse", "accelerator_for", "check_memories", "cost", "memory_use"]

ROW_BUFFER = "row buffer "


class MemoryUse(NamedTuple):
    """A memory, or several equal ones, on a target.

    Attributes
    ----------
    name : str
        ``weights``, ``activations``, ``row buffers``, ``parameters`` or ``outputs``.
    count, width, depth : int
        How many there are; bits of a word; words of each.
    blocks : int
        Memory blocks that all of them take, where they are not small enough for logic.
    certain : bool
        Whether they are too large for synthesis to make logic of them.
    """

    name: str
    count: int
    width: int
    depth: int
    blocks: int
    certain: bool


def accelerator_for(program: Program, target: Target) -> Accelerator:
    """Return the accelerator of ``program``; its requantiser uses a DSP block where there is one.

    The array's multipliers stay in logic cells, so that their cost shows.
    """
    return Accelerator(program, requantize_dsp=bool(target.budget.get("dsp")))


def cost(
    accelerator: Accelerator, target: Target, store: Store, seeds: Sequence[int] = ()
) -> Measurement:
    """Map and pack the accelerator, and route it once for each seed; its trace is left out.

    Raises
    ------
    FitError
        With numbers, when it does not fit; at once, when its memories alone do not.
    """
    check_memories(accelerator.program, target)
    shell = Shell(accelerator, ignore=["trace"])
    return measure(shell, target, seeds=seeds, dsp=accelerator.requantize_dsp, store=store)


def memory_use(program: Program, target: Target) -> list[MemoryUse]:
    """Return what every memory of ``program`` takes of ``target``, the largest first."""
    family = target.family
    # Yosys makes logic of what costs less than a block; that is below a quarter of one
    least = max(width * depth for width, depth in family.bram_shapes) // 4
    shapes: dict[str, list[tuple[int, int]]] = {}
    for name, shape in program.memories.items():
        kind = "row buffers" if name.startswith(ROW_BUFFER) else name
        shapes.setdefault(kind, []).append(shape)
    found = [
        MemoryUse(
            name,
            len(each),
            *each[0],
            blocks=sum(family.brams(*shape) for shape in each),
            certain=each[0][0] * each[0][1] >= least,
        )
        for name, each in shapes.items()
    ]
    return sorted(found, key=lambda use: use.blocks, reverse=True)


def check_memories(program: Program, target: Target) -> None:
    """Refuse a program whose memories need more block RAM than ``target`` has.

    Raises
    ------
    FitError
        With the numbers, the largest memories and the layer with the largest tensors.
    """
    certain = [use for use in memory_use(program, target) if use.certain]
    needed, available = sum(use.blocks for use in certain), target.budget["bram"]
    if needed <= available:
        return
    largest = ", ".join(f"{use.name} {use.blocks}" for use in certain[:3])
    ways = ["fewer lanes"] if program.geometry.lanes > 1 else []
    ways += ["--contexts 1"] if program.contexts > 1 else []
    ways += ["--batch 1"] if program.batch > 1 else []
    weights = next(use for use in memory_use(program, target) if use.name == "weights")
    if weights.blocks > available:  # nothing else would help
        ways = ["a smaller network", "narrower weights"]
    raise FitError(
        f"network {program.network.name} does not fit {target.name}: at {program.geometry} its "
        f"memories need at least {needed} of {available} block RAMs ({largest}); "
        f"{_largest_layer(program.network)}; take {', '.join(ways) or 'narrower formats'} or a "
        "larger target"
    )


def _largest_layer(network: Network) -> str:
    """Describe the layer whose weights and output take most bits."""

    def bits(name: str) -> tuple[int, int]:
        layer = next(layer for layer in network if layer.name == name)
        return layer.weight_bits, network.sizes[name].elements * layer.output.width

    name = max((layer.name for layer in network), key=lambda name: sum(bits(name)))
    weights, levels = bits(name)
    return (
        f"layer {name} has the largest tensors, {weights:,} bits of weights and an output of "
        f"{network.sizes[name]}, {levels:,} bits"
    )
