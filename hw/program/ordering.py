"""Sorts the output channels of layers by the width of their weights, and changes no output.

In an array of slices a tile of channels takes the steps of its widest one, so channels of equal
widths belong together. Where channels move, all that belongs to them moves: rows of weights and
parameters, and what the layers behind read.

Max pools, average pools, sums, depthwise convolutions and moves of whole pixels keep channels
apart: tensors on both of their sides have one order, that of the widths that cost most cycles.
Other convolutions with groups let channels move inside a group. The order stays as it is where it
shows: in the input, in outputs of the network, in moves of parts of pixels, and in front of sums
that can saturate, whose results depend on it.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np

from ..network.layers import Conv2d, Dense, Layer, Move, Weighted
from ..network.network import INPUT, Network
from .mapping import map_network
from .regrouping import cannot_overflow

__all__ = ["free_orders", "sorted_by_width"]


def sorted_by_width(network: Network) -> Network:
    """Return a network with the same outputs, whose channels are sorted: the widest first.

    Channels of equal widths keep their order, and so does a network without widths of channels.
    """
    if not any(isinstance(layer, Weighted) and layer.widths for layer in network):
        return network
    orders = _Ties(network).orders()
    layers = tuple(_moved(network, layer, orders) for layer in network)
    return replace(network, layers=layers)


def free_orders(network: Network) -> dict[str, str]:
    """Return the layers with weights whose channels may have any order, and whose order it is.

    Layers whose channels have one order have the name of one tensor of it. Convolutions with groups
    are not among them: a tile is as wide as the widest channel at its place in all groups.
    """
    ties = _Ties(network)
    kept = {ties.find(name) for name in ties.kept()}
    return {
        layer.name: ties.find(layer.name)
        for layer in network
        if isinstance(layer, Weighted)
        and getattr(layer, "groups", 1) == 1
        and ties.find(layer.name) not in kept
    }


@dataclass
class _Tied:
    """Tensors whose channels have one order.

    Attributes
    ----------
    cost : float array of shape (channels,)
        Bits of weights that the array multiplies for each channel, an image.
    inside : list of int
        Channels stay inside blocks of so many.
    """

    cost: np.ndarray
    inside: list[int] = field(default_factory=list)

    def order(self) -> np.ndarray:
        """Return which channel of today is at each place."""
        places = np.arange(len(self.cost))
        return np.lexsort((-self.cost, *(places // each for each in self.inside)))


class _Ties:
    """Which tensors of a network have one order, and what it has to keep."""

    def __init__(self, network: Network):
        self.network = network
        self.first = {name: name for name in network.sizes}  # of the tensors tied to it
        for layer in network:
            if _is_channelwise(network, layer):
                for source in network.sources(layer):
                    self.first[self.find(source)] = self.find(layer.name)

    def find(self, name: str) -> str:
        """Return the tensor by whose name those are known that have the order of this one."""
        while self.first[name] != name:
            name = self.first[name]
        return name

    def orders(self) -> dict[str, np.ndarray]:
        """Return the order of the channels of every tensor."""
        network = self.network
        tied: dict[str, _Tied] = {}
        for name, size in network.sizes.items():
            tied.setdefault(self.find(name), _Tied(np.zeros(size.channels)))
        for name, blocks in self.kept().items():
            tied[self.find(name)].inside += blocks
        for layer in network:
            if isinstance(layer, Weighted):
                macs = network.macs(layer) / layer.channels
                tied[self.find(layer.name)].cost += macs * np.array(layer.channel_widths)
        orders = {name: each.order() for name, each in tied.items()}
        return {name: orders[self.find(name)] for name in network.sizes}

    def kept(self) -> dict[str, list[int]]:
        """Return, for each tensor, of how many channels the blocks are that keep theirs."""
        network, total = self.network, self.network.integer_accumulator
        kept: dict[str, list[int]] = defaultdict(list)
        kept[INPUT].append(1)
        for end in network.ends:
            kept[end.name].append(1)
        for mapped in map_network(network, 1):
            layer, sources = mapped.layer, network.sources(mapped.layer)
            if _is_channelwise(network, layer):
                continue
            if isinstance(layer, Conv2d) and layer.groups > 1:
                kept[layer.name].append(layer.channels // layer.groups)
                kept[sources[0]].append(layer.weights.shape[3])
            saturates = mapped.on_array and total.overflow == "saturate"
            moves = not isinstance(layer, Weighted)
            if moves or (saturates and not cannot_overflow(mapped, total, False)):
                kept[sources[0]].append(1)
            if moves:
                kept[layer.name].append(1)
        return kept


def _is_channelwise(network: Network, layer: Layer) -> bool:
    """Tell whether each channel that a layer gives follows from the same one that it reads."""
    size, read = network.sizes[layer.name], network.sizes[network.sources(layer)[0]]
    if isinstance(layer, Move):
        pixels = (layer.length, *layer.steps)
        return size.channels == read.channels and not any(each % read.channels for each in pixels)
    if isinstance(layer, Conv2d):
        return layer.groups == layer.channels == read.channels > 1
    return not isinstance(layer, Dense)


def _moved(network: Network, layer: Layer, orders: dict[str, np.ndarray]) -> Layer:
    """Return a layer whose input and output have other orders."""
    if not isinstance(layer, Weighted):
        return layer
    source = network.sources(layer)[0]
    before, after = orders[source], orders[layer.name]
    weights = layer.weights[after]
    if isinstance(layer, Dense):
        pixels = weights.reshape(len(after), -1, len(before))
        weights = pixels[:, :, before].reshape(weights.shape)
    elif isinstance(layer, Conv2d) and not _is_channelwise(network, layer):
        # where each channel of a group was, in it
        inner = before.reshape(layer.groups, -1) % layer.weights.shape[3]
        own = np.repeat(inner, layer.channels // layer.groups, axis=0)
        weights = np.take_along_axis(weights, own[:, None, None, :], axis=3)
    return replace(
        layer,
        weights=weights,
        widths=layer.widths and tuple(np.array(layer.widths)[after].tolist()),
        bias=layer.bias[after],
        multiplier=layer.multiplier[after],
        thresholds=None if layer.thresholds is None else layer.thresholds[after],
    )
