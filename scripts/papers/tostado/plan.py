"""The plan of the study ``tostado2019``: networks, formats, roundings, images, hardware."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...jobs.job import Job, Plain
from ..floats import FloatNetwork, train_float
from ..study import Cell, Rows
from .exported import route_exported, simulate_exported
from .rounded import measure_rounded
from .winners import chosen

__all__ = [
    "DROPOUT",
    "EXPONENTS",
    "KINDS",
    "MANTISSAS",
    "NAMES",
    "NARROW",
    "SEEDS",
    "StudyNetwork",
    "cells",
    "formats",
    "levels",
    "then",
    "training",
    "width",
]

EXPONENTS, MANTISSAS = range(6), range(9)
SEEDS = (0, 1, 2)
DROPOUT = (0.0, 0.5)
NARROW = 8  # bits, sign included, up to which choices are made, and nothing is wide
DRAWS = 10
TESTS = 10_000
NAMES = ("part", "kind", "dropout", "seed", "e", "m", "rounding", "target")
NARROWEST = 5  # bits that are measured first


@dataclass(frozen=True)
class StudyNetwork:
    """A network on a data set.

    Attributes
    ----------
    network : FloatNetwork
        The first of its seeds, without dropout.
    few : int
        Test images where rounding is stochastic or formats are wide; elsewhere all are taken.
    validation : int
        Images of those that were left out in training.
    training, image : float
        Seconds of a training, and of an image, on one core.
    simulated : int
        Test images through the accelerator.
    cycle : float
        Seconds of an image in simulation.
    """

    network: FloatNetwork
    few: int
    validation: int
    training: float
    image: float
    simulated: int
    cycle: float


KINDS = {
    "MLP, MNIST": StudyNetwork(
        FloatNetwork("mnist", "mlp", 8, widths=(128, 64)),
        10_000,
        5000,
        training=25,
        image=1.5e-5,
        simulated=10_000,
        cycle=4e-3,
    ),
    "MLP, CIFAR-10": StudyNetwork(
        FloatNetwork("cifar10", "mlp", 8, widths=(128, 64)),
        10_000,
        5000,
        training=93,
        image=3e-5,
        simulated=2000,
        cycle=1.2e-2,
    ),
    "LeNet-5, MNIST": StudyNetwork(
        FloatNetwork("mnist", "lenet5", 5),
        2000,
        2500,
        training=62,
        image=1.2e-4,
        simulated=1000,
        cycle=0.12,
    ),
    "cifar10_full, CIFAR-10": StudyNetwork(
        FloatNetwork("cifar10", "cifar10_full", 8),
        2000,
        2500,
        training=280,
        image=5e-4,
        simulated=200,
        cycle=0.5,
    ),
}
"""The networks, small ones first."""


def width(e: int, m: int) -> int:
    """Return the bits of a weight, its sign included."""
    return 1 + e + m


def cells(quick: bool) -> list[Cell]:
    """Return the plan, what matters most first; or the MLP on MNIST of one seed, nearest."""
    if quick:
        network = KINDS["MLP, MNIST"].network
        return [_cell("MLP, MNIST", network, e, m, "nearest") for e, m in formats(1, 20)]
    found = []
    for rounding, low, high in (
        ("nearest", 1, NARROWEST),
        ("nearest", NARROWEST + 1, NARROW),
        ("chop", 1, NARROW),
        ("stochastic", 1, NARROW),
        ("nearest", NARROW + 1, 20),
        ("chop", NARROW + 1, 20),
    ):
        for name, network in _networks():
            found += [_cell(name, network, e, m, rounding) for e, m in formats(low, high)]
    return found


def _networks() -> Iterator[tuple[str, FloatNetwork]]:
    for name, kind in KINDS.items():
        for dropout in DROPOUT:
            for seed in SEEDS:
                yield name, replace(kind.network, seed=seed, dropout=dropout)


def formats(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield exponent and mantissa of the formats of ``low`` to ``high`` bits."""
    for e in EXPONENTS:
        for m in MANTISSAS:
            if e + m and low <= width(e, m) <= high:
                yield e, m


def levels(e: int, m: int) -> tuple[int, int]:
    """Return the format whose levels those of a format are: one bit of exponent only counts on."""
    return (0, m + 1) if e == 1 and m + 1 in MANTISSAS else (e, m)


def _cell(name: str, network: FloatNetwork, e: int, m: int, rounding: str) -> Cell:
    kind = KINDS[name]
    narrow = width(e, m) <= NARROW
    nearest = rounding == "nearest"
    draws = DRAWS if rounding == "stochastic" else 1
    images = TESTS if narrow and rounding != "stochastic" else kind.few
    validation = kind.validation if narrow and nearest else 0
    fmt = "e{}m{}".format(*levels(e, m))
    job = Job(
        measure_rounded,
        (network.plain(), fmt, rounding, draws, images, validation),
        (training(name, network),),
        network.dataset,
        seconds=(draws * images + validation) * kind.image + 0.05,
        text=f"{name}, seed {network.seed}, {fmt} {rounding}",
    )
    columns: dict[str, Plain] = {
        "part": "accuracy",
        "kind": name,
        "dropout": network.dropout,
        "seed": network.seed,
        "e": e,
        "m": m,
        "rounding": rounding,
    }
    return Cell(columns, job)


def training(name: str, network: FloatNetwork) -> Job:
    """Return the job that trains a network."""
    text = f"train {name}, seed {network.seed}, dropout {network.dropout:g}"
    seconds = KINDS[name].training
    return Job(train_float, (network.plain(),), (), network.dataset, seconds=seconds, text=text)


# ------------------------------------------------------------------ hardware

SIMULATED = (3, 4, 6)
"""Bits of the formats that run in simulation: three points of every curve."""
ROUTED = range(3, NARROW + 1)
TARGETS = ("up5k", "ecp5-25k")
SIMULATOR = [4, 4, 8]  # rows, columns, lanes
SMALL = [2, 2, 4]


def then(rows: Rows) -> list[Cell]:
    """Return what follows from the accuracies: the chosen formats, exported, in hardware."""
    found = []
    for name, network in _networks():
        if network.seed != SEEDS[0]:
            continue
        for bits in ROUTED:
            best = chosen(rows, name, network.dropout, bits)
            if best is None:
                continue
            if bits in SIMULATED:
                found.append(_simulated(name, network, best))
            if name == next(iter(KINDS)) and not network.dropout:
                found += [_routed(name, network, best, target) for target in TARGETS]
    return found


def _simulated(name: str, network: FloatNetwork, best: tuple[int, int]) -> Cell:
    kind, fmt = KINDS[name], "e{}m{}".format(*levels(*best))
    job = Job(
        simulate_exported,
        (network.plain(), fmt, kind.simulated, list(SIMULATOR)),
        (training(name, network),),
        network.dataset,
        seconds=60 + kind.simulated * kind.cycle,
        text=f"{name}, dropout {network.dropout:g}, {fmt} in simulation",
    )
    return Cell({"part": "hardware", **_place(name, network, best)}, job)


def _routed(name: str, network: FloatNetwork, best: tuple[int, int], target: str) -> Cell:
    fmt = "e{}m{}".format(*levels(*best))
    job = Job(
        route_exported,
        (network.plain(), fmt, target, list(SMALL)),
        (training(name, network),),
        network.dataset,
        seconds=120,
        text=f"{name}, {fmt} on {target}",
    )
    return Cell({"part": "routed", **_place(name, network, best), "target": target}, job)


def _place(name: str, network: FloatNetwork, best: tuple[int, int]) -> dict[str, Plain]:
    e, m = best
    return {"kind": name, "dropout": network.dropout, "seed": network.seed, "e": e, "m": m}
