"""The network file: one safe file that carries a network's integers.

It is a ``safetensors`` file. Layer ``N`` has up to four arrays: ``N.weights``, the weight codes
side by side without gaps, the first in the lowest bits of the first byte, each as wide as its
output channel's; ``N.bias``,
``N.multiplier`` and ``N.thresholds``, plain integers. A JSON header under the key ``narrowgauge``
has everything else, the shape of the weights included. The file holds no code and can be read
without this package.

The header's last entry is a digest over the rest of it and all arrays. A file of which any bit has
changed is refused; one without a digest, as files once were, is read.

A header has the oldest version that knows everything in it: version 3 brought the ends of the
clamp, the rounding and the thresholds, version 4 the widths of channels, version 5 floats: there
the accumulator has a ``format`` and ``partial_sums``, and biases, multipliers and ends of clamps
are ranks (`requantised`). ``values`` is there where it is true, or names outputs, and
``output_layers`` where there are several; who does not know them refuses the file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from ..errors import FormatError, GeometryError, NetworkError
from ..files import write_atomically
from ..numbers.arithmetic import Accumulator
from ..numbers.float_sum import FloatSum
from ..numbers.formats import Float, Format, parse
from .layers import LAYERS, Layer, Requantised, Size, Weighted, Window
from .network import Network

__all__ = ["VERSIONS", "from_bytes", "load", "save", "to_bytes"]

VERSIONS = (2, 3, 4, 5)
ARRAYS = ("weights", "bias", "multiplier", "thresholds")
SINCE_3 = ("low", "high", "rounding", "thresholds")
SINCE_4 = ("widths",)
"""Fields that the version before does not have; they are left out where they say nothing."""
FORMATS = ("input", "output", "weight", "other")
HEADER = (
    "version",
    "name",
    "accumulator",
    "about",
    "input_size",
    "layers",
    "values",
    "output_layers",
)


def save(network: Network, path: Path | str) -> None:
    """Write a network file, whole or not at all."""
    write_atomically(Path(path), to_bytes(network))


def to_bytes(network: Network, *, digest: bool = True) -> bytes:
    """Return the content of a network file; equal networks have equal bytes.

    Without its ``digest`` it is what earlier versions wrote.
    """
    header: dict[str, object] = {
        "version": max(map(_version, network)),
        "name": network.name,
        "accumulator": _accumulator_record(network.accumulator),
        "about": dict(network.about),
        "input_size": network.input_size,
        "layers": [_record(layer) for layer in network],
    }
    if network.values:
        header["values"] = network.values
    if network.output_layers:
        header["output_layers"] = network.output_layers
    arrays = {}
    for index, layer in enumerate(network):
        if isinstance(layer, Weighted):
            arrays[f"{index}.weights"] = _packed(layer)
        if isinstance(layer, Requantised):
            arrays[f"{index}.bias"] = _smallest(layer.bias)
            arrays[f"{index}.multiplier"] = _smallest(layer.multiplier)
            if layer.thresholds is not None:
                arrays[f"{index}.thresholds"] = _smallest(layer.thresholds)
    if digest:
        header["digest"] = _digest(header, arrays)
    return to_safetensors(arrays, {"narrowgauge": json.dumps(header)})


def _digest(header: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of header and arrays, each array as its name, type, shape and bytes."""
    parts = [json.dumps(header, sort_keys=True).encode()]
    for name, array in sorted(arrays.items()):
        parts += [f"{name} {array.dtype.str} {array.shape}".encode(), array.tobytes()]
    return sha256(b"".join(len(each).to_bytes(8, "little") + each for each in parts)).hexdigest()


def _version(layer: Layer) -> int:
    """Return the oldest version that can say everything of a layer."""
    given = _new_fields(layer)
    if isinstance(layer.input, Float):
        return 5
    return 4 if given & set(SINCE_4) else 3 if given else 2


def _new_fields(layer: Layer) -> set[str]:
    """Return the fields of a layer that version 2 cannot say."""
    named = (*SINCE_3, *SINCE_4)
    given = {name for name in named if getattr(layer, name, None) is not None}
    return given - {"rounding"} if getattr(layer, "rounding", None) == "half_up" else given


def _accumulator_record(accumulator: Accumulator | FloatSum) -> dict[str, object]:
    """Return an accumulator as plain JSON data."""
    if isinstance(accumulator, Accumulator):
        return asdict(accumulator)
    return {"format": str(accumulator.format), "partial_sums": accumulator.partial_sums}


def _accumulator(record: dict[str, Any]) -> Accumulator | FloatSum:
    """Return the accumulator that a header has."""
    if "format" not in record:
        return Accumulator(**record)
    fmt = parse(record["format"])
    if not isinstance(fmt, Float):
        raise NetworkError(f"an accumulator with a format has a float, not {fmt}")
    others = {name: value for name, value in record.items() if name != "format"}
    return FloatSum(fmt, **others)


def _record(layer: Layer) -> dict[str, object]:
    """Return everything of a layer but its arrays, as plain JSON data."""
    record: dict[str, object] = {"kind": layer.kind}
    left_out = {*SINCE_3, *SINCE_4} - _new_fields(layer)
    for field in fields(layer):
        if field.name in left_out:
            continue
        value = getattr(layer, field.name)
        if isinstance(value, Format):
            record[field.name] = str(value)
        elif isinstance(value, Window):
            record[field.name] = asdict(value)
        elif field.name not in ARRAYS:
            record[field.name] = value
    if isinstance(layer, Weighted):
        record["shape"] = layer.weights.shape
    return record


def _used(widths: Sequence[int], fmt: Format, inputs: int) -> np.ndarray:
    """Return which bits of weight codes are stored, of shape (weights, bits of the format)."""
    return np.arange(fmt.width) < np.repeat(widths, inputs)[:, None]


def _packed(layer: Weighted) -> np.ndarray:
    """Return the weight codes of a layer as bytes."""
    codes = layer.weight.to_code(layer.weights).reshape(-1, 1)
    bits = (codes >> np.arange(layer.weight.width)) & 1
    stored = bits[_used(layer.channel_widths, layer.weight, layer.weights[0].size)]
    return np.packbits(stored.astype(np.uint8), bitorder="little")


def _unpacked(
    octets: np.ndarray, fmt: Format, shape: list[int], widths: Sequence[int] | None
) -> np.ndarray:
    """Return the weight levels that `_packed` made bytes of."""
    outputs, *others = map(int, shape)
    if widths is not None and (
        len(widths) != outputs or not all(1 <= each <= fmt.width for each in widths)
    ):
        raise ValueError(f"widths are 1 to {fmt.width}, one for each of {outputs} output channels")
    inputs = int(np.prod(others))
    stored = inputs * (outputs * fmt.width if widths is None else sum(widths))
    if octets.dtype != np.uint8 or octets.shape != (-(-stored // 8),):
        raise ValueError(
            f"weights of shape {shape} take {-(-stored // 8)} bytes, not {octets.shape}"
        )
    used = _used([fmt.width] * outputs if widths is None else widths, fmt, inputs)
    bits = np.zeros(used.shape, np.int64)
    bits[used] = np.unpackbits(octets, count=stored, bitorder="little")
    if fmt.min_level < 0 and widths is not None:  # what is narrower is extended by its sign
        sign = np.take_along_axis(bits, used.sum(axis=1, keepdims=True) - 1, axis=1)
        bits = np.where(used, bits, sign)
    codes = (bits << np.arange(fmt.width)).sum(axis=1)
    return fmt.to_level(codes).reshape(shape)


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
    path = Path(path)
    if path.is_char_device() or path.is_block_device():
        raise NetworkError(f"{path}: a device, and no network file")  # some never end
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NetworkError(f"{path}: cannot be read ({error.strerror})") from error
    return from_bytes(content, origin=str(path))


def from_bytes(content: bytes, *, origin: str) -> Network:
    """Read the content of a network file, as `load` does.

    Raises
    ------
    NetworkError
        For what is not a whole network file; it names ``origin``.
    """
    try:
        arrays = from_safetensors(content)
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise NetworkError(f"{origin}: not a network file, or cut short ({error})") from error
    if "narrowgauge" not in metadata:
        raise NetworkError(f"{origin}: a safetensors file, but not written by narrowgauge")
    try:
        header = dict(json.loads(metadata["narrowgauge"]))
        _check(header, arrays)
        return _from_parts(header, arrays)
    except (NetworkError, FormatError, GeometryError) as error:
        raise NetworkError(f"{origin}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise NetworkError(f"{origin}: damaged header ({reason})") from error


def _check(header: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """See that a header has a version that is read, and the digest of its content; take it out."""
    if header["version"] not in VERSIONS:
        raise NetworkError(
            f"network file version {header['version']}, this narrowgauge reads version "
            f"{', '.join(map(str, VERSIONS))}; export the network again"
        )
    digest = header.pop("digest", None)
    if digest is not None and digest != _digest(header, arrays):
        raise NetworkError("damaged, or changed by hand: its digest is that of another content")
    unknown = sorted(header.keys() - set(HEADER))
    if unknown:  # it may be what is left of a digest
        raise NetworkError(f"the header has {', '.join(map(repr, unknown))}, which is not known")


def _from_parts(header: dict, arrays: dict[str, np.ndarray]) -> Network:
    """Build the network from a parsed header and its arrays."""
    values = header.get("values", False)
    if not isinstance(values, bool):
        values = _names(values, "values is true or false, or")
    ends = _names(header.get("output_layers", []), "output_layers is")
    return Network(
        name=header["name"],
        layers=tuple(_layer(index, each, arrays) for index, each in enumerate(header["layers"])),
        accumulator=_accumulator(dict(header["accumulator"])),
        about=dict(header["about"]),
        input_size=Size(*header["input_size"]),
        values=values,
        output_layers=ends,
    )


def _names(names: object, what: str) -> tuple[str, ...]:
    """Return a list of names; raises `TypeError` for what is none."""
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise TypeError(f"{what} a list of layers, not {names!r:.40}")
    return tuple(names)


def _layer(index: int, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> Layer:
    kinds = {kind.kind: kind for kind in LAYERS}
    values: dict[str, Any] = dict(record)
    kind = kinds.get(values.pop("kind"))
    if kind is None:
        raise NetworkError(
            f"layer {record['name']}: unknown kind {record['kind']!r}, there is {', '.join(kinds)}"
        )
    shape = values.pop("shape", None)
    for field in fields(kind):
        if field.name == "thresholds":
            values["thresholds"] = arrays.get(f"{index}.thresholds")
        elif field.name in ARRAYS:
            values[field.name] = arrays[f"{index}.{field.name}"]
        elif field.name in FORMATS:
            values[field.name] = parse(values[field.name])
        elif field.name == "window" and record["window"] is not None:
            values["window"] = Window(**record["window"])
    if issubclass(kind, Weighted):
        given = values["weights"], values["weight"], shape, record.get("widths")
        values["weights"] = _unpacked(*given)
    return kind(**values)
