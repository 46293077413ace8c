"""A quantised network as plain integers, and the file that carries it.

Of every layer the network file holds exactly what the hardware needs: weight levels and the
requantisation integers. The file is one ``safetensors`` file: arrays ``N.weights``, ``N.bias`` and
``N.multiplier`` for layer ``N``, and a JSON header under the key ``narrowgauge``. It holds no code
and can be read without this package.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from .arithmetic import Accumulator
from .errors import FormatError, GeometryError, NetworkError
from .files import write_atomically
from .number import Bipolar, Fixed, Format, parse

__all__ = ["VERSION", "Dense", "Network", "from_bytes", "load", "save", "to_bytes"]

VERSION = 1
MAX_SHIFT = 40


@dataclass(frozen=True, eq=False)
class Dense:
    """A fully connected layer.

    For an input vector ``x`` of levels, ``acc = weights @ x`` is accumulated in the network's
    accumulator, and the output level of channel ``c`` is
    ``clamp(round_shift(acc[c] * multiplier[c] + bias[c], shift))`` in the range of ``output``; for
    a `Bipolar` output it is ``+1 if acc[c] * multiplier[c] + bias[c] >= 0 else -1``.

    Parameters
    ----------
    name : str
        Names the layer in reports and errors.
    weight, input, output : Format
        Formats of the weights, the input levels and the output levels.
    weights : int array of shape (outputs, inputs)
        Weight levels.
    bias : int array of shape (outputs,)
        Added to the scaled accumulator.
    multiplier : int array of shape (outputs,)
        Positive scale of the accumulator; all 1 where scales are powers of two.
    shift : int
        Rounding shift, 0 to 40.
    """

    name: str
    weight: Format
    input: Format
    output: Format
    weights: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: int

    kind = "dense"

    def __post_init__(self) -> None:
        for array in ("weights", "bias", "multiplier"):
            object.__setattr__(self, array, np.asarray(getattr(self, array), np.int64))
        if self.weights.ndim != 2 or 0 in self.weights.shape:
            raise NetworkError(
                f"layer {self.name}: weights have shape (outputs, inputs), not {self.weights.shape}"
            )
        for array in ("bias", "multiplier"):
            if getattr(self, array).shape != (self.outputs,):
                raise NetworkError(
                    f"layer {self.name}: {array} has shape ({self.outputs},), "
                    f"not {getattr(self, array).shape}"
                )
        if not 0 <= self.shift <= MAX_SHIFT:
            raise NetworkError(f"layer {self.name}: shift is 0 to {MAX_SHIFT}, not {self.shift}")
        if (self.multiplier < 1).any():
            raise NetworkError(f"layer {self.name}: multipliers are positive integers")
        for end in ("input", "output"):
            if not isinstance(getattr(self, end), (Bipolar, Fixed)):
                raise NetworkError(
                    f"layer {self.name}: an {end} is bipolar, intN or uintN, "
                    f"not {getattr(self, end)}"
                )
        try:
            self.weight.to_code(self.weights)
        except FormatError as error:
            raise NetworkError(f"layer {self.name}: {error}") from error

    @property
    def inputs(self) -> int:
        """Length of the input vector."""
        return self.weights.shape[1]

    @property
    def outputs(self) -> int:
        """Length of the output vector."""
        return self.weights.shape[0]

    @property
    def macs(self) -> int:
        """Multiply-accumulates an image."""
        return self.inputs * self.outputs

    @property
    def parameter_bits(self) -> int:
        """Bits that the weight codes take."""
        return self.weights.size * self.weight.width


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in order, and the accumulator that all of them share.

    Parameters
    ----------
    name : str
        Names the network in reports.
    layers : tuple of Dense
        At least one; each layer's outputs are the next one's inputs.
    accumulator : Accumulator
        Register of every dot product.
    about : mapping
        Plain data about its origin: data set, training command, accuracies.
    """

    name: str
    layers: tuple[Dense, ...]
    accumulator: Accumulator
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.layers:
            raise NetworkError(f"network {self.name} has no layers")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.outputs != after.inputs or before.output != after.input:
                raise NetworkError(
                    f"layer {after.name} takes {after.inputs} x {after.input}, but "
                    f"{before.name} gives {before.outputs} x {before.output}"
                )

    def __iter__(self) -> Iterator[Dense]:
        return iter(self.layers)

    @property
    def input(self) -> Format:
        """Format of an input element."""
        return self.layers[0].input

    @property
    def output(self) -> Format:
        """Format of an output level."""
        return self.layers[-1].output

    @property
    def inputs(self) -> int:
        """Elements of one image."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Levels that one image gives: one a class."""
        return self.layers[-1].outputs

    @property
    def parameter_bits(self) -> int:
        """Bits that all weight codes take."""
        return sum(layer.parameter_bits for layer in self.layers)

    def with_accumulator(self, accumulator: Accumulator) -> "Network":
        """Return the same integers on another accumulator."""
        return replace(self, accumulator=accumulator)


def save(network: Network, path: Path | str) -> None:
    """Write a network file, whole or not at all."""
    write_atomically(Path(path), to_bytes(network))


def to_bytes(network: Network) -> bytes:
    """Return the content of a network file; equal networks have equal bytes."""
    header = {
        "version": VERSION,
        "name": network.name,
        "accumulator": {
            "width": network.accumulator.width,
            "overflow": network.accumulator.overflow,
        },
        "about": dict(network.about),
        "layers": [
            {
                "kind": layer.kind,
                "name": layer.name,
                "weight": str(layer.weight),
                "input": str(layer.input),
                "output": str(layer.output),
                "shift": layer.shift,
            }
            for layer in network
        ],
    }
    arrays = {}
    for index, layer in enumerate(network):
        arrays[f"{index}.weights"] = _smallest(layer.weights)
        arrays[f"{index}.bias"] = layer.bias
        arrays[f"{index}.multiplier"] = layer.multiplier
    return to_safetensors(arrays, {"narrowgauge": json.dumps(header)})


def _smallest(levels: np.ndarray) -> np.ndarray:
    """Return ``levels`` in the narrowest integer type that holds them, contiguous."""
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= levels.min() and levels.max() <= np.iinfo(kind).max:
            return np.ascontiguousarray(levels, kind)
    return np.ascontiguousarray(levels)


def load(path: Path | str) -> Network:
    """Read a network file.

    Raises
    ------
    NetworkError
        For a file that is missing, truncated, not a network, of another version, or inconsistent;
        the text names the file and what is wrong.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise NetworkError(f"{path}: cannot be read ({error.strerror})") from error
    return from_bytes(content, origin=str(path))


def from_bytes(content: bytes, *, origin: str) -> Network:
    """Read the content of a network file; errors name ``origin``. See `load`."""
    try:
        arrays = from_safetensors(content)
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise NetworkError(f"{origin}: not a network file, or cut short ({error})") from error
    if "narrowgauge" not in metadata:
        raise NetworkError(f"{origin}: a safetensors file, but not written by narrowgauge")
    try:
        return _from_parts(json.loads(metadata["narrowgauge"]), arrays)
    except (NetworkError, FormatError, GeometryError) as error:
        raise NetworkError(f"{origin}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise NetworkError(f"{origin}: damaged header ({reason})") from error


def _from_parts(header: dict, arrays: dict[str, np.ndarray]) -> Network:
    """Build the network from a parsed header and its arrays."""
    if header["version"] != VERSION:
        raise NetworkError(
            f"network file version {header['version']}, this narrowgauge reads version {VERSION}; "
            "export the network again"
        )
    layers = []
    for index, record in enumerate(header["layers"]):
        if record["kind"] != Dense.kind:
            raise NetworkError(f"layer {record['name']}: unknown kind {record['kind']!r}")
        layers.append(
            Dense(
                name=record["name"],
                weight=parse(record["weight"]),
                input=parse(record["input"]),
                output=parse(record["output"]),
                weights=arrays[f"{index}.weights"],
                bias=arrays[f"{index}.bias"],
                multiplier=arrays[f"{index}.multiplier"],
                shift=record["shift"],
            )
        )
    return Network(
        name=header["name"],
        layers=tuple(layers),
        accumulator=Accumulator(**header["accumulator"]),
        about=dict(header["about"]),
    )
