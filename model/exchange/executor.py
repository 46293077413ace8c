"""Executing a QONNX graph on batches: every tensor, as onnxruntime and qonnx compute it.

`qonnx.core.onnx_exec` builds a session for each node of each call and needs every shape to be that
of the batch. Here a node of ONNX gets one session, which takes any batch, and the operators of
QONNX run as they do there. Exporters write the batch that they traced into Reshape and Resize; its
first dimension grows with the batch here.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op import registry
from qonnx.custom_op.base import CustomOp

from ...hw.errors import NetworkError
from .graph.codes import takes_new_codes
from .graph.kernels import MICROSOFT, Kernel
from .graph.node import attributes, refuse
from .graph.wellformed import CODES

__all__ = ["Executor"]

BATCH = 128  # images at a time

Arrays = dict[str, np.ndarray]


class Executor:
    """A graph of one input, ready to run.

    Parameters
    ----------
    model : ModelWrapper, ModelProto or bytes
        After `qonnx.util.cleanup`; the first dimension of its input is the batch.
    batch : int
        Images at a time.
    kernels : mapping of Kernel
        Integer operators by the tensors that they give instead of the nodes that stand for them.

    Attributes
    ----------
    input : str
        Name of the tensor that takes the images.
    outputs : tuple of str
        Names of the graph's outputs.
    constants : dict of arrays
        Initialisers, and tensors computed from them alone, such as quantised weights.

    Raises
    ------
    NetworkError
        For a graph of several inputs, or one in which the batch does not stay the first dimension.
    """

    def __init__(
        self,
        model: ModelWrapper | onnx.ModelProto | bytes,
        batch: int = BATCH,
        kernels: Mapping[str, Kernel] = MappingProxyType({}),
    ) -> None:
        self.batch, self._kernels = batch, kernels
        self._model = _proto(model)
        self._graph = self._model.graph
        self._opsets = {
            "" if each.domain == "ai.onnx" else each.domain: each.version
            for each in self._model.opset_import
        }
        self.constants: Arrays = {
            each.name: numpy_helper.to_array(each) for each in self._graph.initializer
        }
        for kernel in kernels.values():
            self.constants |= kernel.constants
        self.input, self._traced, self._dimensions = self._find_input()
        self.outputs = tuple(each.name for each in self._graph.output)
        self._sessions: dict[tuple[str, ...], onnxruntime.InferenceSession] = {}  # by outputs
        self._nodes = self._fold_constants()
        self._shapes = {each.name: _shape(each) for each in self._graph.value_info}

    def run(self, images: np.ndarray, keep: Collection[str] | None = None) -> Arrays:
        """Return the tensors that depend on the images.

        Parameters
        ----------
        images : array of shape (n, ...)
            As the graph reads them; they become float32.
        keep : collection of str, optional
            Names of the tensors to return; all of them by default, which takes memory.

        Returns
        -------
        dict of arrays of shape (n, ...)
            By name of tensor, in the order of the nodes. A tensor into whose first dimension a
            Reshape drew others has a multiple of n there.

        Raises
        ------
        NetworkError
            For images of another shape, for a name in ``keep`` that no tensor has, or for a node
            that cannot be executed; the text names it.
        """
        images = np.asarray(images, np.float32)
        if self._type.kind in "iu":
            images = images.astype(self._type)
        if not self._accepts(images):
            wanted = ["n", *("?" if each is None else each for each in self._dimensions)]
            raise NetworkError(
                f"the model reads images of shape ({', '.join(map(str, wanted))}), "
                f"not {images.shape}"
            )
        self._check_names(keep)
        starts = range(0, len(images), self.batch)
        parts = [self._run_batch(images[start : start + self.batch], keep) for start in starts]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    # ------------------------------------------------------------------ the graph

    def _find_input(self) -> tuple[str, int, tuple[int | None, ...]]:
        """Return the input's name, the batch that was traced, and an image's dimensions."""
        inputs = [each for each in self._graph.input if each.name not in self.constants]
        if len(inputs) != 1:
            names = ", ".join(each.name for each in inputs) or "none"
            raise NetworkError(f"a model with one input is needed; the inputs of this: {names}")
        shape = _shape(inputs[0])
        if not shape:
            raise NetworkError(f"input {inputs[0].name} has no shape; its first must be the batch")
        self._type = helper.tensor_dtype_to_np_dtype(inputs[0].type.tensor_type.elem_type or 1)
        return inputs[0].name, shape[0] or 1, shape[1:]

    def _accepts(self, images: np.ndarray) -> bool:
        """Tell whether images have the shape of the input."""
        if images.ndim != len(self._dimensions) + 1 or not len(images):
            return False
        pairs = zip(self._dimensions, images.shape[1:], strict=True)
        return all(wanted in (None, given) for wanted, given in pairs)

    def _check_names(self, keep: Collection[str] | None) -> None:
        """Raise for a name that no tensor has."""
        known = {self.input, *(name for node in self._nodes for name in node.output)}
        missing = sorted(set(keep or ()) - known)
        if missing:
            raise NetworkError(f"no tensor that depends on the images is called {missing[0]}")

    def _fold_constants(self) -> list[NodeProto]:
        """Run the nodes that the input does not reach; return the others."""
        reached = {self.input}
        rest = []
        for node in self._graph.node:
            if reached.isdisjoint(node.input):
                self._step(node, self.constants, 1)
                continue
            reached.update(node.output)
            order = attributes(node).get("perm") if node.op_type == "Transpose" else None
            if order is not None and order[0] != 0:
                refuse(node, "moves the batch out of the first dimension, which is not supported")
            rest.append(node)
        return rest

    # ------------------------------------------------------------------ running

    def _run_batch(self, images: np.ndarray, keep: Collection[str] | None) -> Arrays:
        """Return the tensors of one batch."""
        context = {**self.constants, self.input: images}
        for node in self._nodes:
            self._step(node, context, len(images))
            self._check_shapes(node, context, len(images))
        found = [self.input, *(name for node in self._nodes for name in node.output if name)]
        return {name: context[name] for name in found if keep is None or name in keep}

    def _step(self, node: NodeProto, context: Arrays, images: int) -> None:
        """Execute ``node``: put what it gives for a batch of ``images`` into ``context``."""
        try:
            if node.op_type == "Reshape" and node.input[0] not in self.constants:
                self._reshape(node, context, images)
            elif node.op_type == "Resize" and len(node.input) > 3 and images != self._traced:
                self._resize(node, context, images)
            elif registry.is_custom_op(node.domain, node.op_type):
                self._execute_custom(node, context)
            else:
                self._execute(node, context)
            if node.output[0] in self._kernels:
                node = self._kernels[node.output[0]].node  # which the file has
                self._execute(node, context, "kernel")
        except NetworkError:
            raise
        except Exception as error:  # of onnxruntime, or whatever an operator raises
            refuse(node, f"cannot be executed: {' '.join(str(error).split())[:200]}")

    def _reshape(self, node: NodeProto, context: Arrays, images: int) -> None:
        """Reshape with a first dimension that grows with the batch."""
        data, shape = context[node.input[0]], [int(each) for each in context[node.input[1]]]
        if node.input[1] in self.constants and shape and shape[0] > 0:
            if shape[0] % self._traced:
                refuse(node, f"shape {shape} draws several images together")
            shape[0] = shape[0] // self._traced * images
        if not attributes(node).get("allowzero", 0):
            shape = [each or data.shape[axis] for axis, each in enumerate(shape)]
        context[node.output[0]] = data.reshape(shape)

    def _resize(self, node: NodeProto, context: Arrays, images: int) -> None:
        """Resize to sizes that have the batch that was traced, so many images at a time."""
        data, parts = context[node.input[0]], []
        for start in range(0, images, self._traced):
            context[node.input[0]] = data[start : start + self._traced]
            self._execute(node, context)
            parts.append(context[node.output[0]])
        context[node.input[0]], context[node.output[0]] = data, np.concatenate(parts)

    def _execute_custom(self, node: NodeProto, context: Arrays) -> None:
        """Execute an operator of QONNX as its own package does."""
        version = self._opsets.get(node.domain, 1)
        context.setdefault(node.output[0], np.zeros([1] * context[node.input[0]].ndim, np.float32))
        operator = registry.getCustomOp(node, version)
        with np.errstate(all="ignore"):  # the logarithm of zero in FloatQuant
            if node.op_type in ("Quant", "IntQuant") and context[node.input[3]].size > 1:
                _execute_widths(operator, node, context, self._graph)
            else:
                operator.execute_node(context, self._graph)
        for name in node.output:
            if context[name].dtype == np.float64:  # numpy's doing: QONNX has no such values
                context[name] = context[name].astype(np.float32)

    def _execute(self, node: NodeProto, context: Arrays, kind: str = "") -> None:
        """Execute an operator of ONNX."""
        free = [n for n in dict.fromkeys(node.input) if n and n not in self.constants]
        key = (kind, *node.output)
        if key not in self._sessions:
            self._sessions[key] = self._session(node, {name: context[name] for name in free})
        names = [name for name in node.output if name]
        results = self._sessions[key].run(names, {name: context[name] for name in free})
        context.update(zip(names, map(np.asarray, results), strict=True))

    def _session(self, node: NodeProto, free: Arrays) -> onnxruntime.InferenceSession:
        """Return a session of one node, for inputs of the types of ``free`` and of any shape."""
        fixed = [name for name in dict.fromkeys(node.input) if name and name not in free]
        graph = helper.make_graph(
            [node],
            "node",
            [_typed(name, array) for name, array in free.items()],
            [onnx.ValueInfoProto(name=name) for name in node.output if name],
            [numpy_helper.from_array(self.constants[name], name) for name in fixed],
        )
        versions = self._opsets | {MICROSOFT: 1}
        if takes_new_codes(node):
            versions[""] = max(versions.get("", 0), CODES)
        opsets = [helper.make_opsetid(*each) for each in versions.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=self._model.ir_version)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a pool of threads for each node would be one too many
        options.log_severity_level = 4  # errors come as exceptions
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def _check_shapes(self, node: NodeProto, context: Arrays, images: int) -> None:
        """Raise if what a node gave is not the traced shape with another batch."""
        for name in node.output:
            traced = [each or 0 for each in self._shapes.get(name, ())]
            if not traced or 0 in traced:
                continue
            given = context[name].shape
            if [*given[1:]] != traced[1:] or given[0] * self._traced != traced[0] * images:
                refuse(
                    node,
                    f"gives shape {[*given]} for {images} images, but {traced} for the "
                    f"{self._traced} that were traced, so it does not treat each image alone",
                )


def _proto(model: ModelWrapper | onnx.ModelProto | bytes) -> onnx.ModelProto:
    """Return a model as its protocol buffer."""
    if isinstance(model, bytes):
        return onnx.load_from_string(model)
    return model.model if isinstance(model, ModelWrapper) else model


def _execute_widths(
    operator: CustomOp, node: NodeProto, context: Arrays, graph: onnx.GraphProto
) -> None:
    """Execute a quantiser of several bit widths, one after the other: QONNX's own takes one."""
    bits, found = context[node.input[3]], np.zeros((), np.float32)
    for width in np.unique(bits):
        alone = {**context, node.input[3]: np.asarray(width)}
        operator.execute_node(alone, graph)
        found = np.where(bits == width, alone[node.output[0]], found)
    context[node.output[0]] = found


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Return the dimensions that a tensor is declared with; None for a free one."""
    return tuple(
        each.dim_value if each.HasField("dim_value") and each.dim_value > 0 else None
        for each in value.type.tensor_type.shape.dim
    )


def _typed(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    """Return the declaration of an input of any shape."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None)
