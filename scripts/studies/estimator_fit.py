"""Fits weights of terms to what designs took, and tells how far off designs are that it left out.

Weights are not negative, and least squares are of relative errors. Terms that go together in all
designs could have any weights between them: each is held to what the cells of the family suggest,
about as strongly as one design of ten would. Folds are drawn by design, with the seed `SEED`; a
design is on the same side for all of its devices.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from scipy.optimize import nnls

from ...hw.synth.estimate import ClockModel, FamilyModel
from .record import Row

__all__ = ["Fitted", "clock_model", "estimated", "family_model", "held_out", "weights"]

SEED, FOLDS = 17, 10
PULL = 0.3  # of a term's expected weight
SEEN, PINNED = 8, 100.0  # a term that fewer designs have keeps the weight that is expected
LEAST = 8  # routed designs
ALONE = 0.3  # weight of an element alone, beside an accelerator

_GATES = {"lut": 0.85, "add": 1.0, "adders": 0.5, "sub_inverted": 0.5, "ff_lone": 0.0}
_GATES |= {"ff_shared": 0.0, "compare": 0.5, "compare_both": 0.5, "product": 1.0}
_MEMORIES = {"small_memories": 4.0, "ram_bits": 0.6, "rom_bits": 0.1, "block_mux": 0.5}
_ELEMENTS = ("lut", "add", "adders", "sub_inverted", "ff_lone", "ff_shared")
_CELLS = {"element cell CCU2C": 2.0}
_OTHERS: dict[str, dict[str, float]] = {
    "ice40": {"ff_lone": 0.9, "ff_shared": 0.8, "ram_bits": 1.2},
    "xc7": {"lut": 0.8, "add": 0.8},
}
_REGISTERS = {"ff": 0.95, "element ff": 1.0, "ram_bits": 0.5, "small_memories": 0.0, "one": 0.0}


def _expected(family: str) -> dict[str, float]:
    """Return the terms of logic cells, and the weights that the cells of a family suggest."""
    gates = _GATES | _MEMORIES | _OTHERS.get(family, {})
    return {"one": 0.0, **gates, **{f"element {n}": gates[n] for n in _ELEMENTS}, **_CELLS}


@dataclass(frozen=True)
class Fitted:
    """Designs of a family, and what was estimated of each by a fit without it.

    Attributes
    ----------
    rows : list of Row
    lut, ff : float array
        Estimates.
    """

    rows: list[Row]
    lut: np.ndarray
    ff: np.ndarray

    def errors(self, name: str) -> np.ndarray:
        """Return the relative errors of ``lut`` or ``ff``."""
        return getattr(self, name) / np.array([row[name] for row in self.rows], float) - 1


def held_out(family: str, rows: Sequence[Row], elements: Sequence[Row]) -> Fitted:
    """Estimate each accelerator from a fit to those of other folds, and to elements alone."""
    kept = list(rows)
    names = sorted({str(row["design"]) for row in kept})
    random.Random(SEED).shuffle(names)
    folds = np.array([names.index(str(row["design"])) % FOLDS for row in kept])
    found = {name: np.zeros(len(kept)) for name in ("lut", "ff")}
    for fold in range(FOLDS):
        others = [row for row, each in zip(kept, folds, strict=True) if each != fold]
        for name, estimates in found.items():
            found_weights = weights(family, name, others, elements)
            for at in np.flatnonzero(folds == fold):
                estimates[at] = estimated(found_weights, kept[at])
    return Fitted(kept, **found)


def family_model(
    family: str, rows: Sequence[Row], elements: Sequence[Row], clock: ClockModel | None
) -> FamilyModel:
    """Return the weights from all designs, and the errors of `held_out`."""
    found = held_out(family, rows, elements)
    luts, ffs = np.abs(found.errors("lut")), np.abs(found.errors("ff"))
    drawn = luts[["number" in row for row in rows]]
    off = np.array([abs(row["bram"] - row["counts"].get("bram", 0)) for row in rows])

    def rounded(name: str) -> dict[str, float]:
        found_weights = weights(family, name, rows, elements)
        return {term: round(weight, 4) for term, weight in found_weights.items() if weight > 5e-5}

    return FamilyModel(
        lut=rounded("lut"),
        ff=rounded("ff"),
        designs=len(rows),
        largest=max(row["lut"] for row in rows),
        lut_median=_share(np.median(luts)),
        lut_error=_share(np.quantile(luts, 0.95)),
        random=len(drawn),
        random_median=_share(np.median(drawn)),
        random_error=_share(np.quantile(drawn, 0.95)),
        ff_error=_share(np.quantile(ffs, 0.95)),
        bram_equal=_share(np.mean(off == 0)),
        bram_near=_share(np.mean(off <= 2)),
        clock=clock,
    )


def _share(value: np.floating) -> float:
    return round(float(value), 4)


def clock_model(rows: Sequence[Row]) -> ClockModel | None:
    """Fit the period of routed designs to their size; None where there are too few."""
    if len(rows) < LEAST:
        return None
    terms = np.array([[1.0, log2(row["lut"]), row["bram"]] for row in rows])
    clocks = np.array([row["fmax_mhz"] for row in rows])

    def fit(chosen: np.ndarray) -> np.ndarray:
        # errors of the clock are relative, and so are those of the period
        weighted = terms[chosen] * clocks[chosen, None]
        return nnls(weighted, np.full(len(weighted), 1e3))[0]

    every = np.arange(len(rows))
    periods = np.array([terms[at] @ fit(every[every != at]) for at in every])
    errors = np.abs(1e3 / periods / clocks - 1)
    base, doubling, block = map(float, fit(every))
    return ClockModel(
        base=round(base, 3),
        doubling=round(doubling, 3),
        block=round(block, 4),
        designs=len(rows),
        error=round(float(np.quantile(errors, 0.95)), 3),
    )


def weights(
    family: str, name: str, rows: Sequence[Row], elements: Sequence[Row]
) -> dict[str, float]:
    """Return the weights of terms that fit ``name``, ``lut`` or ``ff``, of designs and elements."""
    expected = _expected(family) if name == "lut" else _REGISTERS
    terms = list(expected)
    designs = _relative(rows, terms, name)
    alone = ALONE * _relative(elements, terms, name)
    # a term's usual share of a design makes all of them equally hard to move
    shares = np.sqrt((designs**2).mean(axis=0))
    shares[(designs > 0).sum(axis=0) < SEEN] = PINNED
    wanted = PULL * shares * np.array(list(expected.values()))
    matrix = np.vstack([designs, alone, PULL * np.diag(shares)])
    goal = np.concatenate([np.ones(len(designs)), np.full(len(alone), ALONE), wanted])
    return dict(zip(terms, map(float, nnls(matrix, goal)[0]), strict=True))


def _relative(rows: Sequence[Row], terms: Sequence[str], name: str) -> np.ndarray:
    """Return the terms of designs as shares of what each took, of shape (rows, terms)."""
    counts = [[_count(row["counts"], term) for term in terms] for row in rows]
    took = np.array([row[name] for row in rows], float)
    return np.array(counts, float).reshape(len(rows), len(terms)) / took[:, None]


def _count(counts: Mapping[str, int], term: str) -> int:
    return 1 if term == "one" and "ff" in counts else counts.get(term, 0)


def estimated(costs: Mapping[str, float], row: Row) -> float:
    """Return what a design should take, by the weights of its terms."""
    return sum(weight * _count(row["counts"], term) for term, weight in costs.items())
