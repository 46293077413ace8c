"""Tostado, Pedroni and Cauwenberghs (AICAS 2019): weights with variable mantissa and exponent.

The claims are those of the abstract: weights of 4 bits are near-optimal without training; how they
are truncated, and whether the network was trained with dropout, matters.
"""

from collections.abc import Callable, Iterator
from typing import Any

from ..evidence import ShareChange, select, share_lost
from ..study import Claim, Finding, Rows, Study, Verdict
from .figures import FIGURES
from .plan import DROPOUT, KINDS, NAMES, NARROW, cells, levels, then
from .tables import tables
from .winners import chosen

__all__ = ["STUDY"]

NEAR = 1.0  # points that a near-optimal network loses at most
BITS = range(3, NARROW + 1)


def _groups() -> Iterator[tuple[str, float, str]]:
    """Yield the networks, with and without dropout, and what a text calls them."""
    for kind in KINDS:
        for dropout in DROPOUT:
            yield kind, dropout, f"{kind}{' with dropout' if dropout else ''}"


# ------------------------------------------------------------------ controls


def _equal_levels_agree(rows: Rows) -> str:
    """Say where formats of equal levels, those of one bit of exponent and integers, differ."""
    by_place = {tuple(row.get(name) for name in NAMES): row for row in rows}
    compared = 0
    for row in select(rows, part="accuracy", e=1):
        e, m = levels(1, row["m"])  # type: ignore[arg-type]
        other = by_place.get(tuple({**row, "e": e, "m": m}.get(name) for name in NAMES))
        if other is not None and other is not row:
            compared += 1
            if other["right"] != row["right"]:
                return f"e1m{row['m']} and e{e}m{m} are the same levels, and differ"
    return "" if compared else "there are no two formats of equal levels"


def _wide_formats_lose_nothing(rows: Rows) -> str:
    """Say where six significant bits, or integers of 8, cost more than two points."""
    wide = [
        *select(rows, part="accuracy", rounding="nearest", e=lambda e: e >= 2, m=5),
        *select(rows, part="accuracy", rounding="nearest", e=0, m=7),
    ]
    for row in wide:
        lost = _lost(row)
        if lost > 0.02:
            return f"{row['kind']} loses {100 * lost:.1f} points at e{row['e']}m{row['m']}"
    return "" if wide else "there is no wide format"


def _ternary_weights_lose(rows: Rows) -> str:
    """Say where levels -1, 0 and 1 cost nothing, the largest weight being 1."""
    for row in select(rows, part="accuracy", rounding="nearest", e=0, m=1):
        if _lost(row) < 0.02:
            return f"{row['kind']} loses nothing at 2 bits"
    return ""


def _lost(row: dict[str, Any]) -> float:
    return (sum(row["lost"]) - sum(row["gained"])) / len(row["right"]) / row["images"]


# ------------------------------------------------------------------ claims


def _near_optimal(bits: int) -> Callable[[Rows], Finding]:
    """Return the test of whether the best format of so many bits is near-optimal everywhere."""

    def test(rows: Rows) -> Finding:
        found: dict[str, tuple[ShareChange, str]] = {}
        for kind, dropout, text in _groups():
            best = chosen(rows, kind, dropout, bits)
            if best is None:
                continue
            lost = share_lost(_cell(rows, kind, dropout, best, "nearest"))
            if lost is not None:
                found[text] = lost, "e{}m{}".format(*best)
        near = [text for text, (lost, _) in found.items() if lost.above(-NEAR)]
        far = [text for text, (lost, _) in found.items() if lost.below(-NEAR)]
        said = [f"{text}, {fmt}: {lost}" for text, (lost, fmt) in found.items()]
        said += [f"{text}: no rows of {bits} bits" for *_, text in _groups() if text not in found]
        return Finding(_verdict(len(near), len(far), len(found)), "; ".join(said))

    return test


def _verdict(yes: int, no: int, found: int) -> Verdict:
    """Return the verdict of a claim about every network, not all of which may have rows."""
    if not found:
        return Verdict.UNTESTED
    if yes == found:
        whole = found == len(KINDS) * len(DROPOUT)
        return Verdict.HOLDS if whole else Verdict.CONDITIONS
    if yes:
        return Verdict.CONDITIONS
    return Verdict.NOT if no else Verdict.UNTESTED


def _cell(
    rows: Rows, kind: str, dropout: float, fmt: tuple[int, int], rounding: str
) -> list[dict[str, Any]]:
    """Return the rows of a cell, one a seed."""
    wanted = {"kind": kind, "dropout": dropout, "rounding": rounding}
    return select(rows, part="accuracy", e=fmt[0], m=fmt[1], **wanted)


def _rounding_wins(one: str, other: str) -> Callable[[Rows], Finding]:
    """Return the test of whether a rounding is better than another at the chosen formats."""

    def test(rows: Rows) -> Finding:
        won, lost, tied, said = 0, 0, 0, []
        for kind, dropout, text in _groups():
            for bits in BITS:
                best = chosen(rows, kind, dropout, bits)
                if best is None:
                    continue
                pair = (_cell(rows, kind, dropout, best, name) for name in (one, other))
                change = share_lost(*pair)
                if change is None:
                    continue
                won += change.above(0)
                lost += change.below(0)
                tied += change.is_tie
                if bits == 4:
                    said.append(f"{text}, 4 bits, e{best[0]}m{best[1]}: {change}")
        count = won + lost + tied
        if not count:
            return Finding(Verdict.UNTESTED, "no rows")
        verdict = Verdict.NOT if not won else Verdict.HOLDS if won == count else Verdict.CONDITIONS
        tail = f"{one} wins {won}, loses {lost} and ties {tied} of {count} networks and widths"
        return Finding(verdict, f"{tail}; {'; '.join(said)}")

    return test


def _dropout_helps(rows: Rows) -> Finding:
    """Test whether networks that were trained with dropout lose less at 3 and 4 bits."""
    found: dict[str, ShareChange] = {}
    for kind in KINDS:
        for bits in (3, 4):
            both = [chosen(rows, kind, dropout, bits) for dropout in DROPOUT]
            plain, dropped = both
            if plain is None or dropped is None:
                continue
            change = share_lost(
                _cell(rows, kind, DROPOUT[1], dropped, "nearest"),
                _cell(rows, kind, DROPOUT[0], plain, "nearest"),
            )
            if change is not None:
                found[f"{kind}, {bits} bits"] = change
    better = sum(change.above(0) for change in found.values())
    if not found:
        return Finding(Verdict.UNTESTED, "no rows with and without dropout")
    whole = len(found) == 2 * len(KINDS)
    verdict = Verdict.NOT
    if better:
        verdict = Verdict.HOLDS if whole and better == len(found) else Verdict.CONDITIONS
    return Finding(verdict, "; ".join(f"{text}: {change}" for text, change in found.items()))


CLAIMS = (
    Claim(
        "Weights of 4 bits, the sign among them, are near-optimal: less than a point is lost",
        _near_optimal(4),
        "networks of other shapes, trained longer; scales per channel; biases and activations "
        "rounded, too",
    ),
    Claim(
        "Weights of 4 bits beside the sign, 5 in all, are near-optimal",
        _near_optimal(5),
        "as above",
    ),
    Claim(
        "Stochastic rounding is better than rounding to the nearest",
        _rounding_wins("stochastic", "nearest"),
        "formats chosen for stochastic rounding, which would be other ones; the best of several "
        "draws, chosen on validation images, instead of their mean",
    ),
    Claim(
        "Stochastic rounding is better than chopping",
        _rounding_wins("stochastic", "chop"),
        "scales chosen for chopping, by which the largest weight is no level",
    ),
    Claim(
        "A network that was trained with dropout loses less at 3 and 4 bits",
        _dropout_helps,
        "another share of dropout, or dropout behind convolutions; longer training, in which "
        "dropout keeps weights from growing",
    ),
)

STUDY = Study(
    name="tostado2019",
    title="Weights with variable mantissa and exponent, after training",
    question=(
        "Tostado, Pedroni and Cauwenberghs "
        "([AICAS 2019](https://doi.org/10.1109/AICAS.2019.8771473)) round the weights of trained "
        "networks for MNIST and CIFAR-10 to formats of variable mantissa and exponent. What do `e` "
        "bits of exponent and `m` of mantissa cost in accuracy, how much does it matter how "
        "weights are rounded, "
        "and whether the network was trained with dropout? And what the paper could not say: what "
        "do the best formats cost in logic?"
    ),
    method=(
        "Float networks of this package (an MLP and LeNet-5 on MNIST, an MLP and cifar10_full on "
        "CIFAR-10, with BatchNorm) are trained with three seeds, with and without dropout of one "
        "half before each dense layer but the first. 5,000 training images are left out: on them "
        "the best format of each width is chosen, with rounding to the nearest. Weights then go to "
        "levels of `eEmM` with E of 0 to 5 and M of 0 to 8, the largest weight of a layer to the "
        "largest level: that scale is the format's exponent bias. `e0` are integers, `m0` powers "
        "of two; there are subnormals and no infinities. Rounding is to the nearest level, towards "
        "zero (chop), or stochastic: up with the probability of the distance, the mean of ten "
        "draws. What is lost is compared with the same float network on the same test images; "
        "its error holds the spread over seeds and the images on which the two disagree. What is "
        "below twice its error is a tie. Stochastic rounding of LeNet-5 and cifar10_full, and "
        "their formats wider than 8 bits, are measured on the first 2,000 test images, all others "
        "on 10,000. The best formats are exported to integers with uint8 activations, simulated, "
        "placed and routed."
    ),
    differs=(
        "Only the paper's abstract was at hand: its networks, its exponent bias, and whether it "
        "counts the sign among the 4 bits are not known to us, so both counts are tested. Our "
        "networks have BatchNorm, which stays in float. Trainings are short, so "
        "that the study takes hours and not days: {epochs}. The scale is any number, not a power "
        "of two: hardware folds it into a multiplier either way."
    ).format(
        epochs=", ".join(f"{kind} {each.network.epochs} epochs" for kind, each in KINDS.items())
    ),
    datasets=("mnist", "cifar10"),
    cells=cells,
    then=then,
    names=NAMES,
    controls=(_equal_levels_agree, _wide_formats_lose_nothing, _ternary_weights_lose),
    claims=CLAIMS,
    figures=FIGURES,
    tables=tables,
)
