"""Finds prices: trains networks of a family, narrow ones first, until they reach the target."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...hw.errors import NarrowgaugeError
from ...hw.tools.store import Store
from ..jobs.job import Job
from .costs import ArrayCost, Element, array_cost
from .elements import PricedFormat, element_points
from .families import find_family
from .jobs import accuracy_job, element_job, filled_job, routed_job
from .ranking import Contender, MeasuredShare, Standing, ranked
from .request import PriceRequest
from .work import ImageSpec, work_of

__all__ = ["FilledDevice", "Price", "contender", "find_prices"]

Run = Callable[[Sequence[Job]], dict[str, str]]
"""Runs jobs; returns why some have no value, by their keys."""


@dataclass(frozen=True)
class FilledDevice:
    """The accelerator of a format's chosen network, which fills the device as far as it can.

    Attributes
    ----------
    lut, dsp, bram, cycles, fmax_mhz
        Of one image a pass of the stream; the clock is the median of the placements.
    routed : bool
        Whether it was placed and routed, or is estimated.
    failure : str or None
        Why there is none.
    """

    lut: int = 0
    dsp: int = 0
    bram: int = 0
    cycles: float = 0.0
    fmax_mhz: float = 0.0
    array: str = ""
    routed: bool = False
    failure: str | None = None

    @property
    def images_per_second(self) -> float:
        """Images a second."""
        return 1e6 * self.fmax_mhz / self.cycles if self.cycles else 0.0

    @property
    def lut_cycles(self) -> float:
        """LUTs times cycles of an image."""
        return self.lut * self.cycles


@dataclass(frozen=True)
class Price:
    """Where a format stands, and the accelerator of its chosen network."""

    standing: Standing
    accelerator: FilledDevice | None


def contender(
    fmt: PricedFormat,
    name: str,
    rows: Sequence[dict[str, Any]],
    cost: ArrayCost,
    *,
    free: bool = False,
    **fields: Any,
) -> Contender:
    """Return a network of a format, given its accuracies, one a seed; blocks priced, or free."""
    return Contender(
        format=fmt.text,
        name=name,
        share=MeasuredShare.of_rows(rows),
        tested=MeasuredShare.of_rows(rows, tests=True),
        cost=cost.free if free else cost.area_time,
        error=cost.error,
        fields={"cost": cost, **fields},
    )


def find_prices(
    request: PriceRequest, store: Store, run: Run
) -> tuple[list[Price], dict[str, str]]:
    """Return the prices of all formats, the cheapest first, and why jobs failed.

    Raises
    ------
    NarrowgaugeError
        Where no format has an element on the device: why the first has none.
    """
    elements, failed = _elements(request, store, run)
    contenders, more = _contenders(request, store, run, elements)
    failed |= more
    standings = ranked(contenders, request.share) if contenders else []
    accelerators, more = _accelerators(request, store, run, standings)
    found = [Price(each, accelerators.get(each.format)) for each in standings]
    return found, failed | more


def _elements(
    request: PriceRequest, store: Store, run: Run
) -> tuple[dict[str, list[Element]], dict[str, str]]:
    """Return the elements of each format that were routed, by its text."""
    points = {
        fmt.text: element_points(fmt, request.target, request.placements)
        for fmt in request.priced.values()
    }
    jobs = {point: element_job(point) for each in points.values() for point in each}
    failed = run(list(jobs.values()))
    found: dict[str, list[Element]] = {}
    for text, each in points.items():
        for point in each:
            value = jobs[point].get(store)
            if isinstance(value, dict) and value["fmax_mhz"]:
                row = {**value, "lanes": point.lanes, "multiplier": point.multiplier}
                found.setdefault(text, []).append(Element.of_row(row))
            elif isinstance(value, dict):
                failed[jobs[point].key] = f"{jobs[point].text}: {value['failure']}"
    if not found:
        raise NarrowgaugeError(next(iter(failed.values()), "no format has an element"))
    return found, failed


def _contenders(
    request: PriceRequest, store: Store, run: Run, elements: dict[str, list[Element]]
) -> tuple[list[Contender], dict[str, str]]:
    """Train sizes in their order; of each family and format until one reaches the target."""
    found: list[Contender] = []
    failed: dict[str, str] = {}
    waiting = {
        (family, text): list(find_family(family).sizes)
        for family in request.families
        for text in elements
    }
    formats = {fmt.text: fmt for fmt in request.priced.values()}
    while waiting:
        turn = {place: sizes.pop(0) for place, sizes in waiting.items()}
        jobs = {
            (family, text): [
                accuracy_job(request.member(family, size, seed), formats[text])
                for seed in range(request.seeds)
            ]
            for (family, text), size in turn.items()
        }
        failed |= run([job for each in jobs.values() for job in each])
        for (family, text), size in turn.items():
            rows: list[Any] = [job.get(store) for job in jobs[family, text]]
            rows = [row for row in rows if row is not None]
            if rows:
                each = _contender(request, formats[text], family, size, rows, elements[text])
                found.append(each)
                if each.share.surely(request.share):
                    del waiting[family, text]
                    continue
            if not waiting[family, text]:
                del waiting[family, text]
    return found, failed


def _contender(
    request: PriceRequest,
    fmt: PricedFormat,
    family: str,
    size: float,
    rows: Sequence[dict[str, Any]],
    elements: Iterable[Element],
) -> Contender:
    work = work_of(family, size, ImageSpec.of(request.dataset))
    cost = array_cost(fmt, work, elements, request.block)
    name = f"{family} {find_family(family).text(size)}"
    return contender(fmt, name, rows, cost, family=family, size=size)


def _accelerators(
    request: PriceRequest, store: Store, run: Run, standings: Sequence[Standing]
) -> tuple[dict[str, FilledDevice], dict[str, str]]:
    """Return the accelerator of each chosen network that has a network file."""
    chosen = {each.format: each.chosen for each in standings if each.chosen is not None}
    formats = {fmt.text: fmt for fmt in request.priced.values()}
    filled = {
        text: filled_job(
            request.member(each.fields["family"], each.fields["size"], 0),
            formats[text],
            request.target,
        )
        for text, each in chosen.items()
    }
    failed = run(list(filled.values()))
    found: dict[str, FilledDevice] = {}
    routes: dict[str, list[Job]] = {}
    for text, job in filled.items():
        design: Any = job.get(store)
        if design is None:
            continue
        found[text] = _accelerator(design, routed=False)
        if design["failure"] is None and request.route:
            routes[text] = [
                routed_job(job, request.target, seed) for seed in range(1, request.placements + 1)
            ]
    failed |= run([job for each in routes.values() for job in each])
    for text, jobs in routes.items():
        rows: list[Any] = [row for job in jobs if (row := job.get(store)) is not None]
        good = sorted((row for row in rows if not row["failure"]), key=lambda row: row["fmax_mhz"])
        if good:
            middle = good[len(good) // 2]
            found[text] = replace(_accelerator(middle, routed=True), array=found[text].array)
        elif rows:
            found[text] = replace(found[text], failure=rows[0]["failure"])
    return found, failed


def _accelerator(row: dict[str, Any], *, routed: bool) -> FilledDevice:
    if row["failure"]:
        return FilledDevice(failure=row["failure"])
    names = ("lut", "dsp", "bram", "cycles", "fmax_mhz")
    array = "x".join(str(row.get(name, "")) for name in ("rows", "columns", "lanes"))
    return FilledDevice(**{name: row[name] for name in names}, array=array, routed=routed)
