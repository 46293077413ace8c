"""A quantised network: layers as plain integers, and the accumulator that all of them share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..errors import NetworkError
from ..numbers.arithmetic import Accumulator
from ..numbers.formats import Format
from .layers import Dense, Layer, MaxPool, Size, Weighted

__all__ = ["INPUT", "Network"]

INPUT = "input"
"""The network's input, as a source of layers."""


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
    accumulator : Accumulator
        Register of every dot product.
    about : mapping
        Plain data about its origin: data set, training command, accuracies.
    input_size : Size, optional
        Size of an image, channels last; None is the vector that a first `Dense` takes.
    values : bool
        The output is values in any case: several channels of one position are no classes.

    Raises
    ------
    NetworkError
        When layers do not fit together; the text names them.
    """

    name: str
    layers: tuple[Layer, ...]
    accumulator: Accumulator
    about: Mapping[str, Any] = field(default_factory=dict)
    input_size: Size | None = None
    values: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise NetworkError(f"network {self.name} has no layers")
        if self.input_size is None:
            first = self.layers[0]
            if not isinstance(first, Dense):
                raise NetworkError(f"network {self.name}: layer {first.name} needs an input size")
            object.__setattr__(self, "input_size", Size(1, 1, first.weights.shape[1]))
        self._check_sources()
        last = self.layers[-1]
        _ = self.sizes  # what does not fit is told before how the network ends
        if isinstance(last, MaxPool):
            raise NetworkError(
                f"the last layer, {last.name}, is a max pool: a network ends with sums (dense, "
                "convolution, average pool or add); put an average pool of one pixel behind it"
            )

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
            if name not in used:
                raise NetworkError(f"network {self.name}: nothing reads {name}")

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

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

    @property
    def output(self) -> Format:
        """Format of an output level."""
        return self.layers[-1].output

    @property
    def inputs(self) -> int:
        """Elements of one image."""
        return self.sizes[INPUT].elements

    @property
    def outputs(self) -> int:
        """Levels that one image gives: one a class, or one an element of the last layer."""
        return self.output_size.elements

    @property
    def output_size(self) -> Size:
        """Size of the last layer's output."""
        return self.sizes[self.layers[-1].name]

    @property
    def classes(self) -> int:
        """Classes of the label; 0 where the output is values: one number, or many positions."""
        size = self.output_size
        is_vector = size.positions == 1 and size.channels > 1
        return size.channels if is_vector and not self.values else 0

    @property
    def parameters(self) -> int:
        """Weights."""
        return sum(layer.weights.size for layer in self.layers if isinstance(layer, Weighted))

    @property
    def parameter_bits(self) -> int:
        """Bits that all weight codes take."""
        return sum(layer.weight_bits for layer in self.layers)

    def with_accumulator(self, accumulator: Accumulator) -> "Network":
        """Return the same integers on another accumulator."""
        return replace(self, accumulator=accumulator)
