"""Tracing: a module runs on sample images, and a graph notes its calls and what each one gave.

Sizes are numbers while the module runs, so that it may compute with them (``x.view(x.size(0),
-1)``), and what does not depend on the images is a constant.
"""

import operator
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.fx import proxy as fx_proxy
from torch.fx.node import Argument, Target, map_arg
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["AsTrained", "TracedModule", "first_line", "trace"]

Result = object
"""What a call gives: a tensor, a number, a size, whatever torch has."""


def first_line(error: BaseException) -> str:
    """Return the first line of the error that started it all."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class AsTrained(TorchFunctionMode):
    """Runs functions as lowered networks do: nothing is dropped by chance, and float64 stays."""

    DROPPING = (functional.dropout, functional.dropout1d, functional.dropout2d)

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Call ``func``, or return what it reads."""
        narrows = func is Tensor.to and torch.float32 in (*args[1:], *(kwargs or {}).values())
        if narrows or func is Tensor.float or func in self.DROPPING:
            return args[0]
        return func(*args, **(kwargs or {}))


class TracedModule:
    """A graph of calls, and what they gave.

    Attributes
    ----------
    nodes : list of torch.fx.Node
        In the order of the calls; the first ones are inputs, the last one is the output.
    modules : dict
        Modules by path.
    error : Exception or None
        What the first call raised that did not run.
    untrained : frozenset of torch.fx.Node
        Calls through which the module lets no gradient pass.
    """

    def __init__(self, tracer: "_Tracer", graph: fx.Graph):
        self.nodes = list(graph.nodes)
        self.modules = dict(cast(nn.Module, tracer.root).named_modules())
        self.error = tracer.error
        self.untrained = frozenset(tracer.untrained)
        self._results, self._kept = tracer.results, tracer.kept
        self._varies: set[fx.Node] = set()
        for node in self.nodes:
            if node.op == "placeholder" or self._varies & set(node.all_input_nodes):
                self._varies.add(node)

    def varies(self, node: fx.Node) -> bool:
        """Tell whether what ``node`` gives depends on the images."""
        return node in self._varies

    def sources(self, node: fx.Node) -> list[fx.Node]:
        """Return the nodes that ``node`` reads and that depend on the images."""
        return [each for each in node.all_input_nodes if each in self._varies]

    def result(self, node: fx.Node) -> Result:
        """Return what a node gave; later calls may have changed it in place."""
        return self._results.get(node)

    def kept(self, node: fx.Node) -> Tensor | None:
        """Return the tensor that a node gave, as it was then, where the tracing kept them."""
        return self._kept.get(node)

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Return the shape of what a node gave, images first."""
        result = self.result(node)
        return tuple(result.shape) if isinstance(result, Tensor) else ()

    def module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls, if it calls one."""
        return self.modules[str(node.target)] if node.op == "call_module" else None


def trace(module: nn.Module, images: Tensor, *, keep: bool = False) -> TracedModule:
    """Run ``module``, which it may change, on ``images``.

    Parameters
    ----------
    module : Module
        What to run, in the mode that it is in.
    images : Tensor
        What it reads.
    keep : bool
        Keep what every call gives, before others change it in place.

    Raises
    ------
    Exception
        Whatever the module's own code raises.
    """
    tracer = _Tracer(images, keep)
    with torch.enable_grad():  # for the module's own code to switch off; what runs keeps nothing
        graph = tracer.trace(module)
    return TracedModule(tracer, graph)


class _Tracer(fx.Tracer):
    """Runs what it notes."""

    def __init__(self, images: Tensor, keep: bool):
        super().__init__()
        self.images, self.keep = images, keep
        self.results: dict[fx.Node, Result] = {}
        self.kept: dict[fx.Node, Tensor] = {}
        self.error: Exception | None = None
        self.untrained: set[fx.Node] = set()
        self._runs = False

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return what stands for what a node gives."""
        return _Known(node, self)

    def create_node(
        self,
        kind: str,
        target: Target,
        args: tuple[Argument, ...],
        kwargs: dict[str, Argument],
        name: str | None = None,
        type_expr: object = None,
    ) -> fx.Node:
        """Note a call, and run it."""
        node = super().create_node(kind, target, args, kwargs, name, type_expr)
        if not torch.is_grad_enabled():
            self.untrained.add(node)
        if kind != "output":
            self._note(node)
        return node

    def _note(self, node: fx.Node) -> None:
        if any(each not in self.results for each in node.all_input_nodes):
            return
        if node.op == "placeholder":
            if not self.results:  # of a second input nothing is known
                self._keep(node, self.images)
            return
        call = self._call(node)
        self._runs = True
        try:
            with torch.no_grad(), AsTrained():
                result = call()
        except Exception as error:  # whatever torch or a module raises; said when it is asked for
            self.error = self.error or error
        else:
            self._keep(node, result)
        finally:
            self._runs = False

    def _keep(self, node: fx.Node, result: Result) -> None:
        self.results[node] = result
        if self.keep and isinstance(result, Tensor):
            self.kept[node] = result.clone()

    def _call(self, node: fx.Node) -> Callable[[], Result]:
        """Return what runs a node: nothing but the module's own code and torch."""
        root, target = cast(nn.Module, self.root), node.target
        args, options = map_arg(node.args, self._given), map_arg(node.kwargs, self._given)
        if node.op == "get_attr":
            return partial(_attribute, root, str(target))
        if node.op == "call_module":
            return partial(root.get_submodule(str(target)).forward, *args, **options)
        if node.op == "call_method":
            return partial(_call_method, str(target), *args, **options)
        return partial(cast(Callable[..., Result], target), *args, **options)

    def _given(self, node: fx.Node) -> Argument:
        return cast(Argument, self.results[node])

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Result],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> Result:
        """Note the call of a layer, or run one of a layer that runs."""
        if self._runs:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(
        self, attr: str, attr_val: object, parameter_proxy_cache: dict[str, fx.Proxy]
    ) -> object:
        """Return an attribute: a layer that runs reads its parameters themselves."""
        if self._runs:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def _attribute(root: nn.Module, path: str) -> object:
    found: object = root
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _call_method(name: str, owner: object, /, *args: object, **options: object) -> object:
    return getattr(owner, name)(*args, **options)


class _Known(fx.Proxy):
    """Stands for what a call gave, and knows its sizes."""

    def _known(self, name: str) -> Result:
        result = cast(_Tracer, self.tracer).results.get(self.node)
        if isinstance(result, Tensor):
            return getattr(result, name)
        return fx_proxy.Attribute(self, name)

    @property
    def shape(self) -> Result:
        """Its sizes."""
        return self._known("shape")

    @property
    def ndim(self) -> Result:
        """Number of its dimensions."""
        return self._known("ndim")

    @property
    def device(self) -> Result:
        """Device on which it is."""
        return self._known("device")

    @property
    def dtype(self) -> Result:
        """Type of its elements."""
        return self._known("dtype")

    def _asked(self, name: str, *args: object) -> Result:
        result = cast(_Tracer, self.tracer).results.get(self.node)
        if isinstance(result, Tensor):
            return getattr(result, name)(*args)
        return self.tracer.create_proxy("call_method", name, (self, *args), {})

    def size(self, *dimension: int) -> Result:
        """Return its sizes, or one."""
        return self._asked("size", *dimension)

    def dim(self) -> Result:
        """Return how many dimensions it has."""
        return self._asked("dim")

    def numel(self) -> Result:
        """Return how many elements it has."""
        return self._asked("numel")

    def __len__(self) -> int:
        result = cast(_Tracer, self.tracer).results.get(self.node)
        if isinstance(result, Tensor):
            return len(result)
        return super().__len__()

    def __iter__(self) -> Iterator[fx.Proxy]:
        result = cast(_Tracer, self.tracer).results.get(self.node)
        if isinstance(result, tuple | list):
            parts = range(len(result))
            return iter([operator.getitem(self, part) for part in parts])  # type: ignore[call-overload]
        return super().__iter__()
