"""The end of a graph: its logits become the last layer, and what ranks them needs no hardware."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper

from ....hw.errors import NetworkError
from ...exact.logits import Meaning
from ...exact.tensors import Levels, Ranks, Sums, Tensor
from ...exact.unsolved import UnsolvedLayer
from ..graph.node import attributes, refuse
from .consumers import CODING, LAYOUT, SCORES, is_end
from .context import ImportContext
from .elementwise import nonlinear
from .levels import sums_of

__all__ = ["Ending", "behind", "end", "end_or_nonlinear", "finish"]

RANKS = ("TopK", "ArgMax")
FLATTENS = 13  # the version of the operators before which a softmax runs over all later axes


def end(context: ImportContext, node: NodeProto) -> None:
    """Drop a node that only turns logits into probabilities, ranks or labels."""
    passing = CODING if node.op_type in SCORES else ()
    if not any(is_end(context, each, passing) for each in node.output):
        refuse(node, "is supported only at the very end of a network")
    tensor = context.tensor(node)
    if tensor.size.positions != 1:
        refuse(
            node,
            f"ends a network at {tensor.size.positions} positions, whose values it changes; leave "
            "it to the host, or put a Quant node behind it",
        )
    if node.op_type in RANKS + SCORES:
        _check_axis(context, node, tensor.index.shape)
    if node.op_type in RANKS:
        _check_order(context, node)
    context.drop(node)
    if node.op_type in RANKS:
        context.scores = context.scores or node.input[0]
    for place, output in enumerate(node.output):
        found: Tensor | Ranks = tensor
        if node.op_type in RANKS:
            found = Ranks(tensor, are_places=node.op_type == "ArgMax" or place == 1)
        context.values[output] = found


def _check_axis(context: ImportContext, node: NodeProto, shape: tuple[int, ...]) -> None:
    """Refuse what runs over anything but all logits of an image."""
    (version,) = [each.version for each in context.model.model.opset_import if not each.domain] or [
        1
    ]
    flattens = node.op_type in SCORES and version < FLATTENS
    default = 0 if node.op_type == "ArgMax" else 1 if flattens else -1
    axis = attributes(node).get("axis", default)
    if not -len(shape) <= axis < len(shape):
        refuse(node, f"has no axis {axis} in a tensor of {shape}")
    first = axis % len(shape)
    over = int(np.prod(shape[first:])) if flattens else shape[first]
    if not first or over != int(np.prod(shape)):
        refuse(node, f"of axis {axis} of a tensor of {shape} is not one of all logits")


def _check_order(context: ImportContext, node: NodeProto) -> None:
    """Refuse what ranks anything but the largest first."""
    values = attributes(node)
    if not values.get("largest", 1) or values.get("select_last_index", 0):
        refuse(node, "ranks the smallest or the last first; only the largest, the first of equals")
    if node.op_type == "TopK" and not values.get("sorted", 1):
        count = context.constant(node, 1, "count")
        if count is None or int(np.ravel(count)[0]) != 1:
            refuse(node, "gives the largest logits in no order; only sorted ones have a first")


def behind(context: ImportContext, node: NodeProto) -> None:
    """Pass on the ranks that a node reads, if it only moves them or gives them another type."""
    found = next(each for each in map(context.values.get, node.input) if isinstance(each, Ranks))
    if node.op_type not in LAYOUT:
        refuse(node, "reads the ranks of logits; only a change of shape or type may follow those")
    if node.op_type == "Cast":
        dtype = helper.tensor_dtype_to_np_dtype(attributes(node)["to"])
        places = np.arange(found.logits.index.size)
        is_text = attributes(node)["to"] == TensorProto.STRING
        if is_text or not np.array_equal(places.astype(dtype).astype(np.int64), places):
            refuse(node, f"to {dtype} does not hold the places of {len(places)} logits")
    context.values[node.output[0]] = found


def end_or_nonlinear(context: ImportContext, node: NodeProto) -> None:
    """Drop a monotone function at the end of the graph, run it elsewhere."""
    (end if is_end(context, node.output[0]) else nonlinear)(context, node)


@dataclass(frozen=True, eq=False)
class Ending:
    """End of a graph, behind its last layer.

    Attributes
    ----------
    output : str
        The tensor that it gives: logits, or what nodes that need no hardware make of them.
    gives_places : bool
        Whether that is the place of the largest logit.
    scores : str
        The last tensor on the way that has a number for each class.
    logits : str
        The tensor that the last layer computes.
    tensor : Levels or Sums
        What that is: levels of the last layer, or what is made of its sums.
    meaning : Meaning or None
        What the last layer's levels are worth; None while that is unknown.
    codes_scores : bool
        Whether the graph rounds probabilities to codes, of which several may be equal.
    values : bool
        Whether they are values in any case, though they look like logits of classes.
    """

    output: str
    gives_places: bool
    scores: str
    logits: str
    tensor: Levels | Sums
    meaning: Meaning | None
    codes_scores: bool = False
    values: bool = False

    @property
    def has_classes(self) -> bool:
        """Whether the result is logits of classes, and not values."""
        is_vector = self.tensor.size.positions == 1 and self.tensor.size.channels > 1
        return is_vector and not self.values


def finish(context: ImportContext) -> Ending:
    """Make what the graph gives the last layer.

    Raises
    ------
    NetworkError
        For a graph of no or several results, and for one that one layer cannot end with.
    """
    # old exporters also give scales and bit widths, which are constants
    outputs = [each.name for each in context.model.graph.output if each.name in context.values]
    given = {each: context.values[each] for each in outputs}
    found = {name: each for name, each in given.items() if isinstance(each, Tensor | Ranks)}
    tensors = {name: _logits(each) for name, each in found.items()}
    results = {id(each): each for each in tensors.values()}
    if not results:
        raise NetworkError("no output of the graph is computed from its input")
    if len(results) != 1:
        names = ", ".join(outputs)
        raise NetworkError(f"a network has one result, this one has {len(results)}: {names}")
    (result,) = results.values()
    if result.repeats and result.size.positions == 1:
        raise NetworkError(
            "the graph repeats its one position at its end; leave that out, and to the host"
        )
    if any(result.padding):
        raise NetworkError("a Pad node ends the network; not supported")
    if not isinstance(result, Levels | Sums) or (not context.layers and isinstance(result, Levels)):
        raise NetworkError("the graph has no layers")
    output = _output(found)
    producer = context.model.find_producer(output)
    values = result.size.positions == 1 and int(np.prod(result.index.shape[2:])) > 1
    if not values:
        _check_class_order(result)
    last: Levels | Sums = result
    meaning = None
    if isinstance(result, Levels) and _ranks(context, result):
        meaning = Meaning(result.scale[0], result.offset[0])
    elif isinstance(result, Levels):
        assert producer is not None
        last = sums_of(context, producer, result)
    if isinstance(last, Sums):
        _finish_sums(context, last)
    return Ending(
        output=output,
        gives_places=isinstance(found[output], Ranks),
        scores=context.scores or output,
        logits=context.logits or output,
        tensor=last,
        meaning=meaning,
        codes_scores=context.codes_scores,
        values=values,
    )


def _logits(given: Tensor | Ranks) -> Tensor:
    return given.logits if isinstance(given, Ranks) else given


def _output(found: Mapping[str, Tensor | Ranks]) -> str:
    """Return the last output that tells classes."""
    telling = [name for name, each in found.items() if getattr(each, "are_places", True)]
    if not telling:
        raise NetworkError(
            f"{', '.join(found)}: a TopK gives the largest logits without their places; let the "
            "graph give those, too"
        )
    return telling[-1]


def _check_class_order(result: Tensor) -> None:
    """Refuse classes that the graph moved about behind the last layer."""
    if result.size.positions == 1 and (np.diff(result.index.ravel()) < 0).any():
        raise NetworkError(
            "the graph moves the classes of its result into another order; leave that out, or "
            "order the weights of the last layer"
        )


def _ranks(context: ImportContext, levels: Levels) -> bool:
    """Tell whether the last layer's levels are in the order of the values that they stand for."""
    last = context.layers[-1]
    is_last = levels.source == last.name and isinstance(last, UnsolvedLayer)
    return is_last and levels.is_uniform and bool(levels.scale[0] > 0)


def _finish_sums(context: ImportContext, result: Sums) -> None:
    """Plan a last layer without a quantiser."""
    accumulation, transfer = result.accumulation, result.transfer
    if result.pools:
        raise NetworkError(f"a max pool, {result.pools[-1].name}, ends the network; not supported")
    if not transfer.is_affine or (accumulation.is_sum and not accumulation.summands):
        raise NetworkError(
            f"what follows {accumulation.name} at the end of the network has no quantiser, and is "
            "more than a scale, an offset and a clip; put a Quant node there"
        )
    if not accumulation.is_weighted and not transfer.is_uniform:
        accumulation = accumulation.per_channel()
    falling = transfer.direction < 0
    name = context.unique(accumulation.name)
    context.layers.append(
        UnsolvedLayer(name, accumulation.flipped(falling), None, transfer=transfer.flipped(falling))
    )
