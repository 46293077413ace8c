"""Residual networks of ImageNet's shapes, of random integers: layers and sizes, no training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np

from ...hw.network.layers import Add, AveragePool, Conv2d, Dense, Layer, MaxPool, Size, Window
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Fixed

__all__ = ["DEPTHS", "ResNet", "Widths", "by_channel", "by_layer", "uniform"]

LEVEL = Fixed(8)
"""Format of all activations; behind a ReLU they are 0 to 127."""
BLOCKS = {18: (2, 2, 2, 2), 152: (3, 8, 36, 3)}
DEPTHS = tuple(BLOCKS)
BOTTLENECK = 4
"""Channels that a bottleneck ends with, for each one of its 3x3 convolution."""

Widths = Mapping[str, tuple[int, ...]]
"""Bits of the weights of each output channel, by layer; the widest first."""


class _Weights(TypedDict):
    weight: Fixed
    weights: np.ndarray
    widths: tuple[int, ...]


class _Scaling(TypedDict):
    name: str
    input: Fixed
    output: Fixed
    bias: np.ndarray
    multiplier: np.ndarray
    shift: int
    low: int | None


@dataclass(frozen=True)
class ResNet:
    """The shape of a residual network.

    Parameters
    ----------
    depth : int
        18, of blocks of two 3x3 convolutions, or 152, of bottlenecks.
    size : int
        Height and width of an image.
    classes : int
        Outputs.
    channels : int
        Of the first convolution; each stage behind the first has twice as many.
    blocks : tuple of int, optional
        Blocks of each stage, where they are not those of the depth.
    """

    depth: int
    size: int = 224
    classes: int = 1000
    channels: int = 64
    blocks: tuple[int, ...] = ()

    def network(self, widths: Widths | None = None, *, accumulator: int = 28) -> Network:
        """Return it with random weights of these widths; of 8 bits where a layer has none.

        Layers of one shape and widths share their weights, which takes a sixth of the memory.
        """
        builder = _Builder(dict(widths or {}))
        builder.conv("stem", 3, self.channels, Window((7, 7), (2, 2), (3, 3, 3, 3)))
        pool = Window((3, 3), (2, 2), (1, 1, 1, 1))
        builder.layers.append(MaxPool(name="pool", input=LEVEL, output=LEVEL, window=pool))
        inputs = self.channels
        for stage, count in enumerate(self.blocks or BLOCKS[self.depth]):
            for block in range(count):
                own, stride = self.channels << stage, 2 if stage and not block else 1
                inputs = builder.block(f"s{stage + 1}b{block + 1}", inputs, own, stride, self.depth)
        builder.layers.append(AveragePool(**builder.scaling("average", 1, 49)))
        builder.dense("classifier", inputs, self.classes)
        name = f"resnet{self.depth}"
        return Network(
            name,
            tuple(builder.layers),
            Accumulator(accumulator),
            input_size=Size(self.size, self.size, 3),
        )


@dataclass
class _Builder:
    """Layers so far, and the weights that layers of one shape share."""

    widths: Mapping[str, tuple[int, ...]]
    layers: list[Layer] = field(default_factory=list)
    weights: dict[tuple[object, ...], np.ndarray] = field(default_factory=dict)

    def scaling(self, name: str, channels: int, terms: int, *, relu: bool = True) -> _Scaling:
        """Return what all layers with sums have; they are about as large as their inputs."""
        shift = 2 if terms == 2 else 6 + terms.bit_length() // 2
        return {
            "name": name,
            "input": LEVEL,
            "output": LEVEL,
            "bias": np.zeros(channels, np.int64),
            "multiplier": 3 + np.arange(channels) % 5,
            "shift": shift,
            "low": 0 if relu else None,
        }

    def _weights(self, name: str, *shape: int) -> _Weights:
        """Return the weights of a layer, random ones of its channels' widths."""
        widths = self.widths.get(name) or (8,) * shape[0]
        key = shape, widths
        if key not in self.weights:
            most = 1 << (np.array(widths) - 1).reshape(-1, *[1] * (len(shape) - 1))
            rng = np.random.default_rng(len(self.weights))
            self.weights[key] = rng.integers(-most, most, shape)
        return {"weight": Fixed(max(widths)), "weights": self.weights[key], "widths": widths}

    def conv(
        self, name: str, inputs: int, outputs: int, window: Window, source: str = "", *,
        relu: bool = True,
    ) -> None:  # fmt: skip
        """Append a convolution."""
        scaling = self.scaling(name, outputs, window.taps * inputs, relu=relu)
        weights = self._weights(name, outputs, *window.kernel, inputs)
        sources = (source,) if source else ()
        self.layers.append(Conv2d(**scaling, **weights, sources=sources, window=window))

    def dense(self, name: str, inputs: int, outputs: int) -> None:
        """Append the last layer, whose sums come out in 16 bits."""
        scaling = self.scaling(name, outputs, inputs, relu=False)
        scaling["output"] = Fixed(16)
        self.layers.append(Dense(**scaling, **self._weights(name, outputs, inputs)))

    def block(self, name: str, inputs: int, channels: int, stride: int, depth: int) -> int:
        """Append a block; return the channels that it gives."""
        source, strides = self.layers[-1].name, (stride, stride)
        same = Window((3, 3), (1, 1), (1, 1, 1, 1))
        down = Window((3, 3), strides, (1, 1, 1, 1))
        if depth == 18:
            outputs = channels
            self.conv(f"{name}conv1", inputs, channels, down, source)
            self.conv(f"{name}conv2", channels, outputs, same, relu=False)
        else:
            outputs = BOTTLENECK * channels
            self.conv(f"{name}conv1", inputs, channels, Window((1, 1)), source)
            self.conv(f"{name}conv2", channels, channels, down)
            self.conv(f"{name}conv3", channels, outputs, Window((1, 1)), relu=False)
        last = self.layers[-1].name
        if stride > 1 or inputs != outputs:
            window = Window((1, 1), strides)
            self.conv(f"{name}down", inputs, outputs, window, source, relu=False)
            source = f"{name}down"
        self.layers.append(
            Add(**self.scaling(f"{name}add", 1, 2), other=LEVEL, sources=(last, source))
        )
        return outputs


# ------------------------------------------------------------------ widths


def uniform(network: Network, bits: int) -> Widths:
    """Return one width for all weights."""
    return {layer.name: (bits,) * len(layer.weights) for layer in _weighted(network)}


def by_layer(network: Network, mean: float, widths: tuple[int, int]) -> Widths:
    """Return a width for each layer: 8 bits of the first and the last, and two of the others.

    ``widths`` are the wider and the narrower one; so many layers are narrow, from the end on, that
    the mean of all weights is as near to ``mean`` as whole layers come.
    """
    layers = _weighted(network)
    sizes = {layer.name: layer.weights.size for layer in layers}
    wide, narrow = widths
    ends = {layers[0].name, layers[-1].name}
    bits = {name: 8 if name in ends else wide for name in sizes}
    spare = sum(size * bits[name] for name, size in sizes.items()) - mean * sum(sizes.values())
    for layer in reversed(layers[1:-1]):
        saved = sizes[layer.name] * (wide - narrow)
        if saved / 2 < spare:
            bits[layer.name], spare = narrow, spare - saved
    return {layer.name: (bits[layer.name],) * len(layer.weights) for layer in layers}


def by_channel(network: Network, mean: float, widths: Sequence[int]) -> Widths:
    """Return widths of channels: 8 bits of the first and the last layer, and all of ``widths``.

    Of each of the other layers the same share of channels has each width, so that the mean of all
    weights is ``mean``.
    """
    layers = _weighted(network)
    ends = layers[0], layers[-1]
    fixed = sum(layer.weights.size for layer in ends)
    total = sum(layer.weights.size for layer in layers)
    wanted = (mean * total - 8 * fixed) / (total - fixed)
    found = {}
    for layer in layers:
        count = len(layer.weights)
        found[layer.name] = (8,) * count if layer in ends else _shared(count, wanted, widths)
    return found


def _shared(count: int, mean: float, widths: Sequence[int]) -> tuple[int, ...]:
    """Return so many widths of a mean, the widest first.

    Shares fall by the same factor from a width to the next, as those of largest entropy do.
    """
    low, high, shares = -8.0, 8.0, np.ones(len(widths))
    for _ in range(60):
        middle = (low + high) / 2
        shares = np.exp(middle * np.array(widths, float))
        if (shares @ widths) / shares.sum() < mean:
            low = middle
        else:
            high = middle
    ends = np.rint(count * np.cumsum(shares / shares.sum())).astype(int)
    counts = np.diff(ends, prepend=0)
    return tuple(np.repeat(widths, counts).tolist())


def _weighted(network: Network) -> list[Conv2d | Dense]:
    return [layer for layer in network if isinstance(layer, Conv2d | Dense)]
