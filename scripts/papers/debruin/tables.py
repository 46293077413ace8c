"""Tables of the study ``debruin2020``."""

from statistics import mean, median, stdev

from ..evidence import select
from ..markdown import missing, table
from ..study import Rows, StudyRow
from .claims import float_row, number, over_seeds, share, trained
from .plan import NAMES, NARROW, ROUTED, TARGET, TRAINED, then
from .plan import cells as planned
from .subjects import RESNET, SUBJECTS

__all__ = ["tables"]


def tables(rows: Rows) -> str:
    """Return all tables as Markdown, and what the plan has and the rows have not."""
    parts = []
    for network in SUBJECTS:
        parts += [_registers(rows, network), _searches(rows, network), _trainings(rows, network)]
    parts += [
        _simulated(rows),
        _routed(rows),
        _choices(rows),
        missing(rows, [*planned(False), *then(rows)], NAMES),
    ]
    return "\n\n".join(filter(None, parts))


def _title(rows: Rows, network: str) -> str:
    base = float_row(rows, network)
    return network if base is None else f"{network}, {share(base):.2f} % in float"


def _registers(rows: Rows, network: str) -> str:
    found = select(rows, part="as it is", network=network)
    if not found:
        return ""
    lines = [
        [str(row["bits"]), f"{share(row):.2f} %", f"{row['beyond']:,}"]
        for row in sorted(found, key=lambda row: number(row, "bits"))
    ]
    head = ["register, bits", "right", "sums that do not fit"]
    first = found[0]
    return (
        f"{_title(rows, network)}: weights and activations of 8 bits, untrained, as they are on "
        f"registers that wrap; the sums need {first['needed']} bits; right of {first['images']:,} "
        f"test images, sums of {first['watched']:,}:\n\n" + table(head, lines)
    )


def _searches(rows: Rows, network: str) -> str:
    found = select(rows, part="searched", network=network)
    lines = []
    for row in sorted(found, key=lambda row: -number(row, "bits")):
        cells = [str(row["bits"]), str(row["bound"])]
        if "refused" in row:
            lines.append([*cells, str(row["refused"]), *[""] * 4])
            continue
        pairs: dict[str, list[int]] = row["pairs"]  # type: ignore[assignment]
        cells.append(", ".join(f"{activation}/{weight}" for activation, weight in pairs.values()))
        cells += [f"{row['tried']} of {row['grid']}", f"{share(row):.2f} %"]
        lines.append([*cells, str(row["needed"]), f"{row['beyond']:,}"])
    if not lines:
        return ""
    head = ["register, bits", "bound", "activation and weight bits by layer", "pairs tried"]
    head += ["right", "bits by the exact bound", "sums that do not fit"]
    return (
        f"{_title(rows, network)}: the search after training, a pair for each layer; right of "
        f"{_most(found, 'images'):,} test images, sums of {_most(found, 'watched'):,}:\n\n"
        + table(head, lines, 3)
    )


def _most(rows: Rows, name: str) -> int:
    return int(max(number(row, name) for row in rows if name in row))


def _trainings(rows: Rows, network: str) -> str:
    lines = []
    for bits, methods in TRAINED[network].items():
        rounded = select(rows, part="rounded", network=network, bits=bits)
        if rounded:
            lines.append(_training("rounded, untrained", rounded, rows, network))
        for method in methods:
            found = trained(rows, network, bits, method)
            if found:
                lines.append(_training(method, found, rows, network))
    if not lines:
        return ""
    head = ["register, bits", "method", "formats", "seeds", "right", "s.d.", "beside float"]
    head += ["weights of 0", "sums that do not fit"]
    return (
        f"{_title(rows, network)}: networks whose sums are proven to fit; of plain ones they fit "
        "as they come; points beside the float network of the same seed, and their error:\n\n"
        + table(head, lines, 3)
    )


def _training(method: str, found: list[StudyRow], rows: Rows, network: str) -> list[str]:
    shares = [share(row) for row in found]
    bases = {row["seed"]: float_row(rows, network, row["seed"]) for row in found}
    change = over_seeds(found, {seed: row for seed, row in bases.items() if row is not None})
    return [
        str(found[0]["bits"]),
        method,
        str(found[0]["formats"]),
        str(len(found)),
        f"{mean(shares):.2f} %",
        f"{stdev(shares):.2f}" if len(shares) > 1 else "",
        "" if change is None else f"{change.points:+.2f} ± {change.error:.2f}",
        f"{100 * mean(number(row, 'sparsity') for row in found):.1f} %",
        f"{sum(int(number(row, 'beyond')) for row in found):,}",
    ]


def _simulated(rows: Rows) -> str:
    lines = [
        [
            str(row["network"]),
            str(row["bits"]),
            f"{row['images']:,}",
            str(row["mismatches"]),
            str(row["overflows"]),
            f"{number(row, 'run_cycles') / number(row, 'images'):,.0f}",
        ]
        for row in select(rows, part="simulated")
    ]
    if not lines:
        return ""
    head = ["network", "register, bits", "images", "differ", "overflows", "cycles an image"]
    return (
        "Trained networks on arrays with accumulators of exactly these bits, cycle by cycle beside "
        "the integers:\n\n" + table(head, lines)
    )


def _routed(rows: Rows) -> str:
    lines = []
    for bits in ROUTED:
        found = [row for row in select(rows, part="routed", bits=bits) if "lut" in row]
        if found:
            clocks = ", ".join(f"{row['fmax_mhz']:.1f}" for row in found)
            middle = median(number(row, "lut") for row in found)
            lines.append([str(bits), f"{middle:,.0f}", str(found[0]["ff"]), clocks])
    if not lines:
        return ""
    head = ["register, bits", "logic cells", "FF", "MHz of each placement"]
    return (
        f"{RESNET} of {NARROW}-bit sums on {TARGET}, in an accelerator whose accumulators have so "
        "many bits:\n\n" + table(head, lines)
    )


def _choices(rows: Rows) -> str:
    lines = []
    for row in select(rows, part="choice"):
        shares: dict[str, int] = row["shares"]  # type: ignore[assignment]
        refused: dict[str, str] = row["refused"]  # type: ignore[assignment]
        images = number(row, "images")
        said = [f"{name} {100 * right / images:.1f} %" for name, right in shares.items()]
        said += [f"{name} does not fit" for name in refused]
        method = f"{row['method']}, an epoch" if row.get("learned") else "rounded, untrained"
        lines.append([str(row["network"]), str(row["bits"]), method, ", ".join(said)])
    if not lines:
        return ""
    head = ["network", "register, bits", "weights", "formats: right of the held-out images"]
    return "Formats that were chosen among:\n\n" + table(head, lines, 4)
