"""Which torch modules and functions have an equal in hardware, and with which parameters."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = [
    "ALIASES",
    "SUPPORTED",
    "check_average_pool",
    "check_convolution",
    "check_max_pool",
    "check_norm",
    "method_of",
    "pair",
]

SUPPORTED = (
    "supported are Conv2d, Linear, BatchNorm, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), "
    "Flatten, Dropout, Identity and +"
)
ALIASES = ("same",)

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
FUNCTIONS: dict[Any, str] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    torch.relu: "relu",
    functional.relu: "relu",
    torch.flatten: "flatten",
}
METHODS = {"add": "add", "add_": "add", "relu": "relu", "relu_": "relu", "flatten": "flatten"}

Refuse = Callable[[str], Any]


def method_of(op: str, target: Any) -> str | None:
    """Return what a node of a traced graph is, or None for what hardware has no equal of."""
    if op == "call_module":
        return MODULES.get(type(target))
    if op == "call_method":
        return METHODS.get(target)
    return FUNCTIONS.get(target) if op == "call_function" else None


def pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of a torch size."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def check_convolution(op: nn.Conv2d, refuse: Refuse) -> None:
    """Refuse what a `hw.layers.Conv2d` cannot be."""
    if pair(op.dilation) != (1, 1):
        refuse("is dilated")
    if isinstance(op.padding, str) or op.padding_mode != "zeros":
        refuse("has a padding that is not a number of zeros")


def check_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d, negative: bool, refuse: Refuse) -> None:
    """Refuse a BatchNorm without constants, or with slopes that do not commute with a max pool."""
    if not norm.affine or not norm.track_running_stats:
        refuse("has no slope and offset, or no running statistics")
    if negative:
        refuse("has a negative slope behind a max pool")


def check_max_pool(pool: nn.MaxPool2d, refuse: Refuse) -> None:
    """Refuse what a `hw.layers.MaxPool` cannot be."""
    if pool.ceil_mode or pool.return_indices or pair(pool.dilation) != (1, 1):
        refuse("has ceil_mode, dilation or return_indices")


def check_average_pool(pool: nn.AvgPool2d | nn.AdaptiveAvgPool2d, refuse: Refuse) -> None:
    """Refuse what a `hw.layers.AveragePool` cannot be."""
    if isinstance(pool, nn.AdaptiveAvgPool2d):
        if pool.output_size not in (1, (1, 1)):
            refuse(f"gives {pool.output_size} positions, not 1")
        return
    if pool.ceil_mode or pool.divisor_override is not None:
        refuse("has ceil_mode or divisor_override")
    if not pool.count_include_pad and pair(pool.padding) != (0, 0):
        refuse("does not count padding")
