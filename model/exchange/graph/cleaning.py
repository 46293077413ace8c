"""Reading an ONNX file: checked, cleaned by the ``qonnx`` package, its shapes known."""

import stat
import warnings
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

import google.protobuf.message
import onnx
import onnxruntime
from onnx import GraphProto, ModelProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.general import (
    GiveUniqueParameterTensors,
    RemoveStaticGraphInputs,
    RemoveUnusedTensors,
    SortGraph,
)
from qonnx.transformation.infer_shapes import InferShapes

from ....hw.errors import NetworkError
from .codes import standardise
from .kernels import Kernel, unfold
from .node import CHANNELS_LAST, attributes, label
from .wellformed import check_arrays, check_nodes, check_sizes, check_texts, explained, sort_nodes

__all__ = ["DOMAIN", "Cleaned", "clean", "read"]

DOMAIN = "qonnx.custom_op.general"
OLD_DOMAINS = ("onnx.brevitas", "finn.custom_op.general", "finn", "qonnx")
STANDARD = ("", "ai.onnx")  # where the oldest exporters put their quantisers, too
KEPT = ("Quant", "IntQuant", "BipolarQuant", "FloatQuant", "Trunc")
QUANTISERS = (*KEPT, "MultiThreshold")
LARGEST = 1 << 31
INPUT_TYPES = tuple(
    getattr(onnx.TensorProto, name)
    for name in ("FLOAT", "FLOAT16", "DOUBLE", "INT8", "UINT8", "INT16", "UINT16", "INT32", "INT64")
)


def read(path: Path | str) -> onnx.ModelProto:
    """Read an ONNX file.

    Raises
    ------
    NetworkError
        Where it is missing, no ONNX model, or cut short; the text names it.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not path.is_dir():
            raise NetworkError(f"{path}: cannot be read (it is not a file)")
        if status.st_size >= LARGEST:
            raise NetworkError(f"{path}: larger than an ONNX file can be")
        model = onnx.load(str(path))
    except OSError as error:
        raise NetworkError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (google.protobuf.message.DecodeError, ValueError, TypeError) as error:
        raise NetworkError(f"{path}: not an ONNX file, or cut short ({error})") from error
    except onnx.checker.ValidationError as error:  # of external data
        raise NetworkError(f"{path}: {str(error).strip().splitlines()[0][:200]}") from error
    if not model.graph.node or not model.graph.output:
        raise NetworkError(f"{path}: not an ONNX file, or one without nodes")
    return model


class Cleaned(NamedTuple):
    """A cleaned graph, and the integer operators that its float ones stand for, by tensor."""

    model: ModelWrapper
    kernels: dict[str, Kernel]


def clean(model: onnx.ModelProto, supported: Container[str], advice: str) -> Cleaned:
    """Return a copy with one image a batch, constants folded and every shape known.

    Parameters
    ----------
    model : onnx.ModelProto
        As it was read.
    supported : container of str
        Operators.
    advice : str
        What is said of others.

    Raises
    ------
    NetworkError
        For operators that are not supported, tensors that are not what they say they are, and
        shapes that are not known.
    """
    check_texts(model)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _name_nodes(copy.graph)
    sort_nodes(copy.graph)
    check_arrays(copy.graph)
    standardise(copy)
    kernels = unfold(copy)
    if kernels:
        sort_nodes(copy.graph)
    _check_operators(copy, supported, advice)
    check_nodes(copy, (DOMAIN, *OLD_DOMAINS, *STANDARD), QUANTISERS)
    _fix_domains(copy)
    _bring_channels_first(copy.graph)
    batch = _fix_input(copy.graph)
    check_sizes(copy.graph)
    del copy.graph.value_info[:]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrapped = _transformed(copy)
    except NetworkError:
        raise
    except Exception as error:  # the packages raise plain Exceptions, and many kinds
        hint = f"; it was exported for {batch} images at a time: do it for 1" if batch > 1 else ""
        raise NetworkError(explained(error, copy.graph) + hint) from error
    check_arrays(wrapped.graph)  # constants that were computed
    _check_shapes(wrapped)
    return Cleaned(wrapped, kernels)


def _transformed(model: onnx.ModelProto) -> ModelWrapper:
    onnxruntime.set_default_logger_severity(4)  # it would write to the terminal; errors are raised
    wrapped = ModelWrapper(model)
    for step in (
        SortGraph(),
        InferShapes(),
        GiveUniqueParameterTensors(),
        FoldConstants(exclude_op_types=[*KEPT, "DequantizeLinear"]),
        RemoveUnusedTensors(),
        RemoveStaticGraphInputs(),
        InferShapes(),
    ):
        wrapped = wrapped.transform(step)
        check_sizes(wrapped.graph)
    onnx.shape_inference.infer_shapes(_standard(wrapped.model), strict_mode=True)
    return wrapped


def _standard(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose quantisers look like what ONNX knows, so that it can be checked."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.domain == DOMAIN:
            node.domain, node.op_type = "", "Identity"
            del node.input[1:]
            del node.attribute[:]
    return copy


def _name_nodes(graph: GraphProto) -> None:
    """Give a name to every node that has none, or another node's."""
    taken: set[str] = set()
    for count, node in enumerate(graph.node):
        name = node.name or f"{node.op_type}_{count}"
        while name in taken:
            name += "_"
        node.name = name
        taken.add(name)


def _check_operators(model: ModelProto, supported: Container[str], advice: str) -> None:
    """Refuse what is not supported, before anything is computed."""
    constants = {each.name for each in model.graph.initializer}
    reached = {each.name for each in model.graph.input} - constants
    unknown = []
    for node in model.graph.node:
        if reached.isdisjoint(node.input) or node.op_type == "Shape":
            continue  # constant: folded
        reached.update(node.output)
        if node.op_type not in supported:
            unknown.append(label(node))
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise NetworkError(f"not supported: {', '.join(unknown[:3])}{more}; {advice}")


def _fix_domains(model: ModelProto) -> None:
    """Bring quantisers of old domains into today's."""
    versions = {each.domain: each.version for each in model.opset_import}
    used = [versions[each] for each in (DOMAIN, *OLD_DOMAINS) if each in versions]
    quantisers = [node for node in model.graph.node if node.op_type in QUANTISERS]
    for node in quantisers:
        if node.op_type == "Trunc" and node.domain in STANDARD and len(node.input) == 6:
            used.append(2)  # nothing says which version that is
        if node.op_type == "Trunc" and len(node.input) < 6:
            versions[DOMAIN] = 1
        node.domain = DOMAIN
    kept = [each for each in model.opset_import if each.domain not in (DOMAIN, *OLD_DOMAINS)]
    kept.sort(key=lambda each: each.domain)  # the packages look at the first one
    del model.opset_import[:]
    model.opset_import.extend(kept)
    if quantisers:
        version = 1 if versions.get(DOMAIN) == 1 else max(used, default=1)
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, version))


def _bring_channels_first(graph: GraphProto) -> None:
    """Replace operators of QONNX's channels last domain by what they are: transposes around ONNX's.

    Its own inference of shapes needs the shapes that it is to infer.
    """
    nodes = []
    for node in graph.node:
        if node.domain != CHANNELS_LAST:
            nodes.append(node)
            continue
        axes = 2 + len(attributes(node).get("kernel_shape", (0, 0)))
        first, last = [0, axes - 1, *range(1, axes - 1)], [0, *range(2, axes), 1]
        before, after = f"{node.name}/first", f"{node.name}/last"
        moves = [(node.input[0], before, first), (after, node.output[0], last)]
        node.domain, node.input[0], node.output[0] = "", before, after
        if node.op_type == "Conv":  # its weights have their channels last, too
            moves.insert(0, (node.input[1], f"{before}/weights", first))
            node.input[1] = f"{before}/weights"
        made = [
            helper.make_node("Transpose", [given], [wanted], name=f"{wanted}/move", perm=order)
            for given, wanted, order in moves
        ]
        nodes += [*made[:-1], node, made[-1]]
    del graph.node[:]
    graph.node.extend(nodes)


def _fix_input(graph: GraphProto) -> int:
    """Make the batch one image, and return what it was; refuse other sizes that are not known."""
    constants = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs) or "none"
        raise NetworkError(f"a network has one input, this one has {len(inputs)}: {names}")
    (only,) = inputs
    if only.type.tensor_type.elem_type not in INPUT_TYPES:
        raise NetworkError(f"input {only.name} does not hold float32 or integers")
    sizes = only.type.tensor_type.shape.dim
    if len(sizes) < 2:
        raise NetworkError(
            f"input {only.name} has {len(sizes)} axes; a network reads (batch, ...) of known sizes"
        )
    for axis, size in enumerate(sizes[1:], 1):
        if size.dim_value < 1:
            name = size.dim_param or "?"
            raise NetworkError(
                f"input {only.name} has the dynamic size {name!r} in axis {axis}; export the model "
                "with fixed sizes (the batch may be dynamic)"
            )
    batch = sizes[0].dim_value
    sizes[0].Clear()
    sizes[0].dim_value = 1
    for output in graph.output:
        shape = output.type.tensor_type.shape
        if shape.dim:
            shape.dim[0].Clear()
            shape.dim[0].dim_value = 1
    return batch


def _check_shapes(model: ModelWrapper) -> None:
    for node in model.graph.node:
        for name in node.output:
            shape = model.get_tensor_shape(name) if name else [1]
            if shape is None or any(size < 1 for size in shape):
                raise NetworkError(
                    f"{label(node)}: the shape of its output is not known before it runs, or "
                    "nothing is left; use fixed sizes, and kernels that fit into their images"
                )
