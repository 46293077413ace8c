"""Constraint files of place and route: which port of the top level is at which pin."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..catalogue.entries import Board, Pin

__all__ = ["FILES", "constraints"]


def _pcf(pins: Sequence[Pin]) -> Iterable[str]:
    """Physical constraints of iCE40; standards of voltage are a matter of the board's supplies."""
    for pin in pins:
        pull = "-pullup yes " if pin.attributes.get("PULLUP") else ""
        yield f"set_io {pull}{pin.port} {pin.site}"


def _lpf(pins: Sequence[Pin]) -> Iterable[str]:
    """Lattice preferences of ECP5."""
    for pin in pins:
        yield f'LOCATE COMP "{pin.port}" SITE "{pin.site}";'
        yield f'IOBUF PORT "{pin.port}" {_assigned(pin)};'


def _cst(pins: Sequence[Pin]) -> Iterable[str]:
    """Physical constraints of Gowin."""
    for pin in pins:
        yield f'IO_LOC "{pin.port}" {pin.site};'
        yield f'IO_PORT "{pin.port}" {_assigned(pin)};'


def _assigned(pin: Pin) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(pin.attributes.items()))


FILES: Mapping[str, tuple[str, Callable[[Sequence[Pin]], Iterable[str]]]] = {
    "ice40": ("pins.pcf", _pcf),
    "ecp5": ("pins.lpf", _lpf),
    "gowin": ("pins.cst", _cst),
}
"""Name and writer of each family's file."""


def constraints(board: Board) -> str:
    """Return the constraint file of a board; clocks are constrained when it is routed."""
    _, write = FILES[board.target.family.name]
    return "\n".join(write(board.pins)) + "\n"
