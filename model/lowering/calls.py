"""Reading a call in a traced graph: what it does, to which tensors, and with which options.

A module, the function of the same name and the method of a tensor become one `TracedCall`. Options
that are not understood are refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from torch import fx, nn
from torch.fx.node import map_arg

from .supported import Call, call_of

__all__ = ["Refuse", "TracedCall", "is_in_place", "read"]

Refuse = Callable[[str], NoReturn]
"""Refuses a node, for a reason."""

OPERANDS = ("input", "other")


@dataclass(frozen=True)
class TracedCall:
    """Operation of a node, with its operands and options.

    Attributes
    ----------
    kind : str
        As in `supported.MODULES`, or what a function does that has no module.
    name : str
        What torch calls it.
    operands : tuple
        What it reads: nodes, or numbers.
    options : dict
        Everything else that it is given, by name.
    layer : Module or None
        The module that it calls, or one that does the same.
    """

    kind: str
    name: str
    operands: tuple[object, ...]
    options: dict[str, object]
    layer: nn.Module | None = None


def read(node: fx.Node, target: object, refuse: Refuse) -> TracedCall | None:
    """Return what a node does, or None where hardware has no equal of it.

    Parameters
    ----------
    node : torch.fx.Node
        That calls something.
    target : object
        The module, the function, or the name of the method.
    refuse : callable
        Called for arguments that are not understood.
    """
    call = call_of(node.op, target)
    if call is None:
        return None
    name = _name(target)
    if isinstance(target, nn.Module):
        call = Call(call.kind)
    operands, options = _arguments(node, call, refuse)
    for option, value in options.items():
        allowed = call.allowed.get(option)
        held = option != "tensors" and _holds_nodes(value)
        if held or (allowed is not None and value not in allowed):
            refuse(f"is called with {option}={value}, which hardware does not do")
    layer = target if isinstance(target, nn.Module) else None
    if call.layer is not None:
        try:
            layer = call.layer(**options)
        except Exception as error:  # whatever torch says of its arguments
            refuse(f"is called with arguments that {call.layer.__name__} does not take ({error})")
    if getattr(layer, "return_indices", False):
        refuse("has return_indices, which hardware does not give")
    return TracedCall(call.kind, name, operands, options, layer)


def is_in_place(node: fx.Node, target: object) -> bool:
    """Tell whether a node writes into the tensor that it reads first."""
    if node.op == "call_method":
        return str(target).endswith("_")
    if isinstance(target, nn.Module):
        return getattr(target, "inplace", False) is True
    if _name(target) in ("iadd", "isub", "imul", "itruediv"):
        return True
    call = call_of(node.op, target)
    if call is None or "inplace" not in call.names:
        return False
    place = call.tensors + call.names.index("inplace")
    given = node.args[place] if place < len(node.args) else node.kwargs.get("inplace")
    return given is True


def _name(target: object) -> str:
    if isinstance(target, nn.Module):
        return type(target).__name__
    return str(getattr(target, "__name__", target))


def _arguments(
    node: fx.Node, call: Call, refuse: Refuse
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return what a node reads, and its options by name."""
    count = call.tensors
    tensors = OPERANDS[:count]
    if call.names == ("*",):  # sizes, as many as there are
        return node.args[:1], {"sizes": node.args[1:], **node.kwargs}
    names = (*tensors, *call.names)
    if len(node.args) > len(names):
        refuse(f"is called with {len(node.args)} arguments, not {len(names)} at most")
    given: dict[str, object] = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    for name in given:
        if name not in names:
            refuse(f"is called with {name}, which is not understood")
    operands = tuple(given.pop(name, None) for name in tensors)
    numbers = fx.Node if count == 1 else (fx.Node, int, float)
    if not all(isinstance(each, numbers) for each in operands):
        refuse(f"does not read {'two tensors' if count == 2 else 'one tensor'} alone")
    return operands, given


def _holds_nodes(value: object) -> bool:
    found: list[fx.Node] = []
    map_arg(value, found.append)  # type: ignore[arg-type]
    return bool(found)
