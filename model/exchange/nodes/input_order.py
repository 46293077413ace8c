"""Finds the order of the input's axes, by following it to the first layer that must know."""

import numpy as np
from onnx import NodeProto, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper

from ....hw.network.window import Size
from .context import ImportContext
from .moves import MOVES
from .parameters import reduced_axes

__all__ = ["input_tensor"]

SPATIAL = ("Conv", "MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool")
REDUCING = ("ReduceMean", "ReduceSum", "ReduceMax")


def input_tensor(model: ModelWrapper, name: str) -> tuple[Size, np.ndarray]:
    """Return the input's size, and the element of it, channels last, at each place in ONNX.

    What a convolution or a pool reads is an image of (channels, height, width). Where there is
    neither, an input of three axes is one, and any other input a vector.
    """
    shape = model.get_tensor_shape(name)
    assert shape is not None
    places = np.arange(int(np.prod(shape))).reshape(shape)
    image = _followed(model, name, places)
    if image is None:
        if len(shape) != 4:
            return Size(1, 1, places.size), places
        image = places
    image = image[0] if image.ndim == 4 else image[0][:, None, :]
    channels, height, width = image.shape
    size = Size(height, width, channels)
    index = np.empty(places.size, np.int64)
    index[image.transpose(1, 2, 0).ravel()] = np.arange(places.size)
    return size, index.reshape(shape)


def _followed(model: ModelWrapper, name: str, places: np.ndarray) -> np.ndarray | None:
    """Return the places of the input as the first spatial layer reads them, None without one."""
    for node in model.find_consumers(name) or []:
        if node.op_type in SPATIAL:
            return places if places.ndim in (3, 4) else None
        if node.op_type in REDUCING:
            return _reduced(model, node, places)
        if node.op_type in ("MatMul", "Gemm"):
            continue
        moved = places
        if node.op_type in MOVES:
            try:
                moved = MOVES[node.op_type](_constants(model), node)(places)
            except ValueError:  # such as behind a Pad, which the places do not have
                return None
        found = _followed(model, node.output[0], moved)
        if found is None and node.op_type == "Pad" and places.ndim in (3, 4):
            found = places
        if found is not None:
            return found
    return None


def _constants(model: ModelWrapper) -> ImportContext:
    context = ImportContext(model, Size(1, 1, 1))
    context.values |= {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    return context


def _reduced(model: ModelWrapper, node: NodeProto, places: np.ndarray) -> np.ndarray | None:
    """Return places with the only axis that is kept as channels, if there is one."""
    axes = reduced_axes(_constants(model), node, places.ndim)
    kept = [axis for axis in range(1, places.ndim) if axis not in axes]
    if places.ndim not in (3, 4):
        return None
    return np.moveaxis(places, kept[0], 1) if len(kept) == 1 else places
