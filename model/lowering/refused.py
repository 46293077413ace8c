"""Lists all calls of a torch module that hardware does not run, and what is near to each."""

import warnings

import torch
from torch import nn

from ...hw.errors import NetworkError, Refusal
from .lower import ImageShape
from .modules import check_module, copy_module
from .supported import SUPPORTED, call_of, nearest_to
from .tracing import first_line, trace

__all__ = ["refused_calls"]


def refused_calls(module: nn.Module, image_shape: ImageShape) -> tuple[Refusal, ...]:
    """Return all calls of a module that `lower` does not know.

    Behind a call that does not run on images of this shape nothing is seen.

    Parameters
    ----------
    module : Module
    image_shape : tuple of int
        As `lower` takes it.

    Raises
    ------
    NetworkError
        For a module that cannot be traced at all.
    """
    check_module(module)
    *size, channels = image_shape
    images = torch.zeros(3, channels, *size).double()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = trace(copy_module(module).double().eval(), images)
    except Exception as error:  # whatever a module's own code raises
        raise NetworkError(
            f"{type(module).__name__} cannot be traced: {first_line(error)}; {SUPPORTED}"
        ) from error
    found = []
    for node in traced.nodes:
        if not node.op.startswith("call_") or not traced.varies(node):
            continue
        target = traced.module(node) or node.target
        if call_of(node.op, target) is None:
            called = type(target).__name__ if node.op == "call_module" else _name(target)
            where = f"{node.target} ({called})" if node.op == "call_module" else called
            found.append(Refusal(where, "is not supported", nearest_to(called)))
    return tuple(found)


def _name(target: object) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))
