"""Walking through a graph, node by node, and what is known on the way."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ....hw.layers import Layer
from ....hw.network import INPUT
from ....hw.window import Size
from ..exact.curve import Curve, fractions
from ..exact.draft import Draft
from ..exact.planned import Planned
from ..exact.quantizer import Quantizer
from ..exact.tensors import Levels, Sums, Tensor, Weights, narrowest
from ..graph.node import attributes, refuse

__all__ = ["Planned", "Raw", "Walk", "Watched", "is_end", "spread"]


@dataclass(frozen=True, eq=False)
class Raw(Tensor):
    """The network's real input, and what happened to it since; ``curve`` is over its elements."""

    curve: Curve


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
    """

    levels: Levels
    tensor: str
    before: str
    quantizer: Quantizer
    sums: Sums | None = None


@dataclass(eq=False)
class Walk:
    """The state of an import.

    Attributes
    ----------
    model : qonnx.core.modelwrapper.ModelWrapper
        The cleaned graph.
    input_size, input_index
        What `input_tensor` found.
    values : dict
        What each tensor is: `Raw`, `Levels`, `Sums`, `Weights`, or a NumPy array of a constant.
    layers : list of Planned and Layer
        In order; max pools are `Layer` already.
    preparation : Preparation or None
        How real images become levels, once known.
    dropped : list of str
        Nodes at the end that need no hardware, such as a softmax.
    """

    model: Any
    input_size: Size
    input_index: Any = None
    values: dict[str, Any] = field(default_factory=dict)
    layers: list[Planned | Layer] = field(default_factory=list)
    watched: list[Watched] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    preparation: Any = None
    stated_input: Any = None
    used_stated_input: bool = False

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

    # --- values --------------------------------------------------------------------------------

    def value(self, node: Any, place: int) -> Any:
        """Return what the node reads as its input ``place``; None where it is left out."""
        if place >= len(node.input) or not node.input[place]:
            return None
        name = node.input[place]
        if name not in self.values:
            refuse(node, f"its input {name} is computed by nothing in the graph")
        return self.values[name]

    def constant(self, node: Any, place: int, what: str) -> np.ndarray | None:
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

    def tensor(self, node: Any, place: int = 0) -> Raw | Levels | Sums:
        """Return an input that is not constant."""
        value = self.value(node, place)
        if not isinstance(value, Tensor):
            refuse(node, "reads a constant where a tensor of the network is wanted")
        assert isinstance(value, (Raw, Levels, Sums))
        return value

    def channels(self, node: Any, tensor: Tensor, values: np.ndarray, what: str) -> np.ndarray:
        """Return a constant as Fractions of shape (channels,); refuse what differs within one."""
        found = tensor.per_channel(values)
        if found is None:
            refuse(
                node,
                f"its {what} of shape {values.shape} is not one number, or one a channel, of a "
                f"tensor of shape {tensor.index.shape}; only those can be folded",
            )
        return spread(fractions(found), tensor.size.channels)

    def padded_ahead(self, tensor: str) -> bool:
        """Tell whether a convolution or an average pool reads zeros around this tensor."""
        for node in self.model.find_consumers(tensor) or []:
            values = attributes(node)
            if node.op_type in ("Conv", "AveragePool"):
                same = values.get("auto_pad", "NOTSET").startswith("SAME")
                if same or any(values.get("pads", [0])):
                    return True
            elif node.op_type == "Pad":
                value = self.values.get(node.input[2]) if len(node.input) > 2 else None
                if value is None or not np.any(value):
                    return True
            elif node.op_type in PASSING and any(map(self.padded_ahead, node.output)):
                return True
        return False

    def returns_to_batch(self, tensor: str) -> bool:
        """Tell whether a tensor whose first axis is not the batch is shaped back before it matters.

        Brevitas' TensorNorm makes one column of a tensor, scales that, and shapes it back.
        """
        readers = self.model.find_consumers(tensor) or []
        return bool(readers) and all(
            node.op_type in BESIDE_BATCH
            and (node.op_type == "Reshape" or self.returns_to_batch(node.output[0]))
            for node in readers
        )

    # --- layers --------------------------------------------------------------------------------

    def levels_of(self, node: Any, tensor: Raw | Levels | Sums) -> Levels:
        """Return a tensor as levels that a layer can read.

        Raises
        ------
        NetworkError
            Where it is no quantised tensor; the text says so.
        """
        if isinstance(tensor, Levels):
            return tensor
        if isinstance(tensor, Raw):
            from .quantise import stated_input

            return stated_input(self, node, tensor)
        draft, curve = tensor.draft, tensor.curve
        found = None if draft.is_weighted or tensor.pools else _whole(draft, curve)
        if found is None:
            refuse(
                node,
                f"reads real numbers: nothing quantises the output of {draft.name}; put a Quant "
                "node between the two",
            )
        (low, high), name = found, self.unique(draft.name)
        fmt = narrowest(low, high)
        self.layers.append(Planned(name, draft, fmt, ends=found))
        levels = Levels(
            size=tensor.size,
            index=tensor.index,
            source=name,
            format=fmt,
            low=low,
            high=high,
            scale=curve.gain,
            offset=curve.offset / curve.gain,
        )
        # whoever else reads the same sums reads the same layer
        self.values |= {key: levels for key, value in self.values.items() if value is tensor}
        return levels


PASSING = (
    "MaxPool", "Identity", "Transpose", "Reshape", "Mul", "Div", "Dropout", "Squeeze", "Unsqueeze",
)  # fmt: skip
BESIDE_BATCH = ("BatchNormalization", "Mul", "Add", "Sub", "Div", "Relu", "Reshape")
WIDEST = 16  # bits of sums that are read without a quantiser


def _whole(draft: Draft, curve: Curve) -> tuple[int, int] | None:
    """Return the ends of sums that are levels as they are; None where their curve is another."""
    if not curve.is_affine or (not draft.summands and draft.is_sum):
        return None
    if any(not each for each in curve.gain):
        return None
    ends = []
    for end in (curve.low, curve.high):
        levels = {
            (each if gain > 0 else -each) if abs(each) == float("inf") else (each - offset) / gain
            for each, offset, gain in zip(end, curve.offset, curve.gain, strict=True)
        }
        if len(levels) > 1:
            return None
        ends.append(levels.pop())
    low, high = int(draft.low.min()), int(draft.high.max())
    ends[0], ends[1] = max(min(ends), low), min(max(ends), high)
    if any(Fraction(each).denominator != 1 for each in ends) or ends[0] > ends[1]:
        return None
    found = int(ends[0]), int(ends[1])
    return found if narrowest(*found).width <= WIDEST else None


def spread(values: np.ndarray, channels: int) -> np.ndarray:
    """Return one value a channel."""
    return np.broadcast_to(values, (channels,)).copy() if values.size == 1 else values


ENDINGS = ("Softmax", "LogSoftmax", "TopK", "ArgMax", "Sigmoid", "HardSigmoid", "Tanh")
LAYOUT = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Transpose")


def is_end(walk: Walk, tensor: str) -> bool:
    """Tell whether nothing but endings lies between a tensor and the outputs of the graph."""
    outputs = {each.name for each in walk.model.graph.output}
    readers = [node for node in walk.model.graph.node if tensor in node.input]
    if not readers:
        return tensor in outputs
    return all(
        node.op_type in ENDINGS + LAYOUT and any(is_end(walk, each) for each in node.output)
        for node in readers
    )
