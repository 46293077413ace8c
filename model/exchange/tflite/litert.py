"""LiteRT's reference kernels, where the package ``ai-edge-litert`` is installed."""

from importlib.metadata import PackageNotFoundError, version

import numpy as np

from ....hw.errors import NetworkError
from .agree import Kernels
from .importer import ImportedTflite

__all__ = ["litert_kernels", "litert_version"]


def litert_version() -> str | None:
    """Return the version that is installed, if any is."""
    try:
        return version("ai-edge-litert")
    except PackageNotFoundError:
        return None


def litert_kernels(imported: ImportedTflite) -> Kernels:
    """Return what runs a file with LiteRT's reference kernels, and gives all tensors' codes.

    Raises
    ------
    NetworkError
        For a file that LiteRT refuses.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph = imported.graph
    facts, start = graph.tensors[graph.input], graph.tensors[imported.start]
    try:
        interpreter = Interpreter(
            model_content=graph.content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
            num_threads=1,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise NetworkError(f"LiteRT refuses the file ({' '.join(str(error).split())})") from error

    def run(codes: np.ndarray) -> dict[int, np.ndarray]:
        found: dict[int, list[np.ndarray]] = {tensor: [] for tensor in imported.watched}
        for each in codes.reshape(len(codes), 1, *facts.shape[1:]):
            given = each
            if facts.dtype == "FLOAT32":
                given = (each - start.zero) * start.unit
            elif facts.dtype == "UINT8":
                given = each + 128
            interpreter.set_tensor(graph.input, given.astype(facts.dtype.lower()))
            interpreter.invoke()
            for tensor, values in found.items():
                values.append(interpreter.get_tensor(tensor).astype(np.int64)[0])
        kept = {tensor: np.stack(values) for tensor, values in found.items()}
        return kept | {imported.start: codes}

    return run
