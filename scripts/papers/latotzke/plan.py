"""The plan of the study ``latotzke2022``: networks and their widths, arrays, targets."""

from collections.abc import Iterator, Mapping
from typing import Any

from ...jobs.job import Job, Plain
from ..evidence import select
from ..resnet8.network import DATASET, float_parameters
from ..study import Cell, Rows
from .hardware import count_cycles, route_network, simulate_network
from .keywords import KEYWORDS, keyword_sensitivity, measure_keywords
from .measured import measure_float, measure_network, quantise
from .training import train_mixed
from .widths import (
    WIDTHS,
    Assignment,
    chosen_channels,
    chosen_layers,
    halved_channels,
    mean_bits,
    mean_slices,
    measure_sensitivity,
    random_layers,
    uniform,
)

__all__ = [
    "ARRAYS",
    "BAR",
    "COMPARED",
    "FAST",
    "LONGER",
    "MEANS",
    "MIXED",
    "MIXED_SHORTER",
    "NAMES",
    "RANDOM_MEAN",
    "RESNET",
    "SCHEDULE",
    "SIMULATED",
    "SMALLER",
    "SMALL_ARRAYS",
    "TARGET",
    "cells",
    "then",
]

NAMES = ("part", "network", "by", "mean", "trained", "seed", "draw", "array", "target", "placement")
MEANS = (2.5, 3.0, 4.0, 6.0)
"""Bits of a weight in the mean, of layers and channels; at 2 there is int2 alone."""
RANDOM_MEAN, DRAWS = 3.0, 20
SLICES = 1.65  # in the mean over all products, of layers that are to be fast
VALIDATION, TESTS, FEW = 5000, 10_000, 2000
SCHEDULE = {"epochs": 2, "rate": 5e-4, "distill": 1.0}
LONGER = {"epochs": 10, "rate": 7e-4, "distill": 1.0}
"""Of the network that is built, and of int8 beside it."""
SHORTER = {**LONGER, "epochs": 5}
TRAINED_WIDTHS = (2, 3, 4, 8)
"""Uniform formats that are trained."""

# ------------------------------------------------------------------ arrays

TARGET, SMALLER = "ecp5-45k", "ecp5-25k"
ARRAYS: Mapping[str, dict[str, Any]] = {
    "slices of 2": {"rows": 4, "columns": 4, "lanes": 16, "chains": 4, "slice": 2},
    "fixed int8": {"rows": 5, "columns": 2, "lanes": 8, "chains": 1, "slice": None},
    "fixed int4": {"rows": 4, "columns": 4, "lanes": 8, "chains": 4, "slice": None},
}
"""The fastest of each kind in the logic cells of the first."""
SMALL_ARRAYS: Mapping[str, dict[str, Any]] = {
    "slices of 2, 8 lanes": {"rows": 4, "columns": 8, "lanes": 8, "chains": 4, "slice": 2},
    "fixed int8, 2 lanes": {"rows": 1, "columns": 1, "lanes": 2, "chains": 1, "slice": None},
}
"""Of the smaller target: one that has room in its memory, and one that takes the least of it."""
PLACEMENTS = [1, 2, 3]
SIMULATED = 200
MIXED, MIXED_SHORTER = "layers, longer", "layers, 5 epochs"
"""At 3 bits, the networks that are built."""
COMPARED = "int8, longer"
"""What it is compared with, trained alike."""
BAR = "channels of 2 and 4"
RESNET = "resnet8"
FAST = "layers, fast"


def cells(quick: bool) -> list[Cell]:
    """Return the part that needs no choice; or int4 without training, on few images."""
    if quick:
        return [_accuracy("uniform", 4, QUICK, trained=False, few=True)]
    found = [Cell(_place("sensitivity"), SENSITIVITY), _float()]
    found += [
        _accuracy("uniform", width, uniform(LAYERS, width), trained=False) for width in WIDTHS
    ]
    found += [
        _accuracy("uniform", width, uniform(LAYERS, width), trained=True)
        for width in TRAINED_WIDTHS
    ]
    found.append(_accuracy(COMPARED, 8, uniform(LAYERS, 8), trained=True, schedule=LONGER))
    found.append(Cell(_place("sensitivity", network=KEYWORDS), KEYWORD_SENSITIVITY))
    found += [_spoken("float", 32, None)]
    return found


def then(rows: Rows) -> list[Cell]:
    """Return what follows from the sensitivities: chosen and random widths, and their hardware."""
    spoken: Mapping[str, Any] | None = _sensitivity(rows, KEYWORDS)
    found: Mapping[str, Any] | None = _sensitivity(rows, RESNET)
    planned = [] if spoken is None else _keywords(spoken)
    return planned if found is None else [*_resnet(found), *planned]


def _sensitivity(rows: Rows, network: str) -> Mapping[str, Any] | None:
    return next(iter(select(rows, part="sensitivity", network=network)), None)


def _keywords(found: Mapping[str, Any]) -> list[Cell]:
    """Return the cells of the keyword network, which nothing trains."""
    names = list(found["weights"])
    planned = [_spoken("uniform", width, uniform(names, width)) for width in WIDTHS]
    for mean in MEANS:
        for by, each in (
            ("layers", chosen_layers(found, mean)),
            ("channels", chosen_channels(found, mean)),
        ):
            if each is not None:
                planned.append(_spoken(by, mean, each))
    return planned + [
        _spoken("random", RANDOM_MEAN, random_layers(found, RANDOM_MEAN, draw), draw)
        for draw in range(DRAWS)
    ]


def _resnet(found: Mapping[str, Any]) -> list[Cell]:
    """Return the cells of ResNet-8."""
    bar, fast = halved_channels(found), chosen_layers(found, 3.0, SLICES)
    mixed = chosen_layers(found, 3.0)
    planned = [_chosen(found, BAR, 3.0, bar, trained=True)]
    for by, schedule in ((MIXED, LONGER), (MIXED_SHORTER, SHORTER)):
        planned += (
            [_chosen(found, by, 3.0, mixed, trained=True, schedule=schedule)] if mixed else []
        )
    planned += [_chosen(found, FAST, 3.0, fast, trained=True)] if fast else []
    planned += list(_hardware(found))
    for trained in (False, True):
        for mean in MEANS:
            for by, each in (
                ("layers", chosen_layers(found, mean)),
                ("channels", chosen_channels(found, mean)),
            ):
                if each is not None:
                    planned.append(_chosen(found, by, mean, each, trained=trained))
    planned.append(_chosen(found, BAR, 3.0, bar, trained=False))
    for draw in range(DRAWS):
        each = random_layers(found, RANDOM_MEAN, draw)
        planned.append(_chosen(found, "random", RANDOM_MEAN, each, trained=False, draw=draw))
    return planned


def _hardware(found: Mapping[str, Any]) -> Iterator[Cell]:
    """Yield what is built: the mixed network, and uniform ones on the arrays that run them."""
    sliced, wide, narrow = ARRAYS
    mixed = chosen_layers(found, 3.0)
    assert mixed is not None
    int8, int4 = (_quantising(uniform(LAYERS, width)) for width in (8, 4))
    trained = _training(mixed)  # of the same widths and memories as after longer training
    for seed in PLACEMENTS:
        yield _routed(sliced, MIXED, trained, TARGET, seed)
        yield _routed(wide, "int8", int8, TARGET, seed)
    yield _routed(narrow, "int4", int4, TARGET, PLACEMENTS[0])
    fitting, least = SMALL_ARRAYS
    yield _routed(fitting, MIXED, trained, SMALLER, PLACEMENTS[0])
    yield _counted(fitting, MIXED, trained)
    yield _counted(least, "int8", int8)
    yield _simulated(sliced, MIXED, _training(mixed, LONGER))
    yield _simulated(sliced, MIXED_SHORTER, _training(mixed, SHORTER))
    yield _simulated(wide, "int8", int8)
    yield _simulated(narrow, "int4", int4)
    others = {BAR: halved_channels(found), FAST: chosen_layers(found, 3.0, SLICES)}
    for text, assignment in others.items():
        if assignment is not None:
            yield _simulated(sliced, text, _training(assignment))
    for width in WIDTHS:
        network = _quantising(uniform(LAYERS, width))
        for array in ARRAYS:
            if ARRAYS[array]["slice"] or f"int{width}" == array.rpartition(" ")[2]:
                yield _counted(array, f"int{width}", network)


# ------------------------------------------------------------------ jobs

LAYERS = (
    "conv",
    *(f"block1.conv{index}" for index in (1, 2)),
    *(f"block{block}.{name}" for block in (2, 3) for name in ("conv1", "conv2", "shortcut")),
    "dense",
)
QUICK = uniform(LAYERS, 4)
FLOAT = Job(float_parameters, (), (), DATASET, seconds=20, text="read the float network")
SENSITIVITY = Job(
    measure_sensitivity, (), (FLOAT,), DATASET, seconds=90, text="what layers lose at each width"
)


def _training(assignment: Assignment, schedule: Mapping[str, Any] = SCHEDULE) -> Job:
    given: dict[str, Plain] = {**assignment, **schedule, "seed": 0}
    text = f"train at {sorted(set(assignment['widths'].values()))} bits"
    seconds = 140.0 * schedule["epochs"]
    return Job(train_mixed, (given,), (FLOAT,), DATASET, seconds=seconds, text=text)


def _quantising(assignment: Assignment) -> Job:
    text = f"quantise to {sorted(set(assignment['widths'].values()))} bits"
    return Job(quantise, (assignment,), (FLOAT,), DATASET, seconds=15, text=text)


KEYWORD_SENSITIVITY = Job(
    keyword_sensitivity, (), (), KEYWORDS, seconds=20, text="what layers lose, keywords"
)


def _spoken(by: str, mean: float, assignment: Assignment | None, draw: int | None = None) -> Cell:
    text = f"keywords, {by} {mean:g}{'' if draw is None else f', draw {draw}'}"
    job = Job(measure_keywords, (assignment,), (), KEYWORDS, seconds=6, text=text)
    columns = _place("accuracy", by, mean, network=KEYWORDS, trained=False, seed=0, draw=draw)
    if assignment is not None:
        columns["widths"] = list(assignment["widths"].values())
    return Cell(columns, job)


def _place(part: str, by: str = "", mean: float | None = None, **others: Plain) -> dict[str, Plain]:
    return {"part": part, "network": RESNET, "by": by, "mean": mean, **others}


def _accuracy(
    by: str,
    mean: float,
    assignment: Assignment,
    *,
    trained: bool,
    schedule: Mapping[str, Any] = SCHEDULE,
    draw: int | None = None,
    few: bool = False,
    **others: Plain,
) -> Cell:
    network = _quantising(assignment)
    if trained:
        network = _training(assignment, schedule)
    counts = [FEW // 2, FEW] if few else [VALIDATION, TESTS]
    job = Job(
        measure_network,
        (*counts,),
        (network,),
        DATASET,
        seconds=sum(counts) * 2.5e-3,
        text=f"{by} {mean:g}, {'trained' if trained else 'after training'}",
    )
    columns = _place("accuracy", by, mean, trained=trained, seed=0, draw=draw, **others)
    return Cell(columns, job)


def _chosen(
    found: Mapping[str, Any],
    by: str,
    mean: float,
    assignment: Assignment,
    *,
    trained: bool,
    schedule: Mapping[str, Any] = SCHEDULE,
    draw: int | None = None,
) -> Cell:
    return _accuracy(
        by,
        mean,
        assignment,
        trained=trained,
        schedule=schedule,
        draw=draw,
        few=draw is not None,
        widths=list(assignment["widths"].values()),
        planned_bits=round(mean_bits(found, assignment), 3),
        slices=round(mean_slices(found, assignment), 3),
    )


def _float() -> Cell:
    job = Job(
        measure_float, (VALIDATION, TESTS), (FLOAT,), DATASET, seconds=20, text="the float network"
    )
    return Cell(_place("accuracy", "float", 32, trained=False, seed=0, draw=None), job)


def _geometry(array: str) -> dict[str, Any]:
    return {**ARRAYS, **SMALL_ARRAYS}[array]


def _routed(array: str, network: str, job: Job, target: str, seed: int) -> Cell:
    routing = Job(
        route_network,
        (_geometry(array), target, seed),
        (job,),
        DATASET,
        seconds=600,
        text=f"{network} on {array}, {target}, placement {seed}",
    )
    return Cell(_place("routed", network, array=array, target=target, placement=seed), routing)


def _simulated(array: str, network: str, job: Job) -> Cell:
    running = Job(
        simulate_network,
        (_geometry(array), TARGET, SIMULATED),
        (job,),
        DATASET,
        seconds=200,
        text=f"{network} on {array} in simulation",
    )
    return Cell(_place("simulated", network, array=array, target=TARGET), running)


def _counted(array: str, network: str, job: Job) -> Cell:
    counting = Job(
        count_cycles,
        (_geometry(array), [TARGET, SMALLER]),
        (job,),
        DATASET,
        seconds=2,
        text=f"cycles of {network} on {array}",
    )
    return Cell(_place("cycles", network, array=array, target=TARGET), counting)
