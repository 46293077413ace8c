"""Resize and Upsample: each element of an image at several places."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from onnx import NodeProto

from .node import FARTHEST, Attributes, attributes, refuse

__all__ = ["enlarging"]

HALF = Fraction(1, 2)
ROUNDINGS: dict[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda x: math.ceil(x - HALF),
    "round_prefer_ceil": lambda x: math.floor(x + HALF),
    "floor": math.floor,
    "ceil": math.ceil,
}
"""What a ``nearest_mode`` makes of a place between two elements."""
COORDINATES: dict[str, Callable[[int, int, int], Fraction]] = {
    "asymmetric": lambda place, size, wide: Fraction(place * size, wide),
    "half_pixel": lambda place, size, wide: (place + HALF) * Fraction(size, wide) - HALF,
    "pytorch_half_pixel": lambda place, size, wide: (
        (place + HALF) * Fraction(size, wide) - HALF if wide > 1 else Fraction(0)
    ),
    "half_pixel_symmetric": lambda place, size, wide: (place + HALF) * Fraction(size, wide) - HALF,
    "align_corners": lambda place, size, wide: Fraction(place * (size - 1), max(wide - 1, 1)),
}
"""Where in an axis of ``size`` a place of an axis of ``wide`` lies."""


def enlarging(
    node: NodeProto, scales: np.ndarray | None, sizes: np.ndarray | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what repeats the elements of an array, each axis by a whole number.

    Parameters
    ----------
    node : NodeProto
        A Resize or an Upsample.
    scales, sizes : array or None
        Factors or sizes of the axes; old files have the factors as an attribute.

    Raises
    ------
    NetworkError
        For other modes than ``nearest``, sizes that are no multiples, and coordinates by which
        some elements come up more often than others.
    """
    values = attributes(node)
    mode = values.get("mode", "nearest")
    if mode != "nearest":
        refuse(
            node,
            f"mode {mode} computes elements between others, which no layer does; use nearest, or a "
            "Conv of four times the channels and a DepthToSpace",
        )

    def enlarge(array: np.ndarray) -> np.ndarray:
        wanted = _sizes(node, values, array.shape, scales, sizes)
        for axis, (size, wide) in enumerate(zip(array.shape, wanted, strict=True)):
            if size != wide:
                _check(node, values, size, wide)
                array = array.repeat(wide // size, axis)
        return array

    return enlarge


def _sizes(
    node: NodeProto,
    values: Attributes,
    shape: tuple[int, ...],
    scales: np.ndarray | None,
    sizes: np.ndarray | None,
) -> list[int]:
    """Return the size of each axis of the output."""
    scales = values.get("scales", scales)
    axes = [int(each) for each in values.get("axes", range(len(shape)))]
    given = sizes if sizes is not None and sizes.size else scales
    if given is None or len(given) != len(axes):
        refuse(node, f"has neither scales nor sizes of {len(axes)} axes")
    if values.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        refuse(node, "keeps an aspect ratio; give the sizes themselves")
    if not np.isfinite(given).all() or min(axes) < -len(shape) or max(axes) >= len(shape):
        refuse(node, f"its scales or sizes are no numbers for axes of {shape}")
    found = list(shape)
    for axis, each in zip(axes, np.asarray(given).tolist(), strict=True):
        size = shape[axis]
        found[axis] = int(each) if given is sizes else math.floor(size * Fraction(float(each)))
    return found


def _check(node: NodeProto, values: Attributes, size: int, wide: int) -> None:
    """Refuse what is no repetition of each element as often as of all others."""
    if wide < size or wide % size or wide > FARTHEST:
        refuse(
            node,
            f"makes {wide} of {size} rows, columns or channels; only whole multiples are supported",
        )
    plain = node.op_type == "Upsample" or len(node.input) == 2  # versions without these attributes
    mode = values.get("coordinate_transformation_mode", "asymmetric" if plain else "half_pixel")
    rounding = values.get("nearest_mode", "floor" if plain else "round_prefer_floor")
    coordinate, nearest = COORDINATES.get(mode), ROUNDINGS.get(rounding)
    if coordinate is None or nearest is None:
        refuse(node, f"of {mode} and {rounding} is not supported; use asymmetric and floor")
    places = [nearest(coordinate(place, size, wide)) for place in range(wide)]
    if [min(max(place, 0), size - 1) for place in places] != [
        place // (wide // size) for place in range(wide)
    ]:
        refuse(
            node,
            f"of {mode} and {rounding} repeats some elements more often than others when it makes "
            f"{wide} of {size}; use asymmetric and floor",
        )
