"""Arrays of the study, with accumulators of given widths: simulated, and routed."""

from collections.abc import Mapping
from typing import Any

from ....hw.geometry import Geometry
from ....hw.network.file import from_bytes
from ....hw.numbers.arithmetic import Accumulator
from ....hw.program.layout import Program
from ..hardware import routed, simulated
from .subjects import SUBJECTS

__all__ = ["route_network", "simulate_network"]


def _program(content: bytes, bits: int, array: Mapping[str, Any]) -> Program:
    """Return the program of a network file on registers of so many bits, an image at a time."""
    network = from_bytes(content, origin="the store").with_accumulator(Accumulator(bits))
    return Program(network, Geometry(**array), contexts=1, batch=1)


def simulate_network(
    content: bytes, name: str, bits: int, array: Mapping[str, Any], target: str, images: int
) -> dict[str, Any]:
    """Return what `simulated` says of a network of the study on registers of so many bits."""
    return simulated(_program(content, bits, array), target, SUBJECTS[name].dataset, images)


def route_network(
    content: bytes, bits: int, array: Mapping[str, Any], target: str, seed: int
) -> dict[str, Any]:
    """Return what `routed` says of a network with registers of so many bits."""
    return routed(_program(content, bits, array), target, seed)
