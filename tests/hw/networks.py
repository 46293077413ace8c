"""Random networks, geometries and operands."""

from dataclasses import replace
from itertools import cycle

import numpy as np
from hypothesis import strategies as st

from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import (
    Add,
    AveragePool,
    Conv2d,
    Dense,
    MaxPool,
    Move,
    Size,
    Weighted,
    Window,
)
from narrowgauge.hw.network.network import INPUT, Network
from narrowgauge.hw.numbers.arithmetic import OVERFLOWS, Accumulator
from narrowgauge.hw.numbers.formats import Bipolar, Fixed, parse

from .formats import EXAMPLES

FAMILIES = [  # weights, input, hidden activations
    ("bipolar", "bipolar", "bipolar"),
    ("bipolar", "uint4", "bipolar"),
    ("bipolar", "int3", "bipolar"),
    ("bipolar", "uint1", "bipolar"),
    ("bipolar", "bipolar", "uint4"),
    ("bipolar", "uint3", "uint5"),
    ("bipolar", "int3", "int4"),
    ("pow2_4", "uint8", "uint8"),
    ("pow2_3", "int4", "int5"),
    ("int4", "uint4", "uint4"),
    ("int8", "uint8", "uint8"),
    ("int3", "int4", "int4"),
    ("uint2", "uint3", "uint2"),
    ("int2", "bipolar", "bipolar"),
    ("e3m2", "uint4", "uint8"),
    ("e2m1", "int3", "bipolar"),
    ("e5m2", "uint3", "int4"),
]
_KNOWN = {type(parse(weight)) for weight, _, _ in FAMILIES}
FAMILIES += [(names[0], "uint3", "int4") for kind, names in EXAMPLES.items() if kind not in _KNOWN]


def random_levels(rng, fmt, shape):
    """Levels of uniformly drawn codes."""
    return fmt.to_level(rng.integers(0, 1 << fmt.width, shape))


def random_images(seed, network, count):
    """Images of uniformly drawn codes, of shape (images, height, width, channels)."""
    shape = (count, *network.sizes[INPUT])
    return random_levels(np.random.default_rng(seed), network.input, shape)


def random_network(seed, family, widths, accumulator, **options):
    """A dense network of random integers, ``widths`` from its input to its output."""
    spec = [("dense", outputs) for outputs in widths[1:]]
    return random_convnet(seed, family, (Size(1, 1, widths[0]), *spec), accumulator, **options)


def random_convnet(seed, family, spec, accumulator, *, output=None, varied=False):
    """A network of random integers; a ``varied`` one has clamps, roundings and thresholds.

    ``spec`` is the input's size and then one tuple a layer; layer ``N`` is called ``layerN``::

        ("conv", channels, window, groups)
        ("max", window)
        ("average", window or None)
        ("add", other source, summands)     other and the layer before
        ("move", blocks, steps, length, size)
        ("dense", outputs)

    All give the family's hidden format, but the last one, which gives ``output``.
    """
    builder = _Builder(np.random.default_rng(seed), family, Size(*spec[0]), varied)
    for index, layer in enumerate(spec[1:]):
        builder.add(index, *layer, last=(output or Fixed(12)) if index == len(spec) - 2 else None)
    return Network("random", tuple(builder.layers), accumulator, input_size=spec[0])


def weighted(network):
    """The layers that have weights."""
    return [layer for layer in network if isinstance(layer, Weighted)]


def with_weights(seed, network, formats):
    """The same network with random weights of other formats, taken by the layers in turn."""
    return with_kinds(seed, network, formats)


def with_widths(seed, network, widths, *, signed=True):
    """The same network with random integer weights whose channels have any of ``widths``."""
    return with_kinds(seed, network, [(widths, signed)])


def with_kinds(seed, network, kinds):
    """The same network with random weights of other kinds, taken by the layers in turn.

    A kind is the name of a format, or widths of channels and whether these are signed.
    """
    rng, given, layers = np.random.default_rng(seed), cycle(kinds), []
    for layer in network.layers:
        if isinstance(layer, Weighted):
            layer = replace(layer, **_of_kind(rng, layer, next(given)))
        layers.append(layer)
    return replace(network, layers=tuple(layers))


def _of_kind(rng, layer, kind):
    """Random weights of a kind, their format, and the widths of channels that they have."""
    if isinstance(kind, str):
        fmt = parse(kind)
        return {"weight": fmt, "weights": random_levels(rng, fmt, layer.weights.shape)}
    widths, signed = kind
    chosen = rng.choice(widths, layer.channels)
    formats = [Fixed(int(each), signed=signed) for each in chosen]
    rows = [random_levels(rng, each, layer.weights.shape[1:]) for each in formats]
    fmt = Fixed(max(widths), signed=signed)
    return {"weight": fmt, "weights": np.stack(rows), "widths": tuple(chosen)}


def random_exits(seed, family, spec, exits, accumulator, *, order=None, values=False, varied=False):
    """A network as `random_convnet` makes, with several outputs.

    ``exits`` has, by the name of a layer of ``spec``, one that reads it and comes out, and the
    format that this gives; a format alone says that the layer itself comes out. Exits are called
    like ``layer0_exit``. ``order`` has the outputs, unless they come as their layers.
    """
    builder = _Builder(np.random.default_rng(seed), family, Size(*spec[0]), varied)
    ends = []
    for index, layer in enumerate(spec[1:]):
        trunk = builder.before
        builder.add(index, *layer, last=Fixed(12) if index == len(spec) - 2 else None)
        if trunk != INPUT and not builder.layers[-1].sources:
            builder.layers[-1] = replace(builder.layers[-1], sources=(trunk,))
        trunk = builder.before
        head, output = exits.get(trunk, (None, None))
        if head:
            builder.add(f"{index}_exit", *head, last=parse(output))
            builder.layers[-1] = replace(builder.layers[-1], sources=(trunk,))
        if trunk in exits:
            ends.append(builder.before)
        builder.before = trunk
    ends = order or [*ends, builder.before]
    layers = tuple(builder.layers)
    return Network(
        "exits", layers, accumulator, input_size=spec[0], values=values, output_layers=tuple(ends)
    )


class _Builder:
    """Layers of random integers, each on the one before."""

    def __init__(self, rng, family, size, varied):
        self.rng, self.varied = rng, varied
        self.weight, first, self.hidden = map(parse, family)
        self.layers, self.before = [], INPUT
        self.sizes, self.formats = {INPUT: size}, {INPUT: first}

    def add(self, index, kind, *parameters, last):
        before = self.formats[self.before]
        output = before if kind in ("max", "move") else last or self.hidden
        self.scaled, self.output = not last and output != Bipolar(), output
        common = {"name": f"layer{index}", "input": before, "output": output}
        layer = getattr(self, f"_{kind}")(common, self.sizes[self.before], *parameters)
        read = [self.sizes[source] for source in layer.sources or (self.before,)]
        self.layers.append(layer)
        self.before = layer.name
        self.sizes[layer.name], self.formats[layer.name] = layer.output_size(*read), output

    def _dense(self, common, size, outputs):
        return Dense(**common, **self._weights(outputs, size.elements), **self._scales(outputs))

    def _conv(self, common, size, channels, window, groups):
        weights = self._weights(channels, *window.kernel, size.channels // groups)
        scales = self._scales(channels)
        return Conv2d(**common, **weights, **scales, window=window, groups=groups)

    def _max(self, common, size, window):
        return MaxPool(**common, window=window)

    def _move(self, common, size, blocks, steps, length, given):
        return Move(**common, blocks=blocks, steps=steps, length=length, size=given)

    def _average(self, common, size, window):
        return AveragePool(**common, **self._scales(1), window=window)

    def _add(self, common, size, other, summands):
        common |= {"input": self.formats[other], "other": common["input"]}
        return Add(**common, **self._scales(1), sources=(other, self.before), summands=summands)

    def _weights(self, *shape):
        return {"weight": self.weight, "weights": random_levels(self.rng, self.weight, shape)}

    def _scales(self, channels):
        rng, scaled = self.rng, self.scaled
        if self.varied and self.output != Bipolar():
            return random_requantisation(rng, self.output, channels)
        return {
            "bias": rng.integers(-30, 30, channels) * (100 if scaled else 1),
            "multiplier": rng.integers(1, 60, channels) if scaled else np.ones(channels),
            "shift": 7 if scaled else 0,
        }


def random_requantisation(rng, output, channels):
    """Parameters of any kind for a layer with ``output``, an integer format."""
    kind = rng.choice(["thresholds", "half_up", "half_even"])
    if kind == "thresholds" and output.width <= 8:
        ones = {"bias": np.zeros(channels), "multiplier": np.ones(channels)}
        return {**ones, "thresholds": random_thresholds(rng, output, channels)}
    ends = np.sort(rng.integers(output.min_level, output.max_level + 1, 2))
    low, high = (int(end) if rng.integers(2) else None for end in ends)
    # small powers of two, so that there are halves
    return {
        "bias": rng.integers(-30, 30, channels),
        "multiplier": 1 << rng.integers(0, 3, channels),
        "shift": int(rng.integers(0, 5)),
        "low": low,
        "high": high,
        "rounding": "half_up" if kind == "thresholds" else str(kind),
    }


def random_thresholds(rng, output, channels):
    """Ascending thresholds; some are equal, and some are beyond every sum."""
    count = output.max_level - output.min_level
    spread = int(rng.choice([4, 40, 300]))
    levels = rng.integers(-spread, spread + 1, (channels, count))
    far = rng.random(levels.shape) < 0.1
    return np.sort(np.where(far, rng.choice([-(1 << 62), 1 << 19, 1 << 62]), levels), axis=1)


geometries = st.builds(
    Geometry,
    rows=st.integers(1, 4),
    columns=st.integers(1, 5),
    lanes=st.integers(1, 6),
    hop=st.sampled_from([1, 2, 8]),
)
accumulators = st.builds(Accumulator, st.integers(4, 20), st.sampled_from(OVERFLOWS))
outputs = st.sampled_from(["int12", "bipolar", "uint1", "int32", "uint5"]).map(parse)
seeds = st.integers(0, 1 << 16)


@st.composite
def networks(draw, max_width=14):
    """Dense networks of one to four layers."""
    widths = draw(st.lists(st.integers(1, max_width), min_size=2, max_size=5))
    family, accumulator = draw(st.sampled_from(FAMILIES)), draw(accumulators)
    options = {"output": draw(outputs), "varied": draw(st.booleans())}
    return random_network(draw(seeds), family, widths, accumulator, **options)


@st.composite
def windows(draw, size, *, max_kernel=4, max_stride=3):
    """Windows of any stride and padding that fit into a tensor of ``size``."""
    kernel, padding = [], []
    for length in size[:2]:
        kernel.append(draw(st.integers(1, max_kernel)))
        sides = [draw(st.integers(0, kernel[-1] - 1)) for _ in range(2)]
        padding.append(sides if length + sum(sides) >= kernel[-1] else [kernel[-1] - 1] * 2)
    stride = [draw(st.integers(1, max_stride)) for _ in range(2)]
    (top, bottom), (left, right) = padding
    return Window(tuple(kernel), tuple(stride), (top, left, bottom, right))


@st.composite
def convolutions(draw, channels):
    """Output channels and groups of a convolution over ``channels``."""
    groups = draw(st.sampled_from([each for each in range(1, channels + 1) if not channels % each]))
    return groups * draw(st.integers(1, max(1, 6 // groups))), groups


@st.composite
def specs(draw, max_layers=4, max_pixels=6, max_channels=5):
    """Inputs of `random_convnet`: up to ``max_layers`` mixed layers, and a dense one."""
    side = st.integers(1, max_pixels)
    sizes = {INPUT: Size(draw(side), draw(side), draw(st.integers(1, max_channels)))}
    spec = [sizes[INPUT]]
    for index in range(draw(st.integers(0, max_layers))):
        *names, before = sizes
        equal = [name for name in names if sizes[name] == sizes[before]]
        layer, size = draw(_layers(sizes[before], equal))
        spec.append(layer)
        sizes[f"layer{index}"] = size
    return (*spec, ("dense", draw(st.integers(1, 6))))


@st.composite
def _layers(draw, size, equal):
    """One layer over ``size``, and the size it gives; ``equal`` names what can be added to it."""
    kinds = ["conv", "same", "same", "max", "average", "global", "move"]
    kind = draw(st.sampled_from(["add"] * (6 if equal else 0) + kinds))
    if kind == "add":
        summands = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
        return ("add", draw(st.sampled_from(equal)), summands), size
    if kind == "same":  # so that something can be added
        return ("conv", size.channels, Window((3, 3), (1, 1), (1, 1, 1, 1)), 1), size
    if kind == "global":
        return ("average", None), Size(1, 1, size.channels)
    if kind == "move":
        return draw(moves(size))
    window = draw(windows(size))
    height, width = window.positions(size)
    if kind == "conv":
        channels, groups = draw(convolutions(size.channels))
        return ("conv", channels, window, groups), Size(height, width, channels)
    return (kind, window), Size(height, width, size.channels)


@st.composite
def moves(draw, size):
    """A move over ``size``, of blocks from anywhere, and the size that it gives."""
    length = draw(st.integers(1, min(size.elements, 12)))
    room = size.elements - length
    blocks = draw(st.tuples(st.integers(1, 6), st.integers(1, 4)))
    steps = []
    for count in blocks:
        steps.append(draw(st.integers(0, room // (count - 1) if count > 1 else room)))
        room -= (count - 1) * steps[-1]
    height, width = draw(st.sampled_from([blocks, (blocks[0] * blocks[1], length), (1, blocks[0])]))
    found = Size(height, width, blocks[0] * blocks[1] * length // (height * width))
    return ("move", blocks, tuple(steps), length, found), found


@st.composite
def convnets(draw, **limits):
    """Small networks of all kinds of layers and families, valid by construction."""
    spec, family = draw(specs(**limits)), draw(st.sampled_from(FAMILIES))
    options = {"output": draw(outputs), "varied": draw(st.booleans())}
    return random_convnet(draw(seeds), family, spec, draw(accumulators), **options)


@st.composite
def residuals(draw):
    """Small networks that add a tensor to what convolutions make of it."""
    side, channels = draw(st.integers(1, 3)), draw(st.integers(2, 6))
    same = Window((3, 3), (1, 1), (1, 1, 1, 1))
    groups = draw(st.sampled_from([1, channels]))
    spec = [
        Size(side, draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        ("conv", channels, draw(st.sampled_from([Window((1, 1)), same])), 1),
        ("conv", channels, same, groups),
        ("add", "layer0", draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))),
        *draw(st.sampled_from([[], [("average", None)], [("conv", channels, same, channels)]])),
        ("dense", draw(st.integers(1, 6))),
    ]
    family, accumulator = draw(st.sampled_from(FAMILIES)), draw(accumulators)
    return random_convnet(draw(seeds), family, spec, accumulator, varied=draw(st.booleans()))
