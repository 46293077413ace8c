"""The end of the walk: what the graph gives becomes the last layer."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...hw.errors import NetworkError
from ..exact.logits import Meaning
from ..exact.planned import Planned
from ..exact.tensors import Levels, Ranks, Sums, Tensor
from .nodes.levels import sums_of
from .nodes.walk import Walk

__all__ = ["Ending", "finish"]


@dataclass(frozen=True, eq=False)
class Ending:
    """What a graph ends with.

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
    """

    output: str
    gives_places: bool
    scores: str
    logits: str
    tensor: Any
    meaning: Meaning | None


def finish(walk: Walk) -> Ending:
    """Make what the graph gives the last layer.

    Raises
    ------
    NetworkError
        For a graph of no or several results, and for one that one layer cannot end with.
    """
    # old exporters also give scales and bit widths, which are constants
    outputs = [each.name for each in walk.model.graph.output if each.name in walk.values]
    given = {each: walk.values[each] for each in outputs}
    found = {name: each for name, each in given.items() if isinstance(each, Tensor | Ranks)}
    tensors = {name: _logits(each) for name, each in found.items()}
    results = {id(each): each for each in tensors.values()}
    if not results:
        raise NetworkError("no output of the graph is computed from its input")
    if len(results) != 1:
        names = ", ".join(outputs)
        raise NetworkError(f"a network has one result, this one has {len(results)}: {names}")
    (result,) = results.values()
    if any(result.padding):
        raise NetworkError("a Pad node ends the network; not supported")
    if not walk.layers and not isinstance(result, Sums):
        raise NetworkError("the graph has no layers")
    output = _output(found)
    producer = walk.model.find_producer(output)
    _check_order(result)
    last, meaning = result, None
    if isinstance(result, Levels) and _ranks(walk, result):
        meaning = Meaning(result.scale[0], result.offset[0])
    elif isinstance(result, Levels):
        last = sums_of(walk, producer, result)
    if isinstance(last, Sums):
        _finish_sums(walk, last)
    return Ending(
        output=output,
        gives_places=isinstance(found[output], Ranks),
        scores=walk.scores or output,
        logits=walk.logits or output,
        tensor=last,
        meaning=meaning,
    )


def _logits(given: Tensor | Ranks) -> Tensor:
    return given.logits if isinstance(given, Ranks) else given


def _output(found: dict[str, Tensor | Ranks]) -> str:
    """Return the last output that tells classes."""
    telling = [name for name, each in found.items() if getattr(each, "are_places", True)]
    if not telling:
        raise NetworkError(
            f"{', '.join(found)}: a TopK gives the largest logits without their places; let the "
            "graph give those, too"
        )
    return telling[-1]


def _check_order(result: Tensor) -> None:
    """Refuse classes that the graph moved about behind the last layer."""
    if result.size.positions == 1 and (np.diff(result.index.ravel()) < 0).any():
        raise NetworkError(
            "the graph moves the classes of its result into another order; leave that out, or "
            "order the weights of the last layer"
        )


def _ranks(walk: Walk, levels: Levels) -> bool:
    """Tell whether the last layer's levels are in the order of the values that they stand for."""
    one_scale = len({*levels.scale.tolist()}) == 1 and levels.scale[0] > 0
    is_last = levels.source == walk.layers[-1].name and isinstance(walk.layers[-1], Planned)
    return is_last and one_scale and len({*levels.offset.tolist()}) == 1


def _finish_sums(walk: Walk, result: Sums) -> None:
    """Plan a last layer without a quantiser."""
    draft, curve = result.draft, result.curve
    if result.pools:
        raise NetworkError(f"a max pool, {result.pools[-1].name}, ends the network; not supported")
    if not curve.is_affine or (draft.is_sum and not draft.summands):
        raise NetworkError(
            f"what follows {draft.name} at the end of the network has no quantiser, and is more "
            "than a scale, an offset and a clip; put a Quant node there"
        )
    if not draft.is_weighted and not curve.is_uniform:
        draft = draft.per_channel()
    falling = curve.direction < 0
    name = walk.unique(draft.name)
    walk.layers.append(Planned(name, draft.flipped(falling), None, curve=curve.flipped(falling)))
