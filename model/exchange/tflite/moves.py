"""PAD and RESHAPE, and padding that joins the window of what reads it."""

from dataclasses import replace

import numpy as np

from ....hw.network.window import Size, Window
from ....hw.numbers.formats import Fixed
from ...exact.unsolved import Accumulation, UnsolvedLayer
from .geometry import pads_of, size_of
from .graph import TfliteOperation, refuse
from .state import StoredTensor, TfliteImport

__all__ = ["joined", "pad", "reshape", "settled"]


def pad(state: TfliteImport, operation: TfliteOperation) -> None:
    """Put padding around a tensor; the window of what reads it takes it in."""
    stored = state.tensor(operation)
    amounts = state.graph.tensors[operation.inputs[1]] if len(operation.inputs) == 2 else None
    if amounts is None or amounts.data is None or amounts.dtype != "INT32":
        refuse(operation, "how much it pads is no INT32 constant")
    result = state.graph.tensors[operation.outputs[0]]
    source = state.graph.tensors[operation.inputs[0]]
    if (result.unit, result.zero) != (source.unit, source.zero):
        refuse(operation, "its output is quantised otherwise than its input")
    if amounts.shape != (4, 2) or min(amounts.data.min(), 0) < 0 or amounts.data[[0, 3]].any():
        refuse(operation, "it pads height and width of one image, and this one does more")
    (top, bottom), (left, right) = amounts.data[1:3].tolist()
    padding = tuple(map(sum, zip(stored.padding, (top, left, bottom, right), strict=True)))
    found = replace(stored, padding=padding)
    if size_of(operation, result.shape) != found.padded_size:
        refuse(operation, f"it gives {found.padded_size}, which its output is not")
    state.give(operation, found, watch=False)


def joined(
    state: TfliteImport, operation: TfliteOperation, stored: StoredTensor, window: Window
) -> tuple[StoredTensor, Window]:
    """Return a tensor without its padding and the window that has it, and level 0 there.

    A window that would lie beside the image altogether needs the padding as elements.
    """
    both = pads_of(window, stored.padding)
    if both is None:
        stored, both = settled(state, operation, stored), window
    if any(both.padding):
        stored = state.rebased(stored, stored.zero)
    return replace(stored, padding=(0, 0, 0, 0)), both


def settled(state: TfliteImport, operation: TfliteOperation, stored: StoredTensor) -> StoredTensor:
    """Return a tensor with its padding as elements: a layer of weights 0 and 1 moves it."""
    if not any(stored.padding):
        return stored
    stored = state.rebased(stored, stored.zero)
    top, left, bottom, right = stored.padding
    across, down = left + right, top + bottom
    channels = stored.size.channels
    weights = np.zeros((channels, down + 1, across + 1, 1), np.int64)
    weights[:, bottom, right] = 1
    window = Window((down + 1, across + 1), (1, 1), (down, across, down, across))
    low, high = min(stored.ends[0], 0), max(stored.ends[1], 0)
    size = Size(*window.positions(stored.size), channels)
    assert size == stored.padded_size
    name = state.unique("pad")
    sums = Accumulation(
        name=name,
        sources=(stored.source,),
        inputs=(stored.format,),
        input_sizes=(stored.size,),
        size=size,
        low=np.full(channels, low),
        high=np.full(channels, high),
        weights=weights,
        weight=Fixed(2),
        window=window,
        groups=channels,
    )
    moved = StoredTensor(
        name, size, stored.base, low + stored.base, high + stored.base, stored.zero
    )
    state.layers.append(UnsolvedLayer(name, sums, moved.format, ends=(low, high)))
    return moved


def reshape(state: TfliteImport, operation: TfliteOperation) -> None:
    """Give a tensor another shape, if no element moves: all that a dense layer reads may."""
    tensor, result = operation.inputs[0], state.graph.tensors[operation.outputs[0]]
    if tensor in state.ended:
        state.ended.add(operation.outputs[0])
        return
    stored = state.tensor(operation)
    if any(stored.padding):
        stored = settled(state, operation, stored)
    if int(np.prod(result.shape)) != stored.size.elements:
        refuse(operation, f"it makes {'x'.join(map(str, result.shape))} of {stored.size}")
    source = state.graph.tensors[tensor]
    if (result.unit, result.zero) != (source.unit, source.zero):
        refuse(operation, "its output is quantised otherwise than its input")
    state.give(operation, stored, watch=False)
