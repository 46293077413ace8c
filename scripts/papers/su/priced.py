"""From rows of the study to networks with a price: what the claims and the figures rest on."""

from collections.abc import Iterator, Sequence
from typing import Any

from ....hw.numbers.float_sum import PARTIAL_SUMS
from ...pricing.costs import BLOCK_LUTS, Element, array_cost
from ...pricing.elements import PricedFormat
from ...pricing.families import FAMILIES
from ...pricing.prices import contender
from ...pricing.ranking import Contender, MeasuredShare, Standing, ranked
from ...pricing.work import ImageSpec, work_of
from ..evidence import select
from ..study import Rows, StudyRow

__all__ = [
    "BIPOLAR",
    "BIPOLAR_8",
    "BLOCK",
    "FLOAT",
    "contenders",
    "deciding",
    "elements",
    "near",
    "standings",
]

FLOAT = "fp32"
BIPOLAR, BIPOLAR_8 = "bipolar/bipolar", "bipolar/uint8"
BLOCK = BLOCK_LUTS["ecp5"]
IMAGES = {"mnist": ImageSpec((28, 28, 1), 10, 8), "cifar10": ImageSpec((32, 32, 3), 10, 8)}
NEAR = 0.003  # share from the target within which more seeds are trained


def elements(rows: Rows, fmt: str, sums: int = PARTIAL_SUMS) -> list[Element]:
    """Return the elements of a format; of floats those with so many partial sums."""
    wanted = sums if PricedFormat(fmt).is_float else 1
    found = select(rows, part="element", format=fmt, sums=wanted)
    return [Element.of_row(row) for row in found if row["fmax_mhz"]]


def contenders(
    rows: Rows,
    dataset: str,
    families: Sequence[str],
    *,
    free: bool = False,
    sums: int = PARTIAL_SUMS,
) -> list[Contender]:
    """Return all networks of some families that have accuracies and an element.

    Of a float network that was trained for longer, too, the one counts that is better on held-out
    images.

    Parameters
    ----------
    free : bool
        Whether DSP blocks are left out.
    sums : int
        Partial sums of floats: 1 adds in one cycle.
    """
    found = []
    for family, size, fmt, own in _networks(rows, dataset, families):
        known = elements(rows, fmt, sums)
        if not known:
            continue
        priced = PricedFormat(fmt)
        cost = array_cost(priced, work_of(family, size, IMAGES[dataset]), known, BLOCK)
        name = f"{family} {FAMILIES[family].text(size)}"
        fields: dict[str, Any] = {"family": family, "size": size}
        found.append(contender(priced, name, own, cost, free=free, **fields))
    return found


def _networks(
    rows: Rows, dataset: str, families: Sequence[str]
) -> Iterator[tuple[str, float, str, list[StudyRow]]]:
    """Yield family, size, format and rows of every network, of the training whose first is better.

    Other seeds do not choose: only trainings near a target have some.
    """
    places: dict[tuple[Any, ...], dict[Any, list[StudyRow]]] = {}
    for row in select(rows, part="accuracy", dataset=dataset, family=lambda each: each in families):
        place = row["family"], row["size"], row["format"]
        places.setdefault(place, {}).setdefault(row["epochs"], []).append(row)
    for (family, size, fmt), trainings in sorted(places.items(), key=lambda item: repr(item[0])):
        yield family, size, fmt, max(trainings.values(), key=_first_share)


def _first_share(own: Rows) -> float:
    """Return the share of the first seed of a training."""
    return MeasuredShare.of_rows([min(own, key=lambda row: row["seed"])]).mean  # type: ignore[arg-type,return-value]


def standings(
    rows: Rows, dataset: str, families: Sequence[str], target: float, **how: Any
) -> list[Standing]:
    """Return where formats stand at a target in per cent; ``how`` is that of `contenders`."""
    return ranked(contenders(rows, dataset, families, **how), target / 100)


def near(rows: Rows, dataset: str, target: float) -> list[tuple[str, float, str, int]]:
    """Return family, size, format and epochs of what the first seed has near a target share."""
    found = []
    for row in select(rows, part="accuracy", dataset=dataset, seed=0):
        if abs(MeasuredShare.of_rows([row]).mean - target) < NEAR:
            found.append((row["family"], row["size"], row["format"], row["epochs"]))
    # what the claim about 99 % is decided by comes first
    return sorted(found, key=lambda each: (each[2] not in (FLOAT, BIPOLAR, BIPOLAR_8), each))


def deciding(
    rows: Rows, dataset: str, target: float, formats: Sequence[str]
) -> list[tuple[str, float, str]]:
    """Return family, size and format of the cheapest networks of some formats at a target."""
    families = tuple(name for name in FAMILIES if select(rows, dataset=dataset, family=name))
    return [
        (each.chosen.fields["family"], each.chosen.fields["size"], each.format)
        for each in standings(rows, dataset, families, target)
        if each.chosen is not None and each.format in formats
    ]
