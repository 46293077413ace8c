"""The integer reference: what the accelerator must compute, to the last bit, in torch.

It starts from `hw.mapping`, as the accelerator does, so lanes, padding and bit planes are the same
by construction; what it adds is the order of accumulation. Where no sum can leave the accumulator,
or only values are asked of a wrapping one, a layer is one matrix product per bit plane. Otherwise
the partial sums of all steps come from one batched product, and a loop over steps (never over
images) follows the register.

Products run in float64, which is exact here: every partial sum is an integer below 2**53, and that
is checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..hw.arithmetic import Accumulator, round_shift
from ..hw.errors import FormatError, NetworkError
from ..hw.mapping import MappedLayer, map_network, operands
from ..hw.network import Network
from ..hw.number import Bipolar, Format

__all__ = ["LayerTrace", "Result", "accuracy", "evaluate", "requantize"]

CHUNK = 1 << 22  # partial sums held at a time, 32 MiB of float64


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What happened in one layer.

    Attributes
    ----------
    name : str
        The layer.
    accumulators : int64 tensor of shape (images, outputs)
        The register after the last step, before requantisation.
    overflowed : bool tensor of shape (images, outputs)
        Whether any step of that dot product left the register's range.
    levels : int64 tensor of shape (images, outputs)
        The output levels.
    """

    name: str
    accumulators: Tensor
    overflowed: Tensor
    levels: Tensor


@dataclass(frozen=True, eq=False)
class Result:
    """What the network gave.

    Attributes
    ----------
    levels : int64 tensor of shape (images, outputs)
        Output levels of the last layer.
    labels : int64 tensor of shape (images,)
        Index of the largest level; the first one of equals.
    layers : tuple of LayerTrace
        One a layer if a trace was asked for, else empty.
    """

    levels: Tensor
    labels: Tensor
    layers: tuple[LayerTrace, ...]


def evaluate(
    network: Network, images: Tensor | np.ndarray, lanes: int, *, trace: bool = False
) -> Result:
    """Run ``network`` on an array of ``lanes`` lanes.

    Parameters
    ----------
    network : Network
        Integers and accumulator.
    images : integer tensor or array of shape (images, inputs)
        Input levels.
    lanes : int
        Pairs a step; decides where a saturating accumulator saturates.
    trace : bool
        Whether to keep accumulators, overflows and levels of every layer.

    Raises
    ------
    FormatError
        For a level that the input format does not hold.
    NetworkError
        For images of another length, or sums beyond what float64 and int64 hold exactly.
    """
    levels = torch.as_tensor(images).long()
    if levels.ndim != 2 or levels.shape[1] != network.inputs:
        raise NetworkError(
            f"network {network.name} reads images of shape (images, {network.inputs}), "
            f"not {tuple(levels.shape)}"
        )
    if levels.numel() and not bool(network.input.holds(levels).all()):
        raise FormatError(f"network {network.name} reads {network.input} levels, these are not")
    activation = operands(network).activation
    traces = []
    for mapped in map_network(network, lanes):
        layer = _Layer(mapped, activation, network.accumulator)
        accumulators, overflowed = layer.accumulate(levels, flags=trace)
        levels = layer.requantize(accumulators)
        if trace:
            traces.append(LayerTrace(mapped.layer.name, accumulators, overflowed, levels))
    return Result(levels, levels.argmax(dim=1), tuple(traces))


def accuracy(result: Result, labels: Tensor | np.ndarray) -> float:
    """Return the share of images whose label is right."""
    return float((result.labels == torch.as_tensor(labels)).double().mean())


def requantize(accumulator: Any, multiplier: Any, bias: Any, shift: int, output: Format) -> Any:
    """Return the output levels of accumulators (NumPy or torch; arguments broadcast).

    ``clamp(round_shift(accumulator * multiplier + bias, shift))`` in the range of ``output``; the
    sign for `Bipolar`.
    """
    scaled = accumulator * multiplier + bias
    if output == Bipolar():
        return 2 * (scaled >= 0) - 1
    return round_shift(scaled, shift).clip(output.min_level, output.max_level)


class _Layer:
    """One mapped layer on one accumulator, as tensors."""

    def __init__(self, mapped: MappedLayer, activation: Format, accumulator: Accumulator):
        self.mapped, self.accumulator, self.activation = mapped, accumulator, activation
        self._check_exact()
        low, high = mapped.accumulator_range(activation)
        self.fits = not (accumulator.overflows(low) or accumulator.overflows(high))
        self.weights = torch.from_numpy(mapped.weights)

    def _check_exact(self) -> None:
        """Refuse sums that float64 would round, and products that int64 would wrap."""
        mapped, layer = self.mapped, self.mapped.layer
        largest = max(-layer.input.min_level, layer.input.max_level, 1)
        reach = int(abs(mapped.weights).sum(axis=1).max()) * largest
        if reach >= 1 << 53:
            raise NetworkError(f"layer {layer.name}: sums up to {reach} are beyond exact float64")
        held = max(reach, -self.accumulator.min_level)
        scaled = held * int(mapped.multiplier.max()) + int(abs(mapped.bias).max())
        if scaled + (1 << mapped.shift) >= 1 << 63:
            raise NetworkError(f"layer {layer.name}: scaled sums up to {scaled} are beyond 64 bits")

    def accumulate(self, levels: Tensor, *, flags: bool) -> tuple[Tensor, Tensor]:
        """Return registers and sticky overflows, both of shape (images, outputs)."""
        wraps = self.accumulator.overflow == "wrap"
        if self.fits or (wraps and not flags):
            total = self._at_once(self._pad(levels))
            sums = total if self.fits else self.accumulator.fit(total)
            return sums, torch.zeros_like(sums, dtype=torch.bool)
        per_image = self.mapped.steps * len(self.weights)
        parts = levels.split(max(1, CHUNK // per_image))
        pairs = [self._step_by_step(self._pad(part)) for part in parts]
        return torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])

    def requantize(self, accumulators: Tensor) -> Tensor:
        """Return the output levels, of the same shape."""
        mapped = self.mapped
        multiplier, bias = torch.from_numpy(mapped.multiplier), torch.from_numpy(mapped.bias)
        return requantize(accumulators, multiplier, bias, mapped.shift, mapped.layer.output)

    def _pad(self, levels: Tensor) -> Tensor:
        """Fill the last step; bit planes are padded by 0 bits, which `_planes` turns into -1."""
        padding = self.weights.shape[1] - levels.shape[1]
        value = 0 if self.mapped.bitwise else self.activation.zero_level
        return torch.nn.functional.pad(levels, (0, padding), value=value)

    def _planes(self, padded: Tensor) -> Iterator[Tensor]:
        """Yield what each pass reads, as float64: bit planes from the highest, or all at once."""
        if not self.mapped.bitwise:
            yield padded.double()
            return
        for bit in reversed(range(self.mapped.planes)):
            yield (2 * ((padded >> bit) & 1) - 1).double()

    def _at_once(self, padded: Tensor) -> Tensor:
        """Return the exact sums, as if the accumulator had no end."""
        weights = self.weights.double().T
        total = torch.zeros(len(padded), weights.shape[1], dtype=torch.float64)
        for plane in self._planes(padded):
            total = 2 * total + plane @ weights
        return total.long()

    def _step_by_step(self, padded: Tensor) -> tuple[Tensor, Tensor]:
        """Follow the register through every step of every plane."""
        steps, fit = self.mapped.steps, self.accumulator.fit
        images, outputs = len(padded), len(self.weights)
        weights = self.weights.double().reshape(outputs, steps, -1).permute(1, 2, 0)
        register = torch.zeros(images, outputs, dtype=torch.int64)
        overflowed = torch.zeros(images, outputs, dtype=torch.bool)
        for index, plane in enumerate(self._planes(padded)):
            if index:  # between planes the register doubles, and can overflow in doing so
                overflowed |= self.accumulator.overflows(2 * register)
                register = fit(2 * register)
            sums = torch.bmm(plane.reshape(images, steps, -1).transpose(0, 1), weights).long()
            for partial in sums:
                exact = register + partial
                overflowed |= self.accumulator.overflows(exact)
                register = fit(exact)
        return register, overflowed
