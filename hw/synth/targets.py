"""The devices, as data: what each is called by its tools, and how much it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import ToolError
from ..mac.fabric import Fabric
from .catalogue import Catalogue
from .family import ECP5, GOWIN, ICE40, XC7, Family

__all__ = ["TARGETS", "Family", "Target", "target"]


@dataclass(frozen=True)
class Target:
    """A device in a package.

    Attributes
    ----------
    name : str
        ``up5k``, ``ecp5-85k``.
    family : Family
        Its cells and tools.
    device : tuple of str
        Options of the place and route tool that choose device, package and speed grade.
    budget : mapping of str to int
        How many of each resource there are, as the place and route tool counts them: on ECP5, pins
        are those of the die, of which a package may have fewer.
    pins : tuple of str
        Pins of the package, where the tool does not choose them itself; the first is the clock's.
    """

    name: str
    family: Family
    device: tuple[str, ...]
    budget: Mapping[str, int] = field(hash=False)
    pins: tuple[str, ...] = ()

    def synthesis(self, *, dsp: bool) -> tuple[str, ...]:
        """Return the Yosys command and options, with or without inferred DSP blocks."""
        infer = dsp and self.budget.get("dsp", 0) > 0
        single_port = ("-spram",) if self.budget.get("spram") else ()
        multiplier = self.family.with_dsp if infer else self.family.without_dsp
        return self.family.synthesis + single_port + multiplier

    def fabric(self, *, blocks: bool = False) -> Fabric:
        """Return what components choose their structures by; with its DSP blocks, or not."""
        fabric = self.family.fabric
        return fabric.using_blocks(self.budget.get("dsp", 0)) if blocks else fabric

    def sprams(self, width: int, depth: int) -> int:
        """Return the single-port RAMs, of 16 x 16384 bits, that such a memory takes."""
        return -(-width // 16) * -(-depth // 16384)


# All of the package but 5 to 9 (JTAG and reconfiguration), 63, 87 and 88 (PLL and boot mode).
_RANGES = ((3, 4), (10, 11), (13, 20), (25, 42), (47, 51), (53, 57), (59, 62), (68, 77), (79, 86))
_QN88 = ("52", *(str(pin) for first, last in _RANGES for pin in range(first, last + 1)))

_ALL = (
    Target(
        "up5k",
        ICE40,
        ("--up5k", "--package", "sg48"),
        {"lut": 5280, "bram": 30, "spram": 4, "dsp": 8, "io": 39},
    ),
    Target(
        "hx8k",
        ICE40,
        ("--hx8k", "--package", "ct256"),
        {"lut": 7680, "bram": 32, "io": 206},
    ),
    Target(
        "ecp5-25k",
        ECP5,
        ("--25k", "--package", "CABGA381", "--speed", "6"),
        {"lut": 24288, "ff": 24288, "bram": 56, "dsp": 28, "io": 197},
    ),
    Target(
        "ecp5-45k",
        ECP5,
        ("--45k", "--package", "CABGA381", "--speed", "6"),
        {"lut": 43848, "ff": 43848, "bram": 108, "dsp": 72, "io": 245},
    ),
    Target(
        "ecp5-85k",
        ECP5,
        ("--85k", "--package", "CABGA381", "--speed", "6"),
        {"lut": 83640, "ff": 83640, "bram": 208, "dsp": 156, "io": 365},
    ),
    Target(
        "gw1n-9",
        GOWIN,
        ("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
        {"lut": 8640, "ff": 6480, "bram": 26, "dsp": 20, "io": len(_QN88)},
        _QN88,
    ),
    Target(
        "xc7",
        XC7,
        (),
        {"lut": 53200, "ff": 106400, "bram": 280, "dsp": 220, "io": 125},  # an XC7Z020, CLG400
    ),
)
TARGETS = Catalogue("target", _ALL, error=ToolError)


def target(name: str) -> Target:
    """Return the target called ``name``.

    Raises
    ------
    ToolError
        For an unknown name; the text lists the known ones.
    """
    return TARGETS.find(name)
