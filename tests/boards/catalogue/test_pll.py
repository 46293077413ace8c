import re
import subprocess
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from narrowgauge.boards.catalogue import pll
from narrowgauge.boards.catalogue.pll import PLLS, highest, settings
from narrowgauge.hw.errors import FitError, NarrowgaugeError
from narrowgauge.hw.tools.programs import find

LIMITS = {  # MHz: input, comparator, oscillator, output, as the data sheets have them
    "SB_PLL40_PAD": ((10, 133), (10, 133), (533, 1066), (16, 275)),
    "SB_PLL40_CORE": ((10, 133), (10, 133), (533, 1066), (16, 275)),
    "EHXPLLL": ((8, 400), (3.125, 400), (400, 800), (3.125, 400)),
    "rPLL": ((3, 400), (3, 400), (400, 1200), (3.125, 600)),
}


def clocks(cell, source, numbers):
    """Comparator, oscillator and output in MHz, exactly, from a cell's documentation."""
    n = numbers
    if cell.startswith("SB"):
        compared = source / (n["DIVR"] + 1)
        vco = compared * (n["DIVF"] + 1)
        return compared, vco, vco / 2 ** n["DIVQ"]
    if cell == "EHXPLLL":
        compared = source / n["CLKI_DIV"]
        output = compared * n["CLKFB_DIV"]
        return compared, output * n["CLKOP_DIV"], output
    compared = source / (n["IDIV_SEL"] + 1)
    output = compared * (n["FBDIV_SEL"] + 1)
    return compared, output * n["ODIV_SEL"], output


def within(cell, source, setting):
    found = (source, *clocks(cell, source, setting.parameters))
    return all(low <= each <= high for (low, high), each in zip(LIMITS[cell], found, strict=True))


@pytest.mark.parametrize("cell", PLLS)
@hypothesis_settings(max_examples=15)
@given(source=st.integers(10, 100), limit=st.integers(20, 250))
def test_a_setting_is_within_the_data_sheet_and_not_too_fast(cell, source, limit):
    setting = highest(cell, source * 1e6, limit * 1e6)
    assert setting.frequency <= limit * 1e6 + 1e-3
    if not setting.cell:
        assert setting.frequency == source * 1e6
        return
    exact = Fraction(source)
    assert within(cell, exact, setting)
    assert float(clocks(cell, exact, setting.parameters)[2]) * 1e6 == pytest.approx(
        setting.frequency, rel=1e-12
    )


def test_a_limit_that_is_wrong_would_be_seen(monkeypatch):
    wide = pll._Limits((10e6, 133e6), (1e6, 133e6), (100e6, 1066e6), (16e6, 275e6))
    monkeypatch.setattr(pll, "_ICE40", wide)
    found = settings("SB_PLL40_PAD", 12e6)
    assert not all(within("SB_PLL40_PAD", Fraction(12), setting) for setting in found)


@pytest.mark.parametrize(("source", "wanted"), [(12, 24), (12, 39), (12, 60), (16, 48), (100, 33)])
def test_ice40_agrees_with_icepll(source, wanted, tmp_path):
    tool = find("icepll")
    command = [*tool.command, "-i", str(source), "-o", str(wanted)]
    said = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    theirs = float(re.findall(r"PLLOUT:\s+([\d.]+) MHz", said)[-1])
    ours = highest("SB_PLL40_PAD", source * 1e6, theirs * 1e6 + 600)  # it prints three decimals
    assert ours.frequency / 1e6 == pytest.approx(theirs, abs=5e-4)
    numbers = ours.parameters
    filtered = int(re.findall(r"FILTER_RANGE:\s+(\d)", said)[0])
    divided = int(re.findall(r"DIVR:\s+(\d+)", said)[0])
    if numbers["DIVR"] == divided:
        assert numbers["FILTER_RANGE"] == filtered


def test_a_clock_that_is_the_board_s_needs_no_pll():
    assert highest("SB_PLL40_PAD", 12e6, 15e6).cell == ""
    assert highest("SB_PLL40_PAD", 12e6, 15e6).frequency == 12e6


def test_what_cannot_be_made_is_said():
    with pytest.raises(FitError, match=r"no clock of at most 5\.00 MHz: the slowest .* 12\.00 MHz"):
        highest("SB_PLL40_PAD", 12e6, 5e6)
    with pytest.raises(NarrowgaugeError, match="no PLL 'DCM'; there is SB_PLL40_PAD"):
        list(settings("DCM", 12e6))
