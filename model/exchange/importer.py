"""Import: a quantised ONNX graph becomes the `hw.network.network.Network` that hardware runs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper

from ...hw.errors import NarrowgaugeError, NetworkError, Refusal
from ...hw.network.network import Network
from ...hw.numbers.formats import Bipolar, Format
from ..exact.logits import LOGIT_BITS
from ..exact.solving import solve_all
from ..exact.tensors import Ranks
from ..exact.transfer import Transfer
from ..exact.unsolved import UnsolvedLayer
from .assembling import assemble
from .graph.cleaning import Cleaned, clean, read
from .graph.codes import LINEAR
from .graph.kernels import Kernel
from .graph.node import refuse
from .nodes import ending, linear, moves, pooling
from .nodes.context import ImportContext, Raw, StatedInput, Watched
from .nodes.elementwise import NONLINEAR, activation, arithmetic, batch_norm, cast, nonlinear, same
from .nodes.ending import Ending, finish
from .nodes.input_order import input_tensor
from .nodes.joining import concat
from .nodes.linear_codes import dequantize_linear, quantize_linear
from .nodes.placing import settle
from .nodes.quantise import QUANTISERS, quantise
from .nodes.surveying import Survey
from .output_values import result_order
from .preparation import KEY
from .report import ImportedLayer

__all__ = [
    "SUPPORTED",
    "ImportSettings",
    "Imported",
    "ImportedLayer",
    "import_model",
    "import_qonnx",
    "refused_nodes",
]

Handler = Callable[[ImportContext, NodeProto], None]
PIXELS = ("mean", "deviation")

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(QUANTISERS, quantise),
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "MatMul": linear.matmul,
    "Gemm": linear.gemm,
    "Conv": linear.conv,
    "BatchNormalization": batch_norm,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), arithmetic),
    **dict.fromkeys(("Relu", "Clip", "HardSigmoid"), activation),
    **dict.fromkeys(NONLINEAR, nonlinear),
    **dict.fromkeys(("Sigmoid", "Tanh"), ending.end_or_nonlinear),
    **dict.fromkeys(("Softmax", "LogSoftmax", "TopK", "ArgMax"), ending.end),
    **dict.fromkeys(("MaxPool", "GlobalMaxPool"), pooling.max_pool),
    "AveragePool": pooling.average_pool,
    "GlobalAveragePool": pooling.average_pool,
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax"), pooling.reduce),
    **dict.fromkeys(moves.MOVES, moves.moved),
    "Pad": moves.pad,
    "Concat": concat,
    **dict.fromkeys(("Identity", "Dropout"), same),
    "Cast": cast,
}
AWARE = (
    *QUANTISERS, *LINEAR, *NONLINEAR, *moves.MOVES, "Conv", "MaxPool", "AveragePool",
    "GlobalAveragePool", "Pad", "Concat", "Add", "Sub", "Mul", "Div", "BatchNormalization",
    "Relu", "Clip", "HardSigmoid", "Identity", "Dropout", "Cast",
)  # fmt: skip
"""Operators that know of padding around what they read; it becomes elements before all others."""
SUPPORTED = tuple(sorted(HANDLERS))
"""Operators that can be imported."""


class ImportSettings(TypedDict, total=False):
    """Options of `import_model`."""

    lanes: int
    input_format: Format | None
    input_scale: float | None
    logit_bits: int
    progress: Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Imported:
    """A network, and what importing it found.

    Attributes
    ----------
    network : Network
        The integers.
    report : tuple of ImportedLayer
        One a layer.
    dropped : tuple of str
        Nodes at the end that need no hardware.
    model : qonnx.core.modelwrapper.ModelWrapper
        The graph as it was read: cleaned.
    watched : tuple of Watched
        Tensors of the graph that are levels of the network.
    endings : tuple of Ending
        What the graph ends with, and what levels of its last layers are worth there; one for each
        of its results.
    kernels : mapping of Kernel
        Integer operators of the file, by the tensors of the graph that they give.
    """

    network: Network
    report: tuple[ImportedLayer, ...]
    dropped: tuple[str, ...]
    model: ModelWrapper
    watched: tuple[Watched, ...]
    endings: tuple[Ending, ...]
    kernels: Mapping[str, Kernel] = field(default_factory=dict)

    def as_values(self) -> "Imported":
        """Return it with outputs that are values, and no logits of classes."""
        endings = tuple(replace(each, values=True) for each in self.endings)
        about = {**self.network.about, **_results(endings)}
        network = replace(self.network, about=about, values=True)
        return replace(self, network=network, endings=endings)

    @property
    def ending(self) -> Ending:
        """The first of what the graph ends with."""
        return self.endings[0]

    @property
    def output(self) -> str:
        """The graph's first output: logits or levels, or what a dropped node makes of them."""
        return self.ending.output


def import_qonnx(
    path: Path | str,
    *,
    name: str | None = None,
    lanes: int = 4,
    input_format: Format | None = None,
    input_scale: float | None = None,
    logit_bits: int = LOGIT_BITS,
    progress: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Import an ONNX file with quantisers of QONNX, or those of the standard.

    Parameters
    ----------
    path : path
        The file.
    name : str, optional
        Name of the network; None takes that of the file.
    lanes : int
        Lanes of the array that the accumulator is sized for.
    input_format : Format, optional
        Format of the input where no node quantises it.
    input_scale : float, optional
        Value of its level 1; 1 unless given.
    logit_bits : int
        Bits of the multipliers of a last layer without a quantiser, where its channels have several
        scales; hidden layers may make them wider. Fewer cost less, and round logits more.
    progress : callable
        Is told what is done next.

    Raises
    ------
    NetworkError
        For what is no such file or cannot be run exactly; the text names the node.
    """
    path = Path(path)
    model = read(path)
    try:
        return import_model(
            model,
            name=name or path.stem,
            lanes=lanes,
            input_format=input_format,
            input_scale=input_scale,
            logit_bits=logit_bits,
            progress=progress,
        )
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error


def import_model(
    model: onnx.ModelProto,
    *,
    name: str,
    lanes: int = 4,
    input_format: Format | None = None,
    input_scale: float | None = None,
    logit_bits: int = LOGIT_BITS,
    progress: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Import a model that is in memory; see `import_qonnx`."""
    advice = f"supported are {', '.join(SUPPORTED)}"
    progress("the graph")
    cleaned = clean(model, HANDLERS, advice)
    context = _translated(cleaned, input_format, input_scale, progress)
    endings = finish(context)
    if input_format is not None and not context.used_stated_input:
        raise NetworkError(
            f"the input was stated to be {input_format}, but a node of the graph quantises it; "
            "leave --input-format out"
        )
    unsolved = [each for each in context.layers if isinstance(each, UnsolvedLayer)]
    solutions = solve_all(unsolved, logit_bits, progress)
    endings = tuple(
        replace(end, meaning=end.meaning or solutions[end.layer].meaning) for end in endings
    )
    stated, pixels = _stated(model)
    about: dict[str, object] = {"imported": "QONNX", **stated}
    if context.preparation is not None:
        about[KEY] = context.preparation.plain() | pixels
    size = context.input_size
    network, report = assemble(
        name,
        context.layers,
        solutions,
        input_size=size,
        about=about,
        lanes=lanes,
        ends=[end.layer for end in endings],
    )
    # an image may be channels of one pixel, which look like logits
    values = tuple(end.layer for end in endings if end.values)
    network = replace(network, values=values if len(endings) > 1 else bool(values))
    return Imported(
        replace(network, about={**network.about, **_results(endings)}),
        report,
        tuple(context.dropped),
        cleaned.model,
        tuple(context.watched),
        endings,
        cleaned.kernels,
    )


def _results(endings: Sequence[Ending]) -> dict[str, object]:
    """Return what a network's card says of its output, or of each of its outputs by its layer."""
    results = {}
    for end in endings:
        assert end.meaning is not None
        result: dict[str, object] = {
            "scale": float(end.meaning.scale),
            "offset": float(end.meaning.offset),
        }
        if len(endings) > 1:
            result["output"] = end.output
        results[end.layer] = result if end.has_classes else result | result_order(end.tensor)
    return {"results": results} if len(endings) > 1 else {"result": results.popitem()[1]}


def refused_nodes(
    path: Path | str,
    *,
    input_format: Format | None = None,
    input_scale: float | None = None,
) -> tuple[Refusal, ...]:
    """Return all nodes of an ONNX file that `import_qonnx` refuses, each where it is looked at.

    Raises
    ------
    NetworkError
        For what is no such file, and for a graph that is wrong as a whole.
    """
    model, survey = read(Path(path)), Survey(HANDLERS)
    unknown = [
        survey.unknown(node)
        for node in model.graph.node
        if node.op_type not in HANDLERS and node.op_type not in ("Constant", "Shape")
    ]
    try:
        cleaned = clean(model, _Everything(), "")
        _translated(cleaned, input_format, input_scale, lambda _: None, survey)
    except NetworkError:
        if not unknown:
            raise
        return tuple(unknown)
    return tuple(survey.refusals)


class _Everything:
    """Has every operator, so that graphs are read whose operators are not all supported."""

    def __contains__(self, operator: object) -> bool:
        return True


def _stated(model: onnx.ModelProto) -> tuple[dict[str, object], dict[str, object]]:
    """Return what a file that narrowgauge wrote says of its data set."""
    texts = {each.key: each.value for each in model.metadata_props}
    try:
        about = json.loads(texts.get("narrowgauge.about", "{}"))
        pixels = json.loads(texts.get("narrowgauge.pixels", "{}"))
        kept: dict[str, object] = {
            name: list(map(float, pixels[name])) for name in PIXELS if name in pixels
        }
        kept |= {"before": dict(pixels["before"])} if "before" in pixels else {}
        return {name: str(about[name]) for name in ("dataset",) if name in about}, kept
    except (ValueError, TypeError, AttributeError) as error:
        raise NetworkError(f"the narrowgauge metadata is damaged ({error})") from error


def _translated(
    cleaned: Cleaned,
    input_format: Format | None,
    input_scale: float | None,
    progress: Callable[[str], None],
    survey: Survey | None = None,
) -> ImportContext:
    """Run all nodes of a cleaned graph; in a survey, those behind one that is refused, too."""
    model = cleaned.model
    (given,) = model.graph.input
    size, index = input_tensor(model, given.name)
    context = ImportContext(model, size, index, kernels=cleaned.kernels)
    channels = size.channels
    one, none = (np.full(channels, Fraction(each), object) for each in (1, 0))
    context.values[given.name] = Raw(size, index, transfer=Transfer.linear(one, none))
    if input_format is not None:
        ends = input_format.min_level, input_format.max_level
        scale = 1.0 if input_scale is None else input_scale
        context.stated_input = StatedInput(ends, input_format == Bipolar(), scale)
    else:
        context.stated_input = _annotated_input(model, given.name, input_scale)
    for tensor in model.graph.initializer:
        context.values[tensor.name] = numpy_helper.to_array(tensor)
    for node in model.graph.node:
        progress(f"node {node.name}")
        if survey is None:
            _run(context, node)
        else:
            survey.visit(context, node, _run)
    return context


def _run(context: ImportContext, node: NodeProto) -> None:
    """Run a node; whatever values its constants and attributes have is an error of the file.

    Their types are known before, see `graph.wellformed`: a `TypeError` is a fault of ours.
    """
    try:
        with np.errstate(all="raise", under="ignore"):
            ends = any(isinstance(context.values.get(each), Ranks) for each in node.input)
            if not ends and node.op_type not in AWARE:
                settle(context, node)
            (ending.behind if ends else HANDLERS[node.op_type])(context, node)
    except NarrowgaugeError as error:
        if str(error).startswith("node "):
            raise
        refuse(node, str(error))
    except (ArithmeticError, LookupError, ValueError) as error:
        refuse(node, f"its constants or attributes cannot be used ({error})")


def _annotated_input(model: ModelWrapper, name: str, scale: float | None) -> StatedInput | None:
    """Return the input's levels where the file annotates it with an integer type."""
    datatype = model.get_tensor_datatype(name)
    if not datatype.is_integer():
        return None
    ends = int(datatype.min()), int(datatype.max())
    is_bipolar = datatype.get_canonical_name() == "BIPOLAR"
    return StatedInput(ends, is_bipolar, 1.0 if scale is None else scale)
