"""Proves, from a network's integers, that no input overflows its accumulator."""

from collections.abc import Collection

import numpy as np

from ...hw.errors import NetworkError
from ...hw.network.network import Network
from ...hw.program.bounds import exact_bound
from ...hw.program.mapping import map_network

__all__ = ["prove_sums"]


def prove_sums(
    network: Network,
    lanes: int,
    *,
    bits: int | None = None,
    free: Collection[str] = (),
    sliced: bool = False,
) -> dict[str, np.ndarray]:
    """Return the bits that the sums of every channel take, by layer; refuse those that do not fit.

    The exact interval of every partial sum is looked at, over all inputs, so what is proven holds
    whether the register wraps or saturates, and whatever the weights came from.

    Parameters
    ----------
    network : Network
        Its integers; how they were found plays no part.
    lanes : int
        Pairs a step.
    bits : int, optional
        What has to hold the sums; by default the network's accumulator.
    free : collection of str
        Layers that are not looked at.
    sliced : bool
        Whether the array multiplies slices of weights.

    Returns
    -------
    dict of int arrays of shape (rows,)
        Rows are those of the mapped layer: its channels, or of pools and sums its lanes.

    Raises
    ------
    NetworkError
        For the first channel that breaks it, with its interval and the bits that would do.
    """
    limit, found = network.accumulator.width if bits is None else bits, {}
    for mapped in map_network(network, lanes, sliced=sliced):
        if not mapped.on_array or mapped.layer.name in free:
            continue
        sums = exact_bound(mapped).partial
        found[mapped.layer.name] = needed = np.array(sums.channel_bits)
        beyond = np.flatnonzero(needed > limit)
        if len(beyond):
            channel = int(beyond[0])
            low, high = int(sums.low[channel]), int(sums.high[channel])
            raise NetworkError(
                f"layer {mapped.layer.name} of {network.name}, channel {channel}: sums reach from "
                f"{low} to {high} and take {needed[channel]} bits, and the accumulator has "
                f"{limit}; {needed.max()} would hold the layer"
            )
    return found
