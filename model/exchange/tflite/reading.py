"""Reads TFLite files: nothing in them is believed before it was compared with their size."""

import re
import stat
import struct
from collections.abc import Callable, Iterable
from math import prod
from pathlib import Path
from typing import TypeVar

import numpy as np

from ....hw.errors import NetworkError, ToolError
from .graph import TensorFacts, TfliteGraph, TfliteOperation

__all__ = ["from_content", "is_tflite", "read_tflite", "require_tflite"]

IDENTIFIER = b"TFL3"
LARGEST = 1 << 31  # bytes of a file
MOST_ENTRIES = 1 << 14  # tensors, operators, buffers
MOST_ELEMENTS = 1 << 24  # of a tensor
TYPES = {"INT8": np.int8, "INT32": np.int32}
"""Types of constants that are read."""
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "ADD": "AddOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SOFTMAX": "SoftmaxOptions",
}
"""Operators with options, and their tables."""
READ = {
    "Conv2DOptions": (
        "Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor",
        "FusedActivationFunction",
    ),
    "DepthwiseConv2DOptions": (
        "Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "DepthMultiplier",
        "FusedActivationFunction",
    ),
    "FullyConnectedOptions": ("FusedActivationFunction", "WeightsFormat", "KeepNumDims"),
    "Pool2DOptions": (
        "Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction",
    ),
    "ReducerOptions": ("KeepDims",),
    "AddOptions": ("FusedActivationFunction",),
    "ResizeNearestNeighborOptions": ("AlignCorners", "HalfPixelCenters"),
    "SoftmaxOptions": ("Beta",),
}  # fmt: skip
ENUMERATIONS = {"Padding": "Padding", "FusedActivationFunction": "ActivationFunctionType"}

Item = TypeVar("Item")


def require_tflite() -> None:
    """Import what reads the files.

    Raises
    ------
    ToolError
        Where it is not installed; the text says how to install it.
    """
    try:
        import flatbuffers  # noqa: F401
        import tflite  # noqa: F401
    except ImportError as error:
        raise ToolError(
            f"TFLite needs the Python package {error.name or 'tflite'}: "
            "pip install 'narrowgauge[tflite]'"
        ) from error


def is_tflite(path: Path | str) -> bool:
    """Tell whether a file is one by its name, or by how it begins."""
    path = Path(path)
    if path.suffix.lower() == ".tflite":
        return True
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return file.read(8)[4:] == IDENTIFIER
    except OSError:
        return False


def read_tflite(path: Path | str) -> TfliteGraph:
    """Read a file.

    Raises
    ------
    NetworkError
        For what is no TFLite file, is damaged, or has more than one graph; the text names it.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise NetworkError(f"{path}: cannot be read (it is not a file)")
        if status.st_size >= LARGEST:
            raise NetworkError(f"{path}: larger than a TFLite file can be")
        content = path.read_bytes()
    except OSError as error:
        raise NetworkError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        return from_content(content)
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error


def from_content(content: bytes) -> TfliteGraph:
    """Read the content of a file; see `read_tflite`."""
    require_tflite()
    if content[4:8] != IDENTIFIER:
        raise NetworkError("not a TFLite file, or cut short")
    try:
        with np.errstate(all="raise"):
            return _Reader(content).graph()
    except NetworkError:
        raise
    except (struct.error, ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise NetworkError(f"damaged, or cut short ({error})") from error
    except ValueError as error:
        raise NetworkError(f"damaged, or cut short ({str(error)[:100]})") from error


class _Reader:
    """Tables of a file's content."""

    def __init__(self, content: bytes):
        import tflite

        self.content, self.schema = content, tflite
        self.model = tflite.Model.GetRootAs(content, 0)

    def graph(self) -> TfliteGraph:
        """Return the file's graph."""
        count = self.model.SubgraphsLength()
        if count != 1:
            raise NetworkError(f"a network has one graph, this file has {count}")
        graph = self.model.Subgraphs(0)
        assert graph is not None
        buffers = _all(self.model.Buffers, self.model.BuffersLength(), "buffers")
        tensors = tuple(
            self._tensor(place, each, buffers)
            for place, each in enumerate(_all(graph.Tensors, graph.TensorsLength(), "tensors"))
        )
        codes = _all(self.model.OperatorCodes, self.model.OperatorCodesLength(), "operator codes")
        kinds = [self._kind(each) for each in codes]
        operators = _all(graph.Operators, graph.OperatorsLength(), "operators")
        ends = [_integers(each) for each in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())]
        for what, each in zip(("input", "output"), ends, strict=True):
            if len(each) != 1:
                raise NetworkError(f"a network has one {what}, this one has {len(each)}")
            _known(each, tensors, f"the graph's {what}")
        return TfliteGraph(
            content=self.content,
            tensors=tensors,
            operations=tuple(
                self._operation(place, each, kinds, tensors) for place, each in enumerate(operators)
            ),
            input=ends[0][0],
            output=ends[1][0],
        )

    def _kind(self, code) -> str:
        """Return the name of an operator: newer files have it in a wider field."""
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _name_of(self.schema.BuiltinOperator, number)
        if name == "CUSTOM":
            custom = code.CustomCode()
            return "CUSTOM" if custom is None else f"CUSTOM {custom.decode(errors='replace')[:40]}"
        return name

    def _tensor(self, place: int, tensor, buffers: list) -> TensorFacts:
        raw = tensor.Name()
        text = "" if raw is None else raw.decode(errors="replace")
        name = re.sub(r"[^\x21-\x7e]", "?", text)[-60:] or f"tensor {place}"
        signature = _integers(tensor.ShapeSignatureAsNumpy())
        shape = _integers(tensor.ShapeAsNumpy())
        for sizes in (shape, signature[1:]):
            if any(each < 1 for each in sizes):
                raise NetworkError(f"tensor {name}: its shape {_text(sizes)} is not fixed")
        if prod(shape) > MOST_ELEMENTS:
            raise NetworkError(
                f"tensor {name}: {_text(shape)} are more than {MOST_ELEMENTS:,} elements"
            )
        if tensor.Sparsity() is not None:
            raise NetworkError(f"tensor {name}: it is sparse; not supported")
        dtype = _name_of(self.schema.TensorType, tensor.Type())
        scale, zero_point, axis = self._quantisation(name, tensor.Quantization())
        buffer = buffers[tensor.Buffer()]
        data = None
        if buffer.Offset() > 1 or buffer.Size() > 1:
            raise NetworkError(f"tensor {name}: its data lies behind the file; not supported")
        if buffer.DataLength():
            data = self._constant(name, dtype, shape, buffer)
        return TensorFacts(name, dtype, shape, scale, zero_point, axis, data)

    def _quantisation(self, name: str, given) -> tuple[np.ndarray, np.ndarray, int]:
        if given is None:
            return np.zeros(0, np.float32), np.zeros(0, np.int64), 0
        if given.DetailsType():
            raise NetworkError(f"tensor {name}: quantised in a way of its own; not supported")
        scale, zero = (
            np.array([] if isinstance(each, int) else each, dtype)
            for each, dtype in (
                (given.ScaleAsNumpy(), np.float32),
                (given.ZeroPointAsNumpy(), np.int64),
            )
        )
        if not np.isfinite(scale).all() or (scale <= 0).any():
            raise NetworkError(f"tensor {name}: its scales are not positive numbers")
        return scale, zero, int(given.QuantizedDimension())

    def _constant(self, name: str, dtype: str, shape: tuple[int, ...], buffer) -> np.ndarray | None:
        if dtype not in TYPES:
            return None
        octets, item = buffer.DataAsNumpy(), np.dtype(TYPES[dtype]).newbyteorder("<")
        if len(octets) != prod(shape) * item.itemsize:
            raise NetworkError(
                f"tensor {name}: {len(octets)} bytes are in the file, {dtype} of shape "
                f"{_text(shape)} has {prod(shape) * item.itemsize}"
            )
        return octets.view(item).reshape(shape)

    def _operation(
        self, place: int, operator, kinds: list[str], tensors: tuple[TensorFacts, ...]
    ) -> TfliteOperation:
        kind = kinds[operator.OpcodeIndex()]
        inputs, outputs = (
            _integers(each) for each in (operator.InputsAsNumpy(), operator.OutputsAsNumpy())
        )
        what = f"operator {place} ({kind})"
        _known([each for each in inputs if each != -1], tensors, what)
        _known(outputs, tensors, what)
        return TfliteOperation(place, kind, inputs, outputs, self._options(kind, operator))

    def _options(self, kind: str, operator) -> dict[str, int | float | str]:
        if kind not in OPTIONS:
            return {}
        table = OPTIONS[kind]
        options, given = getattr(self.schema, table)(), operator.BuiltinOptions()
        if given is None or _name_of(self.schema.BuiltinOptions, operator.BuiltinOptionsType()) != (
            table
        ):
            raise NetworkError(f"an operator {kind} has no {table}")
        options.Init(given.Bytes, given.Pos)
        found: dict[str, int | float | str] = {}
        for name in READ[table]:
            value = getattr(options, name)()
            if name in ENUMERATIONS:
                value = _name_of(getattr(self.schema, ENUMERATIONS[name]), value)
            found[re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()] = value
        return found


def _all(get: Callable[[int], Item], count: int, what: str) -> list[Item]:
    """Return the items of a vector, if they are not too many."""
    if count > MOST_ENTRIES:
        raise NetworkError(f"{count:,} {what} are more than {MOST_ENTRIES:,}")
    return [get(place) for place in range(count)]


def _integers(vector: np.ndarray | int) -> tuple[int, ...]:
    """Return a vector, which is 0 where the file has none, as integers; refuse a long one."""
    if isinstance(vector, int):
        return ()
    if len(vector) > MOST_ENTRIES:
        raise NetworkError(f"damaged: a list of {len(vector):,} places or sizes")
    return tuple(vector.tolist())


def _known(places: Iterable[int], tensors: tuple[TensorFacts, ...], what: str) -> None:
    for place in places:
        if not 0 <= place < len(tensors):
            raise NetworkError(f"{what}: tensor {place} is none of {len(tensors)}")


def _name_of(enumeration: type, number: int) -> str:
    """Return the name of a number of the schema's enumerations."""
    names = {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
    return names.get(number, f"number {number}")


def _text(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))
