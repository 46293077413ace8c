"""The boards, as data: what is on each, where its pins are, and what programs it.

Pins and their attributes come from amaranth-boards; what its platform leaves out is added here.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from amaranth.build import Attrs, Pins, Resource, Subsignal

from ...hw.errors import NarrowgaugeError
from ...hw.synth.catalogue import Catalogue
from ...hw.synth.targets import TARGETS, Target

__all__ = ["BOARDS", "Board", "Pin", "board"]


@dataclass(frozen=True)
class Pin:
    """A port of the top level and where it leaves the package.

    Attributes
    ----------
    port : str
        ``clk``, ``rx``, ``tx``, or ``high_N`` for a pin that must be high.
    site : str
        The pin, as the package calls it.
    attributes : mapping of str to object
        As the vendor's constraint files have them.
    """

    port: str
    site: str
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Board:
    """A board: a device, a clock, two pins of a UART, and a way to program it.

    Attributes
    ----------
    name, title : str
        What commands call it; what its maker calls it.
    target_name : str
        The device, in `hw.synth.targets.TARGETS`.
    platform : str
        Module and class of its platform in amaranth-boards.
    clock : str
        The resource of its clock.
    pll : str
        The cell that makes other clocks of it; see `pll.PLLS`. On iCE40 a clock at the PLL's own
        pin needs ``SB_PLL40_PAD``.
    programmers : tuple of tuple of str
        Commands that load ``{file}`` into the device, the first that is there and starts being
        taken. openFPGALoader's names of boards are those of its ``board.hpp``, in their case.
    device : tuple of str
        Options of the place and route tool, where the board has another package or speed.
    uart : Resource, optional
        Where the platform has none.
    high : tuple of str
        Pins that must be high, such as the select of a memory that shares pins with the UART.
    note : str
        What one must know or do.
    seen : bool
        Whether somebody has seen a network of narrowgauge run on it.
    """

    name: str
    title: str
    target_name: str
    platform: str
    clock: str
    pll: str
    programmers: tuple[tuple[str, ...], ...]
    device: tuple[str, ...] = ()
    uart: Resource | None = field(default=None, hash=False)
    high: tuple[str, ...] = ()
    note: str = ""
    seen: bool = False

    @property
    def target(self) -> Target:
        """The device, in the package and at the speed that the board has; pins are the board's."""
        found = TARGETS[self.target_name]
        return replace(found, device=self.device or found.device)

    @cached_property
    def _platform(self) -> Any:
        module, _, name = self.platform.partition(":")
        found: Any = getattr(importlib.import_module(f"amaranth_boards.{module}"), name)()
        if self.uart is not None:
            found.add_resources([self.uart])
        return found

    @property
    def clock_frequency(self) -> float:
        """Of the clock on the board, in Hz."""
        return float(self._platform.lookup(self.clock).clock.frequency)

    @cached_property
    def pins(self) -> tuple[Pin, ...]:
        """``clk``, ``rx``, ``tx``, and those that must be high."""
        clock, uart = self._platform.lookup(self.clock), self._platform.lookup("uart")
        found = [self._pin("clk", clock, clock)]
        parts = {part.name: part for part in uart.ios}
        found += [self._pin(name, parts[name], uart) for name in ("rx", "tx")]
        found += [
            Pin(f"high_{index}", site, found[-1].attributes) for index, site in enumerate(self.high)
        ]
        return tuple(found)

    def _pin(self, port: str, part: Any, resource: Any) -> Pin:
        (site,) = part.ios[0].map_names(self._platform._conn_pins, resource)
        return Pin(port, site, {**resource.attrs, **part.attrs})


def _uart(rx: str, tx: str, **attributes: str) -> Resource:
    lines = Subsignal("rx", Pins(rx, dir="i")), Subsignal("tx", Pins(tx, dir="o"))
    return Resource("uart", 0, *lines, Attrs(**attributes))


def _loader(name: str) -> tuple[str, ...]:
    return ("openFPGALoader", "-b", name, "{file}")


_ALL = (
    Board(
        name="icebreaker",
        title="iCEBreaker 1.0",
        target_name="up5k",
        platform="icebreaker:ICEBreakerPlatform",
        clock="clk12",
        pll="SB_PLL40_PAD",
        programmers=(_loader("ice40_generic"), ("iceprog", "{file}")),
        note="the UART is the second channel of the board's USB",
    ),
    Board(
        name="upduino_v3",
        title="UPduino 3.0 and 3.1",
        target_name="up5k",
        platform="upduino_v3:UpduinoV3Platform",
        clock="clk12",
        pll="SB_PLL40_CORE",
        programmers=(_loader("ice40_generic"), ("iceprog", "{file}")),
        # the FTDI chip's lines for its UART are those for its SPI, which the flash shares
        uart=_uart("15", "14", IO_STANDARD="SB_LVCMOS"),
        high=("16",),
        note="close the OSC jumper, which brings 12 MHz to pin 20; the internal oscillator is too "
        "inaccurate for a UART",
    ),
    Board(
        name="ice40_hx8k_b_evn",
        title="iCE40-HX8K breakout board",
        target_name="hx8k",
        platform="ice40_hx8k_b_evn:ICE40HX8KBEVNPlatform",
        clock="clk12",
        pll="SB_PLL40_CORE",
        programmers=(_loader("ice40_generic"), ("iceprog", "-S", "{file}")),
        note="iceprog -S loads the device itself: set the jumpers J6 and J7 for that",
    ),
    Board(
        name="ulx3s_25f",
        title="ULX3S 25F",
        target_name="ecp5-25k",
        platform="ulx3s:ULX3S_25F_Platform",
        clock="clk25",
        pll="EHXPLLL",
        programmers=(_loader("ulx3s"), ("fujprog", "{file}")),
    ),
    Board(
        name="ulx3s_85f",
        title="ULX3S 85F",
        target_name="ecp5-85k",
        platform="ulx3s:ULX3S_85F_Platform",
        clock="clk25",
        pll="EHXPLLL",
        programmers=(_loader("ulx3s"), ("fujprog", "{file}")),
    ),
    Board(
        name="colorlight_5a75b",
        title="Colorlight 5A-75B R7.0",
        target_name="ecp5-25k",
        platform="colorlight_5a75b_r7_0:Colorlight_5A75B_R70Platform",
        clock="clk25",
        pll="EHXPLLL",
        programmers=(("openFPGALoader", "-c", "ft232", "-m", "{file}"),),
        device=("--25k", "--package", "CABGA256", "--speed", "6"),
        note="JTAG and UART need adapters: the UART is at J19, which has the button and the LED",
    ),
    Board(
        name="orangecrab_85f",
        title="OrangeCrab r0.2 85F",
        target_name="ecp5-85k",
        platform="orangecrab_r0_2:OrangeCrabR0_2_85FPlatform",
        clock="clk",
        pll="EHXPLLL",
        programmers=(_loader("orangeCrab"), ("dfu-util", "-a", "0", "-D", "{file}")),
        device=("--85k", "--package", "CSFBGA285", "--speed", "8"),
        uart=_uart("io_0:0", "io_0:1", IO_TYPE="LVCMOS33"),
        note="the UART needs an adapter: the header's pin 0 receives, pin 1 sends; to program it, "
        "hold its button while it powers up",
    ),
    Board(
        name="tang_nano_9k",
        title="Tang Nano 9K",
        target_name="gw1n-9",
        platform="tang_nano_9k:TangNano9kPlatform",
        clock="clk27",
        pll="rPLL",
        programmers=(_loader("tangnano9k"),),
    ),
)
BOARDS = Catalogue("board", _ALL, error=NarrowgaugeError)


def board(name: str) -> Board:
    """Return the board called ``name``.

    Raises
    ------
    NarrowgaugeError
        For an unknown name; the text lists the known ones.
    """
    return BOARDS.find(name)
