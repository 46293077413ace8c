"""``narrowgauge simulate``: a network through its accelerator, cycle by cycle."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...hw.errors import NarrowgaugeError
from ..reporting.console import print_layers
from ..terminal import options
from ..terminal.progress import ReportedStep, Reporter, standard_output

if TYPE_CHECKING:
    import numpy as np

    from ...hw.accelerator.top import Accelerator
    from ...hw.program.layout import Program
    from ...hw.sim.compare import Comparison
    from ...hw.sim.run import CycleWindow, Run
    from ..runs.checked import Reference

__all__ = ["SimulateOptions", "command"]

CHANCE = click.FloatRange(0, 0.99)


@dataclass(frozen=True, kw_only=True)
class SimulateOptions(options.AcceleratorOptions):
    """Options of the command."""

    network: Path
    accumulator: int | None
    overflow: str | None
    data: str | None
    images: int | None
    traced: int | None
    gaps: float
    stalls: float
    engine: str
    vcd: Path | None
    activity: Path | None
    activity_of: str
    window: str
    as_json: bool


@click.command(
    "simulate",
    epilog="""\b
Examples:
  narrowgauge simulate digits.safetensors
  narrowgauge simulate digits.safetensors --accumulator 10 --overflow saturate --images 100
  narrowgauge simulate mnist-lenet5-int4 --images 20 --rows 4 --columns 4 --lanes 8 --chains 2
  narrowgauge simulate digits.safetensors --images 4 --vcd waves.vcd --window 0:500
  narrowgauge simulate digits.safetensors --activity toggles.json --activity-of mapped""",
)
@options.network_file
@options.geometry
@options.target
@options.multiplier
@options.accumulator
@click.option(
    "--data",
    help="A data set, or a .npy or .npz file of input levels, or of images as an imported model "
    "reads them [default: the data set of the network's card].",
)
@options.images
@click.option(
    "--traced",
    type=click.IntRange(0),
    help="Images compared sum by sum [default: all; of one stream, those of the first 20 million "
    "sums].",
)
@click.option(
    "--gaps", type=CHANCE, default=0.0, show_default=True, help="Chance that the input pauses."
)
@click.option(
    "--stalls", type=CHANCE, default=0.0, show_default=True, help="Chance that the output pauses."
)
@options.engine
@click.option("--vcd", type=options.OutputFile(), help="Write waveforms to this file.")
@click.option(
    "--activity", type=options.OutputFile(), help="Write toggles of every net to this file, JSON."
)
@click.option(
    "--activity-of",
    type=click.Choice(["rtl", "mapped"]),
    default="rtl",
    show_default=True,
    help="Whose toggles: of the RTL, or of the netlist that Yosys maps for the target.",
)
@click.option("--window", default="0:1000", show_default=True, help="Cycles of the waveforms.")
@options.json_output
@options.gathered(SimulateOptions)
def command(given: SimulateOptions) -> int:
    """Run test images through a network's accelerator, cycle by cycle.

    Every sum and every level is compared with the reference's. The network is a network file, or
    one of the zoo by its name.
    """
    _check(given)
    window = _window(given.vcd, given.window)
    with Reporter() as reporter, reporter.step("load PyTorch"):
        from ..runs.checked import simulate_and_compare
        from ..runs.loading import load_inputs, load_network, set_accumulator
        from ..runs.row_parts import layer_use
        from ..runs.tiles import tile_use

    loaded = load_network(given.network, given.geometry.lanes)
    loaded = set_accumulator(loaded, given.accumulator, given.overflow)
    levels, labels = load_inputs(loaded, given.network, given.data, given.images)
    program = given.program(loaded)
    accelerator = given.accelerator(program)
    with Reporter() as reporter, reporter.step(f"simulate {len(levels)} images") as step:
        run, comparison, expected = simulate_and_compare(
            accelerator,
            levels,
            given.engine,
            gaps=given.gaps,
            stalls=given.stalls,
            traced=given.traced,
            window=window,
            note=step.note,
        )
        step.note(f"{run.cycles / run.seconds:,.0f} cycles/s, {run.engine} engine")
    if given.activity:
        with Reporter() as reporter, reporter.step(f"toggles, {given.activity_of}") as step:
            _write_activity(accelerator, levels, run.levels, given, step)
    summary = _summary(program, run, comparison, expected, labels)
    layers = layer_use(program, run.layer_cycles, len(run.labels))
    tiles = tile_use(program)
    if given.as_json:
        plain = [asdict(row) | asdict(tile) for row, tile in zip(layers, tiles, strict=True)]
        print(json.dumps({**summary, "layers": plain}, indent=2))
    else:
        _print(summary)
        slices = [each.slices for each in tiles]
        print_layers(layers, standard_output(), slices if any(slices) else None)
    if comparison.first:
        raise NarrowgaugeError(str(comparison.first))
    return 0


def _check(given: SimulateOptions) -> None:
    """Refuse options that would do nothing."""
    if given.vcd is None:
        options.refuse("window", "is of waveforms, which --vcd writes")
    if given.activity is None:
        options.refuse("activity_of", "is of toggles, which --activity writes")
    else:
        for name in ("gaps", "stalls"):
            options.refuse(name, "has no part in --activity, whose streams do not pause")


def _write_activity(
    accelerator: "Accelerator",
    images: "np.ndarray",
    levels: "np.ndarray",
    given: SimulateOptions,
    step: ReportedStep,
) -> None:
    """Count toggles, and write them to the file that was asked for."""
    from ...hw.files import write_atomically
    from ...hw.sim.batch.activity import count_toggles
    from ...hw.sim.run import Stimulus
    from ...hw.synth.alone import mapped
    from ...hw.synth.targets import target as find_target

    assert given.activity
    device, netlist, family = find_target(given.target), "", ""
    if given.activity_of == "mapped":
        netlist, family = mapped(accelerator, device).text, device.family.name
    codes = Stimulus(images).codes(accelerator)
    row = count_toggles(accelerator, codes, levels, netlist=netlist, family=family).row()
    row = {"of": given.activity_of, "target": device.name, **row}
    write_atomically(given.activity, (json.dumps(row, indent=1) + "\n").encode())
    step.note(f"{row['toggles'] / row['cycles']:,.0f} a cycle")


def _summary(
    program: "Program",
    run: "Run",
    comparison: "Comparison",
    expected: "Reference",
    labels: "np.ndarray | None",
) -> dict[str, Any]:
    """Return what came out, as plain data."""
    from ..runs.row_parts import total_macs, used
    from ..runs.scores import scores

    network, images = program.network, len(run.labels)
    names = [layer.name for layer in network]
    right = scores(network, run.labels, run.levels, labels, name="accuracy_hardware")
    return {
        "network": network.name,
        "images": images,
        "traced": comparison.traced,
        **right,
        "mismatches": comparison.mismatches,
        **({"overflows": dict(zip(names, run.overflows, strict=True))} if run.overflows else {}),
        "overflows_reference": dict(zip(names, expected.overflows, strict=True)),
        "cycles": run.cycles,
        "cycles_per_image": run.cycles / images,
        "utilisation": used(program, total_macs(network), run.cycles / images),
        "engine": run.engine,
        "cycles_per_second": run.cycles / run.seconds,
    }


def _window(path: Path | None, text: str) -> "CycleWindow | None":
    """Return the cycles of which waveforms are wanted; raises `NarrowgaugeError` if malformed."""
    from ...hw.sim.run import CycleWindow

    if path is None:
        return None
    start, separator, stop = text.partition(":")
    if not (separator and start.isdecimal() and stop.isdecimal() and int(start) < int(stop)):
        raise NarrowgaugeError(f"--window is START:STOP in cycles, such as 0:1000, not {text!r}")
    return CycleWindow(path, int(start), int(stop))


def _print(summary: dict[str, Any]) -> None:
    from ..runs.scores import in_words

    overflows = "not observed in DSP blocks and by slices"
    if "overflows" in summary:
        counts = summary["overflows"].items()
        overflows = ", ".join(f"{name} {count}" for name, count in counts if count) or "none"
    right = in_words(summary, "accuracy_hardware")
    right = f"{right}; " if right else ""
    print(
        f"{summary['network']}: {summary['images']} images, {summary['mismatches']} mismatches, "
        f"{right}"
        f"{summary['traced']} compared sum by sum\n"
        f"{summary['cycles_per_image']:,.1f} cycles an image, "
        f"{100 * summary['utilisation']:.1f} % of the MAC slots used; "
        f"sums that overflowed: {overflows}"
    )
