"""Lowering: a plain torch module becomes a `layers.blocks.Model` that computes the same.

The module is traced with `torch.fx`. Convolutions and linear layers take the BatchNorm, ReLU and
(before a BatchNorm) max pool behind them into one step, as hardware runs them. Anything else is an
error that names the module. What comes out is compared with the module; see `agreement`.
"""

import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from ...hw.errors import NetworkError
from ...hw.network.network import INPUT
from ..layers.blocks import Model, Node
from ..layers.norm import Divide, Shift
from ..layers.steps import Block, Head, Step
from ..layers.unweighted import AddStep, AveragePoolStep, MaxPoolStep
from .agreement import Ends, compare
from .modules import check_module, copy_module
from .supported import (
    ALIASES,
    SUPPORTED,
    VIEWS,
    changes_in_place,
    check_call,
    check_layer,
    method_of,
    pair,
)

__all__ = ["lower"]

BATCH = 3  # images of which shapes are taken: a tensor whose first size is another mixes them


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
    check_module(module)
    model, ends = _lowered(copy_module(module).double(), image_shape)
    compare(module, model, lambda each: _lowered(each, image_shape)[0], ends)
    return model.float()


def _lowered(module: nn.Module, image_shape: tuple[int, int, int]) -> tuple[Model, Ends]:
    """Return the model made of a module that may be changed, and the node where each step ends."""
    try:
        graph = fx.symbolic_trace(module.eval())
    except Exception as error:  # whatever a module's own code raises on a symbolic input
        raise NetworkError(
            f"{type(module).__name__} cannot be traced: {_line(error)}; {SUPPORTED}"
        ) from error
    height, width, channels = image_shape
    lowering = _Lowering(graph)
    lowering.check(graph)  # before shapes: an unsupported module may not even run
    try:
        with torch.no_grad():
            _Shapes(graph).note(torch.zeros(BATCH, channels, height, width))
    except Exception as error:  # likewise
        raise NetworkError(
            f"the network does not take images of {height}x{width}x{channels}: {_line(error)}"
        ) from error
    return lowering.model(graph, image_shape)


class _Shapes(fx.Interpreter):
    """Runs a copy of a graph and notes the shape of what every node gives."""

    def __init__(self, graph: fx.GraphModule):
        self.copy = copy.deepcopy(graph).float()
        super().__init__(self.copy)
        self.nodes = list(zip(graph.graph.nodes, self.copy.graph.nodes, strict=True))

    def note(self, images: Tensor) -> None:
        """Give every node of the graph its shape."""
        self.args_iter = iter([images])
        for node, own in self.nodes:
            self.env[own] = result = self.run_node(own)
            if isinstance(result, Tensor):
                node.meta["shape"] = tuple(result.shape)


def _line(error: Exception) -> str:
    """Return the first line of the error that started it all."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@dataclass(eq=False)
class _Value:
    """What a node of the graph gives: a step being put together.

    ``stage`` says how far: ``sums``, ``pooled``, ``normed`` or ``done``. ``end`` is the last node
    in it, if any gives the same values.
    """

    name: str
    kind: str
    sources: tuple["_Value", ...]
    shape: tuple[int, ...]
    stage: str = "done"
    relu: bool = False
    parts: dict[str, Any] = field(default_factory=dict)
    end: fx.Node | None = None


class _Lowering:
    """Walks through a traced graph, once."""

    def __init__(self, graph: fx.GraphModule):
        self.modules = dict(graph.named_modules())
        self.values: dict[fx.Node, _Value] = {}
        self.steps: list[_Value] = []

    # --- nodes ---------------------------------------------------------------------------------

    def check(self, graph: fx.GraphModule) -> None:
        """Refuse a graph with a node that is not supported, or not as it is used."""
        once: set[str] = set()
        nodes = [node for node in graph.graph.nodes if node.op not in ("placeholder", "output")]
        for node in nodes:
            if node.op == "get_attr":
                self._refuse(node, "is read by forward itself, not through a layer")
            kind = self._kind(node)
            if kind is None:
                self._refuse(node)
            refuse = partial(self._refuse, node)
            check_call(node, kind, refuse)
            if node.op == "call_module":
                check_layer(self._module(node), refuse)
            if kind in ("weights", "norm"):
                if str(node.target) in once:
                    self._refuse(node, "is used twice")
                once.add(str(node.target))
        self._check_memory(graph)
        for node in nodes:
            if not node.users:
                self._refuse(node, "gives a tensor that nothing reads")

    def _check_memory(self, graph: fx.GraphModule) -> None:
        """Refuse a change in place of a tensor that is read later as it was."""
        memory: dict[fx.Node, fx.Node] = {}  # which node's tensor a node gives
        changed: dict[fx.Node, fx.Node] = {}  # by which node
        for node in graph.graph.nodes:
            for each in node.all_input_nodes:
                if each in changed:
                    self._refuse(changed[each], "changes in place what others read later")
            memory[node] = node
            if node.op not in ("placeholder", "output"):
                target = self.modules.get(str(node.target), node.target)
                in_place = changes_in_place(node, target)
                if in_place or self._kind(node) in VIEWS:
                    memory[node] = memory[node.all_input_nodes[0]]
                if in_place:
                    same = [each for each in memory if memory[each] is memory[node]]
                    changed |= {each: node for each in same if each is not node}

    def _kind(self, node: fx.Node) -> str | None:
        """Return which method below lowers ``node``."""
        target = self.modules[str(node.target)] if node.op == "call_module" else node.target
        return method_of(node.op, target)

    def _path(self, node: fx.Node) -> str:
        """Return the path of a node's module, or that of the module that calls a function."""
        if node.op in ("call_module", "get_attr"):
            return str(node.target)
        scopes = [scope for scope in node.meta.get("nn_module_stack", ()) if scope]
        return ".".join([*scopes[-1:], node.name.partition("_")[0]])

    def _refuse(self, node: fx.Node, reason: str = "is not supported") -> NoReturn:
        kind = str(getattr(node.target, "__name__", node.target))
        if node.op == "call_module":
            kind = type(self.modules[str(node.target)]).__name__
        if node.op == "get_attr":
            kind = "parameter or buffer"
        raise NetworkError(f"{self._path(node)} ({kind}) {reason}; {SUPPORTED}")

    def model(self, graph: fx.GraphModule, image_shape: tuple[int, int, int]) -> tuple[Model, Ends]:
        """Return the lowered network of a graph whose shapes are known, and where steps end."""
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                if self.values:
                    self._refuse(node, "is a second input")
                self.values[node] = _Value(INPUT, INPUT, (), self._shape(node))
            elif node.op == "output":
                self._finish(node)
            else:
                kind = self._kind(node)
                if node.meta["shape"][:1] != (BATCH,):
                    self._refuse(node, "mixes images")
                lowered = self.values[node.all_input_nodes[0]] if kind in ALIASES else None
                self.values[node] = lowered or getattr(self, f"_{kind}")(node)
        nodes = [
            Node(each.name, tuple(source.name for source in each.sources), each.shape)
            for each in self.steps
        ]
        ends = {
            each.name: (each.end.name, self._path(each.end))
            for each in self.steps
            if each.end is not None
        }
        return Model(nodes, [_step(each) for each in self.steps], image_shape), ends

    def _shape(self, node: fx.Node) -> tuple[int, ...]:
        """Return the shape that an image has there."""
        return node.meta["shape"][1:]

    def _source(self, node: fx.Node) -> _Value:
        return self.values[node.all_input_nodes[0]]

    def _module(self, node: fx.Node) -> Any:
        return self.modules[str(node.target)]

    def _append(self, node: fx.Node, kind: str, sources: tuple[_Value, ...], **more: Any) -> _Value:
        value = _Value(self._new_name(node), kind, sources, self._shape(node), end=node, **more)
        self.steps.append(value)
        return value

    def _new_name(self, node: fx.Node) -> str:
        """Return a name for what ``node`` gives: a pool may be used, and a module add, twice."""
        name = self._path(node)
        taken = {each.name for each in self.steps}
        taken |= {each.parts.get("pool_name") for each in self.steps}
        while name in taken:
            name += "'"
        return name

    def _is_only_user(self, node: fx.Node) -> bool:
        """Tell whether nothing else reads what ``node`` reads, nor a view of it."""
        read = node.all_input_nodes[0]
        while len(read.users) == 1 and read.op != "placeholder" and self._kind(read) in VIEWS:
            read = read.all_input_nodes[0]
        return len(read.users) == 1

    def _extend(self, value: _Value, node: fx.Node, stage: str) -> _Value:
        """Let ``node`` be what ``value`` ends with."""
        value.stage, value.end = stage, node
        return value

    # --- what each kind of node does -----------------------------------------------------------

    def _weights(self, node: fx.Node) -> _Value:
        op, source = self._module(node), self._source(node)
        if isinstance(op, nn.Linear) and self._shape(node.all_input_nodes[0]) != (op.in_features,):
            self._refuse(node, "reads a tensor that is not flattened")
        return self._append(node, "block", (source,), stage="sums", parts={"op": op})

    def _norm(self, node: fx.Node) -> _Value:
        value, norm = self._source(node), self._module(node)
        if value.stage not in ("sums", "pooled") or not self._is_only_user(node):
            self._refuse(node, "does not follow a convolution or linear layer of its own")
        negative = value.stage == "pooled" and bool((norm.weight < 0).any())
        if negative:
            self._refuse(node, "has a negative slope behind a max pool")
        value.parts["norm"] = norm
        return self._extend(value, node, "normed")

    def _relu(self, node: fx.Node) -> _Value:
        value = self._source(node)
        if value.relu:
            return value  # nothing is negative
        if not self._is_only_user(node):
            self._refuse(node, "shares its input with other layers")
        if value.kind == "max_pool":  # a ReLU commutes with a maximum
            (source,) = value.sources
            if source.kind in ("block", "add") and self._is_only_user(value.parts["node"]):
                value.relu = source.relu = True
                value.end, source.end = node, None
                return value
        if value.kind not in ("block", "add"):
            self._refuse(node, f"cannot follow {value.name}")
        value.relu = True
        return self._extend(value, node, "done")

    def _max_pool(self, node: fx.Node) -> _Value:
        value, pool = self._source(node), self._module(node)
        if value.stage == "sums" and self._is_only_user(node):
            value.parts |= {"pool": pool, "pool_name": self._new_name(node)}
            value.shape = self._shape(node)
            return self._extend(value, node, "pooled")
        parts = {"pool": pool, "node": node}
        return self._append(node, "max_pool", (value,), relu=value.relu, parts=parts)

    def _average_pool(self, node: fx.Node) -> _Value:
        value, pool = self._source(node), self._module(node)
        image = value.shape[1:]
        kernel, stride, padding = image, (1, 1), (0, 0)
        if isinstance(pool, nn.AvgPool2d):
            kernel, stride, padding = map(pair, (pool.kernel_size, pool.stride, pool.padding))
        whole = (kernel, padding) == (image, (0, 0))
        parts = {"kernel": kernel, "stride": stride, "padding": padding, "whole": whole}
        return self._append(node, "average_pool", (value,), relu=value.relu, parts=parts)

    def _add(self, node: fx.Node) -> _Value:
        read = [each for each in (*node.args, *node.kwargs.values()) if isinstance(each, fx.Node)]
        shapes = {self._shape(each) for each in (*read, node)}
        sources = tuple(self.values[each] for each in read)
        if len(shapes) != 1 or sources[0].shape != sources[1].shape:
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
        if not any(each.kind == "block" for each in self.steps):
            raise NetworkError(f"the network has no convolution or linear layer; {SUPPORTED}")
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
        return AddStep(relu=value.relu)
    if value.kind == "max_pool":
        return MaxPoolStep(parts["pool"], relu=value.relu)
    if value.kind == "average_pool":
        taps = parts["kernel"][0] * parts["kernel"][1]
        return AveragePoolStep(norm=Divide(taps), relu=value.relu, **parts)
    op, (source,) = parts.pop("op"), value.sources
    bias = torch.zeros(op.weight.shape[0]) if op.bias is None else op.bias.detach()
    op.bias = None
    if value.kind == "head":
        return Head(op, source.shape, bias)
    norm = parts.pop("norm", None)
    norm = Shift(bias) if norm is None else _with_bias(norm, bias)
    return Block(op, source.shape, norm, relu=value.relu, **parts)


def _with_bias(norm: nn.BatchNorm1d | nn.BatchNorm2d, bias: Tensor) -> nn.Module:
    """Let the mean of a BatchNorm take the bias of the sums before it."""
    assert not parametrize.is_parametrized(norm)
    assert norm.running_mean is not None
    norm.running_mean -= bias
    return norm
