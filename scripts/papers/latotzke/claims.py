"""Claims of the study ``latotzke2022``, and their tests."""

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from statistics import median
from typing import TypeAlias

import numpy as np

from ..answers import answers, share_change
from ..evidence import select
from ..study import Claim, Finding, Rows, StudyRow, Verdict
from .keywords import KEYWORDS
from .plan import (
    ARRAYS,
    BAR,
    COMPARED,
    FAST,
    MEANS,
    MIXED,
    MIXED_SHORTER,
    RANDOM_MEAN,
    RESNET,
    TARGET,
)

__all__ = [
    "CLAIMS",
    "CONTROLS",
    "best",
    "clock",
    "cycles",
    "images_per_second",
    "one",
]

TIE = 2.0  # standard errors
NEAR = 1.0  # points
FASTER = 1.8
SLICED, WIDE, NARROW = ARRAYS
NETWORKS = (RESNET, KEYWORDS)
PAPER_MEMORY = (4.9, 9.4)

Pair: TypeAlias = tuple[str, StudyRow | None, StudyRow | None]
"""What is compared, in words, and the rows of both."""


def one(rows: Rows, **wanted: object) -> StudyRow | None:
    """Return the row that has these columns, the first of several, or None."""
    return next(iter(select(rows, **wanted)), None)


def _accuracy(
    rows: Rows, by: str, mean: float, trained: bool, network: str = RESNET
) -> StudyRow | None:
    wanted = {"network": network, "by": by, "mean": mean, "trained": trained}
    return one(rows, part="accuracy", seed=0, draw=None, **wanted)


def clock(rows: Rows, array: str, target: str = TARGET) -> tuple[float, int] | None:
    """Return the median of the routed clocks of an array, in MHz, and how many there are."""
    found = [
        float(row["fmax_mhz"])  # type: ignore[arg-type]
        for row in select(rows, part="routed", array=array, target=target, fmax_mhz=_is_number)
    ]
    return (median(found), len(found)) if found else None


def cycles(rows: Rows, array: str, network: str) -> float | None:
    """Return the cycles of an image in a stream, by the cycle model."""
    for part in ("simulated", "cycles", "routed"):
        row = one(rows, part=part, by=network, array=array)
        if row is not None:
            return float(row["model_cycles"])  # type: ignore[arg-type]
    return None


def images_per_second(rows: Rows, array: str, network: str) -> float | None:
    """Return images a second: the routed median clock over the cycles of an image."""
    found, each = clock(rows, array), cycles(rows, array, network)
    return None if found is None or each is None else 1e6 * found[0] / each


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _said(points: float, error: float) -> str:
    tie = ", a tie" if abs(points) < TIE * error else ""
    return f"{points:+.2f} points (error {error:.2f}{tie})"


# ------------------------------------------------------------------ controls


def _wide_weights_lose_nothing(rows: Rows) -> str:
    """Say where int8 without training loses more than a point of the float network."""
    pair = _accuracy(rows, "float", 32, False), _accuracy(rows, "uniform", 8, False)
    if pair[0] is None or pair[1] is None:
        return "there is no float network, or no int8 one"
    points, _ = share_change(pair[1], pair[0])
    return f"int8 loses {-points:.1f} points" if points < -NEAR else ""


def _hardware_is_exact(rows: Rows) -> str:
    """Say where an accelerator differs from the integers."""
    for row in select(rows, part="simulated"):
        if row["mismatches"]:
            return f"{row['by']} on {row['array']}: {row['mismatches']} images differ"
    return ""


def _two_bits_lose(rows: Rows) -> str:
    """Say where two bits without training lose nothing."""
    pair = _accuracy(rows, "uniform", 2, False), _accuracy(rows, "uniform", 8, False)
    if pair[0] is None or pair[1] is None:
        return ""
    points, _ = share_change(pair[0], pair[1])
    return "" if points < -NEAR else "int2 without training loses nothing"


CONTROLS = (_wide_weights_lose_nothing, _hardware_is_exact, _two_bits_lose)


# ------------------------------------------------------------------ claims


def _best_uniform(rows: Rows, mean: float, trained: bool, network: str) -> StudyRow | None:
    """Return the uniform format of at most so many bits that is best on validation images."""
    found = [
        row
        for row in select(rows, part="accuracy", network=network, by="uniform", trained=trained)
        if float(row["mean"]) <= mean  # type: ignore[arg-type]
    ]
    return max(found, key=lambda row: row["right_validation"], default=None)  # type: ignore[arg-type,return-value]


def best(rows: Rows, by: str, mean: float, network: str = RESNET) -> StudyRow | None:
    """Return a chosen assignment, trained or not, whichever is better on validation images."""
    found = select(rows, part="accuracy", network=network, by=by, mean=mean, draw=None)
    return max(found, key=lambda row: row["right_validation"], default=None)  # type: ignore[arg-type,return-value]


def _verdict(yes: int, found: int) -> Verdict:
    """Return the verdict over several comparisons: of one seed nothing holds unconditionally."""
    if not found:
        return Verdict.UNTESTED
    return Verdict.CONDITIONS if yes else Verdict.NOT


def _beats_uniform(by: str) -> Callable[[Rows], Finding]:
    """Return the test of whether chosen widths beat uniform formats of as many bits."""

    def pairs(rows: Rows) -> Iterator[Pair]:
        for network, mean, trained in product(NETWORKS, MEANS, (False, True)):
            other = _best_uniform(rows, mean, trained, network)
            than = f"int{other['mean']}" if other else ""
            mixed = _accuracy(rows, by, mean, trained, network)
            yield f"{_how(network, trained)}, {by} at {mean:g} bits beside {than}", mixed, other

    return lambda rows: _compared(pairs(rows))


def _channels_add(rows: Rows) -> Finding:
    """Test whether channels of their own widths beat layers of one, trained or not alike."""
    asked = [(each, "channels", "layers", mean) for each in NETWORKS for mean in MEANS]
    asked += [(RESNET, BAR, "layers", 3.0), (RESNET, BAR, FAST, 3.0)]
    return _compared(
        (
            f"{_how(network, trained)}, {by} beside {than}, {mean:g} bits",
            _accuracy(rows, by, mean, trained, network),
            _accuracy(rows, than, mean, trained, network),
        )
        for (network, by, than, mean), trained in product(asked, (False, True))
    )


def _how(network: str, trained: bool) -> str:
    return f"{network}, {'trained' if trained else 'after training'}"


def _compared(pairs: Iterable[Pair]) -> Finding:
    """Return whether the first row of every pair is better than the other, where both are there."""
    said, yes = [], 0
    for what, mixed, other in pairs:
        if mixed is None or other is None:
            continue
        points, error = share_change(mixed, other)
        yes += points > TIE * error
        said.append(f"{what}: {_said(points, error)}")
    figures = "; ".join(said) or "no rows"
    return Finding(_verdict(yes, len(said)), f"{figures}; one seed" if said else figures)


def _beats_random(rows: Rows) -> Finding:
    """Test whether chosen layers beat random ones under the same mean, none of them trained."""
    said, won = [], []
    for network in NETWORKS:
        chosen = _accuracy(rows, "layers", RANDOM_MEAN, False, network)
        wanted = {"network": network, "by": "random", "mean": RANDOM_MEAN}
        drawn = select(rows, part="accuracy", trained=False, **wanted)
        if chosen is None or len(drawn) < 2:
            continue
        top = max(drawn, key=lambda row: row["right_validation"])  # type: ignore[arg-type,return-value]
        shares = [100 * float(answers(row).mean()) for row in drawn]
        points, error = share_change(chosen, top)
        won.append(points > TIE * error)
        said.append(
            f"{network}: {len(drawn)} random assignments of layers at {RANDOM_MEAN:g} bits have "
            f"{min(shares):.1f} to {max(shares):.1f} %, in the mean {np.mean(shares):.1f}, "
            f"and chosen ones beside the best of them {_said(points, error)}, after training only"
        )
    if not said:
        return Finding(Verdict.UNTESTED, "no rows")
    whole = all(won) and len(won) == len(NETWORKS)
    verdict = Verdict.HOLDS if whole else Verdict.CONDITIONS if any(won) else Verdict.NOT
    return Finding(verdict, "; ".join(said))


def _pays(rows: Rows) -> Finding:
    """Test the mixed network on slices against int8 on the fixed array of no fewer logic cells."""
    said, verdicts = [], []
    base = images_per_second(rows, WIDE, "int8")
    int8 = _best_int8(rows)
    areas = [one(rows, part="routed", array=each, target=TARGET) for each in (SLICED, WIDE)]
    for by in (MIXED, MIXED_SHORTER, BAR, FAST):
        speed = images_per_second(rows, SLICED, by)
        mixed = _accuracy(rows, by, 3.0, True)
        if speed is None or base is None or mixed is None or int8 is None or None in areas:
            continue
        points, error = share_change(mixed, int8)
        cells = [each["lut"] for each in areas if each is not None]
        near = abs(points + NEAR) < TIE * error
        said.append(
            f"{by}, {mixed['mean_bits']:.2f} bits: {speed:.0f} images/s beside {base:.0f}, "
            f"{speed / base:.2f} times, in {cells[0]:,} logic cells beside {cells[1]:,}"
        )
        said.append(
            f"{by}, its accuracy beside int8's: {_said(points, error)}"
            f"{', which cannot be told from a point' if near else ''}, and of the held-out images "
            f"{_held_out(mixed)} beside {_held_out(int8)}"
        )
        quick = speed >= FASTER * base and cells[0] <= 1.02 * cells[1]  # type: ignore[operator]
        verdicts.append(quick and points >= -NEAR)
    if not said:
        return Finding(Verdict.UNTESTED, "no rows")
    verdict = Verdict.CONDITIONS if any(verdicts) else Verdict.NOT
    return Finding(verdict, f"{'; '.join(said)}; one seed, {_placements(rows)}")


def _held_out(row: StudyRow) -> str:
    return f"{100 * row['right_validation'] / row['images_validation']:.2f} %"  # type: ignore[operator]


def _best_int8(rows: Rows) -> StudyRow | None:
    """Return int8 as it is best on validation images: untrained, trained, or trained longer."""
    found = [best(rows, by, 8) for by in ("uniform", COMPARED)]
    return max(
        (row for row in found if row is not None),
        key=lambda row: row["right_validation"],  # type: ignore[arg-type,return-value]
        default=None,
    )


def _placements(rows: Rows) -> str:
    """Return how often the two arrays were placed."""
    counts = [
        len(select(rows, part="routed", array=each, target=TARGET)) for each in (SLICED, WIDE)
    ]
    return f"clocks of {counts[0]} placements of the array of slices and {counts[1]} of the other"


def _crosses(rows: Rows) -> Finding:
    """Say up to which width the array of slices is faster than fixed ones."""
    said, faster = [], []
    for width in (2, 3, 4, 6, 8):
        speed = images_per_second(rows, SLICED, f"int{width}")
        bases = [
            images_per_second(rows, array, array.rpartition(" ")[2]) for array in (WIDE, NARROW)
        ]
        if speed is None or bases[0] is None:
            continue
        ratios = [
            f"{speed / base:.2f} times {name}"
            for base, name in zip(bases, (WIDE, NARROW), strict=True)
            if base is not None
        ]
        faster.append(speed > bases[0])
        said.append(f"int{width} on slices: {speed:.0f} images/s, {' and '.join(ratios)}")
    if not said:
        return Finding(Verdict.UNTESTED, "no rows")
    verdict = Verdict.HOLDS if all(faster) else Verdict.CONDITIONS if any(faster) else Verdict.NOT
    return Finding(verdict, "; ".join(said))


def _memory(rows: Rows) -> Finding:
    """Test how much smaller weights are than float ones, within a point of the float network."""
    base = _accuracy(rows, "float", 32, False)
    if base is None:
        return Finding(Verdict.UNTESTED, "no rows")
    said, best = [], 0.0
    for row in select(rows, part="accuracy", network=RESNET, draw=None):
        if row["by"] == "float":
            continue
        points, error = share_change(row, base)
        smaller = 32 / float(row["mean_bits"])  # type: ignore[arg-type]
        if points >= -NEAR and smaller > best:
            best, trained = smaller, "trained" if row["trained"] else "after training"
            text = f"{row['by']} {row['mean']:g}, {trained}, are {smaller:.1f} times smaller than"
            said = [f"{text} float32: {_said(points, error)}"]
    if not said:
        return Finding(Verdict.NOT, "none of the networks is within a point")
    low, high = PAPER_MEMORY
    said.append(f"the paper has {low} times for ResNet-18 and {high} for ResNet-152, on ImageNet")
    return Finding(Verdict.CONDITIONS if best >= low else Verdict.NOT, "; ".join(said))


CLAIMS = (
    Claim(
        "At equal logic the array of slices gives a mixed network of at most 3 bits 1.8 times the "
        "images/s of the fixed int8 array, within a point of its accuracy",
        _pays,
        "other seeds, or longer training; an int8 array in DSP blocks, which arrays of slices "
        "cannot use; activations of fewer bits",
    ),
    Claim(
        "The array of slices is faster than the fixed int8 array at any width",
        _crosses,
        "slices of 1 or 4 bits; smaller arrays, in which control is a larger share; networks that "
        "wait for memory",
    ),
    Claim(
        "Widths chosen for each layer are better than one for all, at as many bits",
        _beats_uniform("layers"),
        "longer training, which levels differences; networks whose layers differ more",
    ),
    Claim(
        "Widths chosen for each channel are better than those for each layer",
        _channels_add,
        "losses of channels that are measured, and not shares of the layer's",
    ),
    Claim(
        "Chosen widths are better than random ones of the same mean",
        _beats_random,
        "training of every random assignment",
    ),
    Claim(
        "Weights take 4.9 times less memory than float ones, within a point of its accuracy",
        _memory,
        "longer training; wider networks, which have more to lose",
    ),
)
