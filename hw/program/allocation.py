"""Allocates the tensors of a network in an image's region of the activation memory."""

from dataclasses import dataclass

from ..network.network import INPUT, Network

__all__ = ["Allocation", "allocate"]


@dataclass(frozen=True)
class Allocation:
    """Words of an image's region, and the first word of every tensor in it, by name."""

    words: int
    bases: dict[str, int]


def allocate(network: Network, sizes: dict[str, int]) -> Allocation:
    """Give every tensor that a layer reads a place; what only comes out of the network has none.

    The input has its own, so that the next image can arrive while this one is computed. The others
    share the rest: each takes the lowest place that no tensor occupies which is still to be read.

    Parameters
    ----------
    network : Network
        The layers.
    sizes : dict
        Words of every tensor, by name.
    """
    order = {layer.name: index for index, layer in enumerate(network)}
    last_use = {source: order[layer.name] for layer in network for source in network.sources(layer)}
    first = sizes[INPUT]
    bases, top = {INPUT: 0}, first
    for layer in network.layers:
        if layer.name not in last_use:
            continue
        alive = sorted(
            (bases[name], bases[name] + sizes[name])
            for name in bases
            if name != INPUT and last_use[name] >= order[layer.name]
        )
        base = first
        for start, end in alive:
            if start - base >= sizes[layer.name]:
                break
            base = max(base, end)
        bases[layer.name] = base
        top = max(top, base + sizes[layer.name])
    return Allocation(top, bases)
