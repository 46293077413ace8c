"""Reads tensors as the words of `hw.program.patch`, as views and copies of torch.

Tensors have shape (images, height, width, channels).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...hw.program.patch import Patch

__all__ = ["over_window", "padded", "words"]


def padded(tensor: Tensor, patch: Patch, channels: int, level: int, dtype: torch.dtype) -> Tensor:
    """Return ``tensor`` as ``dtype``, contiguous, with ``level`` around it.

    Parameters
    ----------
    tensor : Tensor
        A source of the layer.
    patch : Patch
        Says how many rows and columns lie outside the image.
    channels : int
        Channels of the result; those that do not exist hold ``level``, too.
    level : int
        What is outside.
    dtype : torch.dtype
        Type of the result.
    """
    images, height, width, existing = tensor.shape
    top, left, bottom, right = patch.window.padding
    if channels == existing and not patch.padded:
        return tensor.to(dtype).contiguous()
    shape = (images, top + height + bottom, left + width + right, channels)
    result = torch.full(shape, level, dtype=dtype)
    result[:, top : top + height, left : left + width, :existing] = tensor
    return result


def words(
    tensors: Sequence[Tensor], patch: Patch, lanes: int, level: int, dtype: torch.dtype
) -> Tensor:
    """Return what every position and group reads, in order.

    Parameters
    ----------
    tensors : sequence of Tensor
        The sources of the layer.
    patch : Patch
        What a position reads.
    lanes : int
        Codes of a word; 1 leaves out the lanes after the last code.
    level : int
        What is outside the image, and in lanes without a code.
    dtype : torch.dtype
        Type of the result.

    Returns
    -------
    Tensor
        Of shape (groups, images * positions, steps * lanes).
    """
    # the words of pools and sums are whole: their channels that do not exist become part of the
    # tensor
    each = patch.group_step if patch.separate else patch.size.channels // patch.groups
    channels = patch.groups * each
    views = [_runs(padded(one, patch, channels, level, dtype), patch, each) for one in tensors]
    view = views[0] if len(views) == 1 else _alternatives(views, patch)
    groups, images, height, width, outer, inner, _ = view.shape
    rows, codes = images * height * width, outer * inner * each
    length = codes if patch.separate else patch.steps(lanes) * lanes
    if length == codes:
        return view.reshape(groups, rows, codes)
    result = torch.full((groups, rows, length), level, dtype=dtype)
    places = result[:, :, :codes].unflatten(2, (outer, inner, each))
    places.unflatten(1, (images, height, width)).copy_(view)
    return result


def _runs(tensor: Tensor, patch: Patch, each: int) -> Tensor:
    """Return a view of (groups, images, output height, width, kernel height, width, channels)."""
    _, rows, columns, channels = tensor.shape
    row, image = columns * channels, rows * columns * channels
    (down, right), (height, width) = patch.window.stride, patch.window.kernel
    return tensor.as_strided(
        (patch.groups, len(tensor), *patch.positions, height, width, each),
        (each, image, down * row, right * channels, row, channels, 1),
    )


def _alternatives(views: Sequence[Tensor], patch: Patch) -> Tensor:
    """Join the pixels of several tensors: one after the other, each ``inner`` times."""
    joined = torch.cat(list(views), dim=4)
    return joined.expand(*joined.shape[:5], patch.inner, joined.shape[6])


def over_window(tensor: Tensor, patch: Patch, operation: Callable[..., Tensor]) -> Tensor:
    """Reduce every window of a padded tensor, rows first, by a commutative operation."""
    for axis in (1, 2):
        kernel, stride = patch.window.kernel[axis - 1], patch.window.stride[axis - 1]
        last = (patch.positions[axis - 1] - 1) * stride + 1
        taps = [
            tensor[(slice(None),) * axis + (slice(start, start + last, stride),)]
            for start in range(kernel)
        ]
        if kernel == 1:
            (tensor,) = taps
            continue
        tensor = operation(taps[0], taps[1])
        for tap in taps[2:]:
            operation(tensor, tap, out=tensor)
    return tensor
