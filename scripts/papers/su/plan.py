"""The plan of the study ``su2018``: networks, formats, seeds, elements, accelerators."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ....hw.numbers.float_sum import PARTIAL_SUMS
from ...jobs.job import Job, Plain
from ...pricing.elements import PricedFormat, element_points
from ...pricing.families import FAMILIES, Epochs, Member
from ...pricing.jobs import accuracy_job, element_job, filled_job, network_job, routed_job
from ..study import Cell, Rows
from .hardware import simulate_filled
from .priced import BIPOLAR, BIPOLAR_8, FLOAT, deciding, near

__all__ = [
    "BUILT",
    "DATASETS",
    "DEVICE",
    "ELEMENTS",
    "EPOCHS",
    "LONG",
    "NAMES",
    "SEEDS",
    "TARGETS",
    "cells",
    "then",
]

NAMES = ("part", "dataset", "family", "size", "format", "epochs", "seed", "target", "multiplier")
NAMES += ("sums", "placement")
SEEDS = (0, 1, 2)
EPOCHS = {
    "mlp": Epochs(10, 20, 6),
    "lenet5": Epochs(5, 8, 3),
    "cifar10_full": Epochs(8, 6, 3),
}
"""Of a float training, and of the training in a format that starts from it."""
LONG = {name: each.exact + each.bipolar for name, each in EPOCHS.items()}
"""Epochs of a float network that is trained as long as any other in all."""
DATASETS = {"mlp": "mnist", "lenet5": "mnist", "cifar10_full": "cifar10"}
TARGETS = {"mnist": (97.0, 98.0, 99.0, 99.4), "cifar10": (70.0, 75.0, 80.0)}
MAIN = (FLOAT, BIPOLAR, BIPOLAR_8, "int4/uint4", "int2/uint2")
OTHERS = ("int8/uint8", "int2/uint4", "pow2_4/uint8", "bf16")
COLOUR = (FLOAT, BIPOLAR, BIPOLAR_8, "int4/uint4", "int2/uint2", "int8/uint8")
ELEMENTS = "ecp5-25k"
PLACEMENTS = 3
DEVICE = "ecp5-45k"
BUILT = (BIPOLAR, BIPOLAR_8, "int2/uint2", "int4/uint4", "int8/uint8", FLOAT)
"""Formats whose accelerators are built, for the networks that decide at 99 % of MNIST."""
SIMULATED = 200


def cells(quick: bool) -> list[Cell]:
    """Return the trainings of the first seed, what matters most first, and the elements."""
    if quick:
        return _grid("mlp", (64,), (FLOAT, "int4/uint4"))
    return [
        *_elements(),
        *_grid("lenet5", (0.25, 0.5, 0.35), MAIN),
        *_grid("lenet5", (0.25, 0.35, 0.5), (FLOAT,), long=True),
        *_grid("mlp", (256, 128, 512, 64), MAIN),
        *_grid("mlp", (128, 256, 64, 512), (FLOAT,), long=True),
        *_grid("lenet5", (0.7, 1.0), MAIN),
        *_grid("lenet5", (0.15,), MAIN),
        *_grid("lenet5", (0.15, 0.7, 1.0), (FLOAT,), long=True),
        *_grid("cifar10_full", (1.0, 0.5), COLOUR),
        *_grid("cifar10_full", (1.0, 0.5), (FLOAT,), long=True),
        *_grid("mlp", (1024,), MAIN),
        *_grid("lenet5", (0.25, 0.35, 0.5), OTHERS),
        *_grid("mlp", (64, 128, 256, 512), OTHERS),
        *_grid("cifar10_full", (2.0,), COLOUR),
    ]


def then(rows: Rows) -> list[Cell]:
    """Return other seeds of what is near 99 % of MNIST, and the accelerators that decide there."""
    places = near(rows, "mnist", TARGETS["mnist"][2] / 100)
    found = [
        _accuracy(family, size, fmt, seed, epochs)
        for seed in SEEDS[1:]
        for family, size, fmt, epochs in places
    ]
    for family, size, fmt in deciding(rows, "mnist", TARGETS["mnist"][2], BUILT):
        found += _built(family, size, PricedFormat(fmt))
    return found


# ------------------------------------------------------------------ cells


def _grid(
    family: str, sizes: Sequence[float], formats: Sequence[str], *, long: bool = False
) -> list[Cell]:
    epochs = LONG[family] if long else None
    return [_accuracy(family, size, fmt, 0, epochs) for size in sizes for fmt in formats]


def _member(family: str, size: float, seed: int, exact: int | None = None) -> Member:
    epochs = EPOCHS[family] if exact is None else replace(EPOCHS[family], exact=exact)
    return Member(DATASETS[family], family, size, seed, epochs)


def _accuracy(family: str, size: float, fmt: str, seed: int, epochs: int | None = None) -> Cell:
    """Return the accuracy of a network; ``epochs`` of a float one that is trained otherwise."""
    priced = PricedFormat(fmt)
    member = _member(family, size, seed, None if priced.is_trained else epochs)
    own = member.epochs.of(str(priced.operands.weight)) if priced.is_trained else None
    columns = _place("accuracy", family, size, fmt, seed=seed, epochs=own or member.epochs.exact)
    return Cell(columns, accuracy_job(member, priced))


def _place(part: str, family: str, size: float, fmt: str, **others: Plain) -> dict[str, Plain]:
    assert size in FAMILIES[family].sizes
    empty: dict[str, Plain] = dict.fromkeys(NAMES)
    own: dict[str, Plain] = {"dataset": DATASETS[family], "family": family, "size": float(size)}
    return {**empty, "part": part, **own, "format": fmt, **others}


def _elements() -> Iterator[Cell]:
    for fmt in dict.fromkeys((*MAIN, *OTHERS, *COLOUR)):
        priced = PricedFormat(fmt)
        for sums in (PARTIAL_SUMS, 1) if priced.is_float else (1,):
            for point in element_points(priced, ELEMENTS, PLACEMENTS, partial_sums=sums):
                columns: dict[str, Plain] = {
                    **dict.fromkeys(NAMES),
                    "part": "element",
                    "format": fmt,
                    "target": ELEMENTS,
                    "multiplier": point.multiplier,
                    "sums": sums,
                    "lanes": point.lanes,
                }
                yield Cell(columns, element_job(point))


def _built(family: str, size: float, fmt: PricedFormat) -> Iterator[Cell]:
    """Yield the accelerator that fills the device: by estimate, routed, and in simulation."""
    member = _member(family, size, SEEDS[0])
    filled = filled_job(member, fmt, DEVICE)
    columns = _place("filled", family, size, fmt.text, seed=SEEDS[0], target=DEVICE)
    yield Cell(columns, filled)
    routed = routed_job(filled, DEVICE, 1)
    yield Cell({**columns, "part": "routed", "placement": 1}, routed)
    simulated = Job(
        simulate_filled,
        (DEVICE, member.dataset, SIMULATED),
        (network_job(member, fmt), filled),
        member.dataset,
        seconds=60.0,
        text=f"{member}, {fmt.text}, in simulation",
    )
    yield Cell({**columns, "part": "simulated"}, simulated)
