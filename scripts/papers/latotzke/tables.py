"""Tables of the study ``latotzke2022``: accuracies, and what the arrays take and give."""

from statistics import median
from typing import Any

import numpy as np

from ..answers import answers, share_change
from ..evidence import select
from ..markdown import missing, table
from ..study import Rows, StudyRow
from .claims import clock, cycles, images_per_second, one
from .keywords import KEYWORDS
from .plan import (
    ARRAYS,
    BAR,
    COMPARED,
    FAST,
    MEANS,
    MIXED,
    MIXED_SHORTER,
    NAMES,
    RANDOM_MEAN,
    RESNET,
    SMALL_ARRAYS,
    SMALLER,
    TARGET,
    then,
)
from .plan import cells as planned

__all__ = ["tables"]

KINDS = ("uniform", COMPARED, "layers", MIXED, MIXED_SHORTER, FAST, "channels", BAR)


def tables(rows: Rows) -> str:
    """Return all tables as Markdown, and what the plan has and the rows have not."""
    parts = [_arrays(rows), _speeds(rows)]
    for network in (RESNET, KEYWORDS):
        parts += [part(rows, network) for part in (_accuracies, _random, _sensitivities)]
    return "\n\n".join(filter(None, [*parts, missing(rows, [*planned(False), *then(rows)], NAMES)]))


def _share(row: StudyRow) -> str:
    return f"{100 * float(answers(row).mean()):.2f} %"


def _accuracies(rows: Rows, network: str) -> str:
    own = select(rows, part="accuracy", network=network)
    base, int8 = one(own, by="float"), one(own, by="uniform", mean=8, trained=False)
    if base is None:
        return ""
    lines = [["float", "", "32", _share(base), _share(base), "", "", ""]]
    for by in KINDS:
        found = select(own, by=by, draw=None)
        for mean in sorted({float(row["mean"]) for row in found}):  # type: ignore[arg-type]
            pair = [one(found, mean=mean, trained=trained) for trained in (False, True)]
            lines.append(_accuracy(by, mean, pair, int8))
    head = ["widths", "mean, at most", "bits of a weight", "after training", "trained"]
    head += ["beside int8", "weights, bits", "slices of a product"]
    return (
        f"Right of {base['images']:,} test images of {network}, whose weights have a mean of so "
        "many bits; beside int8 after training are points of the one that is better in validation, "
        "with the error of paired images:\n\n" + table(head, lines)
    )


def _accuracy(
    by: str, mean: float, pair: list[StudyRow | None], int8: StudyRow | None
) -> list[str]:
    found = [row for row in pair if row is not None]
    top = max(found, key=lambda row: row["right_validation"])  # type: ignore[arg-type,return-value]
    points, error = share_change(top, int8) if int8 is not None else (0.0, 0.0)
    return [
        by,
        f"{mean:g}",
        f"{top['mean_bits']:.2f}",
        *("" if row is None else _share(row) for row in pair),
        "" if int8 is None or top is int8 else f"{points:+.2f} ± {error:.2f}",
        f"{top['bits']:,}",
        f"{top['slices']:.2f}" if "slices" in top else f"{-(-int(mean) // 2)}",
    ]


def _random(rows: Rows, network: str) -> str:
    own = select(rows, part="accuracy", network=network)
    drawn = select(own, by="random", mean=RANDOM_MEAN)
    if not drawn:
        return ""
    shares = sorted(100 * float(answers(row).mean()) for row in drawn)
    lines = [
        [
            str(len(shares)),
            f"{shares[0]:.1f} %",
            f"{median(shares):.1f} %",
            f"{shares[-1]:.1f} %",
            f"{np.std(shares, ddof=1) if len(shares) > 1 else 0.0:.1f}",
        ]
    ]
    for by in ("layers", "channels"):
        row = one(own, by=by, mean=RANDOM_MEAN, trained=False)
        if row is not None:
            part = 100 * float(answers(row)[: drawn[0]["images"]].mean())  # type: ignore[misc]
            lines.append([f"chosen, {by}", "", f"{part:.1f} %", "", ""])
    head = ["random assignments", "worst", "median", "best", "s.d., points"]
    return (
        f"{network}: widths of layers drawn by chance, with a mean of {RANDOM_MEAN - 0.5:g} to "
        f"{RANDOM_MEAN:g} bits, after training, on {drawn[0]['images']:,} test images, and chosen "
        "ones on the same:\n\n" + table(head, lines)
    )


def _sensitivities(rows: Rows, network: str) -> str:
    row = one(rows, part="sensitivity", network=network)
    if row is None:
        return ""
    found: dict[str, Any] = row
    losses, weights, positions = found["losses"], found["weights"], found["positions"]
    wanted = {"network": network, "by": "layers"}
    chosen = [one(rows, part="accuracy", mean=mean, **wanted) for mean in MEANS]
    lines = []
    for index, (name, each) in enumerate(losses.items()):
        picked = ["" if one is None else str(one["widths"][index]) for one in chosen]  # type: ignore[index,call-overload]
        lines.append(
            [
                name,
                f"{weights[name]:,}",
                f"{weights[name] * positions[name]:,}",
                *(f"{loss:.4f}" for loss in each),
                *picked,
            ]
        )
    head = ["layer", "weights", "products", *(f"int{width}" for width in found["widths"])]
    head += [f"chosen at {mean:g}" for mean in MEANS]
    return (
        f"{network}: what a layer loses where it alone is quantised, in nats, on {row['images']} "
        "images, and the widths that are chosen from that:\n\n" + table(head, lines)
    )


def _arrays(rows: Rows) -> str:
    lines = []
    for target in (TARGET, SMALLER):
        for array, geometry in {**ARRAYS, **SMALL_ARRAYS}.items():
            found = select(rows, part="routed", array=array, target=target)
            if not found:
                continue
            first, speed = found[0], clock(rows, array, target)
            text = "{rows}x{columns}x{lanes}, {chains} chains".format(**geometry)
            cells = [array, text, target, str(first["by"])]
            if speed is None:
                lines.append([*cells, str(first.get("failure", "")), *[""] * 5])
                continue
            clocks = ", ".join(f"{row['fmax_mhz']:.1f}" for row in found if "fmax_mhz" in row)
            each = cycles(rows, array, str(first["by"]))
            cells += [f"{first['lut']:,}", f"{first['ff']:,}", str(first["bram"])]
            cells += [clocks, "" if each is None else f"{each:,.0f}"]
            rate = None if each is None else 1e6 * speed[0] / each
            lines.append([*cells, "" if rate is None else f"{rate:.0f}"])
    if not lines:
        return ""
    head = ["array", "rows x columns x lanes", "target", "network", "LUT", "FF", "block RAM"]
    head += ["MHz of each placement", "cycles an image", "images/s"]
    return (
        "Arrays that multiply in logic cells, placed and routed; images/s are the median clock "
        "over the cycles of an image:\n\n" + table(head, lines, 4)
    )


def _speeds(rows: Rows) -> str:
    lines = []
    wide = images_per_second(rows, "fixed int8", "int8")
    for array in (*ARRAYS, *SMALL_ARRAYS):
        names = [
            str(row["by"])
            for part in ("cycles", "simulated")
            for row in select(rows, part=part, array=array)
        ]
        for name in dict.fromkeys(names):
            each, rate = cycles(rows, array, name), images_per_second(rows, array, name)
            done = one(rows, part="simulated", by=name, array=array)
            cells = [array, name, "" if each is None else f"{each:,.0f}"]
            cells.append("" if rate is None else f"{rate:.0f}")
            cells.append("" if rate is None or wide is None else f"{rate / wide:.2f}")
            cells += ["", ""] if done is None else [f"{done['images']:,}", str(done["mismatches"])]
            place = one(rows, part="cycles", by=name, array=array)
            cells.append("" if place is None else str(place[f"{SMALLER} blocks"]))
            cells.append("" if place is None else "yes" if place[f"{SMALLER} fits"] else "no")
            lines.append(cells)
    if not lines:
        return ""
    head = ["array", "network", "cycles an image", "images/s", "times fixed int8"]
    head += ["images simulated", "differ", "block RAMs, by the program", f"fits {SMALLER}"]
    return (
        "Networks on the arrays, with the clocks that were routed for those above; simulated "
        "ones were compared with the integers in every image:\n\n" + table(head, lines, 2)
    )
