"""A quantised network: layers as plain integers, and the accumulator that all of them share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..errors import FormatError, NetworkError
from ..numbers.arithmetic import Accumulator
from ..numbers.float_sum import FloatSum
from ..numbers.formats import Format
from ..numbers.operands import common
from .ends import End
from .layers import Dense, Layer, MaxPool, Move, Requantised, Size, Weighted
from .requantised import is_float

__all__ = ["INPUT", "MAX_ENDS", "Network"]

INPUT = "input"
"""The network's input, as a source of layers."""
MAX_ENDS = 16


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in the order in which they run.

    Parameters
    ----------
    name : str
        Names the network in reports.
    layers : tuple of Layer
        At least one; each reads the layers before it that it names, or the one right before it.
        The last one gives the result: several channels of one position are a level a class, and
        anything else, one number or many positions, is values.
    accumulator : Accumulator or FloatSum
        Register of every dot product; of floats, their format and how many partial sums take turns.
    about : mapping
        Plain data about its origin: data set, training command, accuracies.
    input_size : Size, optional
        Size of an image, channels last; None is the vector that a first `Dense` takes.
    values : bool or tuple of str
        The output is values in any case: several channels of one position are no classes. Of
        several outputs, the layers whose outputs are.
    output_layers : tuple of str, optional
        Layers whose levels come out, in this order, where there are several: at most 16, of which
        the last layer is one. None means that layer alone.

    Raises
    ------
    NetworkError
        When layers do not fit together; the text names them.
    """

    name: str
    layers: tuple[Layer, ...]
    accumulator: Accumulator | FloatSum
    about: Mapping[str, Any] = field(default_factory=dict)
    input_size: Size | None = None
    values: bool | tuple[str, ...] = False
    output_layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise NetworkError(f"network {self.name} has no layers")
        if self.input_size is None:
            first = self.layers[0]
            if not isinstance(first, Dense):
                raise NetworkError(f"network {self.name}: layer {first.name} needs an input size")
            object.__setattr__(self, "input_size", Size(1, 1, first.weights.shape[1]))
        last = self.layers[-1].name
        several = () if tuple(self.output_layers) == (last,) else tuple(self.output_layers)
        object.__setattr__(self, "output_layers", several)
        self._check_sources()
        _check_accumulator(self.name, self.layers, self.accumulator)
        _ = self.sizes  # what does not fit is told before how the network ends
        self._check_ends()

    def _check_ends(self) -> None:
        """Check that what comes out is levels of layers that can give them, with one label each."""
        layers, last = {layer.name: layer for layer in self.layers}, self.layers[-1]
        if last.name not in self._output_names:
            raise NetworkError(f"network {self.name}: its last layer, {last.name}, is no output")
        if len(self.output_layers) > MAX_ENDS:
            raise NetworkError(
                f"network {self.name} has {len(self.output_layers)} outputs, "
                f"the limit is {MAX_ENDS}"
            )
        for name in self._output_names:
            if name not in layers:
                raise NetworkError(f"network {self.name}: its output {name} is no layer")
            if self.output_layers.count(name) > 1:
                raise NetworkError(f"network {self.name}: its output {name} is there twice")
            if isinstance(layers[name], (MaxPool, Move)):
                what = "the last layer" if name == last.name else "an output"
                kind = layers[name].kind.replace("_", " ")
                raise NetworkError(
                    f"{what}, {name}, is a {kind}: a network ends with sums (dense, "
                    "convolution, average pool or add); put an average pool of one pixel behind it"
                )
        if not isinstance(self.values, bool):
            object.__setattr__(self, "values", tuple(self.values))
            for name in set(self.values) - set(self._output_names):
                raise NetworkError(f"network {self.name}: {name}, which is values, is no output")
        try:
            _ = self.output
        except FormatError as error:
            raise NetworkError(
                f"network {self.name}: no format holds the levels of all outputs ({error})"
            ) from error

    def _check_sources(self) -> None:
        """Check names, formats and uses; sizes are checked where they are computed."""
        names = [INPUT, *(layer.name for layer in self.layers)]
        for name in names:
            if names.count(name) > 1:
                raise NetworkError(f"network {self.name} has two layers called {name}")
        formats: dict[str, Format] = {INPUT: self.input}
        used: set[str] = set()
        for layer in self.layers:
            sources = self.sources(layer)
            for source, wanted in zip(sources, layer.inputs, strict=True):
                if source not in formats:
                    raise NetworkError(f"layer {layer.name} reads {source}, not a layer before it")
                if formats[source] != wanted:
                    raise NetworkError(
                        f"layer {layer.name} takes {wanted}, but {source} gives {formats[source]}"
                    )
            used.update(sources)
            formats[layer.name] = layer.output
        for name in names[:-1]:
            if name not in used and name not in self._output_names:
                raise NetworkError(f"network {self.name}: nothing reads {name}")

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @property
    def _output_names(self) -> tuple[str, ...]:
        return self.output_layers or (self.layers[-1].name,)

    @cached_property
    def _before(self) -> dict[str, str]:
        names = [INPUT, *(layer.name for layer in self.layers)]
        return dict(zip(names[1:], names, strict=False))

    def sources(self, layer: Layer) -> tuple[str, ...]:
        """Return the names of what ``layer`` reads."""
        return layer.sources or (self._before[layer.name],)

    @cached_property
    def sizes(self) -> dict[str, Size]:
        """Size of the input and of every layer's output, by name."""
        assert self.input_size is not None
        sizes = {INPUT: Size(*self.input_size)}
        for layer in self.layers:
            read = [sizes[source] for source in self.sources(layer)]
            sizes[layer.name] = layer.output_size(*read)
        return sizes

    def macs(self, layer: Layer) -> int:
        """Return the multiply-accumulates of ``layer``, an image."""
        return layer.macs(*(self.sizes[source] for source in self.sources(layer)))

    @property
    def input(self) -> Format:
        """Format of an input element."""
        return self.layers[0].input

    @cached_property
    def output(self) -> Format:
        """Format of an output level; of several outputs, the narrowest that holds those of all."""
        formats = {layer.name: layer.output for layer in self.layers}
        return common(formats[name] for name in self._output_names)

    @property
    def inputs(self) -> int:
        """Elements of one image."""
        return self.sizes[INPUT].elements

    @cached_property
    def ends(self) -> tuple[End, ...]:
        """The outputs, in the order in which their levels come."""
        layers, ends, start = {layer.name: layer for layer in self.layers}, [], 0
        for name in self._output_names:
            size = self.sizes[name]
            is_vector = size.positions == 1 and size.channels > 1
            values = self.values if isinstance(self.values, bool) else name in self.values
            classes = size.channels if is_vector and not values else 0
            ends.append(End(name, layers[name].output, size, classes, start))
            start += size.elements
        return tuple(ends)

    @property
    def outputs(self) -> int:
        """Levels that one image gives: of each output, one a class, or one an element."""
        return sum(end.size.elements for end in self.ends)

    @property
    def output_size(self) -> Size:
        """Size of the last layer's output."""
        return self.sizes[self.layers[-1].name]

    @property
    def classes(self) -> int:
        """Classes of the label, the most of all outputs; 0 where every output is values.

        Values are one number, or many positions.
        """
        return max(end.classes for end in self.ends)

    def label_shape(self, images: int) -> tuple[int, ...]:
        """Return the shape of the labels of images: one each, or one for each of several."""
        return (images, len(self.ends)) if len(self.ends) > 1 else (images,)

    @property
    def parameters(self) -> int:
        """Weights."""
        return sum(layer.weights.size for layer in self.layers if isinstance(layer, Weighted))

    @property
    def parameter_bits(self) -> int:
        """Bits that all weight codes take."""
        return sum(layer.weight_bits for layer in self.layers)

    @property
    def mean_weight_bits(self) -> float:
        """Bits of a weight, in the mean; 0 without weights."""
        return self.parameter_bits / max(self.parameters, 1)

    @property
    def sparsity(self) -> float:
        """Share of weights that are 0; 0 without weights."""
        zeros = sum(
            layer.sparsity * layer.weights.size for layer in self if isinstance(layer, Weighted)
        )
        return zeros / max(self.parameters, 1)

    @property
    def is_float(self) -> bool:
        """Whether its levels are ranks of floats."""
        return is_float(self.input)

    @property
    def integer_accumulator(self) -> Accumulator:
        """The accumulator, for what needs one of integers; raises `NetworkError` for floats."""
        if isinstance(self.accumulator, FloatSum):
            raise NetworkError(
                f"network {self.name} sums floats, in {self.accumulator}: bounds, widths, overflow "
                "modes, bit planes and slices are of integers"
            )
        return self.accumulator

    def with_accumulator(self, accumulator: Accumulator | FloatSum) -> "Network":
        """Return the same levels on another accumulator.

        Raises
        ------
        NetworkError
            For another format of floats: biases and multipliers are ranks of the old one.
        """
        own, given = self.accumulator, accumulator
        if isinstance(own, FloatSum) and isinstance(given, FloatSum) and given.format != own.format:
            raise NetworkError(
                f"network {self.name} has parameters for sums in {own.format}, not in "
                f"{given.format}: export it again"
            )
        return replace(self, accumulator=accumulator)


def _check_accumulator(name: str, layers: Sequence[Layer], total: Accumulator | FloatSum) -> None:
    """Raise `NetworkError` where the accumulator does not go with the layers of network ``name``.

    Also for parameters and weights that are beyond it, and for activations of several formats.
    """
    if not is_float(layers[0].input):  # nor are others: floats give floats, and nothing else does
        if not isinstance(total, Accumulator):
            raise NetworkError(
                f"network {name} sums integers: its accumulator has a width and an "
                f"overflow, it is not {total}"
            )
        return
    if not isinstance(total, FloatSum):
        raise NetworkError(
            f"network {name} sums floats: its accumulator is a float with partial sums, "
            f"not an integer of {total.width} bits"
        )
    formats = sorted({str(layer.input) for layer in layers})
    if len(formats) > 1:
        raise NetworkError(
            f"network {name}: all layers of floats read one format, not {', '.join(formats)}"
        )
    for layer in layers:
        _check_layer(layer, total)


def _check_layer(layer: Layer, total: FloatSum) -> None:
    """Raise `NetworkError` for what an accumulator of floats does not hold."""
    fmt, name = total.format, f"layer {layer.name}"
    formats = [layer.input, layer.output]
    if isinstance(layer, Weighted):
        formats.append(layer.weight)
        largest = int(abs(layer.weights).max())
        if not is_float(layer.weight) and largest > fmt.to_value(fmt.max_finite):
            raise NetworkError(f"{name}: a weight of {largest} is beyond its {fmt} accumulator")
    for each in formats:
        if is_float(each) and not fmt.holds_all(each):
            raise NetworkError(
                f"{name}: a {fmt} accumulator does not hold all of {each}; it needs as many bits "
                "of exponent and of mantissa"
            )
    if not isinstance(layer, Requantised):
        return
    for what, ranks in (("multiplier", layer.multiplier), ("bias", layer.bias)):
        beyond = ranks[abs(ranks) > fmt.max_finite]
        if beyond.size:
            raise NetworkError(
                f"{name}: {what} has ranks of finite {fmt}, up to {fmt.max_finite}, not "
                f"{int(beyond[0])}"
            )
