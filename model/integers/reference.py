"""The integer reference: what the accelerator must compute, to the last bit, in torch.

It starts from `hw.program.mapping`, as the accelerator does, so patches, lanes, padding and bit
planes are the same by construction; `accumulate` adds the order of accumulation, `float_sums` that
of floats, and this module the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...hw.errors import FormatError, NetworkError
from ...hw.network.layers import MaxPool, Move, Requantised
from ...hw.network.network import INPUT, Network
from ...hw.numbers.arithmetic import requantize
from ...hw.numbers.float_sum import FloatSum
from ...hw.numbers.formats import Format
from ...hw.program.mapping import MappedLayer, map_network
from .accumulate import AccumulatorTrace
from .float_sums import FloatSums
from .words import over_window, padded

__all__ = ["LayerTrace", "Result", "accuracy", "evaluate", "requantize"]

BATCH = 1 << 21  # elements of the largest tensor of a batch of images
WORKERS = 8  # batches at a time, each of which takes some 100 MB


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """Trace of one layer; elements are in the order height, width, channel.

    Attributes
    ----------
    name : str
        The layer.
    accumulators : int64 tensor of shape (images, elements), or None
        The register after the last step, before requantisation; of floats its rank. None for a max
        pool.
    overflowed : bool tensor of shape (images, elements), or None
        Whether any step of that sum left the register's range, or made finite floats infinite;
        None for a max pool.
    levels : int64 tensor of shape (images, elements)
        The output levels.
    """

    name: str
    accumulators: Tensor | None
    overflowed: Tensor | None
    levels: Tensor


@dataclass(frozen=True, eq=False)
class Result:
    """Results of a network.

    Attributes
    ----------
    levels : int64 tensor of shape (images, outputs)
        Output levels; of several outputs one after the other, as `Network.ends` says.
    labels : int64 tensor of shape (images,), or (images, outputs of the network)
        Index of the largest level; the first one of equals. 0 where there are no classes.
    layers : tuple of LayerTrace
        One a layer if a trace was asked for, else empty.
    """

    levels: Tensor
    labels: Tensor
    layers: tuple[LayerTrace, ...]


def evaluate(
    network: Network,
    images: Tensor | np.ndarray,
    lanes: int,
    *,
    sliced: bool = False,
    trace: bool = False,
    replaced: Mapping[str, Tensor] | None = None,
) -> Result:
    """Run ``network`` on an array of ``lanes`` lanes.

    Parameters
    ----------
    network : Network
        Integers and accumulator.
    images : integer tensor or array of shape (images, height, width, channels)
        Input levels; or of shape (images, inputs), in the same order.
    lanes : int
        Pairs a step; decides where a saturating accumulator saturates, and in which order floats
        are added.
    sliced : bool
        Whether the array multiplies slices of weights: bipolar ones are integers there. In networks
        without any it makes no difference.
    trace : bool
        Whether to keep accumulators, overflows and levels of every layer.
    replaced : mapping, optional
        Levels that later layers read in place of those of the layers named, of shape (images,
        height, width, channels): to look at one layer after the other, each from given inputs.

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
    layers = [_Layer(each, lanes, network) for each in map_network(network, lanes, sliced=sliced)]
    largest = max(each.elements for each in network.sizes.values())
    at_once = max(1, BATCH // largest)
    batches = [{INPUT: batch} for batch in levels.reshape(len(levels), *size).split(at_once)]
    for name, given in (replaced or {}).items():
        for batch, part in zip(batches, given.split(at_once), strict=True):
            batch[name] = part

    def run(batch: dict[str, Tensor]) -> list[LayerTrace]:
        with torch.autocast("cpu", enabled=False):  # which would round levels and sums
            images = _checked(network, batch.pop(INPUT))
            return _run(network, layers, images, trace, batch)

    parts = _side_by_side(run, batches)
    traces = tuple(_joined(traces) for traces in zip(*parts, strict=True))
    given = {each.name: each.levels for each in traces}
    result = torch.cat([given[end.name] for end in network.ends], dim=1)
    labels = [
        given[end.name].argmax(dim=1) if end.classes else result.new_zeros(len(result))
        for end in network.ends
    ]
    by_end = torch.stack(labels, dim=1).reshape(network.label_shape(len(result)))
    return Result(result, by_end, traces if trace else ())


def accuracy(result: Result, labels: Tensor | np.ndarray) -> float:
    """Return the share of images whose label is right."""
    return float((result.labels == torch.as_tensor(labels)).double().mean())


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
    run: Callable[[dict[str, Tensor]], list[LayerTrace]], batches: Sequence[dict[str, Tensor]]
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
    network: Network,
    layers: Sequence["_Layer"],
    images: Tensor,
    trace: bool,
    replaced: Mapping[str, Tensor],
) -> list[LayerTrace]:
    """Run one batch; return all layers, or those alone that come out."""
    last_use = {source: layer for layer in network for source in network.sources(layer)}
    tensors, traces = {INPUT: images}, []
    ends = {end.name for end in network.ends}
    for layer, runner in zip(network, layers, strict=True):
        sources = network.sources(layer)
        traced = runner.run([tensors[source] for source in sources], trace)
        levels = traced.levels
        tensors[layer.name] = replaced[layer.name].to(levels) if layer.name in replaced else levels
        for source in set(sources):
            if last_use[source] is layer:
                del tensors[source]
        if trace or layer.name in ends:
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
        self.scaled = torch.int32
        if not mapped.on_array:
            return
        accumulator = network.accumulator
        if isinstance(accumulator, FloatSum):
            self.sums = FloatSums(mapped, lanes, accumulator)
        else:
            self.sums = AccumulatorTrace(mapped, lanes, accumulator)
            self._prepare_scaling(self.sums.held)

    def _prepare_scaling(self, held: int) -> None:
        """Choose the type that holds all scaled sums; refuse what int64 would wrap."""
        mapped, output = self.mapped, self.mapped.layer.output
        if mapped.thresholds is not None:
            # as near to the sums as it takes to tell them apart, so that one type holds both
            thresholds = torch.from_numpy(mapped.thresholds.clip(-held, held + 1))
            self.scaled = torch.int32 if held + 1 < 1 << 31 else torch.int64
            self.thresholds = self._by_channel(thresholds).to(self.scaled)
            return
        largest = held * int(mapped.multiplier.max()) + int(abs(mapped.bias).max())
        largest += 1 << mapped.shift
        if largest >= 1 << 63:
            raise NetworkError(
                f"layer {mapped.layer.name}: scaled sums up to {largest} are beyond 64 bits"
            )
        narrow = max(largest, -output.min_level, output.max_level) < 1 << 31
        self.scaled = torch.int32 if narrow else torch.int64
        self.multiplier, self.bias = (
            self._by_channel(torch.from_numpy(each)).to(self.scaled)
            for each in (mapped.multiplier, mapped.bias)
        )

    def _by_channel(self, rows: Tensor) -> Tensor:
        """Return the row of each channel; where rows are shared, ``c % lanes`` serves ``c``."""
        channels = torch.arange(self.mapped.channels)
        return rows[channels % len(rows) if self.mapped.shared else channels]

    def run(self, tensors: Sequence[Tensor], trace: bool) -> LayerTrace:
        """Run the layer on levels of shape (images, height, width, channels)."""
        if not self.mapped.on_array:
            layer, (tensor,) = self.mapped.layer, tensors
            moves = isinstance(layer, Move)
            levels = _moved(layer, tensor) if moves else self._largest(tensor)
            return LayerTrace(layer.name, None, None, levels)
        size = self.sums.images_at_a_time(trace)
        parts = zip(*(tensor.split(size) for tensor in tensors), strict=True)
        return _joined([self._part(part, trace) for part in parts])

    def _part(self, tensors: Sequence[Tensor], trace: bool) -> LayerTrace:
        registers = self.sums.registers(tensors, flags=trace)
        levels = self._levels(registers.values.to(self.scaled)).to(self.dtype)
        kept = registers.values if trace else None
        return LayerTrace(self.mapped.layer.name, kept, registers.overflowed, levels)

    def _levels(self, sums: Tensor) -> Tensor:
        mapped, layer = self.mapped, self.mapped.layer
        if isinstance(self.sums, FloatSums):
            return self.sums.levels(sums)
        if mapped.thresholds is not None:
            return _reached(sums, self.thresholds) + layer.output.min_level
        assert isinstance(layer, Requantised)
        low, high = layer.clamp
        return requantize(
            sums,
            self.multiplier,
            self.bias,
            mapped.shift,
            layer.output,
            low=low,
            high=high,
            rounding=mapped.rounding,
        )

    def _largest(self, tensor: Tensor) -> Tensor:
        mapped = self.mapped
        assert isinstance(mapped.layer, MaxPool)
        image = padded(tensor, mapped.patch, mapped.channels, mapped.pad, self.dtype)
        return over_window(image, mapped.patch, torch.maximum).contiguous()


def _moved(layer: Move, tensor: Tensor) -> Tensor:
    """Return the blocks of a tensor of shape (images, height, width, channels)."""
    flat = tensor.flatten(1)
    shape, steps = (len(flat), *layer.blocks, layer.length), (flat.stride(0), *layer.steps, 1)
    return flat.as_strided(shape, steps).reshape(len(flat), *layer.size)


def _reached(sums: Tensor, thresholds: Tensor) -> Tensor:
    """Return `count_thresholds` of sums, whose last dimension is channels, by bisection."""
    by_channel = sums.flatten(0, -2).T.contiguous()
    counts = torch.searchsorted(thresholds, by_channel, right=True, out_int32=True)
    return counts.T.reshape(sums.shape)
