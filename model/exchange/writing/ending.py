"""The ends of a written graph: results in the shape and order that the network's card says."""

import numpy as np

from ....hw.network.ends import End
from ....hw.network.network import Network
from ..output_values import OutputValues, result_card
from .writer import GraphWriter

__all__ = ["ended"]

MOST_BLOCKS = 16  # rows and columns of a block that are tried


def ended(graph: GraphWriter, tensor: str, network: Network, end: End) -> str:
    """Return the result of an output: a vector, or values as the imported model gave them.

    What a DepthToSpace or a Resize moved to the host is that again; any other order is a Gather.
    """
    if "shape" not in result_card(network, end):
        return graph.vector(tensor)
    values, levels = OutputValues.of(network, end), end.size.elements
    height, width, channels = end.size
    places = np.arange(levels) if values.order is None else np.array(values.order)
    wanted = places.reshape(values.shape)
    given = np.arange(levels).reshape(height, width, channels).transpose(2, 0, 1)
    image = graph.image(tensor)
    shape, name = (graph.shapes[image][0], *values.shape), f"{tensor}/result"
    if np.array_equal(given, wanted):
        return image
    if np.array_equal(given.transpose(1, 2, 0), wanted):
        return graph.node("Transpose", [image], name, shape, perm=[0, 2, 3, 1])
    if wanted.ndim == 3:
        found = _spread(given, wanted)
        if found is not None:
            block, mode = found
            return graph.node("DepthToSpace", [image], name, shape, blocksize=block, mode=mode)
        factors = [max(1, shape[2] // height), max(1, shape[3] // width)]
        if np.array_equal(given.repeat(factors[0], 1).repeat(factors[1], 2), wanted):
            return _resized(graph, image, name, shape, factors)
    place = np.empty(levels, np.int64)
    place[given.ravel()] = np.arange(levels)
    picks = graph.constant(f"{name}/picks", place[wanted.ravel()], np.int64)
    flat = graph.node(
        "Gather", [graph.vector(tensor), picks], f"{name}/flat", (shape[0], wanted.size), axis=1
    )
    sizes = graph.constant(f"{name}/shape", [0, *values.shape], np.int64)
    return graph.node("Reshape", [flat, sizes], name, shape)


def _spread(given: np.ndarray, wanted: np.ndarray) -> tuple[int, str] | None:
    """Return the block and the mode of the DepthToSpace that gives an order, if one does."""
    channels, height, width = given.shape
    block = wanted.shape[1] // height
    if not 1 < block <= MOST_BLOCKS or channels % block**2:
        return None
    rest = channels // block**2
    for mode in ("DCR", "CRD"):
        split = (block, block, rest) if mode == "DCR" else (rest, block, block)
        order = (2, 3, 0, 4, 1) if mode == "DCR" else (0, 3, 1, 4, 2)
        spread = given.reshape(*split, height, width).transpose(order)
        if np.array_equal(spread.reshape(rest, height * block, width * block), wanted):
            return block, mode
    return None


def _resized(
    graph: GraphWriter, image: str, name: str, shape: tuple[int, ...], factors: list[int]
) -> str:
    scales = graph.constant(f"{name}/scales", [1, 1, *factors])
    return graph.node(
        "Resize",
        [image, "", scales],
        name,
        shape,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
