"""Tables of the study ``tostado2019``: the best format of each width, and what it takes."""

from typing import Any

from ..evidence import FEWEST_SEEDS, select, share_lost
from ..markdown import table
from ..study import Rows
from .figures import lost
from .plan import DROPOUT, KINDS, NARROW
from .rounded import ROUNDINGS
from .winners import chosen

__all__ = ["tables"]

BITS = range(2, NARROW + 1)


def tables(rows: Rows) -> str:
    """Return tables of accuracy, of hardware, and what is missing, as Markdown."""
    parts = [_networks(rows), _best(rows), _simulated(rows), _routed(rows), _missing(rows)]
    return "\n\n".join(filter(None, parts))


def _networks(rows: Rows) -> str:
    lines = []
    for kind in KINDS:
        for dropout in DROPOUT:
            shares: dict[Any, float] = {}
            found: list[dict[str, Any]] = select(
                rows, part="accuracy", kind=kind, dropout=dropout, rounding="nearest"
            )
            for one in sorted(found, key=lambda row: row["images"]):  # those of most images stay
                right = one["right"][0] - one["gained"][0] + one["lost"][0]
                shares[one["seed"]] = 100 * right / one["images"]
            if shares:
                each = ", ".join(f"{shares[seed]:.2f}" for seed in sorted(shares))
                lines.append([kind, f"{dropout:g}", str(KINDS[kind].network.epochs), each])
    return "Float networks:\n\n" + table(
        ["network", "dropout", "epochs", "right of each seed, %"], lines
    )


def _best(rows: Rows) -> str:
    lines = []
    for kind in KINDS:
        for dropout in DROPOUT:
            for bits in BITS:
                best = chosen(rows, kind, dropout, bits)
                if best is None:
                    continue
                cells = [kind, f"{dropout:g}", str(bits), "e{}m{}".format(*best)]
                for rounding in ROUNDINGS:
                    wanted = {"kind": kind, "dropout": dropout, "rounding": rounding}
                    found = select(rows, part="accuracy", e=best[0], m=best[1], **wanted)
                    cells.append(_points(found))
                lines.append(cells)
    head = ["network", "dropout", "bits", "best format", *(f"{each}" for each in ROUNDINGS)]
    return (
        "Points lost at the best format of each width, with standard deviations over seeds; "
        "*t* is a tie with the float network:\n\n" + table(head, lines)
    )


def _points(rows: Rows) -> str:
    found, change = lost(rows), share_lost(rows)
    if found is None or change is None:
        return ""
    return f"{found[0]:.2f} ± {found[1]:.2f}{' *t*' if change.is_tie else ''}"


def _simulated(rows: Rows) -> str:
    lines = []
    for row in select(rows, part="hardware"):
        one: dict[str, Any] = row
        share = 100 * one["right"][0] / one["images"]
        lines.append(
            [
                one["kind"],
                f"{one['dropout']:g}",
                str(1 + one["e"] + one["m"]),
                f"e{one['e']}m{one['m']}",
                f"{one['images']:,}",
                f"{share:.2f} %",
                str(one["mismatches"]),
                f"{one['cycles']:,.0f}",
            ]
        )
    if not lines:
        return ""
    head = ["network", "dropout", "bits", "format", "images", "right", "differ", "cycles"]
    return (
        "Exported to integers with uint8 activations (seed 0), and simulated on an array of 4x4 "
        "elements with 8 lanes, beside the integer reference:\n\n" + table(head, lines)
    )


def _routed(rows: Rows) -> str:
    lines = []
    found_rows: list[dict[str, Any]] = select(rows, part="routed")
    for one in sorted(found_rows, key=lambda row: (row["target"], row["e"] + row["m"])):
        wanted = {name: one[name] for name in ("kind", "dropout", "e", "m")}
        found = lost(select(rows, part="accuracy", rounding="nearest", **wanted))
        cells = [str(1 + one["e"] + one["m"]), f"e{one['e']}m{one['m']}"]
        cells.append("" if found is None else f"{found[0]:.2f}")
        cells += [f"{one['parameter_bits']:,}", one["target"]]
        if "failure" in one:
            cells += ["does not fit", "", ""]
        else:
            memory = one["spram"] or one["bram"] or 0
            clock = "" if one["fmax_mhz"] is None else f"{one['fmax_mhz']:.1f}"
            cells += [f"{one['lut']:,}", str(memory), clock]
        lines.append(cells)
    if not lines:
        return ""
    head = ["bits", "format", "points lost", "weights, bits", "target", "LUT", "RAM", "MHz"]
    return (
        "The best formats of the MLP on MNIST (seed 0, without dropout), placed and routed on an "
        "array of 2x2 elements with 4 lanes, multiplying in logic, one placement; RAM is SPRAM on "
        "UP5K and block RAM on ECP5:\n\n" + table(head, lines, 2)
    )


def _missing(rows: Rows) -> str:
    """Return what the plan has and the rows have not."""
    found = []
    for kind in KINDS:
        for dropout in DROPOUT:
            for rounding in ROUNDINGS:
                wanted = {"kind": kind, "dropout": dropout, "rounding": rounding}
                seeds: dict[Any, set[Any]] = {}
                for row in select(rows, part="accuracy", **wanted):
                    seeds.setdefault((row["e"], row["m"]), set()).add(row["seed"])
                whole = sum(len(each) >= FEWEST_SEEDS for each in seeds.values())
                planned = 53 if rounding != "stochastic" else 32
                if whole < planned:
                    text = f"{kind}, dropout {dropout:g}, {rounding}: {whole} of {planned} formats"
                    found.append(f"- {text}")
    if not found:
        return ""
    return "Not measured yet with all seeds:\n\n" + "\n".join(found)
