"""Whether a lowered model computes what its module does: tried, in float64, before it is trained.

Both read the same random images, first with the parameters that they have, then with random ones,
because those of a module that is not trained hide much: a slope of 0 hides a branch, a mean of 0 a
bias. With the random ones they run in training, and then in evaluation, which sees the statistics
that training left. In float64 two orders of the same sums differ by about 1e-15 of the result, so
that 1e-9 of it is no rounding.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, fx, nn

from ...hw.errors import NetworkError
from ..layers.blocks import Model
from .modules import copy_module
from .supported import ALIASES, method_of

__all__ = ["Ends", "compare"]

IMAGES = 3  # of a batch: two would have the same normalised magnitudes
TOLERANCE = 1e-9  # of the largest magnitude

Lower = Callable[[nn.Module], Model]
Ends = Mapping[str, tuple[str, str]]
"""Where each step ends, by its name: the node of the traced graph, and the path of its module."""


def compare(module: nn.Module, model: Model, lower: Lower, ends: Ends) -> None:
    """Refuse a model that does not compute what ``module`` does.

    Parameters
    ----------
    module : Module
        What the user has.
    model : Model
        What was made of it.
    lower : callable
        Makes a model of a module that it may change.
    ends : mapping
        Where each step ends; see `Ends`.

    Raises
    ------
    NetworkError
        With the first layer that differs.
    """
    generator = torch.Generator().manual_seed(0)
    height, width, channels = model.image_shape
    images = torch.randn(IMAGES, channels, height, width, generator=generator).double()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        one, other = copy_module(module).double().eval(), copy_module(model).double().eval()
        _compare(one, other, images[:1], ends, "")
        one = _stirred(copy_module(module), generator).double().eval()
        other = lower(copy_module(one)).double()
        _compare(_training(one), other.train(), images, ends, " in training")
        _compare(one.eval(), other.eval(), images[:1], ends, " after training")


def _compare(module: nn.Module, model: nn.Module, images: Tensor, ends: Ends, when: str) -> None:
    result, lowered = module(images), model(images)
    if not isinstance(result, Tensor):
        raise NetworkError(f"the network gives a {type(result).__name__}, not logits{when}")
    difference = _difference(result, lowered)
    if difference is not None:
        found = _first(module, model, images, ends) or "what forward does beside its layers"
        raise NetworkError(
            f"what was made of {type(module).__name__} differs from it{when} by {difference} on "
            f"random images, first at {found}, of which something is not understood"
        )


def _difference(one: Tensor, other: Tensor) -> str | None:
    """Return by how much two tensors of equal elements differ, or None; nan equals nan."""
    if one.numel() != other.numel():
        return f"its shape ({tuple(one.shape)} became {tuple(other.shape)})"
    one, other = one.flatten(), other.flatten()
    largest = one[one.isfinite()].abs().max() if one.isfinite().any() else one.new_zeros(())
    limit = float(TOLERANCE * largest)
    if torch.isclose(other, one, rtol=0, atol=limit, equal_nan=True).all():
        return None
    apart = (one - other).abs().nan_to_num(torch.inf).max()
    return f"{float(apart):.3g} in {float(largest):.3g}"


def _training(module: nn.Module) -> nn.Module:
    """Put a module into training, but what drops values by chance."""
    module.train()
    for each in module.modules():
        if method_of("call_module", each) in ALIASES:
            each.eval()
    return module


def _stirred(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Give a module's layers random parameters and statistics; slopes keep their signs."""

    def fill(tensor: Tensor | None, low: float, high: float) -> None:
        if tensor is not None:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for each in module.modules():
        if isinstance(each, nn.Conv2d | nn.Linear):
            reach = (3 / each.weight[0].numel()) ** 0.5  # keeps the variance
            fill(each.weight, -reach, reach)
            fill(each.bias, -0.5, 0.5)
        elif isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            if each.weight is not None:
                signs = torch.where(each.weight < 0, -1.0, 1.0)
                fill(each.weight, 0.5, 1.5)
                each.weight.mul_(signs)
            fill(each.bias, -0.5, 0.5)
            fill(each.running_mean, -0.5, 0.5)
            fill(each.running_var, 0.5, 2)
    return module


def _first(module: nn.Module, model: nn.Module, images: Tensor, ends: Ends) -> str | None:
    """Return the name of the first layer that differs, if it is one of them."""
    assert isinstance(model, Model)
    graph = fx.symbolic_trace(copy_module(module))
    graph.train(module.training)
    for path, each in module.named_modules():  # a module may run single ones in another mode
        if path in dict(graph.named_modules()):
            graph.get_submodule(path).training = each.training
    traced = _Values(graph)
    traced.run(images)
    values = model.run(images, keep=True)
    for name, value in values.items():
        end, path = ends.get(name, ("", ""))
        if end and _difference(traced.values[end], value):
            return path if path == name else f"{name} to {path}"
    run = _outputs(module, images)
    for node in graph.graph.nodes:  # the graph itself is not what runs
        if node.op == "call_module" and str(node.target) in run:
            result = next(run[str(node.target)], None)
            if result is None or _difference(result, traced.values[node.name]):
                return f"{node.target}, or what forward does before it"
    return None


class _Values(fx.Interpreter):
    """Runs a graph and keeps what every node gives, before others change it in place."""

    def __init__(self, graph: fx.GraphModule):
        super().__init__(graph)
        self.values: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> object:
        """Run one node."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.values[n.name] = result.clone()
        return result


def _outputs(module: nn.Module, images: Tensor) -> dict[str, Iterator[Tensor]]:
    """Return what the supported layers of a module give, by path, in the order of their calls."""
    found: dict[str, list[Tensor]] = {}
    handles = []
    for path, each in module.named_modules():
        if method_of("call_module", each) is not None:

            def keep(_module: nn.Module, _read: object, result: Tensor, path: str = path) -> None:
                found.setdefault(path, []).append(result.clone())

            handles.append(each.register_forward_hook(keep))
    module(images)
    for handle in handles:
        handle.remove()
    return {path: iter(outputs) for path, outputs in found.items()}
