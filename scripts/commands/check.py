"""``narrowgauge check``: a graph, the integers and the hardware on the same images."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from ...hw.errors import MismatchError
from ...model.data import is_file
from ...model.exchange.tflite.reading import is_tflite
from ..runs import imports
from ..runs.tflite_check import agreed, print_summary, random_images, summary_of
from ..terminal import options
from ..terminal.progress import Reporter, standard_output

if TYPE_CHECKING:
    import numpy as np

    from ...hw.sim.compare import Comparison
    from ...hw.sim.run import Run
    from ...model.exchange.agree import Agreement
    from ...model.exchange.classes import ClassAgreement
    from ...model.exchange.importer import Imported
    from ...model.exchange.tflite.agree import TfliteAgreement
    from ...model.exchange.tflite.importer import ImportedTflite

__all__ = ["CheckOptions", "command"]


@dataclass(frozen=True, kw_only=True)
class CheckOptions(options.AcceleratorOptions, imports.ReadingOptions):
    """Options of the command."""

    data: str | None
    images: int
    engine: str
    as_json: bool


@click.command(
    "check",
    epilog="""\b
Examples:
  narrowgauge check model.onnx --data mnist --images 500
  narrowgauge check model.onnx --data images.npz --rows 4 --columns 4 --lanes 8 --json
  narrowgauge check model.tflite --images 100""",
)
@imports.model_file
@click.option(
    "--data",
    help="A data set, or a .npy or .npz file with images as the model reads them; random codes "
    "do for TFLite.",
)
@click.option(
    "--images", type=click.IntRange(1), default=200, show_default=True, help="Images to run."
)
@imports.reading
@options.geometry
@options.target
@options.engine
@options.json_output
@options.gathered(CheckOptions)
def command(given: CheckOptions) -> int:
    """Compare a network of another tool with its accelerator, layer by layer.

    The same images go through QONNX's executor, through the integer reference and through the
    accelerator, cycle by cycle. Executor and reference are compared in every quantised tensor, each
    layer from the same inputs; reference and accelerator in every sum and level. The executor
    computes in float32: where its rounding decides between two levels that is shown in float64, and
    counted as a tie.

    TFLite's kernels compute in integers: of such a file every code is equal, without ties.
    """
    if is_tflite(given.model):
        _check_tflite(given)
        return 0
    if given.data is None:
        raise click.UsageError("--data is needed: a data set, or a file with images")
    if is_file(given.data) and (given.mean or given.deviation):
        raise click.UsageError(
            f"--mean and --deviation are for data sets; {given.data} has images as the model reads "
            "them"
        )
    lanes = given.geometry.lanes
    with Reporter() as reporter:
        imported = imports.load_onnx(given, lanes, reporter)
        inputs, labels = imports.load_data(given.data, imported, given.images)
        from ...model.exchange.agree import agree
        from ...model.exchange.preparation import Preparation

        preparation = Preparation.from_about(imported.network.about)
        doubt = preparation.doubt(inputs) if preparation else ""
        with reporter.step(f"{len(inputs)} images in QONNX's executor and the reference"):
            agreement = agree(imported, inputs, lanes)
        with reporter.step(f"{len(inputs)} images in hardware") as step:
            run, comparison = _simulate(imported, agreement, given)
            step.note(f"{run.cycles:,} cycles, {run.engine} engine")
    summary = _summary(imported, agreement, run, comparison, labels)
    if given.as_json:
        print(json.dumps(summary, indent=2))
    else:
        _print(summary, imported)
    _warn(doubt)
    wrong = [agreement.first] if agreement.first else []
    if comparison.first:
        wrong.append(f"hardware and reference: {comparison.first}")
    if wrong:
        raise MismatchError(f"{given.model}: {wrong[0]}")
    return 0


def _warn(doubt: str) -> None:
    if doubt:
        click.echo(
            f"narrowgauge: warning: {doubt}: are the images prepared as in training "
            "(--mean, --deviation)?",
            err=True,
        )


def _simulate(
    imported: "Imported | ImportedTflite",
    agreement: "Agreement | TfliteAgreement",
    given: CheckOptions,
) -> "tuple[Run, Comparison]":
    from ..runs.checked import simulate_and_compare

    accelerator = given.accelerator(given.program(imported.network))
    levels = agreement.levels
    run, comparison, _ = simulate_and_compare(accelerator, levels, given.engine, traced=len(levels))
    return run, comparison


def _check_tflite(given: CheckOptions) -> None:
    """Compare kernels, integers and hardware of a TFLite file."""
    with Reporter() as reporter:
        imported = imports.load_tflite(given, given.geometry.lanes, reporter)
        images, labels, doubt = random_images(imported, given.images), None, ""
        if given.data is not None:
            images, labels = imports.load_data(given.data, imported, given.images)
            from ...model.exchange.preparation import Preparation

            preparation = Preparation.from_about(imported.network.about)
            doubt = preparation.doubt(images) if preparation else ""
        agreement, kernels = agreed(imported, images, given.geometry.lanes, reporter)
        with reporter.step(f"{len(images)} images in hardware") as step:
            run, comparison = _simulate(imported, agreement, given)
            step.note(f"{run.cycles:,} cycles, {run.engine} engine")
    summary = summary_of(imported, agreement, kernels, run, comparison, labels)
    if given.as_json:
        print(json.dumps(summary, indent=2))
    else:
        print_summary(summary, imported)
    _warn(doubt)
    hardware = f"hardware and reference: {comparison.first}" if comparison.first else ""
    if agreement.first or hardware:
        raise MismatchError(f"{given.model}: {agreement.first or hardware}")


def _summary(
    imported: "Imported",
    agreement: "Agreement",
    run: "Run",
    comparison: "Comparison",
    labels: "np.ndarray | None",
) -> dict[str, Any]:
    """Return what came out, as plain data."""
    from ..runs.scores import scores

    images = len(run.labels)
    found = {
        "network": imported.network.name,
        "images": images,
        "tensors": [asdict(each) for each in agreement.tensors],
        "same_levels": agreement.same_levels,
        **_ending(imported, agreement),
        "hardware_mismatches": comparison.mismatches,
        "cycles_per_image": run.cycles / images,
        "layers": [asdict(each) for each in imported.report],
    }
    right = scores(imported.network, run.labels, run.levels, labels, name="accuracy_hardware")
    return found | right


def _ending(imported: "Imported", agreement: "Agreement") -> dict[str, Any]:
    """Return how what the graph ends with agrees: classes, or values."""
    ends = [
        _end(agreement, found, end.classes > 0)
        for end, found in zip(imported.network.ends, agreement.ends, strict=True)
    ]
    if len(ends) == 1:
        return ends[0]
    names = [end.name for end in imported.network.ends]
    return {"ends": dict(zip(names, ends, strict=True))}


def _end(agreement: "Agreement", found: "ClassAgreement", has_classes: bool) -> dict[str, Any]:
    """Return how one result agrees."""
    classes = asdict(found)
    errors = classes.pop("errors")
    if has_classes:
        return {"same_class": len(agreement.levels) - found.different, "classes": classes}
    return {"outputs": {"values": found.logits, **errors}}


def _print(summary: dict[str, Any], imported: "Imported") -> None:
    from rich import box
    from rich.table import Table

    from ..runs.scores import in_words

    images = summary["images"]
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in ("layer", "method", "levels compared", "executor = integers"):
        table.add_column(name, justify="right" if name == "levels compared" else "left")
    methods = {row.layer: imports.method(row) for row in imported.report}
    for each in summary["tensors"]:
        method = methods.get(each["layer"], "")
        table.add_row(imports.short(each["layer"]), method, f"{each['elements']:,}", _verdict(each))
    standard_output().print(table)
    right = in_words(summary, "accuracy_hardware")
    if "ends" in summary:
        end = "; ".join(f"{name}: {_end_in_words(each)}" for name, each in summary["ends"].items())
    else:
        end = _end_in_words(summary)
    print(
        f"{summary['network']}: {images} images; executor and integers: all levels the same in "
        f"{summary['same_levels']}, {end}\n"
        f"hardware and integers, every sum and level: {summary['hardware_mismatches']} images "
        f"differ; {summary['cycles_per_image']:,.1f} cycles an image"
        + (f"; {right}" if right else "")
    )


def _end_in_words(end: dict[str, Any]) -> str:
    """Return how a result agrees, in words."""
    from ..runs.scores import in_words

    if "outputs" not in end:
        return f"the same class in {end['same_class']}{_reasons(end['classes'])}"
    errors = {f"{name}_error": end["outputs"][name] for name in ("mean", "largest")}
    return f"outputs against the float graph: {in_words(errors)}"


REASONS = {
    "after_ties": "behind ties of levels",
    "coded": "of equal codes of the graph's probabilities",
    "equal": "of equal logits",
    "float32": "by the rounding of float32",
    "rounded": "by the rounding of logits (--logit-bits)",
}


def _reasons(classes: dict[str, Any]) -> str:
    """Return why classes differ, in words."""
    if not classes["different"]:
        return ""
    found = {words: classes[name] for name, words in REASONS.items() if classes[name]}
    found |= {"for no such reason": classes["different"] - sum(found.values())}
    texts = [f"{count} {words}" for words, count in found.items() if count]
    return f" ({classes['different']} another one: {', '.join(texts)})"


def _verdict(each: dict[str, Any]) -> str:
    """Return how a tensor agrees, in words."""
    if not each["different"]:
        return "equal"
    if each["different"] == each["ties"]:
        return f"{each['ties']} ties, within {each['distance']:.1e} of a border"
    return f"{each['different']} differ, {each['ties']} of them ties"
