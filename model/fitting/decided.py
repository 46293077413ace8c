"""Gives a network whose formats are settled another accumulator, where its sums fit that."""

from dataclasses import asdict, replace

import numpy as np

from ...hw.errors import NetworkError
from ...hw.network.network import Network
from ..integers.partial_sums import network_bounds
from .options import AccumulatorFit
from .search import too_wide

__all__ = ["settled"]


def settled(network: Network, images: np.ndarray | None, options: AccumulatorFit) -> Network:
    """Return the network on the accumulator; its integers stay as they are.

    Parameters
    ----------
    network : Network
        Trained, or quantised.
    images : integer array of shape (images, height, width, channels), or None
        Input levels for the bound ``calibrated``.
    options : AccumulatorFit
        What its sums have to fit.

    Raises
    ------
    NetworkError
        Where they do not, with the layer and the least bits; where its accumulator is as narrow
        already; for a calibrated bound without images; for floats.
    """
    own = network.integer_accumulator
    if options.bound == "calibrated" and images is None:
        raise NetworkError("a calibrated bound needs images: give --data")
    if own.width <= options.bits and own.overflow == options.overflow:
        raise NetworkError(
            f"network {network.name} has a {own.width}-bit accumulator, which is no wider than "
            f"{options.bits} bits already"
        )
    found = network.with_accumulator(options.accumulator)
    too_wide(network, network_bounds(found, options.lanes, images), options)
    about = {**network.about, "accumulator_fit": asdict(options)}
    return replace(found, about=about)
