"""Claims of the study ``debruin2020``, and their tests."""

from collections.abc import Callable, Mapping
from statistics import mean, median, stdev

import numpy as np

from ....hw.program.bounds import BOUNDS
from ..answers import answers, share_change
from ..evidence import FEWEST_SEEDS, ShareChange, select
from ..study import Claim, Finding, Rows, StudyRow, Verdict
from .plan import NARROW, REGISTERS, ROUTED
from .subjects import LENET, RESNET

__all__ = ["CLAIMS", "CONTROLS", "float_row", "number", "over_seeds", "share", "trained"]

NEAR = 1.0  # points
WIDE, HALF = 16, 0.5
LEAST = 99.3  # per cent of MNIST's images, at 12 bits
GUARANTEES = tuple(each for each in BOUNDS if each != "calibrated")


def number(row: StudyRow, name: str) -> float:
    """Return a number of a row."""
    value = row[name]
    assert isinstance(value, int | float)
    return float(value)


def share(row: StudyRow) -> float:
    """Return the per cent of test images that a row labels right."""
    return 100 * float(answers(row).mean())


def float_row(rows: Rows, network: str, seed: object = 0) -> StudyRow | None:
    """Return the row of a float network; there may be one for all seeds."""
    found = select(rows, part="float", network=network)
    own = select(found, seed=seed)
    return next(iter(own or found), None)


def trained(rows: Rows, network: str, bits: int, method: str) -> list[StudyRow]:
    """Return the rows of a training, one a seed."""
    wanted = {"network": network, "bits": bits, "method": method}
    return select(rows, part="trained", **wanted)


def over_seeds(rows: Rows, others: Mapping[object, StudyRow]) -> ShareChange | None:
    """Return by how much rows are better than those of the same seed; None without any."""
    changes, variances, images = [], [], []
    for row in rows:
        other = others.get(row["seed"])
        if other is not None:
            points, error = share_change(row, other)
            changes.append(points / 100)
            variances.append((error / 100) ** 2)
            images.append(int(number(row, "images")))
    return ShareChange.of(changes, mean(variances), min(images)) if changes else None


def _beside_float(rows: Rows, found: Rows, network: str) -> ShareChange | None:
    others = {row["seed"]: float_row(rows, network, row["seed"]) for row in found}
    return over_seeds(found, {seed: row for seed, row in others.items() if row is not None})


# ------------------------------------------------------------------ controls


def _guarantees_hold(rows: Rows) -> str:
    """Say where a network whose sums are proven to fit has one that does not, or hardware has."""
    proven = [
        *select(rows, part="trained", method=lambda each: each != "plain"),
        *select(rows, part="rounded"),
        *select(rows, part="searched", bound=lambda each: each in GUARANTEES),
    ]
    for row in proven:
        if row.get("beyond"):
            return f"{row['network']}, {row['bits']} bits: {row['beyond']} sums do not fit"
    for row in select(rows, part="simulated"):
        if row["mismatches"] or row["overflows"]:
            return f"{row['network']}, {row['bits']} bits: hardware differs, or overflows"
    return ""


def _narrow_registers_break(rows: Rows) -> str:
    """Say where a network of 8-bit weights loses nothing on the narrowest register."""
    for row in select(rows, part="as it is", bits=REGISTERS[0]):
        if share(row) > 50 or not row["beyond"]:
            return f"{row['network']} is right on a register of {REGISTERS[0]} bits"
    return ""


def _wide_registers_hold(rows: Rows) -> str:
    """Say where a register that holds every sum changes what a network answers."""
    for network in (RESNET, LENET):
        held = [
            row
            for row in select(rows, part="as it is", network=network)
            if number(row, "bits") >= number(row, "needed")
        ]
        if len({str(row["answers"]) for row in held}) > 1 or any(row["beyond"] for row in held):
            return f"{network} gives other answers on registers that hold its sums"
    return ""


CONTROLS = (_guarantees_hold, _narrow_registers_break, _wide_registers_hold)

# ------------------------------------------------------------------ claims


def _searched_is_near(bound: str) -> Callable[[Rows], Finding]:
    """Return the test of whether 16 bits cost CIFAR-10 at most a point, by this bound."""

    def test(rows: Rows) -> Finding:
        said, verdict = [], Verdict.UNTESTED
        for network in (RESNET, LENET):
            for row in select(rows, part="searched", network=network, bound=bound, bits=WIDE):
                base = float_row(rows, network)
                if "refused" in row:
                    said.append(f"{network}: {row['refused']}")
                    verdict = Verdict.NOT if network == RESNET else verdict
                elif base is not None:
                    points, error = share_change(row, base)
                    said.append(
                        f"{network}, {WIDE} bits, after training: {points:+.2f} points "
                        f"(error {error:.2f}) beside float, {row['beyond']:,} sums of "
                        f"{row['watched']:,} images do not fit, {row['tried']} of "
                        f"{row['grid']} pairs tried"
                    )
                    if network == RESNET:
                        verdict = Verdict.CONDITIONS if points >= -NEAR else Verdict.NOT
        return Finding(verdict, f"{'; '.join(said)}; one seed" if said else "no rows")

    return test


def _guaranteed_is_near(rows: Rows) -> Finding:
    """Test whether a network with a guarantee for 16 bits loses at most a point, of three seeds.

    It is rounded or trained, whichever is better on the held-out images.
    """
    said, verdict = [], Verdict.UNTESTED
    for network in (RESNET, LENET):
        rounded = select(rows, part="rounded", network=network, bits=WIDE)
        ways = {"rounded, untrained": rounded, "a2q+": trained(rows, network, WIDE, "a2q+")}
        best = None
        for way, found in ways.items():
            change = _beside_float(rows, found, network)
            if change is None:
                continue
            held_out = mean(number(row, "right_validation") for row in found)
            said.append(
                f"{network}, {way}, {found[0]['formats']}, beside float: {change}, and of the "
                f"held-out images {100 * held_out / number(found[0], 'images_validation'):.2f} %"
            )
            if change.seeds >= FEWEST_SEEDS and (best is None or held_out > best[0]):
                best = held_out, change
        if network == RESNET and best is not None:
            sure, near = best[1].above(-NEAR), best[1].points >= -NEAR
            verdict = Verdict.HOLDS if sure else Verdict.CONDITIONS if near else Verdict.NOT
    return Finding(verdict, "; ".join(said) or "no rows")


def _half_is_recovered(method: str) -> Callable[[Rows], Finding]:
    """Return the test of whether a method recovers half of what plain training loses at 12 bits."""

    def test(rows: Rows) -> Finding:
        said, verdict = [], Verdict.UNTESTED
        for network in (RESNET, LENET):
            pair = [trained(rows, network, NARROW, each) for each in (method, "plain")]
            plain: dict[object, StudyRow] = {}
            plain |= {row["seed"]: row for row in pair[1] if number(row, "needed") <= NARROW}
            gained, lost = over_seeds(pair[0], plain), _beside_float(rows, pair[1], network)
            if gained is None or lost is None or not lost.points:
                continue
            said += [
                f"{network}, {NARROW} bits, plain at {pair[1][0]['formats']}, beside float: {lost}",
                f"{method} at {pair[0][0]['formats']}, beside plain: {gained}",
            ]
            part = gained.points / -lost.points
            if lost.below(0):
                said.append(f"that is {100 * part:.0f} % of what plain training loses")
            if network == RESNET and gained.seeds >= FEWEST_SEEDS:
                verdict = Verdict.HOLDS if part >= HALF and gained.above(0) else Verdict.NOT
        return Finding(verdict, "; ".join(said) or "no rows of three seeds")

    return test


def _lenet_holds(rows: Rows) -> Finding:
    """Test whether LeNet-5 keeps 99.3 % at 12 bits."""
    found = trained(rows, LENET, NARROW, "a2q+")
    if len(found) < FEWEST_SEEDS:
        return Finding(Verdict.UNTESTED, "no rows of three seeds")
    shares = [share(row) for row in found]
    said = (
        f"a2q+ at {found[0]['formats']}: {mean(shares):.2f} % (s.d. {stdev(shares):.2f}), "
        f"{len(shares)} seeds, {found[0]['images']:,} images, no sum overflows, proven"
    )
    verdict = Verdict.NOT
    if mean(shares) >= LEAST:
        verdict = Verdict.HOLDS if min(shares) >= LEAST else Verdict.CONDITIONS
    return Finding(verdict, said)


def _search_helps(rows: Rows) -> Finding:
    """Test whether pairs of each layer beat the best pair for all, on the images of the choice."""
    said, won = [], []
    for row in select(rows, part="searched", bound=lambda each: each in GUARANTEES):
        if "refused" in row:
            continue
        place = f"{row['network']}, {row['bits']} bits, {row['bound']}"
        if row["uniform"] is None:
            said.append(f"{place}: no pair fits every layer")
            won.append(True)
            continue
        own, other = (number(row, f"validation_{name}") for name in ("fitted", "uniform"))
        won.append(own > other)
        said.append(
            f"{place}: {100 * own:.1f} % of the held-out images, and {100 * other:.1f} with the "
            f"pair {_pair(row)} in all layers"
        )
    if not said:
        return Finding(Verdict.UNTESTED, "no rows")
    verdict = Verdict.HOLDS if all(won) else Verdict.CONDITIONS if any(won) else Verdict.NOT
    return Finding(verdict, f"{'; '.join(said)}; one seed")


def _pair(row: StudyRow) -> str:
    """Return activation and weight bits of all layers, as tables have them."""
    return "/".join(map(str, row["uniform"]))  # type: ignore[arg-type]


def _narrow_is_smaller(rows: Rows) -> Finding:
    """Test whether a narrower register takes less logic at no lower clock."""
    cells, clocks = {}, {}
    for bits in ROUTED:
        found = [row for row in select(rows, part="routed", bits=bits) if "lut" in row]
        if found:
            cells[bits] = median(number(row, "lut") for row in found)
            clocks[bits] = [number(row, "fmax_mhz") for row in found]
    if len(cells) < 2:
        return Finding(Verdict.UNTESTED, "no rows")
    slope = float(np.polyfit(list(cells), list(cells.values()), 1)[0])
    narrow, wide = min(cells), max(cells)
    said = [
        f"registers of {bits} bits: {cells[bits]:,.0f} logic cells, {min(clocks[bits]):.1f} to "
        f"{max(clocks[bits]):.1f} MHz in {len(clocks[bits])} placements"
        for bits in cells
    ]
    said.append(f"{slope:.1f} logic cells a bit")
    quicker = median(clocks[narrow]) >= median(clocks[wide])
    smaller = cells[narrow] < cells[wide]
    verdict = Verdict.NOT
    if smaller:
        verdict = Verdict.HOLDS if quicker else Verdict.CONDITIONS
    return Finding(verdict, "; ".join(said))


def _no_processor(rows: Rows) -> Finding:
    return Finding(Verdict.UNTESTED, "there is no ARM processor here, and nothing stands for one")


_MORE = "fine-tuning of the chosen pairs; other networks, with longer sums"

CLAIMS = (
    *(
        Claim(
            f"By the bound `{bound}`, accumulators of 16 bits cost CIFAR-10 at most a point, "
            "without training",
            _searched_is_near(bound),
            _MORE,
        )
        for bound in BOUNDS
    ),
    Claim(
        "With a guarantee for 16 bits, CIFAR-10 loses at most a point of float",
        _guaranteed_is_near,
        "longer training; networks with longer sums",
    ),
    *(
        Claim(
            f"At 12 bits, training with {name} recovers at least half of what plain training in "
            "formats that fit loses",
            _half_is_recovered(method),
            "longer training of both; formats of plain training by layer",
        )
        for name, method in (("A2Q+", "a2q+"), ("projected weights", "projected"))
    ),
    Claim(
        "LeNet-5 keeps 99.3 % of MNIST at 12 bits",
        _lenet_holds,
        "longer training",
    ),
    Claim(
        "Pairs chosen for each layer are better than the best pair for all of them",
        _search_helps,
        "more images to choose on; layers that are decided together",
    ),
    Claim(
        "A narrower accumulator takes less logic, at no lower clock",
        _narrow_is_smaller,
        "accumulators in DSP blocks, where bits cost nothing; arrays whose clock the accumulator "
        "limits",
    ),
    Claim(
        "Accumulators of 16 bits make an ARM processor twice as fast",
        _no_processor,
        "such a processor",
    ),
)
