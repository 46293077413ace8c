"""``narrowgauge simulate``: a network file through its accelerator, cycle by cycle."""

import json
from pathlib import Path
from typing import Any

import click

from ..hw.errors import NarrowgaugeError
from . import options
from .progress import Reporter

__all__ = ["command"]

CHANCE = click.FloatRange(0, 0.99)


@click.command(
    "simulate",
    epilog="""\b
Examples:
  narrowgauge simulate digits.safetensors
  narrowgauge simulate digits.safetensors --accumulator 10 --overflow saturate --images 100
  narrowgauge simulate digits.safetensors --images 4 --vcd waves.vcd --window 0:500""",
)
@options.network_file
@options.geometry
@options.target
@click.option("--accumulator", type=int, metavar="BITS", help="Accumulator [default: the file's].")
@click.option("--overflow", type=click.Choice(["wrap", "saturate"]), help="Its overflow mode.")
@click.option("--images", type=click.IntRange(1), help="Test images to run [default: all].")
@click.option(
    "--gaps", type=CHANCE, default=0.0, show_default=True, help="Chance that the input pauses."
)
@click.option(
    "--stalls", type=CHANCE, default=0.0, show_default=True, help="Chance that the output pauses."
)
@options.engine
@click.option("--vcd", type=click.Path(path_type=Path), help="Write waveforms to this file.")
@click.option("--window", default="0:1000", show_default=True, help="Cycles of the waveforms.")
@options.json_output
def command(network: Path, as_json: bool, images: int | None, **values: Any) -> int:
    """Run test images through a network file's accelerator, cycle by cycle.

    Every sum and every level is compared with the reference's.
    """
    from ..hw.network import load
    from ..hw.program import Program
    from ..hw.synth.build import accelerator_for
    from ..hw.synth.targets import target as find_target

    loaded = load(network)
    geometry = options.make_geometry(values)
    window = _window(values["vcd"], values["window"])
    with Reporter() as reporter, reporter.step("load PyTorch"):
        from ..model.data import load as load_dataset
        from .pipeline import set_accumulator, simulate_and_compare

    if values["accumulator"] is not None or values["overflow"]:
        width = values["accumulator"]
        width = loaded.accumulator.width if width is None else width
        overflow = values["overflow"] or loaded.accumulator.overflow
        loaded = set_accumulator(loaded, width, overflow, geometry.lanes)
    dataset = load_dataset(str(loaded.about.get("dataset", "digits")))
    if dataset.inputs != loaded.inputs:
        raise NarrowgaugeError(
            f"{network} takes {loaded.inputs} inputs, but an image of {dataset.name} has "
            f"{dataset.inputs}: it needs another data set, which its header can name"
        )
    levels = dataset.levels(dataset.test_images[:images], loaded.input)
    program = Program(loaded, geometry, contexts=values["contexts"])
    accelerator = accelerator_for(program, find_target(values["target"]))
    with Reporter() as reporter, reporter.step(f"simulate {len(levels)} images") as step:
        run, comparison, expected = simulate_and_compare(
            accelerator,
            levels,
            values["engine"],
            gaps=values["gaps"],
            stalls=values["stalls"],
            traced=len(levels),
            window=window,
        )
        step.note(f"{run.cycles / run.seconds:,.0f} cycles/s, {run.engine} engine")
    macs = sum(layer.macs for layer in loaded) * len(levels)
    summary = {
        "network": loaded.name,
        "images": len(levels),
        "accuracy_hardware": float((run.labels == dataset.test_labels[:images]).mean()),
        "mismatches": comparison.mismatches,
        "overflows": {layer.name: n for layer, n in zip(loaded, run.overflows, strict=True)},
        "overflows_reference": {t.name: int(t.overflowed.sum()) for t in expected.layers},
        "cycles": run.cycles,
        "cycles_per_image": run.cycles / len(levels),
        "utilisation": macs / (geometry.macs * run.cycles),
        "engine": run.engine,
        "cycles_per_second": run.cycles / run.seconds,
    }
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        _print(summary)
    if comparison.first:
        raise NarrowgaugeError(str(comparison.first))
    return 0


def _window(path: Path | None, text: str):
    """Return the cycles of which waveforms are wanted; raises `NarrowgaugeError` if malformed."""
    from ..hw.sim.run import Window

    if path is None:
        return None
    start, separator, stop = text.partition(":")
    if not (separator and start.isdecimal() and stop.isdecimal() and int(start) < int(stop)):
        raise NarrowgaugeError(f"--window is START:STOP in cycles, such as 0:1000, not {text!r}")
    return Window(path, int(start), int(stop))


def _print(summary: dict[str, Any]) -> None:
    overflows = ", ".join(f"{name} {count}" for name, count in summary["overflows"].items())
    print(
        f"{summary['network']}: {summary['images']} images, {summary['mismatches']} mismatches, "
        f"{100 * summary['accuracy_hardware']:.2f} % right\n"
        f"{summary['cycles_per_image']:.1f} cycles an image, "
        f"{100 * summary['utilisation']:.1f} % of the MAC slots used; "
        f"sums that overflowed: {overflows}"
    )
