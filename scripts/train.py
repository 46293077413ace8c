"""``narrowgauge train``: one network, one network file."""

import json
from pathlib import Path
from typing import Any

import click

from . import options
from .progress import Reporter

__all__ = ["command"]


@click.command(
    "train",
    epilog="""\b
Examples:
  narrowgauge train --weight int4 -o digits.safetensors
  narrowgauge train --weight bipolar --widths 256,256 --accumulator 12 -o wide.safetensors""",
)
@click.option("--dataset", default="digits", show_default=True, help="Data set.")
@click.option(
    "--widths",
    type=options.Numbers(),
    default="64,32",
    show_default=True,
    help="Widths of the hidden layers.",
)
@click.option("--weight", default="int8", show_default=True, help="Weight format.")
@click.option("--activation", help="Activation format [default: what goes with the weights].")
@options.accumulator
@click.option(
    "--lanes",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Lanes that the accumulator allows for.",
)
@click.option("--epochs", type=int, help="Training epochs [default: the recipe's].")
@click.option("--seed", default=0, show_default=True, help="Seed of the training.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Network file to write.",
)
@options.json_output
def command(output: Path, as_json: bool, **values: Any) -> int:
    """Train a float network, then its version in one number format, and write the integers."""
    from ..hw.arithmetic import Accumulator
    from ..hw.network import save
    from ..hw.synth.store import Store

    if values["accumulator"] is not None:
        Accumulator(values["accumulator"], values["overflow"])
    options.make_folder(output.parent)
    with Reporter() as reporter:
        with reporter.step("load PyTorch"):
            from ..model.data import load
            from ..model.recipe import Recipe
            from ..model.reference import accuracy, evaluate
            from .pipeline import Trainer, set_accumulator

        extra: dict[str, Any] = {} if values["epochs"] is None else {"epochs": values["epochs"]}
        recipe = Recipe(values["dataset"], values["widths"], seed=values["seed"], **extra)
        dataset = load(values["dataset"])
        trainer = Trainer(recipe, Store(), reporter)
        network = trainer.network(values["weight"], values["activation"], values["lanes"])
        network = set_accumulator(
            network, values["accumulator"], values["overflow"], values["lanes"]
        )
        with reporter.step("evaluate the integers"):
            levels = dataset.levels(dataset.test_images, network.input)
            result = evaluate(network, levels, values["lanes"])
    save(network, output)
    summary = {
        "file": str(output),
        "network": network.name,
        "accumulator_bits": network.accumulator.width,
        "parameter_bits": network.parameter_bits,
        "accuracy_float": trainer.accuracy_float(),
        "accuracy_reference": accuracy(result, dataset.test_labels),
    }
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        print(
            f"{output}: {network.name}, {100 * summary['accuracy_reference']:.2f} % "
            f"(float {100 * summary['accuracy_float']:.2f} %), "
            f"{network.accumulator.width}-bit accumulator"
        )
    return 0
