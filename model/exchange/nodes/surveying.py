"""Goes on behind nodes that are refused, so that all of them can be listed."""

from collections.abc import Callable, Container
from fractions import Fraction

import numpy as np
from onnx import NodeProto

from ....hw.errors import NetworkError, Refusal
from ....hw.network.network import INPUT
from ....hw.numbers.formats import Fixed
from ...exact.tensors import Levels
from ..graph.node import label
from .context import ImportContext
from .input_order import input_tensor

__all__ = ["Survey", "nearest_operator"]

Handler = Callable[[ImportContext, NodeProto], None]

NEAREST: dict[str, str] = {
    **dict.fromkeys(
        ("Gelu", "Erf", "Mish", "HardSwish", "Swish", "Celu", "Selu", "ThresholdedRelu", "Exp"),
        "Relu, or Sigmoid, Tanh, Elu or Softplus in front of a quantiser",
    ),
    **dict.fromkeys(
        (
            *("LayerNormalization", "GroupNormalization", "InstanceNormalization"),
            *("LpNormalization", "LRN"),
        ),
        "BatchNormalization",
    ),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "Attention", "Einsum"), "convolutions or dense layers"),
    **dict.fromkeys(
        ("ConvTranspose", "Col2Im"),
        "a Resize by nearest and a Conv, or a Conv of four times the channels and a DepthToSpace",
    ),
    "Split": "one layer for each part",
    **dict.fromkeys(("Slice", "Gather"), "Pad with negative pads, which crops"),
    **dict.fromkeys(("LpPool", "GlobalLpPool"), "MaxPool or AveragePool"),
    **dict.fromkeys(("Max", "Min"), "Relu, or Clip"),
    "Sum": "Add, of two tensors",
    "SpaceToDepth": "a Conv with a stride",
}


def nearest_operator(operator: str) -> str:
    """Return the nearest thing to an operator that is supported; empty where nothing is near."""
    return NEAREST.get(operator, "")


class Survey:
    """The nodes of a graph that are refused.

    What a refused node gives is taken for levels of 8 bits, so that those behind it are seen, too.

    Parameters
    ----------
    supported : container of str
        Operators.

    Attributes
    ----------
    refusals : list of Refusal
        In the order of the nodes.
    """

    def __init__(self, supported: Container[str]):
        self.supported = supported
        self.refusals: list[Refusal] = []
        self._lost: set[str] = set()

    def unknown(self, node: NodeProto) -> Refusal:
        """Return the refusal of a node whose operator is not supported."""
        return Refusal(label(node), "is not supported", nearest_operator(node.op_type))

    def visit(self, context: ImportContext, node: NodeProto, run: Handler) -> None:
        """Run a node; keep why it is refused, and go on."""
        if self._lost & set(node.input):
            self._lost.update(node.output)
            if node.op_type not in self.supported:
                self.refusals.append(self.unknown(node))
            return
        if node.op_type not in self.supported:
            self.refusals.append(self.unknown(node))
        else:
            try:
                run(context, node)
                return
            except NetworkError as error:
                self.refusals.append(Refusal.of(error))
        for name in node.output:
            if context.model.get_tensor_shape(name):
                context.values[name] = _stand_in(context, name)
            else:
                self._lost.add(name)


def _stand_in(context: ImportContext, name: str) -> Levels:
    """Return levels of 8 bits of a tensor's shape."""
    size, index = input_tensor(context.model, name)
    one, none = (np.full(size.channels, Fraction(each), object) for each in (1, 0))
    return Levels(
        size, index, source=INPUT, format=Fixed(8, signed=False), low=0, high=255,
        scale=one, offset=none,
    )  # fmt: skip
