"""The integer reference: what the accelerator must compute, to the last bit, in torch.

It starts from `hw.mapping`, as the accelerator does, so patches, lanes, padding and bit planes are
the same by construction; `accumulate` adds the order of accumulation, and this module the rest.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..hw.arithmetic import round_shift
from ..hw.errors import FormatError, NetworkError
from ..hw.layers import MaxPool
from ..hw.mapping import MappedLayer, map_network
from ..hw.network import INPUT, Network
from ..hw.number import Bipolar, Format
from .accumulate import Sums
from .words import over_window, padded

__all__ = ["LayerTrace", "Result", "accuracy", "evaluate", "requantize"]

BATCH = 1 << 21  # elements of the largest tensor of a batch of images
WORKERS = 8  # batches at a time, each of which takes some 100 MB


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What happened in one layer; elements are in the order height, width, channel.

    Attributes
    ----------
    name : str
        The layer.
    accumulators : int64 tensor of shape (images, elements), or None
        The register after the last step, before requantisation; None for a max pool.
    overflowed : bool tensor of shape (images, elements), or None
        Whether any step of that sum left the register's range; None for a max pool.
    levels : int64 tensor of shape (images, elements)
        The output levels.
    """

    name: str
    accumulators: Tensor | None
    overflowed: Tensor | None
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
    images : integer tensor or array of shape (images, height, width, channels)
        Input levels; or of shape (images, inputs), in the same order.
    lanes : int
        Pairs a step; decides where a saturating accumulator saturates.
    trace : bool
        Whether to keep accumulators, overflows and levels of every layer.

    Raises
    ------
    FormatError
        For a level that the input format does not hold.
    NetworkError
        For images of another size, or sums beyond what float64 and int64 hold exactly.
    """
    levels = torch.as_tensor(images)
    size = network.sizes[INPUT]
    if levels.ndim not in (2, 4) or levels.shape[1:] not in ((network.inputs,), tuple(size)):
        raise NetworkError(
            f"network {network.name} reads images of shape (images, {network.inputs}) or "
            f"(images, {', '.join(map(str, size))}), not {tuple(levels.shape)}"
        )
    layers = [_Layer(each, lanes, network) for each in map_network(network, lanes)]
    largest = max(each.elements for each in network.sizes.values())
    batches = levels.reshape(len(levels), *size).split(max(1, BATCH // largest))

    def run(batch: Tensor) -> list[LayerTrace]:
        with torch.autocast("cpu", enabled=False):  # which would round levels and sums
            return _run(network, layers, _checked(network, batch), trace)

    parts = _side_by_side(run, batches)
    traces = tuple(_joined(traces) for traces in zip(*parts, strict=True))
    result = traces[-1].levels
    return Result(result, result.argmax(dim=1), traces if trace else ())


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


def _checked(network: Network, batch: Tensor) -> Tensor:
    """Return a batch in the type of its format, if that holds its levels."""
    levels = batch.long()
    exact = not batch.is_floating_point() or torch.equal(levels.to(batch.dtype), batch)
    if not exact or not bool(network.input.holds(levels).all()):
        raise FormatError(f"network {network.name} reads {network.input} levels, these are not")
    return levels.to(_smallest(network.input))


def _smallest(fmt: Format) -> torch.dtype:
    """Return the narrowest integer type of torch that holds the levels of a format."""
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        if torch.iinfo(dtype).min <= fmt.min_level and fmt.max_level <= torch.iinfo(dtype).max:
            return dtype
    return torch.int64


def _side_by_side(
    run: Callable[[Tensor], list[LayerTrace]], batches: Sequence[Tensor]
) -> list[list[LayerTrace]]:
    """Run batches on as many threads as torch may use, one each.

    Torch would split every small product, and its threads wait for each other every time: for very
    long where other programs want the cores, too.
    """
    threads = torch.get_num_threads()
    workers = min(threads, len(batches), WORKERS)
    torch.set_num_threads(1)
    try:
        if workers < 2:
            return [run(batch) for batch in batches]
        with ThreadPoolExecutor(workers, "reference", torch.set_num_threads, (1,)) as pool:
            return list(pool.map(run, batches))
    finally:
        torch.set_num_threads(threads)


def _run(
    network: Network, layers: Sequence["_Layer"], images: Tensor, trace: bool
) -> list[LayerTrace]:
    """Run one batch; return all layers, or the last one only."""
    last_use = {source: layer for layer in network for source in network.sources(layer)}
    tensors, traces = {INPUT: images}, []
    for layer, runner in zip(network, layers, strict=True):
        sources = network.sources(layer)
        traced = runner.run([tensors[source] for source in sources], trace)
        tensors[layer.name] = traced.levels
        for source in set(sources):
            if last_use[source] is layer:
                del tensors[source]
        if trace or layer is network.layers[-1]:
            traces.append(_flat(traced))
    return traces


def _flat(trace: LayerTrace) -> LayerTrace:
    """Make each image one row, of int64."""
    sums, flags = trace.accumulators, trace.overflowed
    return LayerTrace(
        trace.name,
        None if sums is None else sums.flatten(1).long(),
        None if flags is None else flags.flatten(1),
        trace.levels.flatten(1).long(),
    )


def _joined(traces: Sequence[LayerTrace]) -> LayerTrace:
    """Join what became of one layer in parts of the images."""

    def join(tensors: Sequence[Tensor | None]) -> Tensor | None:
        present = [tensor for tensor in tensors if tensor is not None]
        return torch.cat(present) if present else None

    return LayerTrace(
        traces[0].name,
        join([each.accumulators for each in traces]),
        join([each.overflowed for each in traces]),
        torch.cat([each.levels for each in traces]),
    )


class _Layer:
    """One mapped layer, as tensors."""

    def __init__(self, mapped: MappedLayer, lanes: int, network: Network):
        self.mapped = mapped
        self.dtype = _smallest(mapped.layer.output)
        if mapped.on_array:
            self.sums = Sums(mapped, lanes, network.accumulator)
            self._prepare_scaling()

    def _prepare_scaling(self) -> None:
        """Choose the type that holds all scaled sums; refuse what int64 would wrap."""
        mapped, output = self.mapped, self.mapped.layer.output
        largest = self.sums.held * int(mapped.multiplier.max()) + int(abs(mapped.bias).max())
        largest += 1 << mapped.shift
        if largest >= 1 << 63:
            raise NetworkError(
                f"layer {mapped.layer.name}: scaled sums up to {largest} are beyond 64 bits"
            )
        narrow = max(largest, -output.min_level, output.max_level) < 1 << 31
        self.scaled = torch.int32 if narrow else torch.int64
        parameters = [torch.from_numpy(each) for each in (mapped.multiplier, mapped.bias)]
        if mapped.shared:  # row c % lanes serves channel c
            parameters = [
                each.repeat(mapped.patch.groups)[: mapped.channels] for each in parameters
            ]
        self.multiplier, self.bias = (each.to(self.scaled) for each in parameters)

    def run(self, tensors: Sequence[Tensor], trace: bool) -> LayerTrace:
        """Run the layer on levels of shape (images, height, width, channels)."""
        if not self.mapped.on_array:
            return LayerTrace(self.mapped.layer.name, None, None, self._largest(tensors[0]))
        size = self.sums.images_at_a_time(trace)
        parts = zip(*(tensor.split(size) for tensor in tensors), strict=True)
        return _joined([self._part(part, trace) for part in parts])

    def _part(self, tensors: Sequence[Tensor], trace: bool) -> LayerTrace:
        mapped = self.mapped
        registers = self.sums.registers(tensors, flags=trace)
        levels = requantize(
            registers.values.to(self.scaled),
            self.multiplier,
            self.bias,
            mapped.shift,
            mapped.layer.output,
        ).to(self.dtype)
        kept = registers.values if trace else None
        return LayerTrace(mapped.layer.name, kept, registers.overflowed, levels)

    def _largest(self, tensor: Tensor) -> Tensor:
        mapped = self.mapped
        assert isinstance(mapped.layer, MaxPool)
        image = padded(tensor, mapped.patch, mapped.channels, mapped.pad, self.dtype)
        return over_window(image, mapped.patch, torch.maximum).contiguous()
