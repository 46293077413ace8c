"""Whole test sets through the serial link, on a virtual board whose line is noisy; run by hand.

``studies link_noise NETWORK [--rates 0,0.001,0.003]`` simulates a board with
every gate, its pins included, on an array of 2x2 elements with 4 lanes, damages bytes on the line
in both directions, and lets the driver classify the test set of the network's card. Every level and
label is compared with the integer reference. Keeps a row for each network and rate in
``docs/results/link.json``, with the command that made it. Exits with 1 where an answer is wrong or
missing.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from ...boards.host.driver import Driver
from ...boards.proof.virtual import VirtualBoard, virtual_device
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...hw.synth.build import accelerator_for
from ...hw.synth.targets import target
from ...model.integers.reference import evaluate
from ..runs.loading import load_inputs, load_network
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["classify", "main"]

GEOMETRY = Geometry(2, 2, 4)
TOOLS = ("narrowgauge", "amaranth", "pyserial", "yosys")
OUTPUT = output("link")


def classify(name: str, rate: float, images: int | None, seed: int) -> Row:
    """Return the row of a rate of noise.

    Raises
    ------
    NarrowgaugeError
        For a network that is not there, and where the driver gives up.
    """
    network = load_network(Path(name), GEOMETRY.lanes)
    levels, labels = load_inputs(network, Path(name), None, images)
    expected = evaluate(network, torch.as_tensor(levels), GEOMETRY.lanes)
    device = virtual_device(accelerator_for(Program(network, GEOMETRY), target("up5k")))
    with (
        VirtualBoard(device, noise=rate, seed=seed) as board,
        Driver(board.port, network=network, timeout=0.1, tries=50) as driver,
    ):
        driver.infer(levels[:1])  # what a reset takes is not counted
        answered: list[int] = []
        done = driver.infer(levels, tell=answered.append)
        damaged = driver.status().damaged
    assert done.levels is not None
    wrong = (done.levels != expected.levels.numpy()).any(axis=1)
    wrong |= done.labels != expected.labels.numpy()
    noises = board.to_device, board.from_device
    return {
        "network": network.name,
        "trained_by": network.about.get("command"),
        "rate": rate,
        "images": len(levels),
        "answered": len(answered),
        "wrong": int(wrong.sum()),
        "accuracy": float((done.labels == labels).mean()),
        **{
            name: sum(getattr(noise, name) for noise in noises)
            for name in ("dropped", "flipped", "inserted")
        },
        **asdict(done.counts),
        "damaged_requests_modulo_256": damaged,
        "cycles": board.cycles,
        "seconds": round(done.seconds, 2),
        "seed": seed,
    }


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("network", metavar="NETWORK")
    options.add_argument("--rates", default="0,0.001,0.003", help="of each mishap, a byte")
    options.add_argument("--images", type=int, help="[default: all]")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args(arguments)
    rows, status = [], 0
    for rate in map(float, given.rates.split(",")):
        row = classify(given.network, rate, given.images, given.seed)
        print(
            f"rate {rate:g}: {row['answered']} of {row['images']} images, {row['wrong']} wrong, "
            f"{row['retries']} repeated, {row['seconds']} s",
            flush=True,
        )
        status |= row["wrong"] > 0 or row["answered"] < row["images"]
        rows.append(row)
    words = [Path(given.network).name, "--rates", given.rates]
    words += ["--images", given.images] if given.images else []
    words += ["--seed", given.seed] if given.seed else []
    made = provenance(command("link_noise", *words), *TOOLS)
    record = RowFile(given.output, ("network", "rate"))
    record.keep([row | made for row in rows], instead=("network",))
    return int(status)
