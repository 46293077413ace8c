"""``narrowgauge simulate``: a network through its accelerator, cycle by cycle."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...hw.errors import NarrowgaugeError
from ..reporting.console import print_layers
from ..terminal import options
from ..terminal.progress import Reporter, standard_output

if TYPE_CHECKING:
    import numpy as np

    from ...hw.network.network import Network
    from ...hw.program.layout import Program
    from ...hw.sim.compare import Comparison
    from ...hw.sim.run import CycleWindow, Run
    from ..runs.checked import Reference

__all__ = ["SimulateOptions", "command"]

CHANCE = click.FloatRange(0, 0.99)
SUMS = 20_000_000  # sums that are compared unless told otherwise; each takes some 60 bytes


@dataclass(frozen=True, kw_only=True)
class SimulateOptions(options.AcceleratorOptions):
    """What the command was given."""

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
    window: str
    as_json: bool


@click.command(
    "simulate",
    epilog="""\b
Examples:
  narrowgauge simulate digits.safetensors
  narrowgauge simulate digits.safetensors --accumulator 10 --overflow saturate --images 100
  narrowgauge simulate mnist-lenet5-int4 --images 20 --rows 4 --columns 4 --lanes 8 --chains 2
  narrowgauge simulate digits.safetensors --images 4 --vcd waves.vcd --window 0:500""",
)
@options.network_file
@options.geometry
@options.target
@options.multiplier
@click.option("--accumulator", type=int, metavar="BITS", help="Accumulator [default: the file's].")
@click.option("--overflow", type=click.Choice(["wrap", "saturate"]), help="Its overflow mode.")
@click.option(
    "--data",
    help="A data set, or a .npy or .npz file of input levels, or of images as an imported model "
    "reads them [default: the data set of the network's card].",
)
@options.images
@click.option(
    "--traced",
    type=click.IntRange(0),
    help="Images compared sum by sum [default: all, or those of the first 20 million sums].",
)
@click.option(
    "--gaps", type=CHANCE, default=0.0, show_default=True, help="Chance that the input pauses."
)
@click.option(
    "--stalls", type=CHANCE, default=0.0, show_default=True, help="Chance that the output pauses."
)
@options.engine
@click.option("--vcd", type=options.OutputFile(), help="Write waveforms to this file.")
@click.option("--window", default="0:1000", show_default=True, help="Cycles of the waveforms.")
@options.json_output
@options.gathered(SimulateOptions)
def command(given: SimulateOptions) -> int:
    """Run test images through a network's accelerator, cycle by cycle.

    Every sum and every level is compared with the reference's. The network is a network file, or
    one of the zoo by its name.
    """
    lanes = given.geometry.lanes
    window = _window(given.vcd, given.window)
    with Reporter() as reporter, reporter.step("load PyTorch"):
        from ..runs.checked import layer_use, simulate_and_compare
        from ..runs.loading import load_inputs, load_network

    loaded = _with_accumulator(load_network(given.network, lanes), given)
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
            traced=_traced(given.traced, program.sums, len(levels)),
            window=window,
            note=step.note,
            progress=lambda share: step.note(f"{100 * share:.0f} %"),
        )
        step.note(f"{run.cycles / run.seconds:,.0f} cycles/s, {run.engine} engine")
    summary = _summary(program, run, comparison, expected, labels)
    layers = layer_use(program, run.layer_cycles, len(run.labels))
    if given.as_json:
        plain = [asdict(layer) for layer in layers]
        print(json.dumps({**summary, "layers": plain}, indent=2))
    else:
        _print(summary)
        print_layers(layers, standard_output())
    if comparison.first:
        raise NarrowgaugeError(str(comparison.first))
    return 0


def _with_accumulator(network: "Network", given: SimulateOptions) -> "Network":
    """Return the network on the accumulator that was asked for, if any was."""
    from ..runs.loading import set_accumulator

    width, overflow = given.accumulator, given.overflow
    if width is None and not overflow:
        return network
    width = network.accumulator.width if width is None else width
    return set_accumulator(network, width, overflow or network.accumulator.overflow, given.lanes)


def _traced(asked: int | None, sums: int, images: int) -> int:
    """Return how many images are compared sum by sum."""
    return min(images, max(1, SUMS // sums) if asked is None else asked)


def _summary(
    program: "Program",
    run: "Run",
    comparison: "Comparison",
    expected: "Reference",
    labels: "np.ndarray | None",
) -> dict[str, Any]:
    """Return what came out, as plain data."""
    from ..runs.checked import total_macs, used

    network, images = program.network, len(run.labels)
    names = [layer.name for layer in network]
    right = {} if labels is None else {"accuracy_hardware": float((run.labels == labels).mean())}
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
    overflows = "not observed in multiplier blocks"
    if "overflows" in summary:
        counts = summary["overflows"].items()
        overflows = ", ".join(f"{name} {count}" for name, count in counts if count) or "none"
    right = ""
    if "accuracy_hardware" in summary:
        right = f"{100 * summary['accuracy_hardware']:.2f} % right; "
    print(
        f"{summary['network']}: {summary['images']} images, {summary['mismatches']} mismatches, "
        f"{right}"
        f"{summary['traced']} compared sum by sum\n"
        f"{summary['cycles_per_image']:,.1f} cycles an image, "
        f"{100 * summary['utilisation']:.1f} % of the MAC slots used; "
        f"sums that overflowed: {overflows}"
    )
