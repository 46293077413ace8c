"""An accelerator on a target: which of its blocks it uses, and what it costs there."""

from collections.abc import Sequence

from ..accelerator import Accelerator
from ..errors import FitError
from ..program import Program
from .measure import Measurement, measure
from .shell import Shell
from .store import Store
from .targets import Target

__all__ = ["accelerator_for", "cost"]


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
        With numbers, when it does not fit; at once, when the weights alone do not.
    """
    _check_weights(accelerator.program, target)
    shell = Shell(accelerator, ignore=["trace"])
    return measure(shell, target, seeds=seeds, dsp=accelerator.requantize_dsp, store=store)


def _check_weights(program: Program, target: Target) -> None:
    """Refuse a network whose weights alone need more block RAM than there is."""
    needed = target.family.brams(*program.memories["weights"])
    available = target.budget["bram"]
    if needed > available:
        raise FitError(
            f"network {program.network.name} does not fit {target.name}: at {program.geometry} its "
            f"weights alone need {needed} of {available} block RAMs; take a smaller network, "
            "narrower weights or a larger target"
        )
