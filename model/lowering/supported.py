"""Which torch modules and functions have an equal in hardware, and with which parameters."""

import operator
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import fx, nn
from torch.nn import functional

from ...hw.errors import NetworkError
from ...hw.network.layers import Window

__all__ = [
    "ALIASES",
    "MODULES",
    "SUPPORTED",
    "VIEWS",
    "changes_in_place",
    "check_call",
    "check_layer",
    "method_of",
    "pair",
]

SUPPORTED = (
    "supported are Conv2d, Linear, BatchNorm, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), "
    "Flatten, Dropout, Identity and +"
)
ALIASES = ("same",)
VIEWS = ("same", "flatten")  # kinds of nodes that give the memory that they read

MODULES: dict[type[nn.Module], str] = {
    nn.Conv2d: "weights",
    nn.Linear: "weights",
    nn.BatchNorm1d: "norm",
    nn.BatchNorm2d: "norm",
    nn.ReLU: "relu",
    nn.MaxPool2d: "max_pool",
    nn.AvgPool2d: "average_pool",
    nn.AdaptiveAvgPool2d: "average_pool",
    nn.Flatten: "flatten",
    nn.Dropout: "same",
    nn.Dropout2d: "same",
    nn.Identity: "same",
}
FUNCTIONS: dict[object, str] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    torch.relu: "relu",
    functional.relu: "relu",
    torch.flatten: "flatten",
}
METHODS = {"add": "add", "add_": "add", "relu": "relu", "relu_": "relu", "flatten": "flatten"}
# what the functions and methods of a kind take: tensors, then options and the values that they may
# have, None for any, because the shapes decide
ARGUMENTS: dict[str, tuple[tuple[str, ...], dict[str, tuple[object, ...] | None]]] = {
    "add": (("input", "other"), {"alpha": (1,)}),
    "relu": (("input",), {"inplace": (False, True)}),
    "flatten": (("input",), {"start_dim": None, "end_dim": None}),
}

Refuse = Callable[[str], NoReturn]


def method_of(op: str, target: object) -> str | None:
    """Return what a node of a traced graph is, or None for what hardware has no equal of."""
    if op == "call_module":
        return MODULES.get(type(target)) if isinstance(target, nn.Module) else None
    if op == "call_method":
        return METHODS.get(str(target))
    return FUNCTIONS.get(target) if op == "call_function" else None


def check_call(node: fx.Node, kind: str, refuse: Refuse) -> None:
    """Refuse a call with arguments that are not understood."""
    tensors, options = (("input",), {}) if node.op == "call_module" else ARGUMENTS[kind]
    names = (*tensors, *options)
    if len(node.args) > len(names):
        refuse(f"is called with {len(node.args)} arguments, not {len(names)} at most")
    given = dict(zip(names, node.args, strict=False)) | node.kwargs
    for name, value in given.items():
        if name not in names:
            refuse(f"is called with {name}, which is not understood")
        allowed = options.get(name)
        if name in options and (
            isinstance(value, fx.Node) or (allowed is not None and value not in allowed)
        ):
            refuse(f"is called with {name}={value}, which hardware does not do")
    if not all(isinstance(given.get(name), fx.Node) for name in tensors):
        refuse(f"does not read {'two tensors' if len(tensors) == 2 else 'one tensor'} alone")


def changes_in_place(node: fx.Node, target: object) -> bool:
    """Tell whether a node writes into the tensor that it reads first."""
    if node.op == "call_method":
        return str(target).endswith("_")
    inplace = node.args[1] if len(node.args) > 1 else node.kwargs.get("inplace")
    is_relu = target is functional.relu and inplace is True
    return is_relu or target is operator.iadd or getattr(target, "inplace", False) is True


def pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of a torch size."""
    if isinstance(size, int):
        return size, size
    return (size[0], size[0]) if len(size) == 1 else (size[0], size[1])


def check_layer(layer: nn.Module, refuse: Refuse) -> None:
    """Refuse what a layer of a supported kind is, where hardware has no equal of that."""
    if isinstance(layer, nn.Conv2d):
        _check_convolution(layer, refuse)
    elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        _check_norm(layer, refuse)
    elif isinstance(layer, nn.MaxPool2d):
        _check_max_pool(layer, refuse)
    elif isinstance(layer, nn.AvgPool2d | nn.AdaptiveAvgPool2d):
        _check_average_pool(layer, refuse)


def _check_convolution(op: nn.Conv2d, refuse: Refuse) -> None:
    """Refuse what a `hw.network.layers.Conv2d` cannot be."""
    if pair(op.dilation) != (1, 1):
        refuse("is dilated")
    if isinstance(op.padding, str) or op.padding_mode != "zeros":
        refuse("has a padding that is not a number of zeros")
    _check_window(op, refuse)


def _check_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d, refuse: Refuse) -> None:
    """Refuse a BatchNorm without constants."""
    constants = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    if any(each is None for each in constants) or not norm.track_running_stats:
        refuse("has no slope and offset, or no running statistics")


def _check_max_pool(pool: nn.MaxPool2d, refuse: Refuse) -> None:
    """Refuse what a `hw.network.layers.MaxPool` cannot be."""
    if pool.ceil_mode or pool.return_indices or pair(pool.dilation) != (1, 1):
        refuse("has ceil_mode, dilation or return_indices")
    _check_window(pool, refuse)


def _check_average_pool(pool: nn.AvgPool2d | nn.AdaptiveAvgPool2d, refuse: Refuse) -> None:
    """Refuse what a `hw.network.layers.AveragePool` cannot be."""
    if isinstance(pool, nn.AdaptiveAvgPool2d):
        size = pool.output_size
        if (size if isinstance(size, int) else tuple(size or ())) not in (1, (1,), (1, 1)):
            refuse(f"gives {size} positions, not 1")
        return
    if pool.ceil_mode or pool.divisor_override is not None:
        refuse("has ceil_mode or divisor_override")
    if not pool.count_include_pad and pair(pool.padding) != (0, 0):
        refuse("does not count padding")
    _check_window(pool, refuse)


def _check_window(op: Any, refuse: Refuse) -> None:
    """Refuse a kernel, stride or padding that a `hw.layers.Window` cannot have."""
    rows, columns = pair(op.padding)
    try:
        Window(pair(op.kernel_size), pair(op.stride), (rows, columns, rows, columns))
    except NetworkError as error:
        refuse(f"has a window that hardware does not run ({error})")
