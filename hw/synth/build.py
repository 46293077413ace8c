"""An accelerator on a target: which of its blocks it uses, and what it costs there."""

from collections.abc import Sequence

from ..accelerator import Accelerator
from ..program import Program
from .measure import Measurement, measure
from .placement import check_memories, single_port
from .shell import Shell
from .store import Store
from .targets import Target

__all__ = ["accelerator_for", "cost"]


def accelerator_for(program: Program, target: Target) -> Accelerator:
    """Return the accelerator of ``program`` with the blocks that ``target`` has.

    Its requantisers use DSP blocks; the array's multipliers stay in logic cells, so that their cost
    shows. Memories that block RAM has no room for go to RAM with a single port.
    """
    return Accelerator(
        program,
        requantize_dsp=bool(target.budget.get("dsp")),
        single_port=single_port(program, target),
    )


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
