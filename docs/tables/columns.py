"""The tables of what the columns of a result row mean, by who measures them."""

from narrowgauge.scripts.rows.columns import Part, columns_of
from narrowgauge.scripts.rows.row import (
    Asked,
    Compared,
    Ended,
    Energised,
    Hardware,
    LayerRow,
    Sized,
)


def asked() -> str:
    """Return the table of what was asked for."""
    return _table(Asked)


def compared() -> str:
    """Return the table of accuracy and equality."""
    return _table(Compared)


def sized() -> str:
    """Return the table of size and time of the network."""
    return _table(Sized)


def layer() -> str:
    """Return the table of an entry of ``layers``."""
    return _table(LayerRow)


def hardware() -> str:
    """Return the table of what the tools report, of the energy, and of how a row ended."""
    return _table(Hardware, Energised, Ended)


def _table(*parts: type[Part]) -> str:
    lines = ["| column | unit | meaning |", "| --- | --- | --- |"]
    for part in parts:
        for each in columns_of(part).values():
            lines.append(f"| `{each.name}` | {each.unit} | {each.meaning} |")
    return "\n".join(lines) + "\n"
