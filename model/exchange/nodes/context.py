"""Walking through a graph, node by node, and what is known on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from ....hw.network.layers import Layer
from ....hw.network.network import INPUT
from ....hw.network.window import Size
from ...exact.quantizer import Quantizer
from ...exact.tensors import Levels, Ranks, Sums, Tensor, Unquantised, Weights
from ...exact.transfer import fractions
from ...exact.unsolved import UnsolvedLayer
from ..graph.kernels import Kernel
from ..graph.node import refuse
from ..preparation import Preparation

__all__ = [
    "ImportContext",
    "NetworkTensor",
    "Raw",
    "StatedInput",
    "Value",
    "Watched",
    "spread",
]


@dataclass(frozen=True, eq=False)
class Raw(Unquantised):
    """The network's real input, and what happened to it since; `transfer` reads its elements."""


NetworkTensor = Raw | Levels | Sums
"""What is computed from the input."""
Value = NetworkTensor | Weights | Ranks | np.ndarray
"""What a tensor of the graph is."""


class StatedInput(NamedTuple):
    """The levels of an input that is stated to be quantised.

    Attributes
    ----------
    ends : tuple of int
        The lowest and the highest level.
    is_bipolar : bool
        Whether there are only -1 and 1.
    scale : float
        Value of level 1.
    """

    ends: tuple[int, int]
    is_bipolar: bool
    scale: float


@dataclass(frozen=True, eq=False)
class Watched:
    """A tensor of the graph whose values are levels of a layer, for comparing them.

    Attributes
    ----------
    levels : Levels
        The layer that gives it, and how levels and values belong together.
    tensor, before : str
        Names in the graph: what the quantiser gives and reads.
    quantizer : Quantizer
        The quantiser.
    sums : Sums or None
        What the quantiser read; None for the input, and for levels that it left as they were.
    by_kernel : bool
        Whether an integer operator gives the levels, which rounds the ratio of scales to float32.
    meant : Levels or None
        The same levels, worth what the quantiser gives, where the tensor has its codes.
    """

    levels: Levels
    tensor: str
    before: str
    quantizer: Quantizer
    sums: Sums | None = None
    by_kernel: bool = False
    meant: Levels | None = None


@dataclass(eq=False)
class ImportContext:
    """The state of an import.

    Attributes
    ----------
    model : qonnx.core.modelwrapper.ModelWrapper
        The cleaned graph.
    input_size, input_index
        What `input_tensor` found.
    values : dict of `Value`
        What each tensor is; a constant is a NumPy array.
    layers : list of UnsolvedLayer and Layer
        In order; max pools are `Layer` already.
    stated_input : StatedInput or None
        The input where no node quantises it.
    preparation : Preparation or None
        How real images become levels, once known.
    dropped : list of str
        Nodes at the end that need no hardware, such as a softmax.
    ended : set of str
        What they give.
    kernels : mapping of Kernel
        Integer operators of the file, by the tensors that they give.
    """

    model: ModelWrapper
    input_size: Size
    input_index: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    values: dict[str, Value] = field(default_factory=dict)
    layers: list[UnsolvedLayer | Layer] = field(default_factory=list)
    watched: list[Watched] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    preparation: Preparation | None = None
    stated_input: StatedInput | None = None
    used_stated_input: bool = False
    kernels: Mapping[str, Kernel] = field(default_factory=dict)

    # --- names ---------------------------------------------------------------------------------

    def unique(self, name: str) -> str:
        """Return ``name``, or with a number where a layer has it.

        `export` calls the sums of a layer ``layer/sum``; they get their own name back.
        """
        name = name.removesuffix("/sum")
        taken = {INPUT, *(layer.name for layer in self.layers)}
        trial, count = name, 2
        while trial in taken:
            trial, count = f"{name}_{count}", count + 1
        return trial

    def drop(self, node: NodeProto) -> None:
        """Note a node at the end that needs no hardware."""
        self.dropped.append(f"{node.name} ({node.op_type})")
        self.ended.update(node.output)

    # --- values --------------------------------------------------------------------------------

    def value(self, node: NodeProto, place: int) -> Value | None:
        """Return what the node reads as its input ``place``; None where it is left out."""
        if place >= len(node.input) or not node.input[place]:
            return None
        name = node.input[place]
        if name not in self.values:
            refuse(node, f"its input {name} is computed by nothing in the graph")
        return self.values[name]

    def operand(self, node: NodeProto, place: int) -> Value:
        """Return what the node reads as its input ``place``, which may not be left out."""
        value = self.value(node, place)
        if value is None:
            refuse(node, f"its input {place} is left out")
        return value

    def constant(self, node: NodeProto, place: int, what: str) -> np.ndarray | None:
        """Return a constant input as an array of float32 or Fractions, None where it is left out.

        Raises
        ------
        NetworkError
            Where it is not constant; the text says ``what`` it is.
        """
        value = self.value(node, place)
        if isinstance(value, Weights):
            return value.values()
        if value is not None and not isinstance(value, np.ndarray):
            refuse(node, f"its {what} is computed while it runs; only constants can be folded")
        return value

    def tensor(self, node: NodeProto, place: int = 0) -> NetworkTensor:
        """Return an input that is not constant."""
        value = self.value(node, place)
        if isinstance(value, Weights):
            refuse(node, "of quantised weights there are only scales, moves and quantisers")
        if not isinstance(value, Tensor):
            refuse(node, "reads a constant where a tensor of the network is wanted")
        assert isinstance(value, (Raw, Levels, Sums))
        return value

    def channels(
        self, node: NodeProto, tensor: Tensor, values: np.ndarray, what: str
    ) -> np.ndarray:
        """Return a constant as Fractions of shape (channels,); refuse what differs within one."""
        found = tensor.per_channel(values)
        if found is None:
            refuse(
                node,
                f"its {what} of shape {values.shape} is not one number, or one a channel, of a "
                f"tensor of shape {tensor.index.shape}; only those can be folded, or others right "
                "behind a Quant node",
            )
        return spread(fractions(found), tensor.size.channels)


def spread(values: np.ndarray, channels: int) -> np.ndarray:
    """Return one value a channel."""
    return np.broadcast_to(values, (channels,)).copy() if values.size == 1 else values
