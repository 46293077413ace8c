"""The state of an import: which levels of which layer each tensor of the graph is."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ....hw.network.layers import Layer, Move
from ....hw.network.moving import BlockMove, moves_of
from ....hw.network.network import INPUT
from ....hw.network.window import Size, Window
from ....hw.numbers.formats import Fixed
from ...exact.integer_steps import IntegerSteps
from ...exact.ranges import narrowest
from ...exact.unsolved import Accumulation, UnsolvedLayer
from .geometry import size_of
from .graph import TfliteGraph, TfliteOperation, refuse
from .rules import Rule

__all__ = ["POINT", "Handler", "StoredTensor", "TfliteImport", "check_sums", "pooled", "rule_steps"]

POINT = Window((1, 1))


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor of the graph as hardware stores it: its codes are ``level + base``.

    Attributes
    ----------
    source : str
        The layer that gives it, or ``input``.
    size : Size
        Without the padding.
    base : int
        Code of level 0.
    low, high : int
        The codes that occur.
    zero : int
        Code of value 0, which padding is.
    padding : tuple of int
        Rows and columns that a PAD put around it: top, left, bottom, right.
    """

    source: str
    size: Size
    base: int
    low: int
    high: int
    zero: int
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def ends(self) -> tuple[int, int]:
        """The levels that occur."""
        return self.low - self.base, self.high - self.base

    @property
    def format(self) -> Fixed:
        """How it is stored."""
        return narrowest(*self.ends)

    @property
    def padded_size(self) -> Size:
        """Its size with the padding."""
        top, left, bottom, right = self.padding
        height, width, channels = self.size
        return Size(height + top + bottom, width + left + right, channels)


@dataclass(eq=False)
class TfliteImport:
    """The state of an import.

    Attributes
    ----------
    graph : TfliteGraph
        What is imported.
    stored : dict of int to StoredTensor
        Tensors that are known.
    layers : list of UnsolvedLayer and Layer
        In order; max pools are `Layer` already.
    watched : dict of int to StoredTensor
        Tensors of the graph that are a layer's levels, for comparing them.
    dropped : list of str
        Operators at the end that need no hardware.
    ended : set of int
        Tensors behind those.
    result : int
        The tensor that the first of them reads; -1 where there is none.
    moved : dict of (str, int) to StoredTensor
        Tensors with another code of level 0, by their source and that code.
    result_order : int64 array of shape (1, height, width, channels) or None
        Which element of the result is at each place where an enlarged image ends the graph.
    """

    graph: TfliteGraph
    stored: dict[int, StoredTensor] = field(default_factory=dict)
    layers: list[UnsolvedLayer | Layer] = field(default_factory=list)
    watched: dict[int, StoredTensor] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)
    result: int = -1
    moved: dict[tuple[str, int], StoredTensor] = field(default_factory=dict)
    result_order: np.ndarray | None = None

    def unique(self, name: str) -> str:
        """Return ``name``, or with a number where a layer has it."""
        taken = {INPUT, *(layer.name for layer in self.layers)}
        trial, count = name, 2
        while trial in taken:
            trial, count = f"{name}_{count}", count + 1
        return trial

    def tensor(self, operation: TfliteOperation, place: int = 0) -> StoredTensor:
        """Return an input that the network computes."""
        tensor = operation.inputs[place]
        if tensor in self.ended:
            refuse(operation, "reads probabilities; only a change of shape may follow those")
        if tensor not in self.stored:
            name = "nothing" if tensor == -1 else self.graph.tensors[tensor].name
            refuse(operation, f"reads {name}, which no operator before it computes")
        return self.stored[tensor]

    def image(self, operation: TfliteOperation) -> StoredTensor:
        """Return an input whose elements lie as the image that the operator reads."""
        stored = self.tensor(operation)
        shape = self.graph.tensors[operation.inputs[0]].shape
        if size_of(operation, shape) != stored.padded_size:
            refuse(
                operation,
                f"reads {'x'.join(map(str, shape))}, which {stored.source} gives as "
                f"{stored.padded_size}; elements cannot be put in another order",
            )
        return stored

    def give(self, operation: TfliteOperation, stored: StoredTensor, *, watch: bool = True) -> None:
        """Note what an operator gives."""
        (tensor,) = operation.outputs
        self.stored[tensor] = stored
        if watch:
            self.watched[tensor] = stored

    def rebased(self, stored: StoredTensor, base: int) -> StoredTensor:
        """Return a tensor whose level 0 is another code; a layer adds the difference."""
        if stored.base == base:
            return stored
        key = stored.source, base
        if key not in self.moved:
            moved = replace(stored, source=self.unique(f"{stored.source}_zero"), base=base)
            difference = stored.base - base
            one, none = np.ones(1), np.full(1, float(difference))
            steps = IntegerSteps(
                moved.source, moved.format, *_both(stored.ends, 1), moved.ends,
                lambda sums: sums + difference, one, none,
            )  # fmt: skip
            sums = pooled(moved.source, stored, POINT, stored.size, stored.ends)
            self.layers.append(UnsolvedLayer(moved.source, sums, moved.format, steps=steps))
            self.moved[key] = moved
        return replace(self.moved[key], padding=stored.padding)

    def reordered(self, stored: StoredTensor, order: np.ndarray, size: Size) -> StoredTensor:
        """Return a tensor of elements in another order, which moves can give, and its layers."""
        moves = moves_of(order.ravel(), stored.size.elements)
        assert moves is not None
        whole = BlockMove((size.positions, 1), (size.channels, 0), size.channels)
        source, fmt = stored.source, stored.format
        for move in moves or (whole,):
            name = self.unique(f"{stored.source}_moved")
            given = size if move is (moves or (whole,))[-1] else Size(*move.blocks, move.length)
            layer = Move(
                name=name, sources=(source,), input=fmt, output=fmt, size=given, **move._asdict()
            )
            self.layers.append(layer)
            source = name
        return replace(stored, source=source, size=size)

    def planned(
        self,
        operation: TfliteOperation,
        sums: Accumulation,
        rule: Rule,
        offset: np.ndarray,
    ) -> StoredTensor:
        """Plan a layer and return what it gives.

        Parameters
        ----------
        sums : Accumulation
            What the layer accumulates; its name is taken.
        rule : Rule
            How the kernel makes codes of its sums.
        offset : int64 array of shape (channels,) or (1,)
            The kernel's sums, less the layer's.
        """
        rows = slice(None) if sums.is_weighted else slice(1)
        low, high = sums.low[rows], sums.high[rows]
        check_sums(operation, rule, low + offset, high + offset)
        zero = self.graph.tensors[operation.outputs[0]].zero
        found = StoredTensor(sums.name, sums.size, rule.ends[0], *rule.ends, zero)
        steps = rule_steps(found, rule, offset, low, high)
        self.layers.append(UnsolvedLayer(sums.name, sums, found.format, steps=steps))
        return found


def check_sums(operation: TfliteOperation, rule: Rule, low: np.ndarray, high: np.ndarray) -> None:
    """Refuse sums, as the kernel has them, of which 32 bits do not hold all."""
    if not rule.holds(low, high):
        refuse(operation, "its sums are beyond 32 bits, where the kernels are not defined")


def rule_steps(
    stored: StoredTensor, rule: Rule, offset: np.ndarray, low: np.ndarray, high: np.ndarray
) -> IntegerSteps:
    """Return the step function from a layer's sums to the levels that a rule gives."""
    column = offset[:, None]

    def levels(sums: np.ndarray) -> np.ndarray:
        return rule.codes(sums + column) - stored.base

    start = rule.start + rule.slope * offset - stored.base
    return IntegerSteps(
        stored.source, stored.format, low, high, stored.ends, levels, rule.slope, start
    )


def pooled(
    name: str, stored: StoredTensor, window: Window | None, size: Size, ends: tuple[int, int]
) -> Accumulation:
    """Return sums over windows in each channel; ``ends`` are those of the sums."""
    low, high = _both(ends, size.channels)
    return Accumulation(
        name=name,
        sources=(stored.source,),
        inputs=(stored.format,),
        input_sizes=(stored.size,),
        size=size,
        low=low,
        high=high,
        window=window,
    )


def _both(ends: tuple[int, int], count: int) -> tuple[np.ndarray, np.ndarray]:
    low, high = (np.full(count, each, np.int64) for each in ends)
    return low, high


Handler = Callable[[TfliteImport, TfliteOperation], None]
"""What imports an operator."""
