"""The plan of the study ``debruin2020``: registers, formats, methods, seeds, hardware."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ....hw.program.bounds import BOUNDS
from ...jobs.job import Job, Plain
from ..evidence import select
from ..floats import train_float
from ..resnet8.network import float_parameters
from ..study import Cell, Rows
from .choosing import choose_rounded, choose_trained
from .hardware import route_network, simulate_network
from .measured import measure_float, measure_network
from .searching import measure_fitted
from .subjects import LENET, RESNET, SUBJECTS
from .training import round_network, train_network

__all__ = [
    "ARRAY",
    "NAMES",
    "NARROW",
    "REGISTERS",
    "ROUTED",
    "SEARCHED",
    "SEEDS",
    "SIMULATED",
    "TARGET",
    "TRAINED",
    "cells",
    "chosen_formats",
    "then",
]

NAMES = ("part", "network", "bits", "method", "bound", "overflow", "seed", "placement")
SEEDS = (0, 1, 2)
REGISTERS = tuple(range(8, 26, 2))
"""Bits of registers on which a network of 8-bit weights and activations is run as it is."""
NARROW = 12
TRAINED: Mapping[str, Mapping[int, Sequence[str]]] = {
    RESNET: {16: ("a2q+",), 12: ("a2q+", "projected", "plain")},
    LENET: {16: ("a2q+",), 12: ("a2q+", "plain"), 10: ("a2q+",)},
}
"""Methods of training, by network and bits."""
SEARCHED: Mapping[str, Sequence[int]] = {RESNET: (16,), LENET: (16, 12)}
BEHIND = "block2.conv1=uint6 block3.conv1=uint6"  # what the longest sums read
CHOICES: Mapping[tuple[str, int], Sequence[str]] = {
    (RESNET, 16): (
        *("int4/uint7/uint7", "int5/uint6/uint7", "int6/uint6/uint6", "int8/uint6/uint8"),
        *(f"int6/uint7/uint8 {BEHIND}", f"int7/uint7/uint8 {BEHIND}"),
    ),
    (LENET, 16): ("int4/uint6/uint6", "int5/uint5/uint6", "int8/uint5/uint5", "int8/uint6/uint6"),
    (LENET, 12): ("int3/uint4/uint4", "int4/uint3/uint3", "int4/uint4/uint4"),
    (LENET, 10): ("int3/uint2/uint2", "int4/uint2/uint2", "int4/uint3/uint3"),
}
"""Formats among which those for an accumulator are chosen, rounded for it; see `StudyFormats`."""
LEARNED: Mapping[tuple[str, int, str], Sequence[str]] = {
    (RESNET, NARROW, "a2q+"): ("int4/uint3/uint5", "int4/uint4/uint5"),
    **{
        (name, NARROW, "plain"): ("int2/uint2/uint4", "int2/uint3/uint5")
        for name in (RESNET, LENET)
    },
}
"""Those that are chosen by an epoch of training; sums of plain ones have to fit as they come."""
AS_IT_IS = "int8/uint8/uint8"
VALIDATION, TESTS, FEW, CHOOSING, SEARCHING = 5000, 10_000, 2000, 1000, 500
WATCHED = {RESNET: 1000, LENET: 10_000}

ARRAY: Mapping[str, Any] = {"rows": 2, "columns": 4, "lanes": 4, "chains": 1, "slice": None}
SIMULATING: Mapping[str, tuple[str, dict[str, Any]]] = {
    RESNET: ("ecp5-45k", {"rows": 4, "columns": 4, "lanes": 16, "chains": 4, "slice": None}),
    LENET: ("up5k", dict(ARRAY)),
}
ROUNDED = RESNET, 16
"""Of this the rounded network is simulated; of others the one that is trained."""
TARGET = "ecp5-25k"
"""Where a network of `NARROW` bits is routed on `ARRAY` with registers of each width."""
ROUTED = (NARROW, 16, 24)
PLACEMENTS = (1, 2)
SIMULATED = {RESNET: 50, LENET: 500}


def cells(quick: bool) -> list[Cell]:
    """Return what needs no choice; or LeNet-5 on few images."""
    if quick:
        return [_float(LENET, 0, few=True)]
    found = [_float(name, 0) for name in SUBJECTS]
    found += [_float(LENET, seed) for seed in SEEDS[1:]]
    for (name, bits), formats in CHOICES.items():
        found.append(_rounded_choice(name, bits, formats))
    found += [_trained_choice(*place, formats) for place, formats in LEARNED.items()]
    for name in SUBJECTS:
        network = _rounded(name, None, AS_IT_IS)
        found += [
            _measured("as it is", name, network, bits, "untrained", few=True) for bits in REGISTERS
        ]
    for name, widths in SEARCHED.items():
        found += [_searched(name, bits, bound) for bits in widths for bound in BOUNDS]
    return found


def then(rows: Rows) -> list[Cell]:
    """Return what follows from choices of formats: trainings, and their hardware."""
    found: list[Cell] = []
    for name, by_bits in TRAINED.items():
        for bits, methods in by_bits.items():
            for method in methods:
                found += _trained(rows, name, bits, method)
    return [*found, *_hardware(rows)]


def chosen_formats(rows: Rows, name: str, bits: int, method: str) -> str | None:
    """Return the formats that label most held-out images right: rounded, or trained a little."""
    kind = "plain" if method == "plain" else "a2q+"
    for row in select(rows, part="choice", network=name, bits=bits, method=kind):
        shares: Mapping[str, int] = row["shares"]  # type: ignore[assignment]
        return max(shares, key=shares.__getitem__, default=None)
    return None


def _trained(rows: Rows, name: str, bits: int, method: str) -> Iterator[Cell]:
    """Yield a method's trainings, one a seed, and what it starts from."""
    formats = chosen_formats(rows, name, bits, method)
    if formats is None:
        return
    for seed in SEEDS:
        yield _measured("trained", name, _training(name, bits, method, formats, seed), bits, method,
                        seed=seed, formats=formats)  # fmt: skip
        if method == "a2q+":
            network = _rounded(name, bits, formats, seed)
            yield _measured("rounded", name, network, bits, "rounded", seed=seed, formats=formats)


def _hardware(rows: Rows) -> Iterator[Cell]:
    for name, (target, array) in SIMULATING.items():
        for bits, methods in TRAINED[name].items():
            formats = chosen_formats(rows, name, bits, methods[0])
            if formats is None:
                continue
            network = _training(name, bits, methods[0], formats, SEEDS[0])
            if (name, bits) == ROUNDED:
                network = _rounded(name, bits, formats)
            yield _simulated(name, network, bits, target, array)
    formats = chosen_formats(rows, RESNET, NARROW, "a2q+")
    if formats is not None:
        network = _training(RESNET, NARROW, "a2q+", formats, SEEDS[0])
        for bits in ROUTED:
            for placement in PLACEMENTS:
                yield _routed(network, bits, placement)


# ------------------------------------------------------------------ jobs


def _exact(name: str, seed: int) -> Job:
    subject = SUBJECTS[name]
    if subject.floats is None:
        return Job(float_parameters, (), (), subject.dataset, seconds=30, text=f"read {name}")
    given = replace(subject.floats, seed=seed).plain()
    text = f"train {name} in float, seed {seed}"
    return Job(train_float, (given,), (), subject.dataset, seconds=150, text=text)


def _rounded(name: str, bits: int | None, formats: str, seed: int = 0) -> Job:
    given: dict[str, Plain] = {"bits": bits, "formats": formats, "seed": seed}
    text = f"round {name} to {formats}, {bits or 'any'} bits, seed {seed}"
    data = SUBJECTS[name].dataset
    return Job(round_network, (name, given), (_exact(name, seed),), data, seconds=30, text=text)


def _training(name: str, bits: int, method: str, formats: str, seed: int) -> Job:
    given: dict[str, Plain] = {"bits": bits, "method": method, "formats": formats, "seed": seed}
    text = f"train {name}, {method}, {bits} bits, seed {seed}"
    data, seconds = SUBJECTS[name].dataset, 500.0 if name == RESNET else 150.0
    need = _exact(name, seed)
    return Job(train_network, (name, given), (need,), data, seconds=seconds, text=text)


def _place(part: str, network: str, bits: int | None = None, **others: Plain) -> dict[str, Plain]:
    empty: dict[str, Plain] = dict.fromkeys(NAMES)
    return {**empty, "part": part, "network": network, "bits": bits, **others}


def _float(name: str, seed: int, *, few: bool = False) -> Cell:
    counts = [CHOOSING, FEW] if few else [VALIDATION, TESTS]
    job = Job(
        *(measure_float, (name, seed, *counts), (_exact(name, seed),)),
        SUBJECTS[name].dataset,
        seconds=20,
        text=f"{name} in float, seed {seed}",
    )
    return Cell(_place("float", name, seed=seed), job)


def _rounded_choice(name: str, bits: int, formats: Sequence[str]) -> Cell:
    job = Job(
        choose_rounded,
        (name, bits, list(formats), CHOOSING),
        (_exact(name, 0),),
        SUBJECTS[name].dataset,
        seconds=25.0 * len(formats),
        text=f"formats of {name}, {bits} bits",
    )
    return Cell(_place("choice", name, bits, method="a2q+"), job)


def _trained_choice(name: str, bits: int, method: str, formats: Sequence[str]) -> Cell:
    job = Job(
        choose_trained,
        (name, method, bits, list(formats), CHOOSING),
        (_exact(name, 0),),
        SUBJECTS[name].dataset,
        seconds=180.0 * len(formats),
        text=f"formats of {name} in training, {method}, {bits} bits",
    )
    return Cell(_place("choice", name, bits, method=method, learned=True), job)


def _measured(
    part: str,
    name: str,
    network: Job,
    bits: int,
    method: str,
    *,
    seed: int = 0,
    few: bool = False,
    **others: Plain,
) -> Cell:
    counts: list[Plain] = [VALIDATION, TESTS, WATCHED[name]]
    if few:
        counts = [CHOOSING, FEW, CHOOSING]
    job = Job(
        measure_network,
        (name, bits, "wrap", counts),
        (network,),
        SUBJECTS[name].dataset,
        seconds=40,
        text=f"{name}, {method}, {bits} bits, seed {seed}",
    )
    columns = _place(part, name, bits, method=method, overflow="wrap", seed=seed)
    return Cell({**columns, **others}, job)


def _searched(name: str, bits: int, bound: str) -> Cell:
    given: dict[str, Plain] = {"bits": bits, "bound": bound, "seed": 0, "validation": SEARCHING}
    job = Job(
        measure_fitted,
        (name, given, [VALIDATION, TESTS, WATCHED[name]]),
        (_exact(name, 0),),
        SUBJECTS[name].dataset,
        seconds=600 if name == RESNET else 150,
        text=f"search {name}, {bits} bits, {bound}",
    )
    return Cell(_place("searched", name, bits, bound=bound, overflow="wrap", seed=0), job)


def _simulated(name: str, network: Job, bits: int, target: str, array: dict[str, Plain]) -> Cell:
    job = Job(
        simulate_network,
        (name, bits, array, target, SIMULATED[name]),
        (network,),
        SUBJECTS[name].dataset,
        seconds=100,
        text=f"{name}, {bits} bits, in simulation",
    )
    return Cell(_place("simulated", name, bits, seed=SEEDS[0]), job)


def _routed(network: Job, bits: int, placement: int) -> Cell:
    job = Job(
        route_network,
        (bits, dict(ARRAY), TARGET, placement),
        (network,),
        SUBJECTS[RESNET].dataset,
        seconds=200,
        text=f"{RESNET}, registers of {bits} bits on {TARGET}, placement {placement}",
    )
    return Cell(_place("routed", RESNET, bits, placement=placement), job)
