"""Lowering: a plain torch module becomes a `layers.blocks.Model` that computes the same.

The module is traced, its calls are assembled to steps, and what comes out is compared with the
module; see `tracing`, `assembly` and `agreement`. Anything that hardware does not run is an error
that names it.
"""

import warnings

import torch
from torch import nn

from ...hw.errors import NetworkError
from ...hw.network.window import Size
from ..layers.blocks import Model
from .agreement import Ends, LastCall, compare
from .assembly import Assembly
from .modules import check_module, copy_module
from .supported import SUPPORTED
from .tracing import first_line, trace
from .windows import shown

__all__ = ["ImageShape", "lower"]

ImageShape = tuple[int, int, int] | tuple[int, int]
"""Height, width and channels of an image, or length and channels of a line."""

BATCH = 3  # images of which shapes are taken: a tensor whose first size is another mixes them


def lower(module: nn.Module, image_shape: ImageShape) -> Model:
    """Return the model that computes what ``module`` does, on copies of its parameters.

    A last softmax is left out, and the model's ``remarks`` say so.

    Parameters
    ----------
    module : Module
        Reads images of shape (images, channels, height, width) and gives logits.
    image_shape : tuple of int
        Height, width and channels; or length and channels of a line, which ``module`` reads in the
        shape (images, channels, length), and the model as an image of one row.

    Raises
    ------
    NetworkError
        For what hardware does not run; the text names the module and what is supported.
    """
    check_module(module)
    size = Size(*image_shape) if len(image_shape) == 3 else Size(1, *image_shape)
    shape = (size.channels, size.height, size.width)
    read = shape if len(image_shape) == 3 else (size.channels, size.width)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel", UserWarning)
        model, ends, last = _lowered(copy_module(module).double(), size, read)
        compare(module, model, lambda each: _lowered(each, size, read)[0], ends, last, read)
    return model.float()


def _lowered(
    module: nn.Module, size: Size, read: tuple[int, ...]
) -> tuple[Model, Ends, LastCall | None]:
    """Return the model made of a module that may be changed, where its steps end, and what not."""
    try:
        traced = trace(module.eval(), torch.zeros(BATCH, *read).double())
    except Exception as error:  # whatever a module's own code raises on a symbolic input
        raise NetworkError(
            f"{type(module).__name__} cannot be traced: {first_line(error)}; {SUPPORTED}"
        ) from error
    assembly = Assembly(traced, size)
    if traced.error is not None:
        given = shown((*read[1:], read[0]))
        lines = any(type(each).__name__.endswith("1d") for each in module.modules())
        hint = "; a network of one dimension takes (length, channels)" if lines else ""
        raise NetworkError(
            f"the network does not take images of {given}: {first_line(traced.error)}{hint}"
        ) from traced.error
    model, ends = assembly.model()
    return model, ends, assembly.last
