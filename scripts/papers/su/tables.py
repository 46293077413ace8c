"""Tables of the study ``su2018``: accuracies, elements, prices, accelerators."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from ...pricing.families import FAMILIES as KNOWN
from ...pricing.ranking import MeasuredShare, Standing
from ..evidence import select
from ..markdown import table
from ..study import Cell, Rows, StudyRow
from .claims import FAMILIES
from .plan import NAMES, TARGETS, then
from .plan import cells as planned
from .priced import BLOCK, FLOAT, standings

__all__ = ["tables"]

TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}


def tables(rows: Rows) -> str:
    """Return all tables as Markdown, and what the plan has and the rows have not."""
    parts = [
        part(rows, dataset, target)
        for dataset, targets in TARGETS.items()
        for target in targets
        for part in (_prices,)
    ]
    parts += [_accuracies(rows, dataset) for dataset in TARGETS]
    parts += [_elements(rows), _accelerators(rows)]
    return "\n\n".join(filter(None, [*parts, _missing(rows, [*planned(False), *then(rows)])]))


def _missing(rows: Rows, cells: Sequence[Cell]) -> str:
    """Return which networks of the plan have no row, with their formats."""
    there = {tuple(row.get(name) for name in NAMES) for row in rows}
    found: dict[str, list[str]] = {}
    for cell in cells:
        columns = cell.columns
        if tuple(columns.get(name) for name in NAMES) in there:
            continue
        what = f"{columns['part']}, seed {columns['seed']}"
        if columns["family"] is not None:
            what += f", {columns['family']} {KNOWN[columns['family']].text(columns['size'])}"  # type: ignore[index,arg-type]
        found.setdefault(what, []).append(str(columns["format"]))
    lines = [f"- {what}: {', '.join(formats)}" for what, formats in found.items()]
    return "In the plan and not measured yet:\n\n" + "\n".join(lines) if lines else ""


# ------------------------------------------------------------------ prices


def _prices(rows: Rows, dataset: str, target: float) -> str:
    found = standings(rows, dataset, FAMILIES[dataset], target)
    if not found:
        return ""
    free = {
        each.format: each for each in standings(rows, dataset, FAMILIES[dataset], target, free=True)
    }
    head = ["rank", "format", "network", "held out", "test", "LUT us", "at least", "at most"]
    head += ["DSPs left out: LUT us", "rank", "LUT x cycles", "weights, kbit", "tied with"]
    lines = [_price(each, free[each.format]) for each in found]
    title = f"Price of {target:g} % of {TITLES[dataset]}, LUT-microseconds of an image"
    return f"{title}:\n\n{table(head, lines, left=3)}"


def _price(standing: Standing, free: Standing) -> list[str]:
    chosen = standing.chosen
    if chosen is None:
        best, near = standing.best, isfinite(standing.low)
        said = f"none; best {best.name}{', within its error' if near else ''}"
        return ["", standing.format, said, f"{best.share}", f"{best.tested}", *[""] * 8]
    cost = chosen.fields["cost"]
    return [
        f"{standing.rank}",
        standing.format,
        chosen.name,
        f"{chosen.share}",
        f"{chosen.tested}",
        f"{chosen.cost:,.0f}",
        f"{standing.low:,.0f}",
        f"{standing.high:,.0f}" if isfinite(standing.high) else "not known",
        f"{free.chosen.cost:,.0f}" if free.chosen else "",
        f"{free.rank}",
        f"{cost.lut_cycles:,.0f}",
        f"{cost.weight_bits / 1000:,.0f}",
        ", ".join(standing.tied),
    ]


# ------------------------------------------------------------------ what was measured


def _accuracies(rows: Rows, dataset: str) -> str:
    own = select(rows, part="accuracy", dataset=dataset)
    if not own:
        return ""
    columns: list[tuple[Any, ...]] = sorted(
        {(row["format"], row["epochs"] if row["format"] == FLOAT else 0) for row in own}
    )
    columns.sort(key=lambda each: -len(select(own, format=each[0])))
    kinds = sorted({(row["family"], row["size"]) for row in own}, key=_by_family)
    lines = []
    for family, size in kinds:
        line = [f"{family} {KNOWN[str(family)].text(float(size))}"]  # type: ignore[arg-type]
        for fmt, epochs in columns:
            wanted = select(own, family=family, size=size, format=fmt)
            line.append(_share([row for row in wanted if not epochs or row["epochs"] == epochs]))
        lines.append(line)
    head = ["network", *(f"{fmt}, {epochs} epochs" if epochs else fmt for fmt, epochs in columns)]
    images = min(int(row["images"]) for row in own)  # type: ignore[arg-type]
    return (
        f"Right of {images:,} test images of {TITLES[dataset]}, in per cent, and of as many "
        f"held-out ones; the mean over the seeds, where there are several:\n\n{table(head, lines)}"
    )


def _by_family(place: tuple[Any, ...]) -> tuple[Any, ...]:
    return list(KNOWN).index(place[0]), place[1]


def _share(found: Sequence[StudyRow]) -> str:
    if not found:
        return ""
    shares = [100 * MeasuredShare.of_rows(found, tests=tests).mean for tests in (True, False)]
    seeds = f" ({len(found)} seeds)" if len(found) > 1 else ""
    return "{:.2f} / {:.2f}".format(*shares) + seeds


def _elements(rows: Rows) -> str:
    lines = []
    for row in select(rows, part="element", fmax_mhz=lambda each: each is not None):
        each: dict[str, Any] = row
        area = each["lut"] + BLOCK * each["dsp"]
        lanes, clock = each["lanes"], each["fmax_mhz"]
        lines.append(
            [
                each["format"],
                each["multiplier"],
                f"{each['sums']}" if each["format"] in (FLOAT, "bf16") else "",
                f"{lanes}",
                f"{each['lut']:,}",
                f"{each['dsp']}",
                f"{clock:.1f} ({each['fmax_mhz_min']:.1f} to {each['fmax_mhz_max']:.1f})",
                f"{each['lut'] / lanes:,.1f}",
                f"{area / lanes / clock * 1000:,.1f}",
                f"{each['lut'] / lanes / clock * 1000:,.1f}",
            ]
        )
    if not lines:
        return ""
    target = next(row["target"] for row in select(rows, part="element"))
    head = ["element", "multiplies in", "partial sums", "lanes", "LUT", "DSP", "MHz (range)"]
    head += ["LUT a lane", "LUT ns a product", "DSPs left out"]
    return f"Elements, placed and routed alone on {target}:\n\n{table(head, lines, left=2)}"


def _accelerators(rows: Rows) -> str:
    lines = []
    for row in select(rows, part="filled"):
        each: dict[str, Any] = row
        same = {name: each[name] for name in ("family", "size", "format", "target")}
        routed: Any = next(iter(select(rows, part="routed", **same)), None)
        simulated: Any = next(iter(select(rows, part="simulated", **same)), None)
        lines.append(_accelerator(each, routed, simulated))
    if not lines:
        return ""
    target = next(row["target"] for row in select(rows, part="filled"))
    head = ["network", "format", "array", "cycles an image", "LUT", "routed", "DSP", "block RAM"]
    head += ["MHz", "routed", "images/s", "LUT x cycles", "LUT us", "images that differ"]
    return (
        f"Whole accelerators that fill {target}, of the cheapest networks at 99 % of MNIST: by "
        f"estimate, and routed:\n\n{table(head, lines, left=3)}"
    )


def _accelerator(each: dict[str, Any], routed: Any, simulated: Any) -> list[str]:
    name = f"{each['family']} {KNOWN[each['family']].text(each['size'])}"
    failure = each["failure"] or (routed and routed["failure"])
    if failure:
        return [name, each["format"], failure, *[""] * 11]
    built = routed or each
    clock = built["fmax_mhz"]
    return [
        name,
        each["format"],
        "x".join(str(each[side]) for side in ("rows", "columns", "lanes")),
        f"{each['cycles']:,.0f}",
        f"{each['lut']:,}",
        f"{routed['lut']:,}" if routed else "",
        f"{built['dsp']}",
        f"{built['bram']}",
        f"{each['fmax_mhz']:.1f}" if each["fmax_mhz"] else "",
        f"{routed['fmax_mhz']:.1f}" if routed else "",
        f"{1e6 * clock / each['cycles']:,.0f}" if clock else "",
        f"{built['lut'] * each['cycles']:,.0f}",
        f"{built['lut'] * each['cycles'] / clock:,.0f}" if clock else "",
        f"{simulated['mismatches']} of {simulated['images']}" if simulated else "",
    ]
