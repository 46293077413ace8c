"""Compares a lowered model with its module, in float64, before it is trained.

Both read the same random images, first with the parameters that they have, then with random ones,
because those of a module that is not trained hide much: a slope of 0 hides a branch, a mean of 0 a
bias. With the random ones they run in training, and then in evaluation, which sees the statistics
that training left. In evaluation some images are so large that values reach their bounds, and there
are more of them, and fewer, than when the module was traced. In float64 two orders of the same sums
differ by about 1e-15 of the result, so that 1e-9 of it is no rounding.

Not only the results are compared, but what every step ends with: a last softmax makes one of nearly
all logits, right or wrong.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...hw.errors import NetworkError
from ..layers.blocks import Model
from .modules import copy_module
from .supported import MODULES
from .tracing import AsTrained, TracedModule, first_line, trace

__all__ = ["Ends", "LastCall", "compare"]

IMAGES = 5  # in evaluation: `lower.BATCH`, of which the module was traced, is another number
TRAINED = 3  # in training: two would have the same normalised magnitudes
LARGE = 30  # times a normal deviation is beyond bounds such as those of ReLU6
TOLERANCE = 1e-9  # of the largest magnitude

Lower = Callable[[nn.Module], Model]
Ends = Mapping[str, tuple[str, str]]
"""Where each step ends, by its name: the node of the traced graph, and the path of its module."""
LastCall = Callable[[Tensor, int], Tensor]
"""What a module does to its logits, along a dimension, and the model does not."""


class _Pair(NamedTuple):
    """A module and what was made of it, and how they are compared."""

    module: nn.Module
    model: Model
    ends: Ends
    last: LastCall | None


def compare(
    module: nn.Module,
    model: Model,
    lower: Lower,
    ends: Ends,
    last: LastCall | None,
    shape: tuple[int, ...],
) -> None:
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
    last : callable or None
        What the model leaves out.
    shape : tuple of int
        Of what ``module`` reads an image as.

    Raises
    ------
    NetworkError
        With the first layer that differs.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, *shape, generator=generator).double()
    some_large = images.clone()
    some_large[2:] *= LARGE
    with torch.no_grad(), torch.random.fork_rng(devices=[]), AsTrained():
        one, other = copy_module(module).double().eval(), _double(model).eval()
        _compare(_Pair(one, other, ends, last), some_large, "")
        _compare(_Pair(one, other, ends, last), images[:1], " for one image")
        one = _stirred(copy_module(module), generator).double().eval()
        other = lower(copy_module(one)).double()
        stirred = _Pair(one, other, ends, last)
        _training(one)
        other.train()
        _compare(stirred, images[:TRAINED], " in training")
        one.eval()
        other.eval()
        _compare(stirred, some_large, " after training")
        _compare_steps(stirred, some_large)


def _double(model: Model) -> Model:
    copied = copy_module(model)
    assert isinstance(copied, Model)
    return copied.double()


def _compare(pair: _Pair, images: Tensor, when: str) -> None:
    name = type(pair.module).__name__
    try:
        result = pair.module(images.clone())  # which it may change
    except Exception as error:  # whatever its own code raises
        if len(images) == 1:  # `squeeze` takes its dimension away, and hardware reads no batches
            return
        raise NetworkError(f"{name} does not run{when}: {first_line(error)}") from error
    try:
        lowered = pair.model(images.reshape(-1, *_channels_first(pair.model)))
    except RuntimeError as error:  # shapes that do not meet
        raise NetworkError(
            f"what was made of {name} differs from it{when}, it does not even run "
            f"({first_line(error)}): something is not understood"
        ) from error
    if not isinstance(result, Tensor):
        raise NetworkError(f"the network gives a {type(result).__name__}, not logits{when}")
    if pair.last is not None:
        lowered = pair.last(lowered, 1)
    difference = _difference(result, lowered)
    if difference is not None:
        found = _first(pair, images) or "what forward does beside its layers"
        raise NetworkError(
            f"what was made of {name} differs from it{when} by {difference} "
            f"on random images, first at {found}, of which something is not understood"
        )


def _compare_steps(pair: _Pair, images: Tensor) -> None:
    """Refuse a model with a step that does not end as its module does, or that shows nothing."""
    name = type(pair.module).__name__
    traced = trace(copy_module(pair.module), images.clone(), keep=True)
    found = _first_step(pair, images, traced)
    if found is not None:
        raise NetworkError(
            f"what was made of {name} differs from it after training on random images, first at "
            f"{found}, of which something is not understood"
        )
    logits = pair.model(images.reshape(-1, *_channels_first(pair.model)))
    if not bool(logits.isfinite().all()) or not bool(logits.any()):
        raise NetworkError(
            f"{name} gives nothing but 0 or what is no number, whatever its parameters are: there "
            "is nothing to compare what was made of it with"
        )


def _channels_first(model: Model) -> tuple[int, int, int]:
    height, width, channels = model.image_shape
    return channels, height, width


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
        if MODULES.get(type(each)) == "same":
            each.eval()
    return module


def _stirred(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Give a module's layers random parameters and statistics; slopes keep their signs.

    Its own constants stay alike where they were, and differ from what they were.
    """

    def fill(tensor: Tensor | None, low: float, high: float) -> None:
        if tensor is not None:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for each in module.modules():
        if isinstance(each, nn.Conv1d | nn.Conv2d | nn.Linear):
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
        elif type(each) not in MODULES:
            for tensor in (*each._parameters.values(), *each._buffers.values()):
                if tensor is not None and tensor.is_floating_point():
                    slope, offset = torch.rand(2, generator=generator) + 0.5
                    tensor.mul_(slope).add_(offset * torch.where(tensor < 0, -1, 1))
    return module


def _first(pair: _Pair, images: Tensor) -> str | None:
    """Return the name of the first layer that differs, if it is one of them."""
    traced = trace(copy_module(pair.module), images.clone(), keep=True)
    found = _first_step(pair, images, traced)
    if found is not None:
        return found
    run = _outputs(pair.module, images)
    for node in traced.nodes:  # the graph itself is not what runs
        if node.op == "call_module" and str(node.target) in run:
            result, own = next(run[str(node.target)], None), traced.kept(node)
            if result is None or own is None or _difference(result, own):
                return f"{node.target}, or what forward does before it"
    return None


def _first_step(pair: _Pair, images: Tensor, traced: TracedModule) -> str | None:
    """Return the name of the first step that ends with something else, if any does."""
    kept = {node.name: traced.kept(node) for node in traced.nodes}
    values = pair.model.run(images.reshape(-1, *_channels_first(pair.model)), keep=True)
    for name, value in values.items():
        end, path = pair.ends.get(name, ("", ""))
        read = kept.get(end)
        if read is not None and _difference(read, value):
            return path if path == name else f"{name} to {path}"
    return None


def _outputs(module: nn.Module, images: Tensor) -> dict[str, Iterator[Tensor]]:
    """Return what the supported layers of a module give, by path, in the order of their calls."""
    found: dict[str, list[Tensor]] = {}
    handles = []
    for path, each in module.named_modules():
        if type(each) in MODULES:

            def keep(_module: nn.Module, _read: object, result: Tensor, path: str = path) -> None:
                found.setdefault(path, []).append(result.clone())

            handles.append(each.register_forward_hook(keep))
    module(images.clone())
    for handle in handles:
        handle.remove()
    return {path: iter(outputs) for path, outputs in found.items()}
