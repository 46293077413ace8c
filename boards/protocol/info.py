"""A device's description of itself and of the network that it holds."""

import hashlib
import re
import struct
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, Self

import numpy as np

from ...hw.errors import LinkError
from ...hw.geometry import Geometry
from ...hw.network.file import to_bytes
from ...hw.network.layers import Weighted
from ...hw.network.network import MAX_ENDS, Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.float_sum import FloatSum
from ...hw.numbers.formats import Float, Format, parse
from ...hw.program.layout import Program
from .frame import PROTOCOL, SEVERAL

__all__ = ["MAX_INFO_BYTES", "Info", "device_digest", "network_digest"]

FIELDS = {
    "protocol": "B", "version": "3s", "flags": "B", "window": "B",
    "rows": "B", "columns": "H", "lanes": "H", "contexts": "B", "batch": "B", "accumulator": "B",
    "inputs": "I", "outputs": "H", "clock_frequency": "I",
    "input": "8s", "output": "8s", "weight": "8s", "activation": "8s", "digest": "16s",
}  # fmt: skip
"""The fields of the answer in their order, and how ``struct`` writes each."""
LAYOUT = struct.Struct("<" + "".join(FIELDS.values()))
SUM = struct.Struct("<8sB")
"""Format and partial sums of the accumulator, where that is a float; behind the fields."""
END = struct.Struct("<HH")
"""Levels and classes of each output, where there are several; their number is before them."""
MAX_INFO_BYTES = LAYOUT.size + SUM.size + 1 + MAX_ENDS * END.size
FORMATS = ("input", "output", "weight", "activation")
LOADS, SATURATES, ANY_WEIGHTS, VALUES, SLICED, FLOATS = 1, 2, 4, 8, 16, 32  # bits of the flags


def network_digest(network: Network, *, weights: bool = True) -> bytes:
    """Return 16 bytes that tell networks apart by what they compute, not by name or origin.

    Parameters
    ----------
    network : Network
    weights : bool
        Whether the values of weights count.
    """
    layers = network.layers if weights else tuple(map(_without_weights, network.layers))
    bare = replace(network, name="", about={}, layers=layers)
    return hashlib.sha256(to_bytes(bare, digest=False)).digest()[:16]


def _without_weights(layer):
    if not isinstance(layer, Weighted):
        return layer
    zeros = np.zeros(layer.weights.shape, np.int64)
    return replace(layer, weights=layer.weight.to_level(zeros))


def device_digest(program: Program) -> bytes:
    """Return the digest by which a device with ``program`` knows its network.

    That is `network_digest`. Where any weights may be loaded their values do not count, but what
    was made of them does: bit planes move biases and thresholds by sums of weights.
    """
    if not program.any_weights:
        return network_digest(program.network)
    rows = program.contents.thresholds.rows.tolist() if program.contents.thresholds else []
    made = repr((program.contents.parameters, rows)).encode()
    return hashlib.sha256(network_digest(program.network, weights=False) + made).digest()[:16]


@dataclass(frozen=True)
class Info:
    """The answer to `frame.Type.INFO`.

    Attributes
    ----------
    protocol : int
        `frame.PROTOCOL` of the device, or `frame.SEVERAL` where it has several outputs.
    version : str
        The narrowgauge that built it.
    loads_weights : bool
        Weights are loaded after every reset.
    any_weights : bool
        They may be others than those of the network that the device was built for.
    window : int
        Images that may be on their way at once.
    rows, columns, lanes, contexts, batch : int
        Shape of the array, and images in flight.
    sliced : bool
        The array multiplies slices of weights; `weight` is their format.
    accumulator : Accumulator or FloatSum
    inputs, outputs : int
        Elements of an image, and levels of its answer.
    has_classes : bool
        The answer has a class; without, its levels are values.
    ends : tuple of pairs of int
        Levels and classes of each output.
    clock_frequency : int
        Hz.
    input, output, weight, activation : Format
        Of an image's elements, of its levels, and of what the array multiplies.
    digest : bytes
        `device_digest`.
    """

    protocol: int
    version: str
    loads_weights: bool
    any_weights: bool
    window: int
    rows: int
    columns: int
    lanes: int
    sliced: bool
    contexts: int
    batch: int
    accumulator: Accumulator | FloatSum
    inputs: int
    outputs: int
    has_classes: bool
    ends: tuple[tuple[int, int], ...]
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
            protocol=PROTOCOL if len(network.ends) == 1 else SEVERAL,
            version=".".join(re.findall(r"\d+", version("narrowgauge"))[:3]),
            loads_weights=loads_weights,
            any_weights=program.any_weights,
            window=window,
            rows=geometry.rows,
            columns=geometry.columns,
            lanes=geometry.lanes,
            sliced=geometry.slice is not None,
            contexts=program.contexts,
            batch=program.batch,
            accumulator=network.accumulator,
            inputs=network.inputs,
            outputs=network.outputs,
            has_classes=bool(network.classes),
            ends=tuple((end.size.elements, end.classes) for end in network.ends),
            clock_frequency=round(clock_frequency),
            input=network.input,
            output=network.output,
            weight=program.operands.weight,
            activation=program.operands.activation,
            digest=device_digest(program),
        )

    @property
    def classes(self) -> int:
        """Classes of the label, the most of all outputs; 0 where there is none."""
        return max(classes for _, classes in self.ends)

    @property
    def has_values(self) -> bool:
        """Whether there are outputs without a class, whose levels always come."""
        return not all(classes for _, classes in self.ends)

    @property
    def geometry(self) -> Geometry:
        """The array, as far as the order of weights depends on it."""
        bits = self.weight.width if self.sliced else None
        return Geometry(self.rows, self.columns, self.lanes, slice=bits)

    def program(self, network: Network) -> Program:
        """Return the program of ``network`` on the device, as far as its memories depend on it.

        Raises
        ------
        GeometryError
            Where the array cannot run the network.
        """
        return Program(
            network,
            self.geometry,
            contexts=self.contexts,
            batch=self.batch,
            any_weights=self.any_weights,
        )

    def to_bytes(self) -> bytes:
        """Return the payload of the answer."""
        values = {name: getattr(self, name) for name in FIELDS if name != "flags"}
        values["version"] = bytes(int(part) for part in self.version.split("."))
        values["flags"] = LOADS * self.loads_weights
        values["flags"] |= ANY_WEIGHTS * self.any_weights
        values["flags"] |= VALUES * (not self.has_classes)
        values["flags"] |= SLICED * self.sliced
        values["flags"] |= SATURATES * (self.accumulator.overflow == "saturate")
        values["flags"] |= FLOATS * isinstance(self.accumulator, FloatSum)
        values["accumulator"] = self.accumulator.width
        values |= {name: _name(values[name]) for name in FORMATS}
        fields = LAYOUT.pack(*(values[name] for name in FIELDS))
        if isinstance(self.accumulator, FloatSum):
            fields += SUM.pack(_name(self.accumulator.format), self.accumulator.partial_sums)
        if self.protocol == PROTOCOL:
            return fields
        return fields + bytes([len(self.ends)]) + b"".join(END.pack(*each) for each in self.ends)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload of an answer.

        Raises
        ------
        LinkError
            For a device that speaks another version of the protocol, and for what no device is.
        """
        fields, more = payload[: LAYOUT.size], payload[LAYOUT.size :]
        whole = len(fields) == LAYOUT.size
        values = dict(zip(FIELDS, LAYOUT.unpack(fields), strict=True)) if whole else {}
        floats = SUM.size if values.get("flags", 0) & FLOATS else 0
        total, more = more[:floats], more[floats:]
        whole = whole and len(total) == floats
        whole = whole and len(more) == (1 + END.size * more[0] if more else 0)
        known = bytes([SEVERAL if more else PROTOCOL])
        if payload[:1] != known or not whole:
            raise LinkError(
                f"the device speaks version {payload[0] if payload else 'none'} of the protocol, "
                f"this narrowgauge versions {PROTOCOL} and {SEVERAL}; build its bitstream anew"
            )
        try:
            ends = tuple(END.iter_unpack(more[1:]))
            return cls._read(values, total, ends)
        except ValueError as error:  # of formats, the accumulator, the array
            raise LinkError(
                f"the device says of itself what cannot be: {error}; build its bitstream anew"
            ) from error

    @classmethod
    def _read(cls, values: dict[str, Any], total: bytes, ends: tuple[tuple[int, int], ...]) -> Self:
        """Read the fields of an answer; raises `ValueError` for what no device is."""
        flags = values.pop("flags")
        values["version"] = ".".join(map(str, values["version"]))
        values["loads_weights"] = bool(flags & LOADS)
        values["any_weights"] = bool(flags & ANY_WEIGHTS)
        values["has_classes"] = not flags & VALUES
        values["sliced"] = bool(flags & SLICED)
        classes = values["outputs"] if values["has_classes"] else 0
        values["ends"] = ends or ((values["outputs"], classes),)
        if sum(levels for levels, _ in values["ends"]) != values["outputs"]:
            raise ValueError("its outputs have other levels than their sum")
        if values["has_classes"] != any(classes for _, classes in values["ends"]):
            raise ValueError("it has classes, or none, unlike its outputs")
        overflow = "saturate" if flags & SATURATES else "wrap"
        values["accumulator"] = (
            _float_sum(total) if total else Accumulator(values["accumulator"], overflow)
        )
        for name in FORMATS:
            values[name] = _format(values[name])
        for name in ("window", "inputs", "outputs"):
            if not values[name]:
                raise ValueError(f"{name} is 0")
        info = cls(**values)
        _ = info.geometry  # which may be one that cannot be built
        return info


def _name(fmt: Format) -> bytes:
    """Return the name of a format in at most 8 letters: ``float4_10`` is ``f4_10``."""
    return str(fmt).replace("float", "f").encode()


def _format(name: bytes) -> Format:
    """Return the format of such a name with zeros behind it; raises `FormatError`."""
    text = name.rstrip(b"\0").decode("ascii", "backslashreplace")
    return parse(re.sub(r"^f(?=\d)", "float", text))


def _float_sum(packed: bytes) -> FloatSum:
    """Read the accumulator of floats; raises `ValueError` for what is none."""
    name, partial_sums = SUM.unpack(packed)
    fmt = _format(name)
    if not isinstance(fmt, Float):
        raise ValueError(f"floats are summed in floats, not in {fmt}")
    return FloatSum(fmt, partial_sums)
