"""Claims of the study ``su2018``, and their tests."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import inf

from ....hw.numbers.float_sum import PARTIAL_SUMS
from ...pricing.elements import PricedFormat
from ...pricing.families import FAMILIES as KNOWN
from ...pricing.ranking import MeasuredShare, Standing
from ..evidence import select
from ..study import Claim, Finding, Rows, Verdict
from .plan import TARGETS
from .priced import BIPOLAR, BIPOLAR_8, FLOAT, elements, standings

__all__ = ["CLAIMS", "CONTROLS"]

NARROW = 2, 4
"""Bits of weights that the paper finds best on small data sets."""
FAMILIES = {"mnist": ("mlp", "lenet5"), "cifar10": ("cifar10_full",)}
NINETY_NINE = 99.0


# ------------------------------------------------------------------ controls


def _wider_elements_cost_more(rows: Rows) -> str:
    """Say where an element of wider integers, in logic, costs no more."""
    costs = []
    for fmt in ("int2/uint2", "int4/uint4", "int8/uint8"):
        found = [each for each in elements(rows, fmt) if each.multiplier == "logic"]
        if not found:
            return f"there is no element of {fmt}"
        costs.append(found[0].area(0) / found[0].lanes)
    return "" if costs == sorted(costs) else "wider integers cost fewer LUTs"


def _wider_networks_are_better(rows: Rows) -> str:
    """Say where the widest float network of a family is worse than its narrowest."""
    if not select(rows, part="accuracy", format=FLOAT):
        return "there is no float network"
    for families in FAMILIES.values():
        for family in families:
            found = select(rows, part="accuracy", family=family, format=FLOAT, seed=0)
            best: dict[float, float] = {}  # of a network's trainings the better one counts
            for row in found:
                size, mean = float(row["size"]), MeasuredShare.of_rows([row]).mean  # type: ignore[arg-type]
                best[size] = max(best.get(size, 0.0), mean)
            if best and best[max(best)] < best[min(best)]:
                return f"the widest float network of {family} is worse than the narrowest"
    return ""


def _hardware_is_exact(rows: Rows) -> str:
    """Say where an accelerator differs from the reference."""
    for row in select(rows, part="simulated", failure=None):
        if row["mismatches"]:
            return f"{row['family']} x {row['size']}, {row['format']}: images differ in hardware"
    return ""


CONTROLS = (_wider_elements_cost_more, _wider_networks_are_better, _hardware_is_exact)


# ------------------------------------------------------------------ float against one bit


def _of(found: Sequence[Standing], fmt: str) -> Standing | None:
    return next((each for each in found if each.format == fmt), None)


def _said(standing: Standing) -> str:
    if standing.chosen is None:
        return f"{standing.format} {standing.best.share} at best"
    chosen = standing.chosen
    return f"{standing.format} {chosen.cost:,.0f} LUT us ({chosen.name}, {chosen.share})"


def _compared(
    found: Sequence[Standing], narrow: str, *, whole: bool
) -> tuple[bool | None, str] | None:
    """Return whether float is cheaper, in words; None where one has no rows.

    None in place of an answer is a tie, or not known: where no network of one bit reaches the
    target, and ``whole`` tells that the widest of the family is not among them.
    """
    exact, other = _of(found, FLOAT), _of(found, narrow)
    if exact is None or other is None:
        return None
    text = f"{_said(exact)}, {_said(other)}"
    if exact.chosen is None:
        return (None, f"{text}: neither") if other.chosen is None else (False, f"{text}: {narrow}")
    if other.chosen is None and other.low == inf:
        if not whole:
            return None, f"{text}: not known, as wider ones are not measured"
        return True, f"{text}: {FLOAT}, as the other does not reach it"
    if exact.high < other.low:
        return True, f"{text}: {FLOAT}"
    if other.high < exact.low:
        return False, f"{text}: {narrow}"
    return None, f"{text}: a tie"


def _has_widest(rows: Rows, family: str, fmt: str) -> bool:
    widest = max(KNOWN[family].sizes)
    return bool(select(rows, part="accuracy", family=family, format=fmt, size=float(widest)))


def _ways() -> Iterator[tuple[str, int, bool]]:
    for sums, free in product((PARTIAL_SUMS, 1), (False, True)):
        added = "pipelined floats" if sums > 1 else "floats that add in one cycle"
        yield f"{added}, DSP blocks {'left out' if free else 'priced'}", sums, free


def _float_beats_one_bit(family: str) -> Callable[[Rows], Finding]:
    """Return the test of whether float is cheaper than one bit in a family, at 99 %."""

    def test(rows: Rows) -> Finding:
        won: list[bool | None] = []
        said = []
        for narrow in (BIPOLAR, BIPOLAR_8):
            for how, sums, free in _ways():
                found = standings(rows, "mnist", (family,), NINETY_NINE, free=free, sums=sums)
                compared = _compared(found, narrow, whole=_has_widest(rows, family, narrow))
                if compared is not None:
                    won.append(compared[0])
                    said.append(f"{how}: {compared[1]}")
        if not won:
            return Finding(Verdict.UNTESTED, f"no rows of {family} in float and in one bit")
        if all(won):
            verdict = Verdict.HOLDS
        elif any(won):
            verdict = Verdict.CONDITIONS
        else:  # a tie is no answer, but one of the others being cheaper is
            verdict = Verdict.NOT if False in won else Verdict.UNTESTED
        return Finding(verdict, "; ".join(said))

    return test


# ------------------------------------------------------------------ two and four bits


def _is_narrow(fmt: str) -> bool:
    weight = PricedFormat(fmt).operands.weight
    return str(weight).startswith("int") and weight.width in NARROW


def _two_and_four_are_best(dataset: str) -> Callable[[Rows], Finding]:
    """Return the test of whether a format of 2 or 4 bits is cheapest at every target."""

    def test(rows: Rows) -> Finding:
        said, best = [], []
        for target in TARGETS[dataset]:
            found = standings(rows, dataset, FAMILIES[dataset], target)
            first = [each for each in found if each.rank == 1]
            if not first:
                said.append(f"{target:g} %: nothing reaches it")
                continue
            best.append([_is_narrow(each.format) for each in first])
            tied = (
                f", tied with {', '.join(each.format for each in first[1:])}" if first[1:] else ""
            )
            said.append(f"{target:g} %: {_said(first[0])}{tied}")
        if not best:
            return Finding(Verdict.UNTESTED, "; ".join(said) or f"no rows of {dataset}")
        if all(all(each) for each in best):
            verdict = Verdict.HOLDS
        elif any(any(each) for each in best):
            verdict = Verdict.CONDITIONS
        else:
            verdict = Verdict.NOT
        return Finding(verdict, "; ".join(said))

    return test


def _not_tested(rows: Rows) -> Finding:
    return Finding(Verdict.UNTESTED, "ImageNet is not at hand, nor is AlexNet")


CLAIMS = (
    *(
        Claim(
            f"For 99 % of MNIST, 32-bit float is cheaper than weights of one bit: {title}",
            _float_beats_one_bit(family),
            "longer trainings, which help weights of one bit most; networks of several formats, "
            "such as first layers of 8 bits; a device with float blocks, or another price of DSP "
            "blocks",
        )
        for family, title in (("mlp", "MLP of three hidden layers"), ("lenet5", "LeNet-5"))
    ),
    Claim(
        "Weights of 2 and 4 bits are the best trade-off on MNIST",
        _two_and_four_are_best("mnist"),
        "formats chosen by layer; an accelerator's memories and control, which weigh on narrow "
        "formats; networks that grow deeper instead of wider",
    ),
    Claim(
        "Weights of 2 and 4 bits are the best trade-off on CIFAR-10",
        _two_and_four_are_best("cifar10"),
        "as above; longer trainings",
    ),
    Claim(
        "Weights of 4 bits are the best for AlexNet on ImageNet",
        _not_tested,
        "the data set, and days of a GPU",
    ),
)
