"""Request of an exploration: what is wanted, and what may be chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...hw.errors import FormatError, NarrowgaugeError, NetworkError
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Bipolar, Fixed, parse
from ...hw.synth.estimate import has_clock
from ...hw.synth.targets import Target
from ...hw.synth.targets import target as find_target
from ...hw.tools.store import Store
from ...model.layers.quantize import check_activation

__all__ = ["MIXABLE", "OBJECTIVES", "PER", "Objective", "Request", "weight_format"]

WIDEST = 16  # bits of weights that slices multiply
MIXABLE = 2  # bits of the narrowest weights of a layer that has others, too
PER = ("layer", "channel")
"""What has a width of its own."""


@dataclass(frozen=True)
class Objective:
    """What is wanted most, under the limit of accuracy.

    Attributes
    ----------
    name, unit, title : str
        On the command line; of its figures, and what figures call it.
    sign : int
        1 where less is better, -1 where more is.
    """

    name: str
    unit: str
    title: str
    sign: int


OBJECTIVES: Mapping[str, Objective] = {
    each.name: each
    for each in (
        Objective("images", "images/s", "images/s", -1),
        Objective("latency", "us", "latency of an image, us", 1),
        Objective("bits", "bits", "bits of weights", 1),
    )
}
"""What can be asked for."""


def weight_format(width: int) -> str:
    """Return the weight format of a width.

    >>> weight_format(1), weight_format(3)
    ('bipolar', 'int3')
    """
    return "bipolar" if width == 1 else f"int{width}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """Request of an exploration; checked before anything is computed.

    Attributes
    ----------
    target : str
        Device.
    objective : str
        One of `OBJECTIVES`.
    accuracy_drop : float
        Points of accuracy that may be lost on validation images.
    widths : tuple of int
        Bits that weights may have, 1 to 16; 1 is bipolar.
    per : str
        What has a width of its own, one of `PER`.
    activations : tuple of str
        Formats that hidden activations may have, one for all layers.
    input : str or None
        Format of the images; None takes that of the data, or the activations' where it is narrower.
    accumulator : int or None
        Widest accumulator.
    points, random : int
        Points to measure, and random assignments to compare with.
    images : int or None
        Test images to simulate; None are all.

    Raises
    ------
    NarrowgaugeError
        For what cannot be, with what is allowed.
    """

    target: str
    objective: str = "images"
    accuracy_drop: float = 1.0
    widths: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    per: str = "layer"
    activations: tuple[str, ...] = ("uint8", "uint4")
    input: str | None = None
    accumulator: int | None = None
    points: int = 6
    random: int = 20
    seeds: int = 1
    images: int | None = None
    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise NarrowgaugeError(
                f"an objective is {', '.join(OBJECTIVES)}, not {self.objective!r}"
            )
        object.__setattr__(self, "widths", tuple(sorted(set(self.widths))))
        wrong = [str(width) for width in self.widths if not 1 <= width <= WIDEST]
        if wrong or not self.widths:
            raise NetworkError(
                f"weights have 1 to {WIDEST} bits, which is what slices multiply, not "
                f"{', '.join(wrong) or 'none'}"
            )
        if self.per not in PER:
            raise NarrowgaugeError(f"widths are per {' or '.join(PER)}, not {self.per!r}")
        if self.per == "channel" and sum(width >= MIXABLE for width in self.widths) < 2:
            raise NetworkError(
                "channels of a layer have different widths of 2 bits and more, and --widths has "
                f"{', '.join(map(str, self.widths))}: give at least two, or take --per layer"
            )
        if not 0 <= self.accuracy_drop <= 100:
            raise NarrowgaugeError(
                f"an accuracy drop is 0 to 100 points, not {self.accuracy_drop:g}"
            )
        for name in self.activations:
            fmt = check_activation(parse(name))
            if not isinstance(fmt, Fixed | Bipolar):
                raise FormatError(f"activations are bipolar, intN or uintN, not {name}")
        if not self.device.family.router:
            raise NarrowgaugeError(
                f"{self.target} is mapped only, so it has no clock to explore with; take a target "
                "that is placed and routed"
            )
        if self.objective != "bits" and not has_clock(self.device):
            raise NarrowgaugeError(
                f"the clock of {self.target} cannot be foretold, because too few accelerators of "
                "its family were routed: take --objective bits, or another target"
            )
        if self.accumulator is not None:
            Accumulator(self.accumulator)

    @property
    def device(self) -> Target:
        """The target; raises `ToolError` for an unknown one."""
        return find_target(self.target)

    @property
    def goal(self) -> Objective:
        """The objective."""
        return OBJECTIVES[self.objective]
