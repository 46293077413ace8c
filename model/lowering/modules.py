"""Refuses what torch attaches to modules beside their code, and lowering would lose.

Hooks, parametrisations, replaced methods, frozen, shared or unusual parameters: nothing of that is
in a traced graph, or it does not outlast the training that follows.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from ...hw.errors import NetworkError
from .supported import MODULES

__all__ = ["check_module", "copy_module"]

KINDS = {  # torch's names of what is attached, and ours
    "_forward_pre_hooks": "forward pre-hook",
    "_forward_hooks": "forward hook",
    "_backward_pre_hooks": "backward pre-hook",
    "_backward_hooks": "backward hook",
    "_state_dict_pre_hooks": "hook of its state_dict",
    "_state_dict_hooks": "hook of its state_dict",
    "_load_state_dict_pre_hooks": "hook of its state_dict",
    "_load_state_dict_post_hooks": "hook of its state_dict",
    "_post_accumulate_grad_hooks": "gradient hook",
}


def check_module(module: nn.Module) -> None:
    """Refuse a module with anything that lowering would lose.

    Raises
    ------
    NetworkError
        With the path of the module, what it has, and what to do.
    """
    if not isinstance(module, nn.Module):
        raise NetworkError(f"a network is a torch module, not {type(module).__name__}")
    for name, hooks in vars(torch_module).items():
        if name.startswith("_global_") and name.endswith("_hooks") and hooks:
            raise NetworkError(
                f"torch has a {name.strip('_').replace('_', ' ').removesuffix('s')} for all "
                f"modules ({_names(hooks)}), which hardware does not run; remove it"
            )
    owners: dict[int, str] = {}
    for path, each in module.named_modules():
        where = f"{path} ({type(each).__name__})" if path else type(each).__name__
        for reason in _reasons(each):
            raise NetworkError(f"{where} {reason}")
        for name, tensor in (*each._parameters.items(), *each._buffers.items()):
            if tensor is None:
                continue
            for reason in _tensor_reasons(tensor, isinstance(each, tuple(MODULES))):
                raise NetworkError(f"{where}: {name} {reason}")
            memory = tensor.untyped_storage().data_ptr()
            other = owners.setdefault(memory, f"{path}.{name}".lstrip("."))
            if memory and other != f"{path}.{name}".lstrip("."):
                raise NetworkError(
                    f"{where}: {name} is shared with {other}; give each layer its own"
                )


def copy_module(module: nn.Module) -> nn.Module:
    """Return a copy on the CPU; raises `NetworkError` where torch cannot make one."""
    try:
        return copy.deepcopy(module).cpu()
    except Exception as error:  # whatever a module's attributes raise
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NetworkError(f"{type(module).__name__} cannot be copied: {line}") from error


def _names(hooks: Mapping[int, object] | Iterable[object]) -> str:
    """Return what hooks are called: functions by their names, others by their classes."""
    functions = hooks.values() if isinstance(hooks, Mapping) else hooks
    return ", ".join(getattr(each, "__name__", type(each).__name__) for each in functions)


def _reasons(module: nn.Module) -> Iterator[str]:
    """Yield what one module has that its forward does not say."""
    if parametrize.is_parametrized(module):
        found = ", ".join(
            f"{name} by {', '.join(type(each).__name__ for each in chain)}"  # type: ignore[union-attr]
            for name, chain in module.parametrizations.items()  # type: ignore[operator, union-attr]
        )
        yield (
            f"is parametrised ({found}); "
            "make its tensors plain with torch.nn.utils.parametrize.remove_parametrizations"
        )
    elif type(module) not in MODULES:
        for kind in MODULES:
            if isinstance(module, kind):
                yield (
                    f"is a subclass of {kind.__name__}, which may compute something else; "
                    f"use {kind.__name__} itself"
                )
    for name, hooks in vars(module).items():
        if name.endswith("_hooks") and hooks:
            kind = KINDS.get(name, name.strip("_").replace("_", " ").removesuffix("s"))
            yield f"has a {kind} ({_names(hooks)}), which hardware does not run; remove it"
    base = type(module) if type(module) in MODULES else nn.Module
    for name in vars(module):
        if callable(getattr(base, name, None)):
            yield f"has its method {name} replaced, which is not understood; put it back"


def _tensor_reasons(tensor: Tensor, counts: bool) -> Iterator[str]:
    """Yield why a parameter or buffer cannot be trained as it is; ``counts``: a layer's own."""
    if tensor.is_meta or is_lazy(tensor):
        yield "has no values yet"
        return
    if tensor.layout != torch.strided or tensor.is_quantized:
        yield "is sparse or quantised, not plain numbers"
        return
    if isinstance(tensor, nn.Parameter):
        if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
            yield "has a gradient hook, which training does not run; remove it"
        if counts and not tensor.requires_grad:
            yield "is frozen (requires_grad is False), but training moves all weights; thaw it"
    if not counts:
        return
    if (tensor.is_floating_point() or tensor.is_complex()) and tensor.dtype != torch.float32:
        name = str(tensor.dtype).removeprefix("torch.")
        yield f"is {name}, not float32; convert the module with float()"
    if tensor.numel() == 0:
        yield "is empty"
    if not bool(tensor.isfinite().all()):
        yield "has elements that are not finite"
