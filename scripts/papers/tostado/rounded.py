"""What rounded weights cost a float network: the measurement of a cell of a study.

Weights go to levels of a format, one scale a layer; biases, norms and activations stay float32.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Any

import torch
from safetensors.torch import load as from_bytes
from torch import Tensor, nn

from ....hw.numbers.formats import Format, parse
from ....model.layers.rounding import nearest
from ....model.post_training.weights import chop
from ....model.training.feed import TrainingFeed
from ..floats import FloatNetwork, split

__all__ = ["ROUNDINGS", "measure_rounded", "rounded"]

ROUNDINGS = ("nearest", "chop", "stochastic")
BATCH = 250  # images at once: their values stay in the cache of a core


def rounded(weight: Tensor, fmt: Format, rounding: str, generator: torch.Generator) -> Tensor:
    """Return weights at the levels of a format; the largest weight is the largest level."""
    scale = weight.abs().max().clamp(min=1e-30) / fmt.max_level
    x = (weight / scale).clamp(-fmt.max_level, fmt.max_level)
    if rounding == "chop":
        levels = chop(x, fmt)
    elif rounding == "stochastic":
        levels = fmt.quantize(x, rounding="stochastic", generator=generator)
    else:
        levels = nearest(x, fmt)
    return levels.to(weight.dtype) * scale


def measure_rounded(
    content: bytes,
    network: Mapping[str, Any],
    weight: str | None,
    rounding: str,
    draws: int,
    images: int,
    validation: int,
) -> dict[str, Any]:
    """Return how many images a float network labels right with rounded weights.

    Parameters
    ----------
    content : bytes
        What `train_float` gave.
    network : mapping
        The fields of its `FloatNetwork`.
    weight : str or None
        Format; None leaves the weights as they are.
    rounding : str
        One of `ROUNDINGS`.
    draws : int
        How often weights are rounded; more than once where rounding is by chance.
    images : int
        The first so many test images.
    validation : int
        The first so many images that were left out in training, for the first draw; 0 for none.

    Returns
    -------
    mapping
        ``right``, a number for each draw, of ``images``, and how many of them only the rounded
        (``gained``) and only the float network (``lost``) labels right; ``right_validation`` of
        ``images_validation``.
    """
    given = FloatNetwork.of(network)
    parameters = from_bytes(content)
    module = given.module().eval()
    exact = _right_in_float(content, given, images)
    right, gained, lost = [], [], []
    found: dict[str, Any] = {}
    for draw in range(draws):
        module.load_state_dict(parameters)
        if weight is not None:
            generator = torch.Generator().manual_seed(1000 * given.seed + draw)
            _round(module, parse(weight), rounding, generator)
        each = _right(module, given.dataset, "test", images)
        right.append(int(each.sum()))
        gained.append(int((each & ~exact).sum()))
        lost.append(int((exact & ~each).sum()))
        if validation and not draw:
            each = _right(module, given.dataset, "validation", validation)
            found = {"right_validation": int(each.sum()), "images_validation": len(each)}
    return {"right": right, "gained": gained, "lost": lost, "images": len(exact)} | found


_IN_FLOAT: dict[tuple[bytes, int], Tensor] = {}


def _right_in_float(content: bytes, given: FloatNetwork, images: int) -> Tensor:
    """Return which test images the float network labels right; a process finds out once."""
    place = sha256(content).digest(), images
    if place not in _IN_FLOAT:
        module = given.module().eval()
        module.load_state_dict(from_bytes(content))
        _IN_FLOAT[place] = _right(module, given.dataset, "test", images)
    return _IN_FLOAT[place]


@torch.no_grad()
def _round(module: nn.Module, fmt: Format, rounding: str, generator: torch.Generator) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.copy_(rounded(layer.weight, fmt, rounding, generator))


@cache
def _values(dataset: str, part: str) -> tuple[Tensor, Tensor]:
    """Return images as values, channels last in memory, and labels."""
    found = split(dataset)[part == "validation"]
    feed = TrainingFeed(found, found.test_images, found.test_labels, None, torch.device("cpu"))
    return feed.values(feed.images).contiguous(memory_format=torch.channels_last), feed.labels


def _right(module: nn.Module, dataset: str, part: str, count: int) -> Tensor:
    """Return which of the first ``count`` images are labelled right."""
    images, labels = _values(dataset, part)
    found = []
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.inference_mode():
        for start in range(0, min(count, len(labels)), BATCH):
            chosen = slice(start, min(start + BATCH, count))
            found.append(module(images[chosen]).argmax(dim=1) == labels[chosen])
    return torch.cat(found)
