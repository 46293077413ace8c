"""QONNX from a network: a graph that qonnx's own executor runs to the same levels.

Tensors are channels first, float32, and hold levels; every layer is what it is in ONNX (``MatMul``,
``Conv``, ``MaxPool``, ``AveragePool``, ``Add``, ``Gather``), then the nodes of `writing.float32`.
QONNX sums without a register, so a network whose accumulator may overflow is refused, and so are
sums that float32 does not hold.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....hw.errors import NetworkError
from ....hw.files import write_atomically
from ....hw.network.layers import (
    Add,
    AveragePool,
    Conv2d,
    Dense,
    Layer,
    MaxPool,
    Move,
    Requantised,
    Size,
    Weighted,
    Window,
)
from ....hw.network.network import INPUT, Network
from ....hw.numbers.formats import Bipolar, Fixed, Format
from ....hw.program.bounds import accumulator_bits
from ..extra import require
from ..preparation import KEY
from .ending import ended
from .float32 import MulAdd, Plan, plan, sums_of
from .writer import DOMAIN, GraphWriter, is_sayable

if TYPE_CHECKING:  # the extra may not be installed
    from onnx import ModelProto

__all__ = ["Exported", "ExportedLayer", "export", "save_qonnx", "to_qonnx"]


@dataclass(frozen=True)
class ExportedLayer:
    """Method and proof of a layer's export.

    Attributes
    ----------
    layer, kind : str
        Its name and what it is.
    method : str
        ``mul-add``, ``thresholds``, or nothing for a max pool.
    compared : int
        Sums at which float32 was compared with the integers.
    tensor : str
        The tensor of the graph that holds its output levels.
    """

    layer: str
    kind: str
    method: str
    compared: int
    tensor: str


@dataclass(frozen=True, eq=False)
class Exported:
    """A graph, an ``onnx.ModelProto``, and how its layers came about."""

    model: "ModelProto"
    layers: tuple[ExportedLayer, ...]


def to_qonnx(network: Network, *, batch: int = 1) -> "ModelProto":
    """Return a network as an ``onnx.ModelProto`` in the QONNX dialect; see `export`."""
    return export(network, batch=batch).model


def save_qonnx(network: Network, path: Path | str, *, batch: int = 1) -> Exported:
    """Write a QONNX file, whole or not at all; see `export`."""
    exported = export(network, batch=batch)
    write_atomically(Path(path), exported.model.SerializeToString())
    return exported


def export(network: Network, *, batch: int = 1) -> Exported:
    """Return a network in the QONNX dialect.

    Parameters
    ----------
    network : Network
        Any network whose sums fit its accumulator.
    batch : int
        Images that the graph takes at a time: qonnx executes fixed shapes only.

    Raises
    ------
    NetworkError
        Where the graph could give other levels; the text names the layer, and what to do.
    ToolError
        Where onnx or qonnx is not installed.
    """
    require()
    if batch < 1:
        raise NetworkError(f"a graph takes a batch of at least 1 image, not {batch}")
    if network.is_float:
        raise NetworkError(
            f"network {network.name} is one of floats, and QONNX graphs are written of integers: "
            "train or quantise it with integer formats"
        )
    needed = accumulator_bits(network, 1)
    if network.accumulator.width < needed:
        raise NetworkError(
            f"network {network.name}: its accumulator of {network.accumulator.width} bits can "
            f"overflow, which sums in QONNX never do; give it {needed} bits"
        )
    return _Export(network, batch).run()


class _Export:
    """One network on its way."""

    def __init__(self, network: Network, batch: int):
        self.network, self.batch = network, batch
        self.graph = GraphWriter()
        self.tensors: dict[str, str] = {}

    def run(self) -> Exported:
        graph, network = self.graph, self.network
        size = network.sizes[INPUT]
        shape = (size.channels,) if size.positions == 1 else (size.channels, *size[:2])
        given = graph.given(INPUT, (self.batch, *shape))
        self.tensors[INPUT] = self._quantised(given, network.input, f"{INPUT}/levels")
        reports = tuple(self._layer(layer) for layer in network)
        outputs = [ended(graph, self.tensors[end.name], network, end) for end in network.ends]
        model = graph.model(network.name, given, outputs, _metadata(network))
        return Exported(model, reports)

    def _layer(self, layer: Layer) -> ExportedLayer:
        read = [self.tensors[source] for source in self.network.sources(layer)]
        sizes = [self.network.sizes[source] for source in self.network.sources(layer)]
        method, compared = "", 0
        if isinstance(layer, Requantised):
            sums = sums_of(layer, sizes[0])
            nodes, compared = plan(layer, sums)
            method = nodes.method
            tensor = self._requantised(self._summed(layer, read, sizes[0]), layer, nodes)
        elif isinstance(layer, Move):
            tensor = self._moved(layer, read[0], sizes[0])
        else:
            assert isinstance(layer, MaxPool)
            tensor = self._pooled("MaxPool", layer, layer.window, read[0], layer.name)
        self.tensors[layer.name] = tensor
        return ExportedLayer(layer.name, layer.kind, method, compared, tensor)

    # --- sums ------------------------------------------------------------------------------------

    def _summed(self, layer: Requantised, read: Sequence[str], size: Size) -> str:
        """Add the nodes that give a layer's sums; of an average pool, the averages."""
        name = f"{layer.name}/sum"
        if isinstance(layer, Dense):
            return self._multiplied(layer, self.graph.vector(read[0]), size, name)
        if isinstance(layer, Conv2d):
            return self._convolved(layer, read[0], name)
        if isinstance(layer, AveragePool):
            if layer.window is None:
                image = self.graph.image(read[0])
                shape = (*self.graph.shapes[image][:2], 1, 1)
                return self.graph.node("GlobalAveragePool", [image], name, shape)
            return self._pooled(
                "AveragePool", layer, layer.window, read[0], name, count_include_pad=1
            )
        assert isinstance(layer, Add)
        return self._added(layer, read, name)

    def _multiplied(self, layer: Dense, tensor: str, size: Size, name: str) -> str:
        # our vectors run through height, width, channels; those of ONNX have the channels first
        weights = layer.weights.reshape(layer.channels, *size).transpose(3, 1, 2, 0)
        matrix = weights.reshape(-1, layer.channels)
        if layer.widths is None:
            factor = self._weights(layer, matrix)
        else:  # with the output channels first, as others write them
            graph, rows = self.graph, self._weights(layer, matrix.T)
            factor = graph.node("Transpose", [rows], f"{rows}/matrix", matrix.shape, perm=[1, 0])
        return self.graph.node("MatMul", [tensor, factor], name, (self.batch, layer.channels))

    def _convolved(self, layer: Conv2d, tensor: str, name: str) -> str:
        weights = self._weights(layer, layer.weights.transpose(0, 3, 1, 2))
        return self._windowed(
            "Conv", layer, layer.window, [tensor, weights], name, group=layer.groups
        )

    def _weights(self, layer: Weighted, levels: np.ndarray) -> str:
        name = f"{layer.name}/weights"
        given = self.graph.constant(f"{name}/levels", levels)
        if layer.widths is not None:
            return self.graph.quantised(given, layer.weight, name, widths=layer.widths)
        return self._quantised(given, layer.weight, name)

    def _pooled(
        self, kind: str, layer: Layer, window: Window, tensor: str, name: str, **attributes: int
    ) -> str:
        return self._windowed(kind, layer, window, [tensor], name, **attributes)

    def _windowed(
        self,
        kind: str,
        layer: Layer,
        window: Window,
        inputs: Sequence[str],
        name: str,
        **attributes: int,
    ) -> str:
        """Add a node with a window; ONNX pads with 0, and max pools with nothing."""
        image, padding = self.graph.image(inputs[0]), window.padding
        if kind != "MaxPool" and layer.input.zero_level and any(padding):
            image = self.graph.padded(image, padding, layer.input.zero_level)
            padding = (0, 0, 0, 0)
        size = self.network.sizes[layer.name]
        return self.graph.node(
            kind,
            [image, *inputs[1:]],
            name,
            (self.batch, size.channels, *size[:2]),
            domain="",
            kernel_shape=window.kernel,
            strides=window.stride,
            pads=padding,
            **attributes,
        )

    def _moved(self, layer: Move, tensor: str, size: Size) -> str:
        """Add the nodes that pick elements of an image, channels first, in a move's order."""
        graph, name, wanted = self.graph, layer.name, layer.size
        (rows, columns), (down, across) = layer.blocks, layer.steps
        starts = np.add.outer(down * np.arange(rows), across * np.arange(columns)).reshape(-1, 1)
        last = (starts + np.arange(layer.length)).reshape(wanted)  # elements, channels last
        row, column, channel = np.unravel_index(last.transpose(2, 0, 1).ravel(), size)
        first = (channel * size.height + row) * size.width + column
        picks = graph.constant(f"{name}/picks", first, np.int64)
        flat = graph.node(
            "Gather",
            [graph.vector(tensor), picks],
            f"{name}/flat",
            (self.batch, wanted.elements),
            axis=1,
        )
        shape = graph.constant(f"{name}/shape", [0, wanted.channels, *wanted[:2]], np.int64)
        return graph.node(
            "Reshape", [flat, shape], name, (self.batch, wanted.channels, *wanted[:2])
        )

    def _added(self, layer: Add, read: Sequence[str], name: str) -> str:
        graph = self.graph
        if len({len(graph.shapes[tensor]) for tensor in read}) > 1:
            read = [graph.image(tensor) for tensor in read]
        terms = []
        for index, (tensor, summand) in enumerate(zip(read, layer.summands, strict=True)):
            if summand != 1:
                factor = graph.constant(f"{layer.name}/summand{index}", summand)
                tensor = graph.node("Mul", [tensor, factor], f"{layer.name}/term{index}")
            terms.append(tensor)
        return graph.node("Add", terms, name)

    # --- levels ----------------------------------------------------------------------------------

    def _requantised(self, tensor: str, layer: Requantised, nodes: Plan) -> str:
        """Add the nodes that `plan` found."""
        graph, name, output = self.graph, layer.name, layer.output
        if not isinstance(nodes, MulAdd):
            rank = len(graph.shapes[tensor])
            return graph.node(
                "MultiThreshold",
                [tensor, graph.constant(f"{name}/thresholds", nodes.thresholds)],
                name,
                domain=DOMAIN,
                out_scale=float(nodes.step),
                out_bias=float(output.min_level),
                out_dtype=_datatype(output),
                data_layout="NCHW" if rank == 4 else "NC",
            )
        if (nodes.scale != 1).any():
            factor = graph.per_channel(tensor, nodes.scale, f"{name}/scale")
            tensor = graph.node("Mul", [tensor, factor], f"{name}/scaled")
        if nodes.offset.any():
            offset = graph.per_channel(tensor, nodes.offset, f"{name}/offset")
            tensor = graph.node("Add", [tensor, offset], f"{name}/moved")
        return self._quantised(tensor, output, name, nodes.clamp)

    def _quantised(
        self, tensor: str, fmt: Format, name: str, clamp: tuple[int, int] | None = None
    ) -> str:
        """Add a quantiser; a clamp that it does not have is a node before it."""
        ends = clamp or (fmt.min_level, fmt.max_level)
        narrow = _narrow(fmt) == ends
        if isinstance(fmt, Fixed) and not narrow:
            if ends != (fmt.min_level, fmt.max_level) or not is_sayable(fmt):
                inputs = [self.graph.constant(f"{name}/{end}", end) for end in ends]
                tensor = self.graph.node("Clip", [tensor, *inputs], f"{name}/clipped")
        return self.graph.quantised(tensor, fmt, name, narrow=narrow)


def _narrow(fmt: Format) -> tuple[int, int] | None:
    """Return the ends of what is called the narrow range of a signed format."""
    is_signed = isinstance(fmt, Fixed) and fmt.signed and is_sayable(fmt)
    return (fmt.min_level + 1, fmt.max_level) if is_signed else None


def _datatype(fmt: Format) -> str:
    """Return the name that qonnx has for a format of levels."""
    if fmt == Bipolar():
        return "BIPOLAR"
    return "BINARY" if fmt == Fixed(1, signed=False) else str(fmt).upper()


def _metadata(network: Network) -> dict[str, str]:
    """Return what the graph itself does not say."""
    unsayable: dict[str, dict[str, str]] = {}
    for layer in network:
        for end in ("input", "other", "weight", "output"):
            fmt = getattr(layer, end, None)
            if fmt is not None and not is_sayable(fmt):
                unsayable.setdefault(layer.name, {})[end] = str(fmt)
    return {
        "narrowgauge.version": version("narrowgauge"),
        "narrowgauge.name": network.name,
        "narrowgauge.about": json.dumps(dict(network.about)),
        "narrowgauge.accumulator": json.dumps(asdict(network.accumulator)),
        "narrowgauge.formats": json.dumps(unsayable),
        "narrowgauge.pixels": json.dumps(_pixels(network)),
    }


def _pixels(network: Network) -> dict[str, object]:
    """Return what makes the graph's input of pixels from 0 to 1, as `Dataset.levels` does.

    For a network that was imported it is what prepares its own input.
    """
    if KEY in network.about:
        return {"before": network.about[KEY]}
    if network.input == Bipolar():
        return {"mean": [0.5], "deviation": [0.5]}
    return {"mean": [0.0], "deviation": [1.0 / max(network.input.max_level, 1)]}
