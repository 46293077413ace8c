"""Kinds of files and models that ``explain`` reads; another kind joins `READERS`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...hw.errors import FormatError, NetworkError, Refusal
from ...hw.network.network import Network
from ...hw.numbers.formats import Bipolar, Fixed, parse
from ...model.exchange.tflite.reading import is_tflite
from ...model.lowering.own_module import is_own_module, own_module
from ..terminal.options import ArrayOptions
from ..terminal.progress import Reporter
from .explained import Explanation
from .imports import ReadingOptions, load_model
from .sums import calibration_levels

if TYPE_CHECKING:
    from ...model.exchange.importer import Imported
    from ...model.exchange.tflite.importer import ImportedTflite

__all__ = ["READERS", "ExplainOptions", "ModelReader", "reader_of"]


@dataclass(frozen=True, kw_only=True)
class ExplainOptions(ArrayOptions, ReadingOptions):
    """Options of the command."""

    image_shape: tuple[int, ...] | None
    classes: int
    weight: str
    activation: str | None
    input: str
    target: str | None
    data: str | None
    calibration: int
    as_json: bool


class ModelReader(NamedTuple):
    """A kind of model.

    Attributes
    ----------
    kind : str
        What it is called.
    reads : callable
        Tells whether a path, or a name, is of this kind.
    explain : callable
        Returns what such a model would become; raises `NarrowgaugeError` for what is none.
    ignored : tuple of str
        Parameters of the command that say nothing about such a model.
    """

    kind: str
    reads: Callable[[Path], bool]
    explain: Callable[[ExplainOptions, Reporter], Explanation]
    ignored: tuple[str, ...] = ()


def reader_of(model: Path) -> ModelReader:
    """Return the first of `READERS` that reads a model."""
    return next(each for each in READERS if each.reads(model))


# --- torch modules -------------------------------------------------------------------------------


def _is_module(path: Path) -> bool:
    return not path.exists() and is_own_module(str(path))


def _explain_module(given: ExplainOptions, reporter: Reporter) -> Explanation:
    """Explain the module that a function of the user's makes, before it is trained."""
    shape = _image_shape(given)
    with reporter.step("load PyTorch"):
        from ...model.lowering.refused import refused_calls
        from .outline import outline
    module = own_module(str(given.model), shape, given.classes)
    name, kind = type(module).__name__, "torch module"
    found = refused_calls(module, shape)
    if found:
        return Explanation(name, kind, given, refusals=found)
    try:
        network, remarks = outline(
            module,
            shape,
            weight=given.weight,
            activation=given.activation,
            input=given.input,
            lanes=given.lanes,
        )
    except NetworkError as error:
        return Explanation(name, kind, given, refusals=(Refusal.of(error),))
    remarks = (*remarks, "weights are not trained: sums are at most as wide as their formats say")
    return Explanation(name, kind, given, network, remarks=remarks, is_trained=False)


def _image_shape(given: ExplainOptions) -> tuple[int, int, int]:
    """Return height, width and channels of an image."""
    shape = given.image_shape
    if shape is None or len(shape) != 3:
        raise NetworkError(
            f"{given.model}: a torch module needs --image-shape, height, width and channels, such "
            "as 28,28,1"
        )
    height, width, channels = shape
    return height, width, channels


# --- network files, and the zoo ------------------------------------------------------------------


def _is_network(path: Path) -> bool:
    from ...model.zoo import networks as zoo

    return path.suffix == ".safetensors" or (not path.exists() and str(path) in zoo.names())


def _explain_network(given: ExplainOptions, reporter: Reporter) -> Explanation:
    with reporter.step("load PyTorch"):
        from .loading import load_network
    network = load_network(given.model, given.lanes)
    return Explanation(network.name, "network", given, network, images=_calibration(given, network))


def _calibration(given: ExplainOptions, network: Network) -> np.ndarray | None:
    """Return images on which sums are looked at, where there are any."""
    if given.data is None:
        return None
    return calibration_levels(network, given.model, given.data, given.calibration)


# --- files of other tools ------------------------------------------------------------------------


def _explain_onnx(given: ExplainOptions, reporter: Reporter) -> Explanation:
    """Explain an ONNX file; where it is not imported, all nodes that are in the way."""
    name, kind = given.model.stem, "ONNX"
    try:
        imported = load_model(given, given.lanes, reporter)
    except NetworkError as error:
        return Explanation(name, kind, given, refusals=_refused(given, error))
    return _explain_imported(given, kind, imported)


def _explain_imported(
    given: ExplainOptions, kind: str, imported: "Imported | ImportedTflite"
) -> Explanation:
    return Explanation(
        given.model.stem,
        kind,
        given,
        imported.network,
        remarks=_remarks(imported.dropped),
        images=_calibration(given, imported.network),
    )


def _explain_tflite(given: ExplainOptions, reporter: Reporter) -> Explanation:
    """Explain a TFLite file; where it is not imported, all operators that are in the way."""
    name, kind = given.model.stem, "TFLite"
    try:
        imported = load_model(given, given.lanes, reporter)
    except NetworkError as error:
        from ...model.exchange.tflite.importer import refused_operators

        found = refused_operators(given.model)
        text = str(error).removeprefix(f"{given.model}: ")
        refusals = found or (Refusal.of(NetworkError(text)),)
        return Explanation(name, kind, given, refusals=refusals)
    return _explain_imported(given, kind, imported)


def _remarks(dropped: Sequence[str]) -> tuple[str, ...]:
    return (f"needs no hardware at the end: {', '.join(dropped)}",) if dropped else ()


def _refused(given: ExplainOptions, error: NetworkError) -> tuple[Refusal, ...]:
    from ...model.exchange.importer import refused_nodes

    fmt = None if given.input_format is None else parse(given.input_format)
    if not isinstance(fmt, Bipolar | Fixed | None):
        raise FormatError(f"--input-format is bipolar, intN or uintN, not {fmt}")
    found = refused_nodes(given.model, input_format=fmt, input_scale=given.input_scale)
    text = str(error).removeprefix(f"{given.model}: ")
    return found or (Refusal.of(NetworkError(text)),)


def _is_any(path: Path) -> bool:
    return True


OF_MODULES = ("image_shape", "classes", "weight", "activation", "input")
READ = ("input_format", "input_scale", "logit_bits", "mean", "deviation", "values")
OF_FILES = (*READ, "data", "calibration")
READERS: tuple[ModelReader, ...] = (
    ModelReader("torch module", _is_module, _explain_module, OF_FILES),
    ModelReader("network file", _is_network, _explain_network, OF_MODULES + READ),
    ModelReader("TFLite file", is_tflite, _explain_tflite, (*OF_MODULES, "logit_bits")),
    ModelReader("ONNX file", _is_any, _explain_onnx, OF_MODULES),
)
"""Kinds of models, in the order in which they are tried; the last one reads whatever is left."""
