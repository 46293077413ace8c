"""Result rows as tables on a terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from ..rows.row import LayerRow, ResultRow
from .quantities import accuracy, area

__all__ = [
    "ENERGIES",
    "LAYER_COLUMNS",
    "NETWORKS",
    "SWEEPS",
    "Columns",
    "print_layers",
    "print_table",
]

Cell = str | int | float | None
"""What stands in a cell; None leaves it empty."""

LAYER_COLUMNS: dict[str, Callable[[LayerRow], Cell]] = {
    "layer": lambda row: row.layer,
    "kind": lambda row: row.kind,
    "output": lambda row: row.size,
    "MACs": lambda row: f"{row.macs:,}",
    "cycles/image": lambda row: _number(row.cycles_per_image),
    "used": lambda row: _percent(row.utilisation, 0) if row.macs else None,
}


def print_layers(
    layers: Sequence[LayerRow], console: Console, slices: Sequence[str] | None = None
) -> None:
    """Print what the layers took, a line each; pools and sums have no MACs to use the array for.

    In an array of ``slices`` these are told too, and the bits of a weight in the mean.
    """
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in LAYER_COLUMNS:
        table.add_column(name, justify="left" if name in ("layer", "kind") else "right")
    for name in ("bits", "tiles x slices") if slices else ():
        table.add_column(name, justify="right")
    for row, more in zip(layers, slices or [""] * len(layers), strict=True):
        cells = [function(row) for function in LAYER_COLUMNS.values()]
        bits = _number(row.weight_bits / row.weights, 2) if row.weights else None
        table.add_row(*map(_shown, [*cells, bits, more] if slices else cells))
    console.print(table)


Columns = Mapping[str, tuple[int, Callable[[ResultRow], Cell]]]
"""Columns of a table by their headings: a rank, of which a narrow terminal goes without the high
ones, and what stands in the cell."""

NETWORKS: Columns = {
    "weights": (0, lambda row: row.weight),
    "acti-\nvations": (1, lambda row: row.activation),
    "accumu-\nlator": (2, lambda row: row.accumulator_bits),
    "array": (0, lambda row: _array(row)),
    "accuracy": (0, lambda row: _percent(accuracy(row))),
    "mis-\nmatches": (0, lambda row: row.mismatches),
    "over-\nflows": (5, lambda row: row.overflows),
    "cycles/\nimage": (3, lambda row: _number(row.cycles_per_image)),
    "used": (8, lambda row: _percent(row.utilisation, 0)),
    "LUT": (0, lambda row: row.lut),
    "FF": (7, lambda row: row.ff),
    "BRAM": (4, lambda row: row.bram),
    "DSP": (6, lambda row: row.dsp),
    "Fmax\nMHz": (0, lambda row: _number(row.fmax_mhz)),
    "images/s": (0, lambda row: _number(row.images_per_second, 0)),
}
ENERGIES: Columns = {
    "energy/\nimage, uJ": (0, lambda row: _energy(row)),
    "mW": (6, lambda row: _number(row.power_mw, 2)),
}
"""Columns of a run that finds energies, too."""


SWEEPS: Columns = {
    "network": (0, lambda row: row.network),
    "weights": (0, lambda row: row.weight),
    "acti-\nvations": (2, lambda row: row.activation),
    "accumu-\nlator": (0, lambda row: row.accumulator_bits),
    "over-\nflow": (8, lambda row: row.overflow),
    "array": (0, lambda row: _array(row)),
    "lanes": (0, lambda row: row.lanes if row.rows is None else None),
    "element": (0, lambda row: row.structure),
    "slice": (0, lambda row: row.slice),
    "multi-\nplier": (7, lambda row: row.multiplier),
    "accuracy": (0, lambda row: _percent(accuracy(row))),
    "target": (0, lambda row: row.target),
    "LUT": (0, lambda row: area(row)),
    "FF": (3, lambda row: row.ff),
    "BRAM": (4, lambda row: row.bram),
    "DSP": (1, lambda row: row.dsp),
    "Fmax\nMHz": (0, lambda row: _number(row.fmax_mhz)),
    "slowest,\nfastest": (5, lambda row: _range(row)),
    **{
        f"int{bits} a\n1,000 LUT": (6 - bits // 4, lambda row, bits=bits: _dense(row, bits))
        for bits in (8, 4, 2)
    },
    "failure": (0, lambda row: "failed" if row.failure is not None else None),
}
"""Columns of a sweep's table."""

_TEXTS = ("network", "weights", "acti-\nvations", "element", "target", "failure")


def print_table(
    rows: Sequence[ResultRow],
    console: Console,
    *,
    title: str,
    columns: Columns = NETWORKS,
    file: str = "results.csv",
) -> None:
    """Print the rows as one table; an empty cell was not measured.

    Where the console is too narrow, the least important columns are left out, and named below with
    the ``file`` that has them.
    """
    console.print(title, style="bold", markup=False, soft_wrap=True)
    shown = dict(columns)
    dispensable = sorted((name for name in shown if shown[name][0]), key=lambda n: shown[n][0])
    unlimited = console.options.update(width=1000)
    while dispensable and (
        console.measure(_table(rows, shown), options=unlimited).maximum > console.width
    ):
        del shown[dispensable.pop()]
    console.print(_table(rows, shown))
    hidden = [name.replace("-\n", "").replace("\n", " ") for name in columns if name not in shown]
    if hidden:
        console.print(f"in {file}: {', '.join(hidden)}", soft_wrap=True)


def _table(rows: Iterable[ResultRow], columns: Columns) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in columns:
        left = name in _TEXTS
        table.add_column(name, justify="left" if left else "right", vertical="bottom", no_wrap=True)
    for row in rows:
        table.add_row(*(_shown(cell(row)) for _, cell in columns.values()))
    return table


def _range(row: ResultRow) -> str | None:
    if row.fmax_mhz is None:
        return None
    return f"{row.fmax_mhz_min:.1f}, {row.fmax_mhz_max:.1f}"


def _energy(row: ResultRow) -> str | None:
    """Return microjoules, and the range in which they may be."""
    found = row.energy_uj, row.energy_uj_low, row.energy_uj_high
    if None in found:
        return None
    value, low, high = (f"{each:.3g}" for each in found)
    return f"{value} ({low} to {high})"


def _dense(row: ResultRow, bits: int) -> str | None:
    """Return products a cycle of such weights with 8-bit activations, of 1,000 LUT."""
    products, lut = (row.products or {}).get(f"int{bits} x uint8"), area(row)
    return _number(1000 * products / lut) if products and lut else None


def _array(row: ResultRow) -> str | None:
    return f"{row.rows}x{row.columns}x{row.lanes}" if row.rows else None


def _shown(value: Cell) -> str:
    return "" if value is None else str(value)


def _percent(value: float | None, digits: int = 2) -> str | None:
    return None if value is None else f"{100 * value:.{digits}f} %"


def _number(value: float | None, digits: int = 1) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"
