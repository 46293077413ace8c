"""The designs whose gates are compared: elements of every format and family, and accelerators.

They are built as sweeps and commands build them, so that moving and renaming what lies below does
not change this file.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from narrowgauge.boards.build.bitstream import design as board_design
from narrowgauge.boards.catalogue.entries import board
from narrowgauge.boards.catalogue.pll import highest
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.program.ordering import sorted_by_width
from narrowgauge.hw.synth.build import accelerator_for, infers_blocks
from narrowgauge.hw.synth.shell import Shell
from narrowgauge.hw.synth.targets import Target, target
from narrowgauge.hw.tools import rtlil
from narrowgauge.hw.tools.store import Store
from narrowgauge.scripts.sweeps.macs import Array, Mac

from ..hw.networks import random_convnet, with_widths

__all__ = ["DESIGNS", "Design"]

TARGETS = {"ice40": "up5k", "ecp5": "ecp5-25k", "gowin": "gw1n-9", "xc7": "xc7"}


@dataclass(frozen=True)
class Design:
    """A design on a target; ``make`` returns its RTLIL, and whether synthesis infers blocks."""

    name: str
    on: Target
    make: Callable[[], tuple[str, bool]]


ELEMENTS = (  # weights, activations, bits, overflow, lanes, multiplier
    ("bipolar", "bipolar", 8, "wrap", 1, "logic"),
    ("bipolar", "bipolar", 16, "wrap", 64, "logic"),
    ("bipolar", "bipolar", 12, "saturate", 13, "logic"),
    ("bipolar", "int4", 16, "wrap", 8, "logic"),
    ("pow2_4", "uint8", 20, "wrap", 4, "logic"),
    ("pow2_3", "int8", 20, "saturate", 3, "logic"),
    ("int2", "int2", 12, "wrap", 8, "logic"),
    ("int4", "uint4", 16, "wrap", 4, "logic"),
    ("int8", "int8", 24, "wrap", 1, "logic"),
    ("int8", "uint8", 24, "saturate", 4, "logic"),
    ("uint4", "uint4", 16, "wrap", 2, "logic"),
    ("e3m2", "uint4", 24, "wrap", 2, "logic"),
    ("e2m1", "int4", 16, "wrap", 4, "logic"),
    ("fp16", "fp16", 32, None, 1, "logic"),
    ("bf16", "bf16", 16, None, 1, "logic"),
    ("int8", "int8", 16, "wrap", 2, "block"),
    ("int4", "uint4", 16, "wrap", 8, "block"),
    ("int12", "int12", 32, "wrap", 1, "block"),
    ("fp16", "fp16", 16, None, 1, "block"),
)

SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))
TWO = Window((2, 2), (2, 2))

DEPTHWISE = (
    (6, 6, 3),
    ("conv", 4, SAME, 1),
    ("conv", 4, SAME, 4),
    ("average", TWO),
    ("conv", 4, Window((1, 1)), 2),
    ("average", None),
    ("dense", 5),
)
RESIDUAL = (
    (6, 6, 4),
    ("conv", 4, SAME, 1),
    ("conv", 4, SAME, 1),
    ("add", "layer0", (1, 3)),
    ("max", TWO),
    ("dense", 6),
)
POOLS = ((8, 8, 2), ("conv", 6, Window((3, 3)), 1), ("max", TWO), ("dense", 7), ("dense", 4))
DENSE = ((1, 1, 20), ("dense", 12), ("dense", 8), ("dense", 5))
WIDE = ((1, 1, 96), ("dense", 256), ("dense", 320), ("dense", 10))


def _elements() -> Iterator[Design]:
    for family, name in TARGETS.items():
        for weight, activation, bits, overflow, lanes, multiplier in ELEMENTS:
            if multiplier == "block" and family == "gowin" and weight == "int12":
                continue  # its blocks take 9 or 18 bits, and this is one more of the second kind
            text = f"{weight} x {activation}, {bits} {overflow or 'float'}, {lanes} lanes"
            point = Mac(
                weight=weight,
                activation=activation,
                accumulator=bits,
                overflow=overflow,
                lanes=lanes,
                multiplier=multiplier,
                target=name,
                seeds=0,
            )
            yield Design(f"{family}: {text}, {multiplier}", target(name), _point(point))


def _arrays() -> Iterator[Design]:
    shapes = (
        ("ice40", "int8", "logic", (2, 3, 2, 8, 1)),
        ("ice40", "int8", "block", (2, 2, 2, 8, 1)),
        ("ecp5", "int4", "logic", (4, 3, 2, 1, 2)),
        ("ecp5", "int8", "block", (2, 2, 4, 2, 1)),
        ("gowin", "bipolar", "logic", (2, 2, 16, 8, 2)),
        ("xc7", "pow2_4", "logic", (2, 2, 4, 1, 1)),
    )
    for family, fmt, multiplier, sizes in shapes:
        rows, columns, lanes, hop, chains = sizes
        point = Array(
            weight=fmt,
            activation="int8" if fmt == "pow2_4" else fmt,
            accumulator=16,
            overflow="wrap",
            lanes=lanes,
            multiplier=multiplier,
            target=TARGETS[family],
            seeds=0,
            rows=rows,
            columns=columns,
            hop=hop,
            chains=chains,
            slice=None,
        )
        shape = "x".join(map(str, sizes[:3]))
        text = f"{family}: array {fmt} {shape}, hop {hop}, {chains} chains, {multiplier}"
        yield Design(text, target(TARGETS[family]), _point(point))


def _point(point: Mac) -> Callable[[], tuple[str, bool]]:
    def make() -> tuple[str, bool]:
        built = point.build(Store())
        return built.text, built.dsp

    return make


def _program(family, spec, sizes=(2, 2, 4), *, bits=18, overflow="wrap", varied=False, **options):
    network = random_convnet(1, family, spec, Accumulator(bits, overflow), varied=varied)
    return Program(network, Geometry(*sizes), **options)


def _of_widths(spec, sizes) -> Program:
    """Channels of 2, 4 and 8 bits, on an array of slices of 2: tiles come in several runs."""
    network = with_widths(1, random_convnet(1, INT8, spec, Accumulator(18)), [2, 4, 8])
    return Program(sorted_by_width(network), Geometry(*sizes, slice=2))


BIPOLAR, PLANES = ("bipolar", "bipolar", "bipolar"), ("bipolar", "uint4", "bipolar")
INT4, INT8 = ("int4", "uint4", "uint4"), ("int8", "uint8", "uint8")
POW2, MINI = ("pow2_4", "uint8", "uint8"), ("e3m2", "uint4", "uint8")

PROGRAMS: dict[str, Callable[[], Program]] = {
    "bipolar, dense": lambda: _program(BIPOLAR, DENSE, bits=10),
    "bit planes, pools": lambda: _program(PLANES, POOLS, bits=12),
    "bit planes, one context": lambda: _program(PLANES, DENSE, bits=12, contexts=1),
    "bipolar, planes of hidden layers": lambda: _program(
        ("bipolar", "uint3", "uint5"), POOLS, bits=14
    ),
    "int4, pools": lambda: _program(INT4, POOLS),
    "int4, residual sum": lambda: _program(INT4, RESIDUAL),
    "int4, depthwise": lambda: _program(INT4, DEPTHWISE),
    "bipolar, depthwise": lambda: _program(BIPOLAR, DEPTHWISE, bits=12),
    "int8, thresholds and roundings": lambda: _program(INT8, POOLS, bits=24, varied=True),
    "int4, thresholds, several chains": lambda: _program(INT4, POOLS, (4, 4, 4, 8, 2), varied=True),
    "int8, saturating, several chains": lambda: _program(
        INT8, DENSE, (4, 2, 2, 2, 2), bits=14, overflow="saturate"
    ),
    "int4, loaded weights": lambda: _program(INT4, POOLS, any_weights=True),
    "int4, a single image": lambda: _program(INT4, DENSE, batch=1),
    "pow2_4, residual sum": lambda: _program(POW2, RESIDUAL, bits=22),
    "e3m2, dense": lambda: _program(MINI, DENSE, bits=24),
    "slices of 2 bits, channels of 2, 4 and 8": lambda: _of_widths(POOLS, (2, 2, 4)),
    "odd sizes": lambda: _program(INT4, POOLS, (3, 5, 3, 2, 1)),
}

ACCELERATORS = (  # family, program, multiplier
    *(("ice40", name, "logic") for name in PROGRAMS),
    ("ice40", "int4, pools", "block"),
    ("ice40", "bipolar, dense", "logic"),
    ("ecp5", "bipolar, depthwise", "logic"),
    ("ecp5", "int8, thresholds and roundings", "logic"),
    ("ecp5", "int4, residual sum", "block"),
    ("ecp5", "int4, loaded weights", "block"),
    ("gowin", "bit planes, pools", "logic"),
    ("gowin", "int4, pools", "block"),
    ("xc7", "int4, depthwise", "logic"),
    ("xc7", "int4, thresholds, several chains", "logic"),
)


def _accelerators() -> Iterator[Design]:
    for family, name, multiplier in dict.fromkeys(ACCELERATORS):
        on = target(TARGETS[family])
        yield _accelerator(f"{family}: {name}, {multiplier}", on, PROGRAMS[name], multiplier)
    # 120 kbit of weights: more than the block RAM has room for
    wide = lambda: _program(INT4, WIDE, (1, 4, 4))  # noqa: E731
    yield _accelerator("ice40: int4, single-port RAM", target("up5k"), wide, "logic")


def _accelerator(name, on, make_program, multiplier) -> Design:
    def make() -> tuple[str, bool]:
        accelerator = accelerator_for(make_program(), on, multiplier=multiplier)
        shell = Shell(accelerator)
        return rtlil.convert(shell, platform=on), infers_blocks(accelerator)

    return Design(name, on, make)


def _boards() -> Iterator[Design]:
    for name, program in (
        ("icebreaker", "bit planes, pools"),
        ("ulx3s_25f", "int4, loaded weights"),
        ("tang_nano_9k", "int4, pools"),
    ):
        yield _board(name, program)


def _board(name: str, program: str) -> Design:
    on = board(name)

    def make() -> tuple[str, bool]:
        accelerator = accelerator_for(PROGRAMS[program](), on.target)
        clock = highest(on.pll, on.clock_frequency, 30e6)
        _, text = board_design(accelerator, on, clock)
        return text, infers_blocks(accelerator)

    return Design(f"{name}: {program}", on.target, make)


DESIGNS = (*_elements(), *_arrays(), *_accelerators(), *_boards())
"""Every design, by name and in the order of the record."""
