"""Random networks of floats."""

import re

import numpy as np

from narrowgauge.hw.network.layers import Size
from narrowgauge.hw.network.network import Network
from narrowgauge.hw.numbers.float_sum import FloatSum
from narrowgauge.hw.numbers.formats import Float, parse

from .networks import _Builder, random_levels

TWO_LAYERS = (Size(1, 1, 7), ("dense", 5), ("dense", 4))


def float_network(seed, formats, spec=TWO_LAYERS, *, partial_sums=1, scaled=True, wild=False):
    """A network of random floats.

    ``formats`` are ``[WEIGHTS*]ACTIVATIONS[/ACCUMULATOR]``; ``spec`` is that of `random_convnet`.
    Values are around 1; ``wild`` weights are of any codes of finite values. Without ``scaled``
    multipliers are 1.
    """
    named = re.fullmatch(r"(?:(\w+)\*)?(\w+)(?:/(\w+))?", formats)
    assert named
    activation = parse(named[2])
    weight, total = parse(named[1] or named[2]), parse(named[3] or named[2])
    rng = np.random.default_rng(seed)
    builder = _FloatBuilder(rng, (weight, activation, total), Size(*spec[0]), scaled, wild)
    for index, layer in enumerate(spec[1:]):
        builder.add(index, *layer, last=activation)
    assert isinstance(total, Float)
    accumulator = FloatSum(total, partial_sums)
    return Network("floats", tuple(builder.layers), accumulator, input_size=spec[0])


def float_images(seed, network, count, *, special=False):
    """Images of values around 1; or of ``special`` ones, too: zeros, infinities and NaN."""
    rng, fmt = np.random.default_rng(seed), network.input
    shape = (count, *network.sizes["input"])
    levels = fmt.quantize(_values(rng, shape))
    if special:
        ends = [0, 1, fmt.infinity - 1, fmt.infinity, -fmt.infinity, fmt.nan]
        levels = np.where(rng.random(shape) < 0.05, rng.choice(ends, shape), levels)
    return levels


def _values(rng, shape):
    return rng.normal(size=shape) * 2.0 ** rng.integers(-3, 1, shape)


class _FloatBuilder(_Builder):
    """Layers of random floats, each on the one before."""

    def __init__(self, rng, formats, size, scales, wild):
        weight, activation, self.total = formats
        super().__init__(rng, (str(weight), *[str(activation)] * 2), size, False)
        self.scales, self.wild = scales, wild

    def _weights(self, *shape):
        fmt, rng = self.weight, self.rng
        if not isinstance(fmt, Float):
            return {"weight": fmt, "weights": random_levels(rng, fmt, shape)}
        levels = fmt.quantize(_values(rng, shape))
        if self.wild:
            codes = rng.integers(0, 1 << fmt.width, shape)
            levels = np.where(fmt.is_finite(codes), fmt.to_level(codes), levels)
        return {"weight": fmt, "weights": levels}

    def _scales(self, channels):
        rng, fmt = self.rng, self.total
        unit = 1.0 if isinstance(self.weight, Float) else 1 / self.weight.max_level
        signs = rng.choice([1, 1, 1, -1], channels)
        most = fmt.max_finite  # small formats end at 3
        scales = fmt.quantize(signs * unit * 2.0 ** rng.normal(size=channels)).clip(-most, most)
        return {
            "bias": fmt.quantize(rng.normal(size=channels) / 4).clip(-most, most),
            "multiplier": scales if self.scales else np.full(channels, fmt.one),
            "low": int(rng.choice([0, self.output.min_level])),
        }
