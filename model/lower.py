"""Lowering: a plain torch module becomes a `blocks.Model` that computes the same.

The module is traced with `torch.fx`. Convolutions and linear layers take the BatchNorm, ReLU and
(before a BatchNorm) max pool behind them into one step, as hardware runs them. Anything else is an
error that names the module.
"""

import copy
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from ..hw.errors import NetworkError
from ..hw.network import INPUT
from .blocks import Model, Node
from .lower_check import (
    ALIASES,
    SUPPORTED,
    check_average_pool,
    check_convolution,
    check_max_pool,
    check_norm,
    method_of,
    pair,
)
from .norm import Divide, Shift
from .steps import Block, Head, Step
from .unweighted import Add, AveragePool, MaxPool

__all__ = ["lower"]


def lower(module: nn.Module, image_shape: tuple[int, int, int]) -> Model:
    """Return the model that computes what ``module`` does, on copies of its parameters.

    Parameters
    ----------
    module : Module
        Reads images of shape (images, channels, height, width) and gives logits.
    image_shape : tuple of int
        Height, width and channels.

    Raises
    ------
    NetworkError
        For what hardware does not run; the text names the module and what is supported.
    """
    module = copy.deepcopy(module).eval()
    try:
        graph = fx.symbolic_trace(module)
    except Exception as error:  # whatever a module's own code raises on a symbolic input
        raise NetworkError(
            f"{type(module).__name__} cannot be traced: {_line(error)}; {SUPPORTED}"
        ) from error
    height, width, channels = image_shape
    lowering = _Lowering(graph)
    lowering.check(graph)  # before shapes: an unsupported module may not even run
    try:
        with torch.no_grad():
            _Shapes(graph).run(torch.zeros(1, channels, height, width))
    except Exception as error:  # likewise
        raise NetworkError(
            f"the network does not take images of {height}x{width}x{channels}: {_line(error)}"
        ) from error
    return lowering.model(graph, image_shape)


class _Shapes(fx.Interpreter):
    """Runs a graph and notes, in every node, the shape that an image has there."""

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["shape"] = tuple(result.shape[1:])
        return result


def _line(error: Exception) -> str:
    """Return the first line of the error that started it all."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@dataclass(eq=False)
class _Value:
    """What a node of the graph gives: a step being put together.

    ``stage`` says how far: ``sums``, ``pooled``, ``normed`` or ``done``.
    """

    name: str
    kind: str
    sources: tuple["_Value", ...]
    shape: tuple[int, ...]
    stage: str = "done"
    relu: bool = False
    parts: dict[str, Any] = field(default_factory=dict)


class _Lowering:
    """Walks through a traced graph, once."""

    def __init__(self, graph: fx.GraphModule):
        self.modules = dict(graph.named_modules())
        self.values: dict[fx.Node, _Value] = {}
        self.steps: list[_Value] = []

    # --- nodes ---------------------------------------------------------------------------------

    def check(self, graph: fx.GraphModule) -> None:
        """Refuse a graph with a node that is not supported."""
        for node in graph.graph.nodes:
            if node.op not in ("placeholder", "output") and self._kind(node) is None:
                self._refuse(node)

    def _kind(self, node: fx.Node) -> str | None:
        """Return which method below lowers ``node``."""
        target = self.modules[str(node.target)] if node.op == "call_module" else node.target
        return method_of(node.op, target)

    def _path(self, node: fx.Node) -> str:
        """Return the path of a node's module, or that of the module that calls a function."""
        if node.op == "call_module":
            return str(node.target)
        scopes = [scope for scope in node.meta.get("nn_module_stack", ()) if scope]
        return ".".join([*scopes[-1:], node.name.partition("_")[0]])

    def _refuse(self, node: fx.Node, reason: str = "is not supported") -> NoReturn:
        kind = str(getattr(node.target, "__name__", node.target))
        if node.op == "call_module":
            kind = type(self.modules[str(node.target)]).__name__
        raise NetworkError(f"{self._path(node)} ({kind}) {reason}; {SUPPORTED}")

    def model(self, graph: fx.GraphModule, image_shape: tuple[int, int, int]) -> Model:
        """Return the lowered network of a graph whose shapes are known."""
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                if self.values:
                    self._refuse(node, "is a second input")
                self.values[node] = _Value(INPUT, INPUT, (), self._shape(node))
            elif node.op == "output":
                self._finish(node)
            else:
                kind = self._kind(node)
                lowered = self.values[node.all_input_nodes[0]] if kind in ALIASES else None
                self.values[node] = lowered or getattr(self, f"_{kind}")(node)
        nodes = [
            Node(each.name, tuple(source.name for source in each.sources), each.shape)
            for each in self.steps
        ]
        return Model(nodes, [_step(each) for each in self.steps], image_shape)

    def _shape(self, node: fx.Node) -> tuple[int, ...]:
        return node.meta["shape"]

    def _source(self, node: fx.Node) -> _Value:
        return self.values[node.all_input_nodes[0]]

    def _module(self, node: fx.Node) -> Any:
        return self.modules[str(node.target)]

    def _append(self, node: fx.Node, kind: str, sources: tuple[_Value, ...], **more: Any) -> _Value:
        name, taken = self._path(node), {each.name for each in self.steps}
        if name in taken and node.op == "call_module":
            self._refuse(node, "is used twice")
        while name in taken:  # a second sum of one module
            name += "'"
        value = _Value(name, kind, sources, self._shape(node), **more)
        self.steps.append(value)
        return value

    def _is_only_user(self, node: fx.Node) -> bool:
        return len(node.all_input_nodes[0].users) == 1

    # --- what each kind of node does -----------------------------------------------------------

    def _weights(self, node: fx.Node) -> _Value:
        op, source = self._module(node), self._source(node)
        if isinstance(op, nn.Conv2d):
            check_convolution(op, lambda reason: self._refuse(node, reason))
        elif self._shape(node.all_input_nodes[0]) != (op.in_features,):
            self._refuse(node, "reads a tensor that is not flattened")
        return self._append(node, "block", (source,), stage="sums", parts={"op": op})

    def _norm(self, node: fx.Node) -> _Value:
        value, norm = self._source(node), self._module(node)
        if value.stage not in ("sums", "pooled") or not self._is_only_user(node):
            self._refuse(node, "does not follow a convolution or linear layer of its own")
        negative = value.stage == "pooled" and bool((norm.weight < 0).any())
        check_norm(norm, negative, lambda reason: self._refuse(node, reason))
        value.parts["norm"], value.stage = norm, "normed"
        return value

    def _relu(self, node: fx.Node) -> _Value:
        value = self._source(node)
        if value.relu:
            return value  # nothing is negative
        if not self._is_only_user(node):
            self._refuse(node, "shares its input with other layers")
        if value.kind == "max_pool":  # a ReLU commutes with a maximum
            source = value.sources[0]
            readers = [each for each in self.steps if source in each.sources]
            if source.kind in ("block", "add") and len(readers) == 1:
                value.relu = source.relu = True
                return value
        if value.kind not in ("block", "add"):
            self._refuse(node, f"cannot follow {value.name}")
        value.relu, value.stage = True, "done"
        return value

    def _max_pool(self, node: fx.Node) -> _Value:
        value, pool = self._source(node), self._module(node)
        check_max_pool(pool, lambda reason: self._refuse(node, reason))
        if value.stage == "sums" and self._is_only_user(node):
            value.parts |= {"pool": pool, "pool_name": self._path(node)}
            value.stage, value.shape = "pooled", self._shape(node)
            return value
        return self._append(node, "max_pool", (value,), relu=value.relu, parts={"pool": pool})

    def _average_pool(self, node: fx.Node) -> _Value:
        value, pool = self._source(node), self._module(node)
        image = value.shape[1:]
        whole = isinstance(pool, nn.AdaptiveAvgPool2d)
        check_average_pool(pool, lambda reason: self._refuse(node, reason))
        kernel = image if whole else pair(pool.kernel_size)
        stride = (1, 1) if whole else pair(pool.stride)
        padding = (0, 0) if whole else pair(pool.padding)
        parts = {"kernel": kernel, "stride": stride, "padding": padding, "whole": whole}
        return self._append(node, "average_pool", (value,), relu=value.relu, parts=parts)

    def _add(self, node: fx.Node) -> _Value:
        sources = tuple(self.values[each] for each in node.args if isinstance(each, fx.Node))
        if len(sources) != 2 or sources[0].shape != sources[1].shape:
            self._refuse(node, "does not add two tensors of one shape")
        return self._append(node, "add", sources)

    def _flatten(self, node: fx.Node) -> _Value:
        value = self._source(node)
        shape = self._shape(node)
        if len(shape) != 1:
            self._refuse(node, "does not flatten all but the first dimension")
        return value

    def _finish(self, node: fx.Node) -> None:
        """Check what leaves the network, and make its last weighted layer the head."""
        value = self.values.get(node.args[0]) if isinstance(node.args[0], fx.Node) else None
        if value is None or value is not self.steps[-1]:
            raise NetworkError(f"the network's output is one tensor of logits; {SUPPORTED}")
        channels, *rest = value.shape
        if value.kind == "block" and value.stage == "sums":
            value.kind = "head"
        elif value.kind != "average_pool":
            raise NetworkError(
                f"the network ends with {value.name}: the last layer is a convolution or linear "
                "layer without norm or activation, or an average pool over the image"
            )
        if any(size != 1 for size in rest):
            raise NetworkError(
                f"the network ends with {value.name}, which gives {channels} channels at "
                f"{rest[0]}x{rest[1]} positions, not one logit a class"
            )


def _step(value: _Value) -> Step:
    """Return the step that a finished value stands for."""
    parts = value.parts
    if value.kind == "add":
        return Add(relu=value.relu)
    if value.kind == "max_pool":
        return MaxPool(parts["pool"], relu=value.relu)
    if value.kind == "average_pool":
        taps = parts["kernel"][0] * parts["kernel"][1]
        return AveragePool(norm=Divide(taps), relu=value.relu, **parts)
    op, (source,) = parts.pop("op"), value.sources
    bias = torch.zeros(op.weight.shape[0]) if op.bias is None else op.bias.detach()
    op.bias = None
    if value.kind == "head":
        return Head(op, source.shape, bias)
    norm = parts.pop("norm", None)
    norm = Shift(bias) if norm is None else _with_bias(norm, bias)
    return Block(op, source.shape, norm, relu=value.relu, **parts)


def _with_bias(norm: Any, bias: Tensor) -> nn.Module:
    """Let the mean of a BatchNorm take the bias of the sums before it."""
    assert not parametrize.is_parametrized(norm)
    norm.running_mean -= bias
    return norm
