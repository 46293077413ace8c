"""The clocks that a device's PLL can make of a board's, as its data sheet limits them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ...hw.errors import FitError, NarrowgaugeError

__all__ = ["PLLS", "Setting", "highest", "settings"]


@dataclass(frozen=True)
class Setting:
    """A clock, and how to come to it.

    Attributes
    ----------
    frequency : float
        Of the clock that is made, in Hz.
    vco : float
        Of the oscillator inside, in Hz; 0 where the board's clock is taken as it is.
    cell : str
        The PLL; empty where there is none.
    parameters : mapping of str to int, float or str
        Of the cell.
    """

    frequency: float
    vco: float = 0.0
    cell: str = ""
    parameters: Mapping[str, int | float | str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class _Limits:
    """Lowest and highest frequencies in Hz."""

    source: tuple[float, float]
    compared: tuple[float, float]
    vco: tuple[float, float]
    output: tuple[float, float]

    def hold(self, source: float, compared: float, vco: float, output: float) -> bool:
        pairs = (self.source, self.compared, self.vco, self.output)
        found = (source, compared, vco, output)
        return all(low <= each <= high for (low, high), each in zip(pairs, found, strict=True))


# iCE40 LP/HX and UltraPlus family data sheets, table "sysCLOCK PLL timing".
_ICE40 = _Limits((10e6, 133e6), (10e6, 133e6), (533e6, 1066e6), (16e6, 275e6))
# ECP5 and ECP5-5G family data sheet, table "sysCLOCK PLL timing".
_ECP5 = _Limits((8e6, 400e6), (3.125e6, 400e6), (400e6, 800e6), (3.125e6, 400e6))
# Gowin GW1NR data sheet, table "PLL switching characteristics", GW1NR-9 at speed C6/I5.
_GOWIN = _Limits((3e6, 400e6), (3e6, 400e6), (400e6, 1200e6), (3.125e6, 600e6))

_FILTERS = ((17e6, 1), (26e6, 2), (44e6, 3), (66e6, 4), (101e6, 5), (133e6, 6))
"""The setting of the iCE40's loop filter, for comparators up to a frequency."""


def _ice40(source: float, cell: str) -> Iterator[Setting]:
    """Yield settings of simple feedback: source * (DIVF + 1) / (DIVR + 1) / 2**DIVQ."""
    for divr in range(16):
        compared = source / (divr + 1)
        for divf in range(128):
            vco = compared * (divf + 1)
            for divq in range(1, 7):
                output = vco / (1 << divq)
                if _ICE40.hold(source, compared, vco, output):
                    filtered = next(value for limit, value in _FILTERS if compared <= limit)
                    numbers = {"DIVR": divr, "DIVF": divf, "DIVQ": divq, "FILTER_RANGE": filtered}
                    yield Setting(output, vco, cell, {"FEEDBACK_PATH": "SIMPLE", **numbers})


def _ecp5(source: float, cell: str) -> Iterator[Setting]:
    """Yield settings of feedback from the output: source * CLKFB_DIV / CLKI_DIV."""
    for divided in range(1, 129):
        compared = source / divided
        if compared < _ECP5.compared[0]:
            return
        for feedback in range(1, 129):
            output = compared * feedback
            division = min(int(_ECP5.vco[1] // output), 128)  # the fastest oscillator there is
            if division and _ECP5.hold(source, compared, output * division, output):
                numbers = {"CLKI_DIV": divided, "CLKFB_DIV": feedback, "CLKOP_DIV": division}
                phase = {"CLKOP_CPHASE": division - 1, "CLKOP_FPHASE": 0}
                fixed = {"FEEDBK_PATH": "CLKOP", "CLKOP_ENABLE": "ENABLED"}
                yield Setting(output, output * division, cell, {**fixed, **numbers, **phase})


def _gowin(source: float, cell: str) -> Iterator[Setting]:
    """Yield settings of feedback from the output: source * (FBDIV_SEL + 1) / (IDIV_SEL + 1)."""
    for divided in range(64):
        compared = source / (divided + 1)
        for feedback in range(64):
            output = compared * (feedback + 1)
            for division in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128):
                if _GOWIN.hold(source, compared, output * division, output):
                    numbers = {"IDIV_SEL": divided, "FBDIV_SEL": feedback, "ODIV_SEL": division}
                    stated = {"FCLKIN": f"{source / 1e6:g}"}
                    yield Setting(output, output * division, cell, {**stated, **numbers})


PLLS: Mapping[str, Callable[[float, str], Iterator[Setting]]] = {
    "SB_PLL40_PAD": _ice40,
    "SB_PLL40_CORE": _ice40,
    "EHXPLLL": _ecp5,
    "rPLL": _gowin,
}
"""What enumerates the settings of each cell."""


def settings(cell: str, source: float) -> Iterator[Setting]:
    """Yield every setting of a PLL that its data sheet allows at an input of ``source`` Hz.

    Raises
    ------
    NarrowgaugeError
        For a cell that is none of `PLLS`.
    """
    if cell not in PLLS:
        raise NarrowgaugeError(f"no PLL {cell!r}; there is {', '.join(PLLS)}")
    return PLLS[cell](source, cell)


def highest(cell: str, source: float, limit: float) -> Setting:
    """Return the fastest clock of at most ``limit`` Hz; the board's own where that is as fast.

    Of settings with the same output it is one that compares most often, which has least jitter.

    Raises
    ------
    FitError
        Where every clock is faster; the text has the slowest.
    """
    found = [Setting(source), *settings(cell, source)]
    # a thousandth of a hertz is rounding
    slow = [setting for setting in found if setting.frequency <= limit + 1e-3]
    if not slow:
        least = min(setting.frequency for setting in found)
        raise FitError(
            f"no clock of at most {limit / 1e6:.2f} MHz: the slowest that {cell} makes of "
            f"{source / 1e6:g} MHz is {least / 1e6:.2f} MHz"
        )
    fastest = max(setting.frequency for setting in slow)
    same = [setting for setting in slow if setting.frequency >= fastest - 1e-3]
    return min(same, key=_order)


def _order(setting: Setting) -> tuple[float, float]:
    """Order settings of one output: first what divides its input least, then a slow oscillator."""
    numbers = setting.parameters
    divided = next(
        (numbers[name] for name in ("DIVR", "CLKI_DIV", "IDIV_SEL") if name in numbers), 0
    )
    return float(divided), setting.vco
