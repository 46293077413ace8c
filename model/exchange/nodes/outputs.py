"""Turns a quantiser's result into a format, levels, and the pools on the way there."""

import numpy as np

from ....hw.network.layers import MaxPool
from ....hw.numbers.formats import Bipolar, Fixed, Format
from ...exact.quantizer import Quantizer
from ...exact.ranges import narrowest
from ...exact.tensors import Levels, Sums
from .consumers import padded_ahead
from .context import ImportContext, Raw, spread

__all__ = ["add_pools", "given", "stored_format"]


def stored_format(
    context: ImportContext, tensor: str, quantizer: Quantizer, bottom: int, top: int
) -> Format:
    """Return how levels are stored; signs that meet zeros around an image take two bits."""
    if quantizer.is_bipolar:
        return Fixed(2) if padded_ahead(context, tensor) else Bipolar()
    return narrowest(bottom, top)


def add_pools(context: ImportContext, sums: Sums, name: str, fmt: Format) -> str:
    """Append the max pools behind a layer; return the name of the last one."""
    for pool in sums.pools:
        source, name = name, context.unique(pool.name)
        context.layers.append(
            MaxPool(name=name, input=fmt, output=fmt, sources=(source,), window=pool.window)
        )
    return name


def given(
    tensor: Raw | Sums,
    source: str,
    fmt: Format,
    ends: tuple[int, int],
    quantizer: Quantizer,
    mirrored: np.ndarray,
) -> Levels:
    """Return the tensor that a quantiser gives; a padding before it is one of levels behind it."""
    channels, around = tensor.size.channels, None
    scale = spread(quantizer.out_scale, channels)
    if tensor.border is not None:
        codes = quantizer.codes(tensor.border_values)[:, 0].astype(object)
        around = (codes - quantizer.out_zero) * scale
    offset = np.full(channels, quantizer.zero - quantizer.out_zero, object)
    return Levels(
        size=tensor.size,
        index=tensor.index,
        source=source,
        format=fmt,
        low=ends[0],
        high=ends[1],
        scale=np.where(mirrored, -scale, scale),
        offset=np.where(mirrored, -offset - sum(ends), offset),
        padding=tensor.padding,
        pad_value=around,
    )
