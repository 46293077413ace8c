"""Networks that give images: their layers, pairs of images to train them on, and training.

Each is built twice of the same layers: in float, and of Brevitas' layers. The float network is
trained first; then both go on from its weights.
"""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ...hw.errors import DataError, ToolError
from ...model.data import Dataset, load

__all__ = ["NETWORKS", "FittedModule", "ImageNetwork", "Layers", "Pairs", "psnr", "train"]

BATCH = 50
RATE = 3e-3  # of learning, of the float network
SHARE = 0.3  # of it, of the quantised one
CHANNELS = 16  # of super-resolution
BOTTLENECK = 32


@dataclass(frozen=True)
class Layers:
    """Layers of a network, in float where there is no Brevitas."""

    brevitas: ModuleType | None = None

    @classmethod
    def quantised(cls) -> Self:
        """Return layers of Brevitas; raises `ToolError` where it is not installed."""
        try:
            with _quiet():
                import brevitas.nn
                import brevitas.quant
        except ImportError as error:
            raise ToolError(
                f"Brevitas is not installed ({error}): pip install 'narrowgauge[brevitas]'"
            ) from error
        return cls(brevitas)

    def _weights(self, bits: int) -> dict[str, object]:
        assert self.brevitas is not None
        quantiser = self.brevitas.quant.Int8WeightPerChannelFloat
        return {"weight_quant": quantiser, "weight_bit_width": bits}

    def conv(self, inputs: int, outputs: int, bits: int, stride: int = 1) -> nn.Module:
        """Return a convolution of 3x3 with padding."""
        if self.brevitas is None:
            return nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        options = {"stride": stride, "padding": 1, **self._weights(bits)}
        return self.brevitas.nn.QuantConv2d(inputs, outputs, 3, **options)

    def dense(self, inputs: int, outputs: int, bits: int) -> nn.Module:
        """Return a dense layer."""
        if self.brevitas is None:
            return nn.Linear(inputs, outputs)
        return self.brevitas.nn.QuantLinear(inputs, outputs, bias=True, **self._weights(bits))

    def relu(self, bits: int) -> nn.Module:
        """Return a ReLU with unsigned levels."""
        if self.brevitas is None:
            return nn.ReLU()
        return self.brevitas.nn.QuantReLU(bit_width=bits, collect_stats_steps=20)

    def unsigned(self, bits: int) -> nn.Module:
        """Return a quantiser to unsigned levels."""
        return self._identity("Uint8ActPerTensorFloat", bits)

    def signed(self, bits: int) -> nn.Module:
        """Return a quantiser to signed levels."""
        return self._identity("Int8ActPerTensorFloat", bits)

    def _identity(self, quantiser: str, bits: int) -> nn.Module:
        if self.brevitas is None:
            return nn.Identity()
        options = {"bit_width": bits, "collect_stats_steps": 20}
        options["act_quant"] = getattr(self.brevitas.quant.scaled_int, quantiser)
        return self.brevitas.nn.QuantIdentity(**options)


class _PixelClip(nn.Hardtanh):
    """Clip to values of pixels, but not in training: pixels that begin beyond would never learn."""

    def forward(self, input: Tensor) -> Tensor:
        return input if self.training else super().forward(input)


@dataclass(frozen=True)
class Pairs:
    """Images that a network reads, and those that it should give.

    Attributes
    ----------
    inputs, targets : float32 Tensor of shape (images, 1, height, width)
        Values from 0 to 1.
    """

    inputs: Tensor
    targets: Tensor

    def __getitem__(self, images: slice | Tensor) -> "Pairs":
        return Pairs(self.inputs[images], self.targets[images])

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class ImageNetwork:
    """A network that gives images.

    Attributes
    ----------
    data : str
        The data set, unless told otherwise.
    build : callable
        Returns its layers, for images of so many rows and columns in the data set.
    shrink : int
        How many times as many rows and columns targets have as inputs.
    """

    data: str
    build: Callable[[Layers, int], nn.Sequential]
    shrink: int = 1

    def pairs(self, data: Dataset, images: np.ndarray) -> Pairs:
        """Return pairs of images; inputs are means of pixels, as the nearest pixels."""
        if data.unit is not None or images.shape[1] != images.shape[2] or images.shape[3] != 1:
            raise DataError(f"{data.name}: these networks read square images of one colour")
        pixels = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)
        small = nn.functional.avg_pool2d(pixels, self.shrink).add(0.5).floor()
        return Pairs(small / data.pixel_max, pixels / data.pixel_max)

    def splits(self, name: str, count: int, tested: int) -> tuple[Pairs, Pairs, Pairs]:
        """Return the first ``count`` pairs of training, the next fifth as many, and of testing."""
        data = load(name)
        data.check_trainable()
        many = count + max(1, count // 5)
        if len(data.train_images) < many or len(data.test_images) < tested:
            raise DataError(f"{name} has not {many} images to train on, and {tested} to test")
        both = self.pairs(data, data.train_images[:many])
        return both[:count], both[count:], self.pairs(data, data.test_images[:tested])


def _super_resolution(layers: Layers, size: int) -> nn.Sequential:
    """Return a network that gives twice as many rows and columns; the size is any."""
    return nn.Sequential(
        layers.unsigned(8),
        layers.conv(1, CHANNELS, 8),
        layers.relu(8),
        layers.conv(CHANNELS, CHANNELS, 4),
        layers.relu(8),
        layers.conv(CHANNELS, 4, 8),
        layers.unsigned(8),
        nn.PixelShuffle(2),
    )


def _autoencoder(layers: Layers, size: int) -> nn.Sequential:
    """Return convolutions, a bottleneck and dense layers; no quantiser rounds what it gives."""
    return nn.Sequential(
        layers.unsigned(8),
        layers.conv(1, 8, 8, stride=2),
        layers.relu(8),
        layers.conv(8, 16, 4, stride=2),
        layers.relu(8),
        nn.Flatten(),
        layers.dense(16 * (-(-size // 4)) ** 2, BOTTLENECK, 4),
        layers.signed(8),
        layers.dense(BOTTLENECK, 128, 8),
        layers.relu(8),
        layers.dense(128, size * size, 8),
        _PixelClip(0.0, 1.0),
        nn.Unflatten(1, (1, size, size)),
    )


NETWORKS: dict[str, ImageNetwork] = {
    "super-resolution": ImageNetwork("fashion-mnist", _super_resolution, shrink=2),
    "autoencoder": ImageNetwork("mnist", _autoencoder),
}


# ------------------------------------------------------------------ training


@dataclass(frozen=True)
class FittedModule:
    """A network in evaluation mode, and the epoch that the validation images chose, from 1."""

    module: nn.Sequential
    epoch: int

    def images(self, inputs: Tensor) -> np.ndarray:
        """Return the images that it gives, of shape (images, 1, height, width)."""
        with torch.no_grad(), _quiet():
            return _value(self.module(inputs)).numpy()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings: brevitas 0.13 imports and uses what is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _value(given: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return outputs as a plain tensor; a last quantiser may give a QuantTensor."""
    return given if isinstance(given, Tensor) else given[0]


def train(
    network: ImageNetwork, training: Pairs, validation: Pairs, epochs: int, seed: int
) -> tuple[FittedModule, FittedModule]:
    """Return the network in float, and the quantised one; both are trained twice ``epochs``.

    The first half they have in common, in float.
    """
    size = training.targets.shape[-1]
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seed)
        first = _fit(network.build(Layers(), size), training, validation, epochs, RATE).module
        module = network.build(Layers.quantised(), size)
        for own, other in zip(module, first, strict=True):
            if isinstance(own, nn.Conv2d | nn.Linear):
                for name in ("weight", "bias"):
                    own.get_parameter(name).data.copy_(other.get_parameter(name).data)
        exact = _fit(first, training, validation, epochs, RATE * SHARE)
        return exact, _fit(module, training, validation, epochs, RATE * SHARE)


def _fit(
    module: nn.Sequential, training: Pairs, validation: Pairs, epochs: int, rate: float
) -> FittedModule:
    """Train a module by mean squared error; keep the epoch that is best in validation."""
    module.train()
    module(training.inputs[:BATCH])  # some quantisers make their parameters at the first batch
    optimiser = torch.optim.Adam(module.parameters(), lr=rate)
    steps = epochs * len(training.inputs.split(BATCH))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best: tuple[float, int, nn.Sequential] | None = None
    for epoch in range(1, epochs + 1):
        module.train()
        for batch in torch.randperm(len(training)).split(BATCH):
            optimiser.zero_grad()
            _loss(module, training[batch]).backward()
            optimiser.step()
            schedule.step()
        module.eval()
        with torch.no_grad():
            loss = float(_loss(module, validation))
        if best is None or loss < best[0]:
            best = loss, epoch, copy.deepcopy(module)
    assert best is not None
    return FittedModule(best[2], best[1])


def _loss(module: nn.Module, pairs: Pairs) -> Tensor:
    return nn.functional.mse_loss(_value(module(pairs.inputs)), pairs.targets)


def psnr(found: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean over images of the ratio of peak, 1, to error, in dB."""
    wrong = (np.clip(found, 0, 1).astype(np.float64) - targets).reshape(len(targets), -1)
    return float((-10 * np.log10(np.maximum((wrong**2).mean(axis=1), 1e-10))).mean())
