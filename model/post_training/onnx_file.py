"""Float ONNX graphs as torch modules, node by node, of the operators that `lower` takes."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...hw.errors import DataError, NetworkError
from ..exchange.graph.cleaning import read

__all__ = ["OnnxNetwork", "read_onnx"]

Options = dict[str, object]


@dataclass(frozen=True)
class _NodeCall:
    """One call of the network's forward: what it reads, and what it does to that.

    Attributes
    ----------
    kind : str
        A key of `CALLS`.
    layer : str
        The layer that it calls, if it calls one.
    reads : tuple of str
        Names of tensors, and of constants.
    gives : str
        Name of a tensor.
    options : tuple
        More of what it needs.
    """

    kind: str
    layer: str
    reads: tuple[str, ...]
    gives: str
    options: tuple[int, ...] = field(default=())


def _reshape(tensors: list[Tensor], sizes: tuple[int, ...]) -> Tensor:
    """Reshape all but the first size; a size of 0 stays as it is."""
    x = tensors[0]
    kept = [x.shape[at] if size == 0 else size for at, size in enumerate(sizes, 1)]
    return x.reshape(x.shape[0], *kept)


CALLS: dict[str, Callable[[list[Tensor], tuple[int, ...]], Tensor]] = {
    "add": lambda x, _: x[0] + x[1],
    "subtract": lambda x, _: x[0] - x[1],
    "multiply": lambda x, _: x[0] * x[1],
    "divide": lambda x, _: x[0] / x[1],
    "join": lambda x, _: torch.cat(x, dim=1),
    "mean": lambda x, kept: x[0].mean((2, 3), keepdim=bool(kept[0])),
    "pad": lambda x, sides: functional.pad(x[0], sides),
    "reshape": _reshape,
    "same": lambda x, _: x[0],
    "softmax": lambda x, _: torch.softmax(x[0], dim=-1),
}
"""What runs without a layer."""

PLAIN = {
    "Add": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "Div": "divide",
    "Identity": "same",
    "Dropout": "same",
}
LAYERS = (
    *("AveragePool", "BatchNormalization", "Clip", "Conv", "Gemm", "GlobalAveragePool", "MatMul"),
    *("MaxPool", "Relu"),
)
SHAPES = ("Flatten", "Pad", "ReduceMean", "Reshape", "Softmax", "LogSoftmax", "Concat", "Transpose",
          "Constant")  # fmt: skip
SUPPORTED = f"supported are {', '.join(sorted((*PLAIN, *LAYERS, *SHAPES)))}"


class OnnxNetwork(nn.Module):
    """The graph of an ONNX file; its layers are called like the nodes.

    Parameters
    ----------
    entry, result : str
        Tensors that the graph reads and gives.
    calls : list of calls
        In their order.
    """

    def __init__(self, entry: str, result: str, calls: list[_NodeCall]):
        super().__init__()
        self.entry, self.result, self.calls = entry, result, calls

    def forward(self, x: Tensor) -> Tensor:
        """Map images of shape (images, channels, height, width) to logits."""
        known = {self.entry: x}
        for call in self.calls:
            read = [known[name] if name in known else getattr(self, name) for name in call.reads]
            if call.layer:
                known[call.gives] = getattr(self, call.layer)(read[0])
            else:
                known[call.gives] = CALLS[call.kind](read, call.options)
        return known[self.result]


def read_onnx(path: Path, shape: tuple[int, ...]) -> nn.Module:
    """Return the torch module that computes what a float ONNX graph does.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        An image, as the data has it: the graph reads it like that, or with channels first.

    Raises
    ------
    DataError
        For images of another shape than the graph reads.
    NetworkError
        For a file that is none, and for operators, attributes and constants that hardware does not
        run; the text names the node.
    """
    return _Reader(path, read(path).graph, shape).module


class _Reader:
    """Reads the nodes of a graph, in their order, into an `OnnxNetwork`.

    Attributes
    ----------
    module : OnnxNetwork
        What they make.
    """

    def __init__(self, path: Path, graph: onnx.GraphProto, shape: tuple[int, ...]):
        self.path = path
        self.constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
        entries = [each for each in graph.input if each.name not in self.constants]
        if len(entries) != 1 or len(graph.output) != 1:
            raise NetworkError(
                f"{path}: {len(entries)} inputs and {len(graph.output)} outputs; a network has one "
                "of each"
            )
        self._check_entry(entries[0], shape)
        self.entry = entries[0].name
        self.module = OnnxNetwork(self.entry, graph.output[0].name, [])
        self._arranged = {self.entry}  # tensors that are the image as it came
        for index, node in enumerate(graph.node):
            self._read(node, node.name or f"{node.op_type.lower()}{index}")

    def _check_entry(self, entry: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
        """Refuse images of another shape; sizes that the graph leaves open may be any."""
        sizes = [each.dim_value for each in entry.type.tensor_type.shape.dim][1:]
        flat = len(sizes) == 1
        options = [shape, (shape[2], *shape[:2]) if len(shape) == 3 else shape]
        wanted = [(int(np.prod(each)),) if flat else each for each in options]
        self.last = False
        for place, each in enumerate(wanted):
            if len(each) == len(sizes) and all(
                a in (0, b) for a, b in zip(sizes, each, strict=True)
            ):
                self.last = place == 0 and len(shape) == 3 and not flat and wanted[0] != wanted[1]
                return
        raise DataError(
            f"{self.path}: the network reads images of {_by(sizes)}, the data has {_by(shape)}"
        )

    # --- nodes ---------------------------------------------------------------------------------

    def _read(self, node: onnx.NodeProto, name: str) -> None:
        options: Options = {
            each.name: onnx.helper.get_attribute_value(each) for each in node.attribute
        }
        reads = [each for each in node.input if each]
        operator = node.op_type
        if node.domain not in ("", "ai.onnx"):
            self._refuse(node, name, f"is of {node.domain}; import reads quantised networks")
        if operator == "Constant":
            self._constant(node, name, options)
            return
        if operator in ("Shape", "Gather", "Unsqueeze", "Cast", "Slice"):
            self._refuse(node, name, "computes a shape: export the graph with constants folded")
        reader = getattr(self, f"_{operator.lower()}", None)
        if operator in PLAIN:
            self._plain(node, name, reads)
        elif operator in (*LAYERS, *SHAPES) and reader is not None:
            reader(node, name, reads, options)
        else:
            self._refuse(node, name, f"is not supported; {SUPPORTED}")

    def _constant(self, node: onnx.NodeProto, name: str, options: Options) -> None:
        value = options.get("value")
        if not isinstance(value, onnx.TensorProto):
            self._refuse(node, name, "has no tensor for its value")
        self.constants[node.output[0]] = onnx.numpy_helper.to_array(value)

    def _plain(self, node: onnx.NodeProto, name: str, reads: list[str]) -> None:
        if PLAIN[node.op_type] == "same":
            reads = reads[:1]
        self._call(node, PLAIN[node.op_type], tuple(map(self._operand, reads)))

    def _conv(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        weight = self._needed(node, name, reads, 1)
        if weight.ndim != 4:
            self._refuse(node, name, f"has weights of {weight.ndim} dimensions, not 4")
        groups = _integer(options, "group", 1)
        source, pads = self._padded(node, name, reads[0], options)
        layer = nn.Conv2d(
            weight.shape[1] * groups,
            weight.shape[0],
            weight.shape[2:],
            _pair(options, "strides"),
            pads,
            _pair(options, "dilations"),
            groups,
            bias=len(reads) > 2,
        )
        self._fill(layer, weight, self._needed(node, name, reads, 2) if len(reads) > 2 else None)
        self._layer(node, name, layer, source)

    def _padded(
        self, node: onnx.NodeProto, name: str, source: str, options: Options
    ) -> tuple[str, tuple[int, int]]:
        """Return what a layer reads, and the padding that is left to it."""
        kind = _text(options, "auto_pad", "NOTSET")
        if kind not in ("NOTSET", "VALID"):
            self._refuse(node, name, f"has auto_pad {kind}: export the graph with pads")
        pads = _integers(options, "pads", (0, 0, 0, 0)) if kind == "NOTSET" else (0, 0, 0, 0)
        top, left, bottom, right = pads
        if (top, left) == (bottom, right):
            return source, (top, left)
        padded = f"{node.output[0]} padded"
        self._call(node, "pad", (source,), (left, right, top, bottom), gives=padded)
        return padded, (0, 0)

    def _gemm(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        if options.get("alpha", 1.0) != 1.0 or options.get("beta", 1.0) != 1.0:
            self._refuse(node, name, "has alpha or beta other than 1")
        if options.get("transA"):
            self._refuse(node, name, "transposes what it reads")
        weight = self._needed(node, name, reads, 1)
        weight = weight if options.get("transB") else weight.T
        bias = self._needed(node, name, reads, 2).reshape(-1) if len(reads) > 2 else None
        self._dense(node, name, reads[0], weight, bias)

    def _matmul(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        weight = self._needed(node, name, reads, 1)
        if weight.ndim != 2:
            self._refuse(node, name, f"multiplies by a tensor of {weight.ndim} dimensions")
        self._dense(node, name, reads[0], weight.T, None)

    def _dense(
        self,
        node: onnx.NodeProto,
        name: str,
        source: str,
        weight: np.ndarray,
        bias: np.ndarray | None,
    ) -> None:
        if source in self._arranged:  # an image that no node flattens
            flat = f"{node.output[0]} flat"
            self._call(node, "reshape", (source,), (-1,), gives=flat)
            source = flat
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        self._fill(layer, weight, bias)
        self._layer(node, name, layer, source)

    def _batchnormalization(
        self, node: onnx.NodeProto, name: str, reads: list[str], options: Options
    ) -> None:
        slope, offset, mean, variance = (self._needed(node, name, reads, at) for at in range(1, 5))
        layer = nn.BatchNorm2d(len(slope), eps=float(options.get("epsilon", 1e-5)))  # type: ignore[arg-type]
        self._fill(layer, slope, offset)
        layer.running_mean, layer.running_var = _tensor(mean), _tensor(variance)
        self._layer(node, name, layer, reads[0])

    def _relu(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        self._layer(node, name, nn.ReLU(), reads[0])

    def _clip(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        bounds = [options.get("min"), options.get("max")]
        for at, tensor in enumerate(list(node.input)[1:3]):
            if tensor:
                bounds[at] = float(self._needed(node, name, [tensor], 0))
        low, high = (-np.inf if bounds[0] is None else bounds[0]), bounds[1]
        if high is None and low == 0:
            self._layer(node, name, nn.ReLU(), reads[0])
            return
        top = float(np.inf if high is None else high)  # type: ignore[arg-type]
        self._layer(node, name, nn.Hardtanh(float(low), top), reads[0])  # type: ignore[arg-type]

    def _maxpool(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        kernel, strides, pads = self._window(node, name, options)
        if _pair(options, "dilations") != (1, 1):
            self._refuse(node, name, "has dilations")
        self._layer(node, name, nn.MaxPool2d(kernel, strides, pads), reads[0])

    def _averagepool(
        self, node: onnx.NodeProto, name: str, reads: list[str], options: Options
    ) -> None:
        kernel, strides, pads = self._window(node, name, options)
        counts = bool(options.get("count_include_pad")) or pads == (0, 0)
        layer = nn.AvgPool2d(kernel, strides, pads, count_include_pad=counts)
        self._layer(node, name, layer, reads[0])

    def _window(
        self, node: onnx.NodeProto, name: str, options: Options
    ) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        if options.get("ceil_mode"):
            self._refuse(node, name, "has ceil_mode")
        if _text(options, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            self._refuse(node, name, "has auto_pad: export the graph with pads")
        top, left, bottom, right = _integers(options, "pads", (0, 0, 0, 0))
        if (top, left) != (bottom, right):
            self._refuse(node, name, "pads one side more than the other")
        return _pair(options, "kernel_shape"), _pair(options, "strides"), (top, left)

    def _globalaveragepool(
        self, node: onnx.NodeProto, name: str, reads: list[str], options: Options
    ) -> None:
        self._layer(node, name, nn.AdaptiveAvgPool2d(1), reads[0])

    def _reducemean(
        self, node: onnx.NodeProto, name: str, reads: list[str], options: Options
    ) -> None:
        axes = options.get("axes")
        if axes is None and len(reads) > 1:
            axes = self._needed(node, name, reads, 1).tolist()
        if not isinstance(axes, list) or sorted(each % 4 for each in axes) != [2, 3]:
            self._refuse(node, name, "is not the mean of all rows and columns")
        self._call(node, "mean", (reads[0],), (_integer(options, "keepdims", 1),))

    def _flatten(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        if _integer(options, "axis", 1) != 1:
            self._refuse(node, name, "flattens along another axis than 1")
        if self.last and reads[0] in self._arranged:
            self._refuse(node, name, "flattens an image with channels last")
        self._call(node, "reshape", (reads[0],), (-1,))

    def _reshape(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        sizes = [int(each) for each in self._needed(node, name, reads, 1)]
        if reads[0] in self._arranged and len(sizes) == 4:
            self._call(node, "same", (reads[0],))  # of one channel: the image as it is
            self._arranged.add(node.output[0])
            return
        if sizes[:1] not in ([-1], [0], [1]) or (sizes[0] == -1 and sizes.count(-1) > 1):
            self._refuse(node, name, f"makes {_by(sizes)}, which mixes images")
        self._call(node, "reshape", (reads[0],), tuple(sizes[1:]))

    def _transpose(
        self, node: onnx.NodeProto, name: str, reads: list[str], options: Options
    ) -> None:
        order = list(_integers(options, "perm", ()))
        if not (self.last and reads[0] in self._arranged and order == [0, 3, 1, 2]):
            self._refuse(node, name, "changes the order of what is no image with channels last")
        self._call(node, "same", (reads[0],))  # images come with their channels first
        self._arranged.add(node.output[0])

    def _pad(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        pads = options.get("pads")
        pads = self._needed(node, name, reads, 1).tolist() if pads is None else pads
        value = options.get("value", 0.0)
        if len(reads) > 2:
            value = float(self._needed(node, name, reads, 2))
        if not isinstance(pads, list) or len(pads) != 8 or value or any(pads[:2] + pads[4:6]):
            self._refuse(node, name, "pads other than rows and columns with zeros")
        if _text(options, "mode", "constant") != "constant":
            self._refuse(node, name, "pads with something else than zeros")
        top, left, bottom, right = (*pads[2:4], *pads[6:8])
        self._call(node, "pad", (reads[0],), (left, right, top, bottom))

    def _softmax(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        self._call(node, "softmax", (reads[0],))

    _logsoftmax = _softmax

    def _concat(self, node: onnx.NodeProto, name: str, reads: list[str], options: Options) -> None:
        if _integer(options, "axis", 1) != 1:
            self._refuse(node, name, "joins along another axis than channels")
        self._call(node, "join", tuple(reads))

    # --- parts ---------------------------------------------------------------------------------

    def _needed(self, node: onnx.NodeProto, name: str, reads: list[str], place: int) -> np.ndarray:
        """Return a constant that a node reads."""
        if place >= len(reads) or reads[place] not in self.constants:
            self._refuse(node, name, f"reads what is no constant for its input {place}")
        return self.constants[reads[place]]

    def _operand(self, tensor: str) -> str:
        """Return the name of a tensor, or of a buffer that holds a constant."""
        if tensor not in self.constants:
            return tensor
        name = self._own(f"constant {tensor}")
        self.module.register_buffer(name, _tensor(self.constants[tensor]))
        return name

    def _call(
        self,
        node: onnx.NodeProto,
        kind: str,
        reads: tuple[str, ...],
        options: tuple[int, ...] = (),
        *,
        gives: str | None = None,
        layer: str = "",
    ) -> None:
        gives = node.output[0] if gives is None else gives
        self.module.calls.append(_NodeCall(kind, layer, reads, gives, options))

    def _layer(self, node: onnx.NodeProto, name: str, layer: nn.Module, source: str) -> None:
        own = self._own(name)
        self.module.add_module(own, layer)
        self._call(node, "layer", (source,), layer=own)

    def _own(self, name: str) -> str:
        """Return a name that an attribute can have, and none has."""
        name = re.sub(r"\W+", "_", name).strip("_") or "node"
        found, count = name, 1
        while hasattr(self.module, found):
            count += 1
            found = f"{name}_{count}"
        return found

    def _fill(self, layer: nn.Module, weight: np.ndarray, bias: np.ndarray | None) -> None:
        with torch.no_grad():
            layer.weight.copy_(_tensor(weight))  # type: ignore[operator, union-attr]
            if bias is not None:
                layer.bias.copy_(_tensor(bias))  # type: ignore[operator, union-attr]

    def _refuse(self, node: onnx.NodeProto, name: str, reason: str) -> NoReturn:
        raise NetworkError(f"{self.path}: {name} ({node.op_type}) {reason}")


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def _integer(options: Options, name: str, default: int) -> int:
    value = options.get(name, default)
    assert isinstance(value, int)
    return value


def _integers(options: Options, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    value = options.get(name, default)
    assert isinstance(value, list | tuple)
    return tuple(value)


def _pair(options: Options, name: str) -> tuple[int, int]:
    rows, columns = _integers(options, name, (1, 1))
    return rows, columns


def _text(options: Options, name: str, default: str) -> str:
    value = options.get(name, default)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _by(sizes: tuple[int, ...] | list[int]) -> str:
    return "x".join(map(str, sizes))
