"""``narrowgauge import``: a quantised network of another tool becomes a network file."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from ...hw.network import file as network_file
from ..runs import imports
from ..runs.sums import SEEN, calibration_levels, print_sums, sums_rows
from ..terminal import options
from ..terminal.progress import Reporter, standard_output

__all__ = ["ImportOptions", "command"]


@dataclass(frozen=True, kw_only=True)
class ImportOptions(imports.ReadingOptions):
    """Options of the command."""

    output: Path
    name: str | None
    data: str | None
    lanes: int
    as_json: bool


@click.command(
    "import",
    epilog="""\b
Examples:
  narrowgauge import model.onnx -o model.safetensors --data mnist
  narrowgauge import model.onnx -o model.safetensors --input-format uint8 --input-scale 0.00392157
  narrowgauge import model.tflite -o model.safetensors
  narrowgauge simulate model.safetensors""",
)
@imports.model_file
@options.output_file("Network file to write.")
@click.option("--name", help="Name of the network [default: that of the model's file].")
@click.option(
    "--data",
    help="Data set that it was trained for, or a .npy or .npz file of images as it reads them, "
    "which other commands then use.",
)
@imports.reading
@options.accumulator_lanes
@options.json_output
@options.gathered(ImportOptions)
def command(given: ImportOptions) -> int:
    """Read a quantised network: ONNX (QONNX, QDQ, operators of integers), or TFLite of int8.

    Scales, biases, norms and activations become integers, which are compared with the graph at
    every accumulator level at which either changes. What cannot be run exactly is refused, by the
    name of its node.
    """
    model, output, data = given.model, given.output, given.data
    if output.exists() and model.exists() and output.samefile(model):
        raise click.BadParameter(f"{output} is the model itself", param_hint="--output")
    images = None
    if data is not None:
        from ...model.data import is_file, load

        # its error comes before the work, and says which there are
        images = Path(data) if is_file(data) else load(data)
    with Reporter() as reporter:
        imported = imports.load_model(given, given.lanes, reporter)
    network = imported.network
    if images is not None:
        imports.check_images(images, imported)
    about = dict(network.about) | {"model": _text(model.name)}
    if data is not None:
        about["dataset"] = data
    name = _text(given.name or network.name)
    network = replace(network, name=name, about=about)
    network_file.save(network, output)
    levels = None if data is None else calibration_levels(network, output, data, SEEN)
    sums = sums_rows(network, given.lanes, levels)
    if given.as_json:
        row: dict[str, object] = {"network": name, "file": str(output), "sums": sums}
        row |= {"layers": [asdict(each) for each in imported.report]}
        row |= {"accumulator_bits": network.accumulator.width, "dropped": list(imported.dropped)}
        print(json.dumps(row, indent=2))
        return 0
    print(
        f"{output}: {len(network.layers)} layers, input {network.input} "
        f"{network.sizes['input']}, {network.accumulator.width}-bit sums"
    )
    imports.print_report(imported, standard_output())
    print_sums(sums, standard_output())
    return 0


def _text(name: str) -> str:
    """Return a name of the system as text: bytes that are none become their numbers."""
    return name.encode(errors="backslashreplace").decode()
