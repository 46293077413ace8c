"""Brevitas modules as networks, through its own exporter."""

import contextlib
import io
import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Unpack

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ...hw.errors import NetworkError, ToolError
from .executor import Executor
from .importer import Imported, ImportSettings, import_model

__all__ = ["import_brevitas", "multiplied_weights"]

CLOSE = 1e-4  # of the largest output; float32 differs by less


def import_brevitas(
    module: nn.Module,
    example: Tensor,
    *,
    name: str = "brevitas",
    dynamo: bool = True,
    **options: Unpack[ImportSettings],
) -> Imported:
    """Import a trained Brevitas module.

    Parameters
    ----------
    module : nn.Module
        Made of Brevitas' layers; it is exported in evaluation mode, and left as it was.
    example : Tensor of shape (images, ...)
        Inputs, for their shape, and for comparing module and file.
    name : str
        Name of the network.
    dynamo : bool
        Export through ``torch.export``; otherwise by tracing, which takes other models.
    **options
        Of `import_model`.

    Raises
    ------
    ToolError
        Where Brevitas, or what its exporter needs, is not installed.
    NetworkError
        For a module that Brevitas cannot export, or writes wrongly, or that cannot be run exactly.
    """
    with multiplied_weights(module, example):
        model = _exported(module, example, dynamo)
    imported = import_model(model, name=name, **options)
    _check_same(module, imported, example)
    return imported


@contextlib.contextmanager
def multiplied_weights(module: nn.Module, example: Tensor) -> Iterator[None]:
    """Replace decoupled weights (A2Q, A2Q+, weight norm) by what they are quantised to, for a time.

    Brevitas 0.13 writes the float weights of such layers and their second scale alone, so that its
    file computes something else than the module. Of weights that are multiples of that scale the
    file has the right ones: export within. The module itself is not to be run there, because it
    would quantise twice.

    Parameters
    ----------
    module : nn.Module
        Made of Brevitas' layers; its weights are its own again afterwards.
    example : Tensor of shape (images, ...)
        An input: limits of norms follow the formats that layers read.
    """
    layers = _decoupled(module)
    own = [each.weight.detach().clone() for each in layers]
    values = _quantised_weights(module, layers, example)
    try:
        for each, value in zip(layers, values, strict=True):
            each.weight.data.copy_(value)
        yield
    finally:
        for each, weight in zip(layers, own, strict=True):
            each.weight.data.copy_(weight)


class _Decoupled(NamedTuple):
    """Weights that are scaled by one number and rounded, and by another then."""

    weight: nn.Parameter
    quantiser: nn.Module


class _Quantised(Protocol):
    """What a quantiser of Brevitas gives."""

    value: Tensor


def _decoupled(module: nn.Module) -> list[_Decoupled]:
    """Return the decoupled weights of a module."""
    try:
        from brevitas.proxy import DecoupledWeightQuantProxyFromInjector as Decoupled
    except ImportError:
        return []
    found = []
    for each in module.modules():
        weight, quantiser = getattr(each, "weight", None), getattr(each, "weight_quant", None)
        if isinstance(quantiser, Decoupled) and isinstance(weight, nn.Parameter):
            found.append(_Decoupled(weight, quantiser))
    return found


def _quantised_weights(
    module: nn.Module, layers: Sequence[_Decoupled], example: Tensor
) -> list[Tensor]:
    """Return the weights that layers multiply by, as they are in evaluation mode.

    Of a layer that does not run these are its own.
    """
    found = [each.weight.detach() for each in layers]
    if not layers:
        return found

    def keep(index: int) -> Callable[..., None]:
        own = layers[index].weight.data_ptr()  # several layers may share a quantiser

        def hook(quantiser: nn.Module, inputs: tuple[Tensor, ...], output: _Quantised) -> None:
            if inputs[0].data_ptr() == own:
                found[index] = output.value.detach().clone()

        return hook

    hooks = [each.quantiser.register_forward_hook(keep(i)) for i, each in enumerate(layers)]
    try:
        _run(module, example[:1])
    finally:
        for each in hooks:
            each.remove()
    return found


def _run(module: nn.Module, images: Tensor) -> Tensor:
    """Return the outputs of a module in evaluation mode; it is left as it was."""
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = module(images)
    finally:
        module.train(was_training)
    return (given if isinstance(given, Tensor) else given[0]).detach()


def _check_same(module: nn.Module, imported: Imported, example: Tensor) -> None:
    """Refuse a file that computes something else than the module.

    Rounding in float32 may move single levels, but not half of the outputs.
    """
    images = example.detach().float()
    values = torch.cat([images, images.flip(-1), torch.rand_like(images), 1 - images])
    wanted = _run(module, values).numpy()
    found = Executor(imported.model, kernels=imported.kernels).run(
        values.numpy(), keep=[imported.output]
    )[imported.output]
    if found.size != wanted.size or found.dtype.kind != "f":
        return  # a class, or ranks: nothing to compare with
    differences = abs(found.reshape(wanted.shape) - wanted)
    if np.median(differences) > CLOSE * abs(wanted).max():
        raise NetworkError(
            "the graph that Brevitas wrote computes something else than the module: half of the "
            f"outputs differ by {np.median(differences):.2g} or more. Its weights are not in the "
            "file as they are; use other quantisers"
        )


def _exported(module: nn.Module, example: Tensor, dynamo: bool) -> onnx.ModelProto:
    """Return what Brevitas writes, without what it and torch print on the way."""
    was_training, enabled = module.training, logging.root.manager.disable
    logging.disable(logging.WARNING)  # of packages that torch's exporter could use, too
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        try:
            from brevitas.export import export_qonnx

            module.eval()
            export_qonnx(module, args=example[:1], export_path=str(path), dynamo=dynamo)
        except ImportError as error:
            raise ToolError(
                f"Brevitas or its exporter is not installed ({error}): "
                "pip install 'narrowgauge[brevitas]'"
            ) from error
        except Exception as error:  # of torch's exporters: many kinds
            text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split()
            reason = " ".join(text) or type(error).__name__
            raise NetworkError(f"Brevitas cannot export the module: {reason[:200]}") from error
        finally:
            module.train(was_training)
            logging.disable(enabled)
        return onnx.load(str(path))
