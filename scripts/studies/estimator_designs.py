"""Random accelerators that estimates are fitted to: networks, geometries and options of all kinds.

`design` gives the one of a number, the same one every time; what is drawn where depends on nothing
but the number. Weights are random: what block RAM holds takes no logic cells.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count

import numpy as np

from ...hw.errors import GeometryError, NetworkError
from ...hw.geometry import Geometry
from ...hw.network.layers import Add, AveragePool, Conv2d, Dense, Layer, MaxPool, Move, Size, Window
from ...hw.network.network import INPUT, Network
from ...hw.numbers.arithmetic import Accumulator, bits_for
from ...hw.numbers.formats import Bipolar, Fixed, Format, parse
from ...hw.program.bounds import any_order
from ...hw.program.layout import Program
from ...hw.program.mapping import map_network
from ...model.zoo.networks import load

__all__ = ["SampledDesign", "design", "designs"]

FORMATS = (  # weights, input, hidden activations
    *(("bipolar", "bipolar", "bipolar"), ("bipolar", "uint4", "bipolar")),
    *(("bipolar", "uint8", "bipolar"), ("bipolar", "uint8", "uint8"), ("bipolar", "int4", "int4")),
    *(("int2", "uint4", "uint2"), ("int2", "uint8", "uint8"), ("int3", "uint4", "uint4")),
    *(("int4", "uint4", "uint4"), ("int4", "uint8", "uint8"), ("int4", "int4", "int4")),
    *(("int5", "uint6", "uint6"), ("int6", "uint8", "uint4"), ("int8", "uint8", "uint8")),
    *(("int8", "int8", "int8"), ("uint2", "uint3", "uint2"), ("uint4", "uint4", "uint4")),
    *(("pow2_3", "int4", "int5"), ("pow2_4", "uint8", "uint8"), ("pow2_4", "uint4", "uint4")),
    *(("e3m2", "uint4", "uint8"), ("e2m1", "uint4", "uint4")),
)
NETWORKS = (
    *("mnist-lenet5-int4", "mnist-lenet5-bipolar", "mnist-lenet5-pow2_4"),
    *("mnist-int2-64-64-64", "mnist-bipolar-64-64-64", "mnist-bipolar-256-256-256"),
    *("cifar10-cifar10_full-int8", "cifar10-cifar10_full-bipolar-uint8"),
)
SIDES = (1, 1, 2, 2, 2, 3, 4, 4, 5, 6, 8)
LANES = (1, 2, 2, 3, 4, 4, 4, 6, 8, 8, 8, 12, 16, 16, 32)
MOST_BITS = 2000  # of products a cycle, so that an array is mapped within seconds


@dataclass(frozen=True)
class SampledDesign:
    """A random accelerator.

    Attributes
    ----------
    number : int
        What it is made from.
    kind : str
        What its network is: ``mlp``, ``convolutions``, ``residual``, ``depthwise``, or a name of
        the zoo.
    formats : tuple of str
        Of weights, input and hidden activations; empty of the zoo.
    geometry : Geometry
    multiplier : str
        As `build.accelerator_for` takes it, where the target has DSP blocks.
    options : dict
        As `Program` takes them.
    """

    number: int
    kind: str
    formats: tuple[str, ...]
    geometry: Geometry
    multiplier: str
    options: dict[str, int | bool | None]

    @property
    def text(self) -> str:
        """Its name."""
        return f"{self.kind} {self.number}"

    @property
    def without_blocks(self) -> bool:
        """Whether an iCE40 that it is mapped for has no DSP blocks."""
        return random.Random(f"target {self.number}").random() < 0.3

    @cached_property
    def program(self) -> Program:
        """The program; raises `GeometryError` and `NetworkError` where it cannot be."""
        rng = random.Random(f"network {self.number}")
        if self.kind in NETWORKS:
            network = load(self.kind)
        else:
            weight, first, hidden = map(parse, self.formats)
            network = _network(rng, self.kind, weight, first, hidden, self.geometry)
        return Program(network, self.geometry, **self.options)  # type: ignore[arg-type]


def designs(wanted: int) -> list[SampledDesign]:
    """Return the first designs that can be."""
    found: list[SampledDesign] = []
    for number in count():
        if len(found) == wanted:
            return found
        made = design(number)
        try:
            program = made.program
        except (GeometryError, NetworkError):
            continue
        width = program.operands.weight.width * program.operands.activation.width
        if made.geometry.macs * max(width, 4) <= MOST_BITS:
            found.append(made)
    raise AssertionError


def design(number: int) -> SampledDesign:
    """Return the design of a number."""
    rng = random.Random(f"design {number}")
    kinds = ("mlp", "mlp", "convolutions", "convolutions", "residual", "depthwise", "zoo")
    kind = rng.choice(kinds)
    formats = rng.choice(FORMATS)
    if kind == "zoo":
        kind, formats = rng.choice(NETWORKS), ()
    rows, columns, lanes = rng.choice(SIDES), rng.choice(SIDES), rng.choice(LANES)
    chains = rng.choice([1, 1, 1, *(each for each in (2, 3, 4) if not rows % each)])
    sliced = rng.choice([None, None, None, 1, 2, 4])
    if formats and not formats[0].startswith(("int", "uint", "bipolar")):
        sliced = None
    geometry = Geometry(rows, columns, lanes, rng.choice([8, 8, 8, 1, 2, 4]), chains, sliced)
    multiplier = "block" if sliced is None and rng.random() < 0.2 else "logic"
    options = {
        "contexts": rng.choice([1, 2, 2]),
        "batch": rng.choice([None, None, 1]),
        "any_weights": rng.random() < 0.1,
    }
    return SampledDesign(number, kind, formats, geometry, multiplier, options)


def _network(
    rng: random.Random,
    kind: str,
    weight: Format,
    first: Format,
    hidden: Format,
    geometry: Geometry,
) -> Network:
    builder = _Builder(rng, weight, first, hidden)
    {
        "mlp": _mlp,
        "convolutions": _convolutions,
        "residual": _residual,
        "depthwise": _depthwise,
    }[kind](rng, builder)
    network = Network(kind, tuple(builder.layers), Accumulator(32), input_size=builder.sizes[INPUT])
    bits = rng.choice([_sum_bits(network, geometry.lanes), rng.choice([12, 16, 20, 24])])
    overflow = "saturate" if geometry.slice is None and rng.random() < 0.15 else "wrap"
    return network.with_accumulator(Accumulator(bits, overflow))


def _sum_bits(network: Network, lanes: int) -> int:
    """Return the bits of all sums in any order of any input of its format.

    Clamps have no part in it, nor have bounds that become narrower: a design stays what was mapped.
    """
    mapped = [replace(each, levels=()) for each in map_network(network, lanes) if each.on_array]
    return max(2, *(bits_for(*any_order(each)) for each in mapped))


def _mlp(rng: random.Random, to: "_Builder") -> None:
    to.begin(1, 1, rng.choice([8, 16, 24, 64, 100, 196]))
    for _ in range(rng.randint(0, 3)):
        to.dense(rng.choice([8, 12, 16, 24, 32, 48, 64, 96]))
    to.dense(rng.choice([2, 4, 10, 10, 12]), last=True)


def _convolutions(rng: random.Random, to: "_Builder") -> None:
    side = rng.choice([8, 12, 16, 28])
    to.begin(side, side, rng.choice([1, 1, 2, 3, 4]))
    for _ in range(rng.randint(1, 3)):
        kernel = rng.choice([1, 3, 3, 5])
        around = rng.choice([0, kernel // 2])
        if to.size.height + 2 * around < kernel:
            break
        to.conv(rng.choice([4, 6, 8, 12, 16, 24, 32]), kernel, rng.choice([1, 1, 2]), around)
        if rng.random() < 0.6 and to.size.height >= 2:
            to.pool(rng.choice(["max", "max", "average"]))
    if rng.random() < 0.15:
        to.transpose()
    if rng.random() < 0.3:
        to.pool("global")
    elif rng.random() < 0.6:
        to.dense(rng.choice([16, 32, 48]))
    to.dense(10, last=True)


def _residual(rng: random.Random, to: "_Builder") -> None:
    side = rng.choice([8, 12, 16])
    to.begin(side, side, rng.choice([2, 3, 4]))
    to.conv(rng.choice([4, 8, 16]), 3, 1, 1)
    for _ in range(rng.randint(1, 3)):
        other = to.before
        to.conv(to.size.channels, 3, 1, 1)
        if rng.random() < 0.5:
            to.conv(to.size.channels, 3, 1, 1)
        to.add(other, (rng.choice([1, 1, 3, 100]), rng.choice([1, 1, 5, 77])))
        if rng.random() < 0.4:
            to.conv(rng.choice([8, 16]), 3, 2, 1)
    to.pool("global" if rng.random() < 0.6 else "max")
    to.dense(10, last=True)


def _depthwise(rng: random.Random, to: "_Builder") -> None:
    side = rng.choice([8, 12, 16])
    to.begin(side, side, rng.choice([1, 3]))
    to.conv(rng.choice([4, 8, 16]), 3, rng.choice([1, 2]), 1)
    for _ in range(rng.randint(1, 3)):
        to.conv(to.size.channels, 3, 1, 1, groups=to.size.channels)
        to.conv(rng.choice([4, 8, 16]), 1, 1, 0, groups=rng.choice([1, 1, 1, 2]))
    to.pool(rng.choice(["global", "average"]))
    to.dense(rng.choice([4, 10]), last=True)


class _Builder:
    """Layers of random integers, each on the one before."""

    def __init__(self, rng: random.Random, weight: Format, first: Format, hidden: Format):
        self.rng, self.numbers = rng, np.random.default_rng(rng.getrandbits(32))
        self.weight, self.hidden = weight, hidden
        self.layers: list[Layer] = []
        self.before = INPUT
        self.formats: dict[str, Format] = {INPUT: first}
        self.sizes: dict[str, Size] = {}
        self.scale = rng.choice([6, 8, 10, 10, 14]), rng.choice([0, 100, 3000])
        # how levels are made of sums: as most networks do, or in any other way
        self.way = rng.choice([*["plain"] * 4, "half_even", "clamped", "thresholds"])

    @property
    def size(self) -> Size:
        return self.sizes[self.before]

    def begin(self, height: int, width: int, channels: int) -> None:
        self.sizes[INPUT] = Size(height, width, channels)

    def dense(self, outputs: int, *, last: bool = False) -> None:
        fmt = Fixed(self.rng.choice([8, 16, 20])) if last else None
        weights = self._weights(outputs, self.size.elements)
        self._requantised(Dense, outputs, fmt, **weights)

    def conv(self, channels: int, kernel: int, stride: int, around: int, groups: int = 1) -> None:
        window = Window((kernel, kernel), (stride, stride), (around, around, around, around))
        weights = self._weights(channels, kernel, kernel, self.size.channels // groups)
        self._requantised(Conv2d, channels, None, window=window, groups=groups, **weights)

    def pool(self, kind: str) -> None:
        window = Window((2, 2), (2, 2))
        if kind == "max":
            self._add(MaxPool, self.formats[self.before], window=window)
        else:
            self._requantised(AveragePool, 1, None, window=None if kind == "global" else window)

    def add(self, other: str, summands: tuple[int, int]) -> None:
        one, two = self.formats[other], self.formats[self.before]
        self._requantised(
            Add, 1, None, input=one, other=two, sources=(other, self.before), summands=summands
        )

    def transpose(self) -> None:
        size = self.size
        blocks, steps = (size.width, size.height), (size.channels, size.width * size.channels)
        turned = Size(size.width, size.height, size.channels)
        self._add(
            Move,
            self.formats[self.before],
            blocks=blocks,
            steps=steps,
            length=size.channels,
            size=turned,
        )

    def _weights(self, *shape: int) -> dict[str, object]:
        codes = self.numbers.integers(0, 1 << self.weight.width, shape)
        return {"weight": self.weight, "weights": self.weight.to_level(codes)}

    def _requantised(
        self, kind: Callable[..., Layer], channels: int, fmt: Format | None, **others: object
    ) -> None:
        output = fmt or self.hidden
        scaled = fmt is None and output != Bipolar()
        bits, bias = self.scale
        scales: dict[str, object] = {
            "bias": self.numbers.integers(-bias, bias + 1, channels) * (100 if scaled else 1),
            "multiplier": self.numbers.integers(1, 1 << bits, channels)
            if scaled
            else np.ones(channels),
            "shift": bits + 1 if scaled else 0,
        }
        if scaled and isinstance(output, Fixed):
            scales |= self._other_way(output, channels)
        self._add(kind, output, **scales, **others)

    def _other_way(self, output: Fixed, channels: int) -> dict[str, object]:
        if self.way == "half_even":
            return {"rounding": "half_even"}
        if self.way == "clamped":
            return {"low": 0, "high": output.max_level - 1}
        if self.way == "thresholds" and output.width <= 5:
            number = output.max_level - output.min_level
            thresholds = np.sort(self.numbers.integers(-300, 301, (channels, number)), axis=1)
            ones = {"bias": np.zeros(channels), "multiplier": np.ones(channels), "shift": 0}
            return {**ones, "thresholds": thresholds}
        return {}

    def _add(self, kind: Callable[..., Layer], output: Format, **others: object) -> None:
        name = f"layer{len(self.layers)}"
        common = {"name": name, "input": self.formats[self.before], "output": output}
        layer = kind(**{**common, **others})
        read = [self.sizes[source] for source in layer.sources or (self.before,)]
        self.layers.append(layer)
        self.before, self.formats[name] = name, output
        self.sizes[name] = layer.output_size(*read)
