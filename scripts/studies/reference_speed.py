"""The integer reference against plain PyTorch, on LeNet-5; run by hand.

``studies reference_speed [--images 10000] [--repeats 3]`` prints the seconds that
random images of 28x28 pixels take through a LeNet-5 of random int4 weights and uint4 levels, for
several accumulators. The baseline is the same network in float64 as PyTorch runs it (``conv2d``,
``max_pool2d`` and ``linear``, requantised in between); it follows no accumulator, so it is right
only where none overflows, and there the labels are compared.
"""

import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TypeVar

import numpy as np
import torch
from torch.nn.functional import conv2d, linear, max_pool2d

from ...hw.network.layers import Conv2d, Dense, MaxPool, Size, Window
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import OVERFLOWS, Accumulator, requantize
from ...hw.numbers.formats import Fixed
from ...model.integers.reference import evaluate
from .record import parser

__all__ = ["baseline", "lenet", "main", "seconds"]

WEIGHT, LEVEL, LOGIT = Fixed(4), Fixed(4, signed=False), Fixed(24)
T = TypeVar("T")
LANES = 8
WIDTHS = (12, 16, 32)
BATCH = 500  # images that the baseline takes at a time


def lenet() -> Network:
    """Return a LeNet-5 of random integers."""
    rng = np.random.default_rng(0)

    def parameters(name: str, shape: tuple[int, ...], output: Fixed = LEVEL) -> dict:
        channels, last = shape[0], output == LOGIT
        return {
            "name": name,
            "input": LEVEL,
            "output": output,
            "weight": WEIGHT,
            "weights": rng.integers(-7, 8, shape),
            "bias": rng.integers(-1000, 1000, channels),
            "multiplier": np.ones(channels) if last else rng.integers(500, 1000, channels),
            "shift": 0 if last else 14,
        }

    five, two = Window((5, 5)), Window((2, 2), (2, 2))
    layers = (
        Conv2d(**parameters("conv1", (20, 5, 5, 1)), window=five),
        MaxPool(name="pool1", input=LEVEL, output=LEVEL, window=two),
        Conv2d(**parameters("conv2", (50, 5, 5, 20)), window=five),
        MaxPool(name="pool2", input=LEVEL, output=LEVEL, window=two),
        Dense(**parameters("fc1", (500, 800))),
        Dense(**parameters("fc2", (10, 500), LOGIT)),
    )
    return Network("lenet5", layers, Accumulator(32), input_size=Size(28, 28, 1))


def baseline(network: Network, images: np.ndarray) -> torch.Tensor:
    """Return the labels that PyTorch gives in float64, channels first."""
    labels = []
    for batch in torch.from_numpy(images).split(BATCH):
        levels = batch.double().permute(0, 3, 1, 2)
        for layer in network:
            if isinstance(layer, MaxPool):
                levels = max_pool2d(levels, layer.window.kernel, layer.window.stride)
                continue
            assert isinstance(layer, (Conv2d, Dense))
            weights = torch.from_numpy(layer.weights).double()
            if isinstance(layer, Conv2d):
                levels = conv2d(levels, weights.permute(0, 3, 1, 2))
            else:
                levels = linear(levels.permute(0, 2, 3, 1).flatten(1), weights)
            shape = (-1, *[1] * (levels.ndim - 2))
            scale = [
                torch.from_numpy(each).reshape(shape) for each in (layer.multiplier, layer.bias)
            ]
            levels = requantize(levels.long(), *scale, layer.shift, layer.output).double()
            if levels.ndim == 2:  # the next dense layer flattens again
                levels = levels[:, :, None, None]
        labels.append(levels.flatten(1).argmax(dim=1))
    return torch.cat(labels)


def seconds(repeats: int, function: Callable[..., T], *arguments) -> tuple[float, T]:
    """Return the shortest time of some calls, and what the last one gave."""
    runs = []
    for _ in range(max(repeats, 1)):
        start = time.perf_counter()
        result = function(*arguments)
        runs.append((time.perf_counter() - start, result))
    return min(took for took, _ in runs), runs[-1][1]


def main(arguments: Sequence[str]) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--images", type=int, default=10_000)
    options.add_argument("--repeats", type=int, default=3)
    values = options.parse_args(arguments)
    print(
        f"torch {version('torch')}, numpy {version('numpy')}, "
        f"narrowgauge {version('narrowgauge')}, python {platform.python_version()}, "
        f"{torch.get_num_threads()} threads of {os.cpu_count()}, {values.images:,} images, "
        f"{LANES} lanes"
    )
    network = lenet()
    shape = (values.images, 28, 28, 1)
    images = np.random.default_rng(1).integers(0, 16, shape).astype(np.uint8)
    took, labels = seconds(values.repeats, baseline, network, images)
    print(f"PyTorch, float64, no accumulator: {took:.2f} s")
    for width in WIDTHS:
        for overflow in OVERFLOWS:
            narrow = network.with_accumulator(Accumulator(width, overflow))
            took, result = seconds(values.repeats, evaluate, narrow, images, LANES)
            same = float((result.labels == labels).double().mean())
            print(f"{width} bits, {overflow}: {took:.2f} s; {same:.2%} of the labels are equal")
            assert width < 32 or same == 1
