"""Options, images and tables that the commands for files of other tools share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ...hw.errors import DataError, FormatError
from ...hw.numbers.formats import Bipolar, Fixed, parse
from ...model.data import is_file
from ...model.exchange.tflite.reading import is_tflite
from ..terminal.options import refuse
from ..terminal.progress import Reporter
from .arrays import read_images
from .scores import targets_of

if TYPE_CHECKING:
    from rich.console import Console

    from ...model.data import Dataset
    from ...model.exchange.importer import Imported
    from ...model.exchange.report import ImportedLayer
    from ...model.exchange.tflite.importer import ImportedTflite
    from ..terminal.progress import ReportedStep

__all__ = [
    "Positive",
    "ReadingOptions",
    "Values",
    "check_images",
    "load_data",
    "load_model",
    "load_onnx",
    "load_tflite",
    "method",
    "model_file",
    "print_report",
    "reading",
    "short",
]


class Values(click.ParamType):
    """Numbers between commas; with ``positive`` all of them above 0."""

    name = "x,x,..."

    def __init__(self, positive: bool = False) -> None:
        self.positive = positive

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 0.5,0.5,0.5", param, ctx)
        if not all(map(math.isfinite, found)) or (self.positive and min(found) <= 0):
            kind = "positive" if self.positive else "finite"
            self.fail(f"{value!r} is not a list of {kind} numbers", param, ctx)
        return found


class Positive(click.ParamType):
    """A number above 0."""

    name = "x"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not 0 < found < math.inf:
            self.fail(f"{value!r} is not a positive number", param, ctx)
        return found


model_file = click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """Options that `model_file` and `reading` give."""

    model: Path
    input_format: str | None
    input_scale: float | None
    logit_bits: int
    mean: tuple[float, ...] | None
    deviation: tuple[float, ...] | None
    values: bool


def reading(function: Callable) -> Callable:
    """Add the options that say how images become the input of a model."""
    for option in reversed(
        (
            click.option(
                "--input-format",
                metavar="FORMAT",
                help="Format of the input, such as uint8, where no node quantises it.",
            ),
            click.option(
                "--input-scale",
                type=Positive(),
                help="Value of its level 1, such as 0.00392157 [default: 1].",
            ),
            click.option(
                "--logit-bits",
                type=click.IntRange(1, 24),
                default=16,
                show_default=True,
                help="Bits of multipliers for logits that no node quantises.",
            ),
            click.option(
                "--mean",
                type=Values(),
                help="Taken off the pixels, 0 to 1, of a data set; one, or one a channel.",
            ),
            click.option(
                "--deviation",
                type=Values(positive=True),
                help="What they are divided by then.",
            ),
            click.option(
                "--values",
                is_flag=True,
                help="The outputs are values, as of a dense autoencoder, and no logits of classes.",
            ),
        )
    ):
        function = option(function)
    return function


def load_model(
    options: ReadingOptions, lanes: int, reporter: Reporter
) -> "Imported | ImportedTflite":
    """Import a file of ONNX or TFLite with the options of `reading`."""
    load = load_tflite if is_tflite(options.model) else load_onnx
    return load(options, lanes, reporter)


def load_tflite(options: ReadingOptions, lanes: int, reporter: Reporter) -> "ImportedTflite":
    """Import a TFLite file, which says itself what its input is."""
    if options.input_format is not None or options.input_scale is not None:
        raise FormatError(
            f"{options.model} says what its input is; leave out --input-format and --input-scale"
        )
    refuse("logit_bits", "is for ONNX files: a TFLite file quantises its logits itself")
    with reporter.step("load the libraries"):
        from ...model.exchange.tflite.importer import import_tflite
    with reporter.step("import") as step:
        imported = import_tflite(options.model, lanes=lanes, progress=step.note)
        _note_compared(imported, step)
    _prepare_pixels(options, imported)
    return imported.as_values() if options.values else imported


def _note_compared(imported: "Imported | ImportedTflite", step: "ReportedStep") -> None:
    compared = sum(each.levels_compared for each in imported.report)
    step.note(f"{compared:,} accumulator levels compared with the graph")


def _prepare_pixels(options: ReadingOptions, imported: "Imported | ImportedTflite") -> None:
    """Note what is taken off pixels of data sets, and what they are divided by."""
    preparation = imported.network.about.get("preparation")
    size = imported.network.sizes["input"]
    for name in ("mean", "deviation"):
        given = getattr(options, name)
        if given is None or preparation is None:
            continue
        if size.positions > 1 and len(given) not in (1, size.channels):
            raise DataError(
                f"--{name} is one number, or {size.channels}: one a channel of {options.model}"
            )
        preparation[name] = list(given)


def load_onnx(options: ReadingOptions, lanes: int, reporter: Reporter) -> "Imported":
    """Import an ONNX file."""
    with reporter.step("load the libraries"):
        from ...model.exchange.extra import require

        require()
        from ...model.exchange.importer import import_qonnx
    fmt = None if options.input_format is None else parse(options.input_format)
    if not isinstance(fmt, Bipolar | Fixed | None):
        raise FormatError(f"--input-format is bipolar, intN or uintN, not {fmt}")
    scale = options.input_scale
    if isinstance(fmt, Fixed) and scale is None:
        raise FormatError(
            f"--input-format {fmt} needs --input-scale, the value of level 1: "
            f"{1 / max(fmt.max_level, 1):.9g} where its largest level is 1.0"
        )
    with reporter.step("import") as step:
        imported = import_qonnx(
            options.model,
            lanes=lanes,
            input_format=fmt,
            input_scale=scale,
            logit_bits=options.logit_bits,
            progress=step.note,
        )
        _note_compared(imported, step)
    _prepare_pixels(options, imported)
    return imported.as_values() if options.values else imported


def load_data(
    data: str, imported: "Imported | ImportedTflite", count: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return images as a model reads them, and their labels where they have some.

    Parameters
    ----------
    data : str
        A data set, or a file: ``.npy`` with images, or ``.npz`` with ``inputs`` and perhaps
        ``labels``; images of real numbers in the shape that the model reads.
    imported : Imported
        The model.
    count : int, optional
        How many.

    Raises
    ------
    DataError
        For what is neither, or images of another shape.
    """
    from ...model.data import load
    from ...model.exchange.preparation import Preparation

    preparation = Preparation.from_about(imported.network.about)
    assert preparation is not None
    if is_file(data):
        return read_images(Path(data), preparation.shape, count, targets_of(imported.network))
    dataset = load(data)
    pixels = dataset.values(dataset.test_images[:count])
    labels = dataset.test_labels[:count] if imported.network.classes else None
    return preparation.images(pixels), labels


def check_images(data: "Dataset | Path", imported: "Imported | ImportedTflite") -> None:
    """Raise `DataError` where a data set, or a file, has other images than a model reads."""
    from ...model.exchange.preparation import Preparation

    preparation = Preparation.from_about(imported.network.about)
    assert preparation is not None
    if isinstance(data, Path):
        images, _ = read_images(data, preparation.shape, None, targets_of(imported.network))
        preparation.levels(images)
        return
    try:
        preparation.images(data.values(data.test_images[:1]))
    except DataError as error:
        raise DataError(f"data set {data.name}: {error}") from error


FILLERS = ("/act_quant", "/export_handler", "/activation_impl")
NAME = 19  # characters, so that a table fits 80 columns

REPORT: "dict[str, tuple[str, Callable[[ImportedLayer], object]]]" = {
    "layer": ("left", lambda row: short(row.layer)),
    "kind": ("left", lambda row: row.kind),
    "weights": ("left", lambda row: _weights(row)),
    "input": ("left", lambda row: row.input),
    "output": ("left", lambda row: row.output),
    "sums": ("right", lambda row: row.accumulator_bits or ""),
    "method": ("left", lambda row: method(row)),
    "compared": ("right", lambda row: f"{row.levels_compared:,}" if row.levels_compared else ""),
}


def _weights(row: "ImportedLayer") -> str:
    """Return the format of a layer's weights, and their mean bits where channels have fewer."""
    if row.weight_bits is None or row.weight_bits == parse(row.weight).width:
        return row.weight
    return f"{row.weight} ({row.weight_bits:.3g})"


def method(row: "ImportedLayer") -> str:
    """Return how a layer's sums become levels, in words."""
    if row.method == "multiplier":
        return f"multiply {row.multiplier_bits}"
    if row.method == "shift":
        return "shift" + (", even" if row.rounding == "half_even" else "")
    return row.method


def short(name: str) -> str:
    """Return a node's name without what exporters put into every one, and not too long."""
    for filler in FILLERS:
        name = name.replace(filler, "")
    return name if len(name) <= NAME else f"…{name[1 - NAME :]}"


def print_report(imported: "Imported | ImportedTflite", console: "Console") -> None:
    """Print what importing each layer took."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name, (side, _) in REPORT.items():
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for row in imported.report:
        table.add_row(*(str(function(row)) for _, function in REPORT.values()))
    console.print(table)
    error = max(row.logit_error for row in imported.report)
    classes = imported.network.classes
    if error:
        what = "logits" if classes else "outputs"
        print(f"{what} without a quantiser are rounded by at most {error:.1e} of the largest one")
    if imported.dropped:
        why = "which no class depends on" if classes else "so outputs are what it reads"
        print(f"dropped at the end, {why}: {', '.join(imported.dropped)}")
