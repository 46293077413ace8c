"""The packages of the extra ``narrowgauge[qonnx]``, imported when they are needed."""

import warnings

from ...hw.errors import ToolError

__all__ = ["require"]


def require() -> None:
    """Import onnx and qonnx, so that later imports of either succeed and warn of nothing.

    Raises
    ------
    ToolError
        Where one is not installed; the text says how to install it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecations in what these libraries import
            import onnx  # noqa: F401
            import qonnx.core.modelwrapper
            import qonnx.core.onnx_exec  # noqa: F401
    except ImportError as error:
        missing = (error.name or "qonnx").partition(".")[0]
        raise ToolError(
            f"ONNX files need the Python package {missing}: pip install 'narrowgauge[qonnx]'"
        ) from error
