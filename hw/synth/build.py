"""An accelerator on a target: which of its DSP blocks it uses, and what it costs there."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from ..accelerator.implementation import Implementation
from ..accelerator.top import Accelerator
from ..errors import GeometryError
from ..mac.choice import in_blocks
from ..mac.fabric import Fabric
from ..program.layout import Program
from ..tools.store import Store
from .measure import Measurement, measure
from .placement import check_memories, single_port
from .shell import Shell
from .targets import Target

__all__ = ["MULTIPLIERS", "accelerator_for", "cost", "infers_blocks"]

MULTIPLIERS = ("logic", "block")
"""Where the array multiplies: in logic cells, so that their cost shows, or in DSP blocks."""


def accelerator_for(program: Program, target: Target, *, multiplier: str = "logic") -> Accelerator:
    """Return the accelerator of ``program`` with the DSP blocks that ``target`` has.

    The array multiplies in logic cells, or with ``block`` in DSP blocks as far as there are
    enough, and in logic cells beyond. The requantisers use blocks where the array left enough for
    them; on iCE40 only where the array takes none, because Yosys spoils blocks that are there
    already when it infers others. Memories that block RAM has no room for go to RAM with a single
    port.

    Raises
    ------
    GeometryError
        Where the target has no DSP blocks, or they do not have the network's formats.
    """
    left = target.budget.get("dsp", 0)
    fabric = target.fabric(blocks=multiplier == "block")
    blocks = fabric.blocks
    if multiplier == "block":
        if not left:
            raise GeometryError(
                f"{target.name} has no DSP blocks; take the multiplier logic, or another target"
            )
        left -= _used(fabric, program)
    elif multiplier != "logic":
        raise GeometryError(f"a multiplier is {' or '.join(MULTIPLIERS)}, not {multiplier!r}")
    enough = left >= (_requantising(program) if blocks.used else 1)
    placed = single_port(program, target)
    built = Implementation(fabric, single_port=placed)
    infers = not _places_blocks(built, program)
    return Accelerator(program, replace(built, requantize_dsp=enough and infers))


def _used(fabric: Fabric, program: Program) -> int:
    """Return how many DSP blocks the array takes."""
    geometry, accumulator = program.geometry, program.network.accumulator
    _, used = in_blocks(
        program.operands, geometry.lanes, accumulator, geometry.elements, fabric=fabric
    )
    return used


def _requantising(program: Program) -> int:
    """Return how many DSP blocks of 16 bits the products of all requantisers take, at most."""
    widths = program.network.accumulator.width, program.contents.multiplier_width
    return program.geometry.chains * ceil(widths[0] / 16) * ceil(widths[1] / 16)


def infers_blocks(accelerator: Accelerator) -> bool:
    """Tell whether synthesis has DSP blocks to find in an accelerator.

    It must not look for any where there are some already: Yosys would spoil them.
    """
    built = accelerator.implementation
    placed = _places_blocks(built, accelerator.program)
    return not placed and (built.fabric.blocks.used or built.requantize_dsp)


def _places_blocks(built: Implementation, program: Program) -> bool:
    """Tell whether there are DSP blocks in the array; floats leave all of theirs to synthesis."""
    return built.blocks_accumulate and not program.network.is_float


def cost(
    accelerator: Accelerator, target: Target, store: Store, seeds: Sequence[int] = ()
) -> Measurement:
    """Map and pack the accelerator, and route it once for each seed.

    Raises
    ------
    FitError
        With numbers, when it does not fit; at once, when its memories alone do not.
    """
    check_memories(accelerator.program, target)
    shell = Shell(accelerator)
    return measure(shell, target, seeds=seeds, dsp=infers_blocks(accelerator), store=store)
