"""The mapped netlist of an accelerator alone, with its streams as ports."""

from ..accelerator.top import Accelerator
from ..tools import rtlil
from .build import infers_blocks
from .flow import Netlist, synthesize
from .targets import Target

__all__ = ["mapped"]


def mapped(accelerator: Accelerator, target: Target) -> Netlist:
    """Return the netlist of an accelerator on a target, as `flow.synthesize` maps it.

    Raises
    ------
    ToolError
        Where Yosys is missing, refuses the design or does not end.
    """
    text = rtlil.convert(accelerator, platform=target)
    text = rtlil.forget_contents(rtlil.free_collisions(text))
    return synthesize(text, target, dsp=infers_blocks(accelerator))
