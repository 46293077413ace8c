"""Brevitas modules as networks, through its own exporter."""

import contextlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx
from torch import Tensor, nn

from ...hw.errors import NetworkError, ToolError
from .importer import Imported, import_model

__all__ = ["import_brevitas"]


def import_brevitas(
    module: nn.Module,
    example: Tensor,
    *,
    name: str = "brevitas",
    dynamo: bool = True,
    **options: Any,
) -> Imported:
    """Import a trained Brevitas module.

    Parameters
    ----------
    module : nn.Module
        Made of Brevitas' layers; it is exported in evaluation mode, and left as it was.
    example : Tensor of shape (1, ...)
        An input, for its shape.
    name : str
        Name of the network.
    dynamo : bool
        Export through ``torch.export``; otherwise by tracing, which takes other models.
    **options
        Of `import_model`: ``lanes``, ``input_format``, ``input_scale``.

    Raises
    ------
    ToolError
        Where Brevitas, or what its exporter needs, is not installed.
    NetworkError
        For a module that Brevitas cannot export, or that cannot be run exactly.
    """
    model = _exported(module, example, dynamo)
    return import_model(model, name=name, **options)


def _exported(module: nn.Module, example: Tensor, dynamo: bool) -> onnx.ModelProto:
    """Return what Brevitas writes, without what it and torch print on the way."""
    was_training = module.training
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
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise NetworkError(f"Brevitas cannot export the module: {lines[0][:200]}") from error
        finally:
            module.train(was_training)
        return onnx.load(str(path))
