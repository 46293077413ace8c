"""``narrowgauge infer``: images through a board."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...hw.errors import DataError
from ..terminal import options
from ..terminal.progress import ReportedStep, Reporter

if TYPE_CHECKING:
    import numpy as np

    from ...boards.host.driver import Driver
    from ...boards.protocol.info import Info
    from ...boards.protocol.outcome import Inference

__all__ = ["InferOptions", "command"]


@dataclass(frozen=True, kw_only=True)
class InferOptions:
    """Options of the command."""

    port: str
    data: str
    network: Path | None
    images: int | None
    levels: bool
    baud: int | None
    timeout: float
    tries: int
    as_json: bool


@click.command(
    "infer",
    epilog="""\b
Examples:
  narrowgauge infer /dev/ttyUSB1 digits
  narrowgauge infer /dev/ttyUSB1 digits --network digits.safetensors --images 100 --json
  narrowgauge infer /dev/ttyUSB1 images.npz --network model.safetensors --levels --json
  narrowgauge infer /dev/ttyUSB1 digits --timeout 2 --tries 20""",
)
@click.argument("port")
@click.argument("data", metavar="IMAGES")
@click.option(
    "--network",
    type=click.Path(path_type=Path),
    metavar="FILE-OR-ZOO-NAME",
    help="The network that the board must hold; loads its weights where the board takes any.",
)
@options.images
@click.option(
    "--levels",
    is_flag=True,
    help="Ask for the levels too; where an output has no classes they come anyway.",
)
@click.option(
    "--baud", type=click.IntRange(1, 100_000_000), help="Bits a second [default: 1000000]."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.001, 3600),
    default=0.5,
    show_default=True,
    help="Seconds without an answer after which the board is asked.",
)
@click.option(
    "--tries",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    help="How often a request is sent without an answer before that is an error.",
)
@options.json_output
@options.gathered(InferOptions)
def command(given: InferOptions) -> int:
    """Run images on the board at a serial port: their classes come back, or values.

    Images are those of the test set of a data set, or of a .npy or .npz file: input levels, which
    are integers, or with --network of an imported model images as it reads them.
    """
    from ...boards.gateware.device import BAUD
    from ...boards.host.driver import Driver

    baud = given.baud or BAUD
    with Driver(given.port, baud=baud, timeout=given.timeout, tries=given.tries) as driver:
        levels, labels = _inputs(driver, given.network, given.data, given.images)
        with Reporter() as reporter, reporter.step(f"{len(levels)} images on {given.port}") as step:
            done = _run(driver, levels, given.levels, step)
        cycles = driver.cycles() / len(levels)
    summary = _summary(driver, done, len(levels), labels, cycles)
    if given.as_json:
        print(json.dumps(summary | _answers(done), indent=2))
    else:
        _print(summary)
    return 0


def _inputs(
    driver: "Driver", network: Path | None, data: str, count: int | None
) -> "tuple[np.ndarray, np.ndarray | None]":
    """Return input levels, and labels where there are some."""
    from ...model.data import is_file, load
    from ..runs.arrays import read_levels
    from ..runs.scores import Targets

    if network is not None:
        from ..runs.loading import load_inputs, load_network

        loaded = load_network(network, driver.info.lanes)
        driver.expect(loaded)
        return load_inputs(loaded, network, data, count)
    if is_file(data):
        targets = Targets(driver.info.classes, (driver.info.outputs,))
        return read_levels(Path(data), driver.info.inputs, count, targets)
    dataset = load(data)
    if dataset.inputs != driver.info.inputs:
        raise DataError(
            f"an image of {dataset.name} has {dataset.inputs} elements, but the network of the "
            f"board takes {driver.info.inputs}"
        )
    return dataset.levels(dataset.test_images[:count], driver.info.input), dataset.test_labels[
        :count
    ]


def _run(driver: "Driver", levels: "np.ndarray", wanted: bool, step: ReportedStep) -> "Inference":
    """Return all answers, and say how many there are while they come."""

    def tell(answered: int) -> None:
        step.note(f"{answered:,} answered")

    return driver.infer(levels, levels=wanted, tell=tell)


def _summary(
    driver: "Driver", done: "Inference", images: int, labels: "np.ndarray | None", cycles: float
) -> dict[str, Any]:
    """Return what came out, as plain data."""
    from ..runs.scores import scores

    info = driver.info
    right = {}
    if driver.network is not None:
        right = scores(driver.network, done.labels, done.levels, labels)
    elif labels is not None and done.labels is not None:
        right = {"accuracy": _accuracy(info, done.labels, labels)}
    return {
        "images": images,
        **right,
        "seconds": done.seconds,
        "images_per_second": images / done.seconds,
        "cycles_per_image": cycles,
        **({"outputs": [count for count, _ in info.ends]} if len(info.ends) > 1 else {}),
        "network": driver.network.name if driver.network else None,
        "digest": info.digest.hex(),
        "array": f"{info.rows}x{info.columns}x{info.lanes}",
        "clock_frequency": info.clock_frequency,
        **asdict(done.counts),
    }


def _accuracy(info: "Info", found: "np.ndarray", labels: "np.ndarray") -> float | dict[str, float]:
    """Return the share of right classes; of several outputs that of each, by its number."""
    if len(info.ends) == 1:
        return float((found == labels).mean())
    shares = (found == labels[:, None]).mean(axis=0).tolist()
    return {f"output {k}": shares[k] for k, (_, classes) in enumerate(info.ends) if classes}


def _answers(done: "Inference") -> dict[str, Any]:
    levels = {} if done.levels is None else {"levels": done.levels.tolist()}
    labels = {} if done.labels is None else {"labels": done.labels.tolist()}
    return labels | levels


def _print(summary: dict[str, Any]) -> None:
    from ..runs.scores import in_words

    right = in_words(summary)
    right = f"{right}; " if right else ""
    print(
        f"{summary['images']} images, {right}{summary['images_per_second']:,.0f} images/s, "
        f"{summary['cycles_per_image']:,.1f} cycles an image\n"
        f"line: {summary['sent']} requests, {summary['retries']} repeated, "
        f"{summary['timeouts']} timeouts, {summary['refused']} refused, "
        f"{summary['damaged']} damaged answers"
    )
