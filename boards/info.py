"""What a device says of itself, and whose network it holds."""

import hashlib
import re
import struct
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Self

import numpy as np

from ..hw.arithmetic import Accumulator
from ..hw.array import Geometry
from ..hw.errors import LinkError
from ..hw.layers import Weighted
from ..hw.network import Network
from ..hw.network_file import to_bytes
from ..hw.number import Format, parse
from ..hw.program import Program
from .frame import PROTOCOL

__all__ = ["INFO_BYTES", "Info", "network_digest"]

FIELDS = {
    "protocol": "B", "version": "3s", "flags": "B", "window": "B",
    "rows": "B", "columns": "H", "lanes": "H", "contexts": "B", "batch": "B", "accumulator": "B",
    "inputs": "I", "outputs": "H", "clock_frequency": "I",
    "input": "8s", "output": "8s", "weight": "8s", "activation": "8s", "digest": "16s",
}  # fmt: skip
"""The fields of the answer in their order, and how ``struct`` writes each."""
LAYOUT = struct.Struct("<" + "".join(FIELDS.values()))
INFO_BYTES = LAYOUT.size
FORMATS = ("input", "output", "weight", "activation")
LOADS, SATURATES = 1, 2  # bits of the flags


def network_digest(network: Network, *, weights: bool = True) -> bytes:
    """Return 16 bytes that tell networks apart by what they compute, not by name or origin.

    Parameters
    ----------
    network : Network
    weights : bool
        Whether the values of weights count. They do not where they are loaded at run time: then
        the digest is that of what the bitstream holds.
    """
    layers = network.layers if weights else tuple(map(_without_weights, network.layers))
    bare = replace(network, name="", about={}, layers=layers)
    return hashlib.sha256(to_bytes(bare)).digest()[:16]


def _without_weights(layer):
    if not isinstance(layer, Weighted):
        return layer
    zeros = np.zeros(layer.weights.shape, np.int64)
    return replace(layer, weights=layer.weight.to_level(zeros))


@dataclass(frozen=True)
class Info:
    """The answer to `frame.Type.INFO`.

    Attributes
    ----------
    protocol : int
        `frame.PROTOCOL` of the device.
    version : str
        The narrowgauge that built it.
    loads_weights : bool
        Weights are loaded after every reset.
    window : int
        Images that may be on their way at once.
    rows, columns, lanes, contexts, batch : int
        Shape of the array, and images in flight.
    accumulator : Accumulator
    inputs, outputs : int
        Elements of an image, and levels of its answer.
    clock_frequency : int
        Hz.
    input, output, weight, activation : Format
        Of an image's elements, of its levels, and of what the array multiplies.
    digest : bytes
        `network_digest`.
    """

    protocol: int
    version: str
    loads_weights: bool
    window: int
    rows: int
    columns: int
    lanes: int
    contexts: int
    batch: int
    accumulator: Accumulator
    inputs: int
    outputs: int
    clock_frequency: int
    input: Format
    output: Format
    weight: Format
    activation: Format
    digest: bytes

    @classmethod
    def of(
        cls, program: Program, *, loads_weights: bool, window: int, clock_frequency: float
    ) -> Self:
        """Return what a device with ``program`` says."""
        network, geometry = program.network, program.geometry
        return cls(
            protocol=PROTOCOL,
            version=".".join(re.findall(r"\d+", version("narrowgauge"))[:3]),
            loads_weights=loads_weights,
            window=window,
            rows=geometry.rows,
            columns=geometry.columns,
            lanes=geometry.lanes,
            contexts=program.contexts,
            batch=program.batch,
            accumulator=network.accumulator,
            inputs=network.inputs,
            outputs=network.outputs,
            clock_frequency=round(clock_frequency),
            input=network.input,
            output=network.output,
            weight=program.operands.weight,
            activation=program.operands.activation,
            digest=network_digest(network, weights=not loads_weights),
        )

    @property
    def geometry(self) -> Geometry:
        """The array, as far as the order of weights depends on it."""
        return Geometry(self.rows, self.columns, self.lanes)

    def to_bytes(self) -> bytes:
        """Return the payload of the answer."""
        values = {name: getattr(self, name) for name in FIELDS if name != "flags"}
        values["version"] = bytes(int(part) for part in self.version.split("."))
        values["flags"] = LOADS * self.loads_weights
        values["flags"] |= SATURATES * (self.accumulator.overflow == "saturate")
        values["accumulator"] = self.accumulator.width
        values |= {name: str(values[name]).encode() for name in FORMATS}
        return LAYOUT.pack(*(values[name] for name in FIELDS))

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload of an answer.

        Raises
        ------
        LinkError
            For a device that speaks another version of the protocol.
        """
        if payload[:1] != bytes([PROTOCOL]) or len(payload) != LAYOUT.size:
            raise LinkError(
                f"the device speaks version {payload[0] if payload else 'none'} of the protocol, "
                f"this narrowgauge version {PROTOCOL}; build its bitstream anew"
            )
        values = dict(zip(FIELDS, LAYOUT.unpack(payload), strict=True))
        flags = values.pop("flags")
        values["version"] = ".".join(map(str, values["version"]))
        values["loads_weights"] = bool(flags & LOADS)
        overflow = "saturate" if flags & SATURATES else "wrap"
        values["accumulator"] = Accumulator(values["accumulator"], overflow)
        values |= {name: parse(values[name].rstrip(b"\0").decode()) for name in FORMATS}
        return cls(**values)
