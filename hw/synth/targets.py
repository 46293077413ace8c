"""The devices, as data: how each is synthesised and routed, and how much it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import ToolError

__all__ = ["TARGETS", "Family", "Target", "target"]


@dataclass(frozen=True)
class Family:
    """Devices that share cells and tools.

    Attributes
    ----------
    name : str
        ``ice40``, ``ecp5``.
    synthesis : tuple of str
        Yosys command and options; the command has a step ``check``, as all of Yosys do.
    with_dsp, without_dsp : tuple of str
        Options that let Yosys infer multiplier blocks, or keep it from that.
    mapped : mapping of str to str
        Resource to a pattern (``*`` is any text) for the cells that Yosys maps it to;
        `report.Report` says what each resource means.
    router : str or None
        The place and route tool; None where there is none, so that only mapping is measured.
    router_options : tuple of str
        What it needs on every device.
    packed : mapping of str to str
        Resource to its cell in the report of the place and route tool.
    lone_ff_takes_lut : bool
        Whether a register that shares no logic cell with a LUT counts as one in ``lut``.
    bram_shapes : tuple of (int, int)
        Widths and depths that one memory block can have, with a read and a write port.
    merged : tuple of str
        Resources of which cells that do the same become one. Not carries where two chains cannot
        leave one cell.
    """

    name: str
    synthesis: tuple[str, ...]
    with_dsp: tuple[str, ...]
    without_dsp: tuple[str, ...]
    mapped: Mapping[str, str] = field(hash=False)
    router: str | None
    router_options: tuple[str, ...]
    packed: Mapping[str, str] = field(hash=False)
    lone_ff_takes_lut: bool
    bram_shapes: tuple[tuple[int, int], ...]
    merged: tuple[str, ...] = ("lut4", "carry", "ff")

    def brams(self, width: int, depth: int) -> int:
        """Return the memory blocks that a memory of ``depth`` words of ``width`` bits takes."""
        return min(-(-width // w) * -(-depth // d) for w, d in self.bram_shapes)


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
    """

    name: str
    family: Family
    device: tuple[str, ...]
    budget: Mapping[str, int] = field(hash=False)

    def synthesis(self, *, dsp: bool) -> tuple[str, ...]:
        """Return the Yosys command and options, with or without inferred multiplier blocks."""
        infer = dsp and self.budget.get("dsp", 0) > 0
        single_port = ("-spram",) if self.budget.get("spram") else ()
        multiplier = self.family.with_dsp if infer else self.family.without_dsp
        return self.family.synthesis + single_port + multiplier

    def sprams(self, width: int, depth: int) -> int:
        """Return the single-port RAMs, of 16 x 16384 bits, that such a memory takes."""
        return -(-width // 16) * -(-depth // 16384)


_ICE40 = Family(
    name="ice40",
    synthesis=("synth_ice40",),
    with_dsp=("-dsp",),
    without_dsp=(),
    mapped={
        "lut4": "SB_LUT4",
        "ff": "SB_DFF*",
        "carry": "SB_CARRY",
        "bram": "SB_RAM40_4K*",
        "spram": "SB_SPRAM256KA",
        "dsp": "SB_MAC16",
    },
    router="nextpnr-ice40",
    router_options=(),
    packed={
        "lut": "ICESTORM_LC",
        "bram": "ICESTORM_RAM",
        "spram": "ICESTORM_SPRAM",
        "dsp": "ICESTORM_DSP",
        "io": "SB_IO",
    },
    lone_ff_takes_lut=True,
    bram_shapes=((16, 256), (8, 512), (4, 1024), (2, 2048)),
)

_ECP5 = Family(
    name="ecp5",
    # Without -nowidelut, popcounts and multipliers take up to half as many LUTs again.
    synthesis=("synth_ecp5", "-nowidelut"),
    with_dsp=(),
    without_dsp=("-nodsp",),
    mapped={
        "lut4": "LUT4",
        "ff": "TRELLIS_FF",
        "carry": "CCU2C",
        "bram": "*P*16KD",
        "dsp": "MULT18X18D",
    },
    router="nextpnr-ecp5",
    router_options=("--lpf-allow-unconstrained",),
    packed={
        "lut": "TRELLIS_COMB",
        "ff": "TRELLIS_FF",
        "bram": "DP16KD",
        "dsp": "MULT18X18D",
        "io": "TRELLIS_IO",
    },
    lone_ff_takes_lut=False,
    bram_shapes=((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    merged=("lut4", "ff"),
)

_ALL = (
    Target(
        "up5k",
        _ICE40,
        ("--up5k", "--package", "sg48"),
        {"lut": 5280, "bram": 30, "spram": 4, "dsp": 8, "io": 39},
    ),
    Target(
        "hx8k",
        _ICE40,
        ("--hx8k", "--package", "ct256"),
        {"lut": 7680, "bram": 32, "io": 206},
    ),
    Target(
        "ecp5-25k",
        _ECP5,
        ("--25k", "--package", "CABGA381", "--speed", "6"),
        {"lut": 24288, "ff": 24288, "bram": 56, "dsp": 28, "io": 197},
    ),
    Target(
        "ecp5-45k",
        _ECP5,
        ("--45k", "--package", "CABGA381", "--speed", "6"),
        {"lut": 43848, "ff": 43848, "bram": 108, "dsp": 72, "io": 245},
    ),
    Target(
        "ecp5-85k",
        _ECP5,
        ("--85k", "--package", "CABGA381", "--speed", "6"),
        {"lut": 83640, "ff": 83640, "bram": 208, "dsp": 156, "io": 365},
    ),
)
TARGETS: Mapping[str, Target] = {entry.name: entry for entry in _ALL}


def target(name: str) -> Target:
    """Return the target called ``name``.

    Raises
    ------
    ToolError
        For an unknown name; the text lists the known ones.
    """
    if name not in TARGETS:
        raise ToolError(f"unknown target {name!r}; targets are {', '.join(TARGETS)}")
    return TARGETS[name]
