"""An accelerator on a target: which of its blocks it uses, and what it costs there."""

from collections.abc import Sequence
from math import ceil

from ..accelerator.top import Accelerator
from ..errors import GeometryError
from ..mac.dsp import Blocks
from ..program.layout import Program
from ..tools.store import Store
from .measure import Measurement, measure
from .placement import check_memories, single_port
from .shell import Shell
from .targets import Target

__all__ = ["MULTIPLIERS", "accelerator_for", "cost", "infers_blocks"]

MULTIPLIERS = ("logic", "block")
"""Where the array multiplies: in logic cells, so that their cost shows, or in multiplier blocks."""


def accelerator_for(program: Program, target: Target, *, multiplier: str = "logic") -> Accelerator:
    """Return the accelerator of ``program`` with the blocks that ``target`` has.

    The array multiplies in logic cells, or with ``block`` in multiplier blocks as far as there are
    enough, and in logic cells beyond. The requantisers use blocks where the array left enough for
    them; on iCE40 only where the array takes none, because Yosys spoils blocks that are there
    already when it infers others. Memories that block RAM has no room for go to RAM with a single
    port.

    Raises
    ------
    GeometryError
        Where the target has no multiplier blocks, or they do not have the network's formats.
    """
    available = target.budget.get("dsp", 0)
    blocks, left = None, available
    if multiplier == "block":
        if not available:
            raise GeometryError(
                f"{target.name} has no multiplier blocks; take the multiplier logic, or another "
                "target"
            )
        blocks = Blocks(target.family.name, available)
        left -= _used(blocks, program)
    elif multiplier != "logic":
        raise GeometryError(f"a multiplier is {' or '.join(MULTIPLIERS)}, not {multiplier!r}")
    enough = left >= (_requantising(program) if blocks else 1)
    inferred = blocks is None or not blocks.accumulate
    return Accelerator(
        program,
        blocks=blocks,
        requantize_dsp=enough and inferred,
        single_port=single_port(program, target),
        fabric=target.family.name,
    )


def _used(blocks: Blocks, program: Program) -> int:
    """Return how many blocks the array takes."""
    geometry, accumulator = program.geometry, program.network.accumulator
    parts = program.operands, geometry.lanes, accumulator
    return ceil(blocks.elements(*parts, geometry.elements) * blocks.of_element(*parts))


def _requantising(program: Program) -> int:
    """Return how many blocks of 16 bits the products of all requantisers take, at most."""
    widths = program.network.accumulator.width, program.multiplier_width
    return program.geometry.chains * ceil(widths[0] / 16) * ceil(widths[1] / 16)


def infers_blocks(accelerator: Accelerator) -> bool:
    """Tell whether synthesis has multiplier blocks to find in an accelerator.

    It must not look for any where there are some already: Yosys would spoil them.
    """
    blocks = accelerator.blocks
    return accelerator.requantize_dsp if blocks is None else not blocks.accumulate


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
    return measure(shell, target, seeds=seeds, dsp=infers_blocks(accelerator), store=store)
