"""Widths of layers and channels: what each costs, and which are chosen under a mean of bits.

What a layer loses at a width is the divergence of the classes' probabilities where it alone is
quantised after training. A channel's share of it is its share of the squared errors of the layer's
weights, each relative to its own channel.
"""

import copy
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as from_tensors
from torch import Tensor

from ....model.post_training.images import NetworkImages
from ....model.post_training.method import PostTraining
from ....model.post_training.quantization import quantize_model
from ....model.post_training.sensitivity import sensitivities
from ...exploring.choice import Limit, choose_widths
from ..floats import split
from ..resnet8.network import ACTIVATION, DATASET
from ..resnet8.reference import lowered

__all__ = [
    "WIDTHS",
    "Assignment",
    "channel_errors",
    "chosen_channels",
    "chosen_layers",
    "halved_channels",
    "mean_bits",
    "mean_slices",
    "measure_sensitivity",
    "post_training",
    "random_layers",
    "uniform",
]

WIDTHS = (2, 3, 4, 6, 8)
SLICE = 2
CALIBRATION = 256
BLOCK = 4  # channels that are chosen together: columns of the array
TRIED = 57  # scales of a channel

Sensitivity = Mapping[str, Any]
"""What `measure_sensitivity` gives."""
Assignment = dict[str, Any]
"""``widths`` of layers, by name, and ``channels`` of those whose channels have their own."""


def post_training(assignment: Mapping[str, Any]) -> PostTraining:
    """Return how the float network is quantised at these widths, without training."""
    widths = assignment["widths"]
    return PostTraining(
        weight=f"int{max(widths.values())}",
        activation=ACTIVATION,
        input=ACTIVATION,
        layers=[(name, f"int{width}") for name, width in widths.items()],
        channels=assignment.get("channels", {}),
        weight_range="output",
    )


def measure_sensitivity(content: bytes) -> dict[str, Any]:
    """Return what layers lose at each width, and channels of their weights.

    Returns
    -------
    mapping
        ``losses`` and ``errors``, by layer: one number a width, and a list of one number a channel
        for each width; ``weights`` and ``positions``, by layer.
    """
    parameters = from_tensors(content)
    exact = lowered(parameters)
    images = NetworkImages.of_dataset(split(DATASET)[1], CALIBRATION)
    values = images.values(images.calibration)
    names = list(exact.channels())
    losses: dict[str, list[float]] = {name: [] for name in names}
    for width in WIDTHS:
        method = post_training(uniform(names, width))
        model, _, _ = quantize_model(copy.deepcopy(exact), images, method)
        for name, loss in sensitivities(exact, model, values).items():
            losses[name].append(round(loss, 6))
    shapes = {node.name: node.shape for node, _ in exact.weighted()}
    weights = {name: parameters[f"{name}.weight"] for name in names}
    return {
        "losses": losses,
        "errors": {
            name: [channel_errors(weights[name], width) for width in WIDTHS] for name in names
        },
        "weights": {name: weights[name].numel() for name in names},
        "positions": {name: int(np.prod(shapes[name][1:], dtype=int)) for name in names},
        "images": CALIBRATION,
        "widths": list(WIDTHS),
    }


def channel_errors(weight: Tensor, bits: int) -> list[float]:
    """Return the least squared error of each channel, relative to its own square."""
    rows = weight.flatten(1)
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    largest, square = rows.abs().amax(1, keepdim=True), rows.square().sum(1)
    found = torch.full_like(square, torch.inf)
    for share in torch.linspace(0.2, 1.6, TRIED):
        scale = largest * share / high
        error = ((rows / scale).round().clamp(low, high) * scale - rows).square().sum(1) / square
        found = torch.minimum(found, error)
    return [round(each, 6) for each in found.tolist()]


# ------------------------------------------------------------------ assignments


def uniform(names: Sequence[str], width: int) -> Assignment:
    """Return one width for all layers."""
    return {"widths": dict.fromkeys(names, width)}


def chosen_layers(
    found: Sensitivity, most: float, slices: float | None = None
) -> Assignment | None:
    """Return the widths of layers that lose least at a mean of at most ``most`` bits.

    Parameters
    ----------
    slices : float, optional
        Most slices of a weight in the mean over all products, which decide the cycles.
    """
    names = list(found["weights"])
    limits = [_limit(found, names, WIDTHS, most)]
    if slices is not None:
        work = np.array([found["weights"][name] * found["positions"][name] for name in names])
        each = np.array([ceil(width / SLICE) for width in WIDTHS])
        costs = np.outer(work, each).astype(float)
        limits.append(Limit("slices", costs, slices * float(work.sum())))
    losses = np.array([found["losses"][name] for name in names])
    chosen = choose_widths(losses, limits)
    if chosen is None:
        return None
    return {"widths": {name: WIDTHS[at] for name, at in zip(names, chosen, strict=True)}}


def chosen_channels(found: Sensitivity, most: float) -> Assignment | None:
    """Return the widths of blocks of channels that lose least at a mean of ``most`` bits.

    A convolution of a shortcut has one width, because its channels are tied to others.
    """
    blocks = [(name, block) for name in found["weights"] for block in _blocks(found, name)]
    sizes = [
        found["weights"][name] * len(block) / len(found["errors"][name][0])
        for name, block in blocks
    ]
    losses = np.array([_shares(found, name, block) for name, block in blocks])
    total = sum(found["weights"].values())
    limit = Limit("bits", np.outer(sizes, WIDTHS).astype(float), most * total)
    chosen = choose_widths(losses, [limit])
    if chosen is None:
        return None
    channels = {name: [0] * len(found["errors"][name][0]) for name in found["weights"]}
    for (name, block), at in zip(blocks, chosen, strict=True):
        for channel in block:
            channels[name][channel] = WIDTHS[at]
    widths = {name: max(each) for name, each in channels.items()}
    own = {name: each for name, each in channels.items() if len(set(each)) > 1}
    return {"widths": widths, "channels": own}


def _blocks(found: Sensitivity, name: str) -> list[list[int]]:
    """Return channels that get one width: those of like errors."""
    errors = found["errors"][name][0]
    if name.endswith("shortcut"):
        return [list(range(len(errors)))]
    order = sorted(range(len(errors)), key=errors.__getitem__)
    return [order[start : start + BLOCK] for start in range(0, len(order), BLOCK)]


def _shares(found: Sensitivity, name: str, block: Sequence[int]) -> list[float]:
    """Return what a block of channels loses at each width."""
    return [
        loss * sum(errors[channel] for channel in block) / sum(errors)
        for loss, errors in zip(found["losses"][name], found["errors"][name], strict=True)
    ]


HALVED = {
    "block1.conv1": 8,
    "block1.conv2": 8,
    "block2.conv1": 16,
    "block2.conv2": 16,
    "block3.conv1": 32,
    "block3.conv2": 36,
}
"""Channels of 2 bits, in the network whose other channels have 4: a mean below 3 bits."""


def halved_channels(found: Sensitivity) -> Assignment:
    """Return 2 bits for half of the channels, those that lose least there, and 4 for others.

    Shortcuts have 2 bits, the last layer 8: they are few weights, and few products.
    """
    channels = {}
    for name, count in HALVED.items():
        errors = found["errors"][name][0]
        narrow = set(sorted(range(len(errors)), key=errors.__getitem__)[:count])
        channels[name] = [2 if at in narrow else 4 for at in range(len(errors))]
    widths = dict.fromkeys(found["weights"], 4)
    narrow_layers = {name: 2 for name in widths if name.endswith("shortcut")}
    return {"widths": {**widths, **narrow_layers, "dense": 8}, "channels": channels}


def random_layers(found: Sensitivity, most: float, draw: int) -> Assignment:
    """Return widths of layers drawn by chance until their mean is within half a bit of ``most``."""
    names, chance = list(found["weights"]), np.random.default_rng(draw)
    while True:
        widths = chance.choice(WIDTHS, len(names)).tolist()
        drawn = dict(zip(names, widths, strict=True))
        if most - 0.5 < mean_bits(found, {"widths": drawn}) <= most:
            return {"widths": drawn}


def _limit(found: Sensitivity, names: Sequence[str], widths: Sequence[int], most: float) -> Limit:
    sizes = [found["weights"][name] for name in names]
    return Limit("bits", np.outer(sizes, widths).astype(float), most * sum(sizes))


def _channel_widths(found: Sensitivity, assignment: Mapping[str, Any]) -> dict[str, list[int]]:
    own = assignment.get("channels", {})
    return {
        name: own.get(name, [width] * len(found["errors"][name][0]))
        for name, width in assignment["widths"].items()
    }


def mean_bits(found: Sensitivity, assignment: Mapping[str, Any]) -> float:
    """Return the bits of a weight in the mean over all weights."""
    each = _channel_widths(found, assignment)
    bits = sum(found["weights"][name] * float(np.mean(widths)) for name, widths in each.items())
    return bits / sum(found["weights"].values())


def mean_slices(found: Sensitivity, assignment: Mapping[str, Any]) -> float:
    """Return the slices of 2 bits of a weight in the mean over all products."""
    work = {name: found["weights"][name] * found["positions"][name] for name in found["weights"]}
    each = _channel_widths(found, assignment)
    slices = {name: np.mean([ceil(w / SLICE) for w in widths]) for name, widths in each.items()}
    return float(sum(work[name] * slices[name] for name in work) / sum(work.values()))
