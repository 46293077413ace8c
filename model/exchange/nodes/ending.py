"""The ends of a graph: logits become last layers, and what ranks them needs no hardware."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper

from ....hw.errors import NetworkError
from ....hw.network.layers import Layer
from ...exact.logits import Meaning
from ...exact.tensors import Levels, Ranks, Sums, Tensor
from ...exact.unsolved import UnsolvedLayer
from ..graph.codes import LINEAR
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
    layer : str
        The last layer.
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

    layer: str
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


def finish(context: ImportContext) -> tuple[Ending, ...]:
    """Make what the graph gives its last layers, one for each result.

    Of several, each layer comes as soon as what it reads is there.

    Raises
    ------
    NetworkError
        For a graph of no results, and for one that one layer cannot end with.
    """
    # old exporters also give scales and bit widths, which are constants
    outputs = [each.name for each in context.model.graph.output if each.name in context.values]
    given = {each: context.values[each] for each in outputs}
    found = {name: each for name, each in given.items() if isinstance(each, Tensor | Ranks)}
    results = {id(each): each for each in map(_logits, found.values())}
    if not results:
        raise NetworkError("no output of the graph is computed from its input")
    planned, endings = len(context.layers), dict[str, Ending]()
    for result in results.values():
        mine = {name: each for name, each in found.items() if _logits(each) is result}
        ending = _ending(context, result, mine, alone=len(results) == 1)
        if ending.layer in endings:
            raise NetworkError(
                f"outputs {endings[ending.layer].output} and {ending.output} are both the levels "
                f"of {ending.layer}; leave one of them out"
            )
        endings[ending.layer] = ending
    _move_forward(context.layers, planned)
    return tuple(endings.values())


def _ending(
    context: ImportContext, result: Tensor, found: Mapping[str, Tensor | Ranks], *, alone: bool
) -> Ending:
    """Make a result the levels of a layer; ``found`` are the outputs that give it."""
    output = _output(found)
    if any(result.padding):
        raise NetworkError(f"a Pad node ends the network at {output}; not supported")
    if result.repeats and result.size.positions == 1:
        raise NetworkError(
            f"the graph repeats its one position at {output}; leave that out, and to the host"
        )
    if not isinstance(result, Levels | Sums) or (not context.layers and isinstance(result, Levels)):
        raise NetworkError("the graph has no layers")
    producer = context.model.find_producer(output)
    values = _is_image(result)
    if not values:
        _check_class_order(result)
    last: Levels | Sums = result
    meaning = None
    if isinstance(result, Levels) and _ranks(context, result, alone=alone):
        meaning = Meaning(result.scale[0], result.offset[0])
        layer = result.source
    else:
        if isinstance(result, Levels):
            assert producer is not None
            last = sums_of(context, producer, result)
        assert isinstance(last, Sums)
        layer = _finish_sums(context, last)
    scores, logits, codes_scores = _behind(context, output)
    return Ending(
        layer=layer,
        output=output,
        gives_places=isinstance(found[output], Ranks),
        scores=scores,
        logits=logits,
        tensor=last,
        meaning=meaning,
        codes_scores=codes_scores,
        values=values,
    )


def _behind(context: ImportContext, output: str) -> tuple[str, str, bool]:
    """Return what the first node reads that gives ranks, and the first one that was dropped.

    That is the output itself where there is none. And whether a quantiser of probabilities is among
    them, so that logits may share a code.
    """
    scores, logits, codes_scores, tensor = output, output, False, output
    while (node := context.model.find_producer(tensor)) is not None:
        is_dropped = tensor in context.ended
        if not is_dropped and node.op_type not in LAYOUT:
            break
        tensor = node.input[0]
        if is_dropped:
            logits = tensor
            scores = tensor if node.op_type in RANKS else scores
            codes_scores = codes_scores or node.op_type in LINEAR
    return scores, logits, codes_scores


def _move_forward(layers: list[UnsolvedLayer | Layer], planned: int) -> None:
    """Move the layers behind the first ``planned`` to where all is there that they read.

    So a branch that ends early keeps no tensor until the end.
    """
    for each in layers[planned:]:
        assert isinstance(each, UnsolvedLayer)
        layers.remove(each)
        before = [at for at, layer in enumerate(layers) if layer.name in each.accumulation.sources]
        layers.insert(max(before, default=-1) + 1, each)


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


def _is_image(result: Tensor) -> bool:
    """Tell whether channels of one position are the elements of an image, its channels last."""
    return result.index.ndim == 4 and result.size.positions == 1 and not _ascends(result)


def _ascends(result: Tensor) -> bool:
    return bool((np.diff(result.index.ravel()) >= 0).all())


def _check_class_order(result: Tensor) -> None:
    """Refuse classes that the graph moved about behind the last layer."""
    if result.size.positions == 1 and not _ascends(result):
        raise NetworkError(
            "the graph moves the classes of its result into another order; leave that out, or "
            "order the weights of the last layer"
        )


def _ranks(context: ImportContext, levels: Levels, *, alone: bool) -> bool:
    """Tell whether a layer's levels are in the order of the values that they stand for.

    A result that is alone is of the last layer.
    """
    layers = context.layers[-1:] if alone else context.layers
    is_last = any(
        levels.source == layer.name and isinstance(layer, UnsolvedLayer) for layer in layers
    )
    return is_last and levels.is_uniform and bool(levels.scale[0] > 0)


def _finish_sums(context: ImportContext, result: Sums) -> str:
    """Plan a last layer without a quantiser; return its name."""
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
    return name
