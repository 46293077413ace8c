"""Base of the number formats: codes, levels, values, and an Amaranth shape.

The formats themselves are in `formats`. The maps are written with operators only, so the same lines
serve ``int``, NumPy and torch; neither module imports torch.
"""

import re
import sys
from abc import abstractmethod
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from amaranth.hdl import Const, Shape, ShapeCastable, Value, ValueCastable, ValueLike, unsigned

from ..errors import FormatError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Code", "Format", "Integers", "Reals", "integers", "namespace"]

Integers = TypeVar("Integers", int, np.ndarray, "Tensor")
"""Levels or codes: an ``int``, or an array of any shape."""
Reals = TypeVar("Reals", np.ndarray, "Tensor")
"""Real numbers: an array of any shape."""


def namespace(array: object) -> ModuleType:
    """Return the module, torch or NumPy, whose functions work on ``array``."""
    return sys.modules["torch"] if type(array).__module__.startswith("torch") else np


def integers(array: Integers) -> Integers:
    """``array`` with room for shifts: ``int`` stays, NumPy and torch become 64 bits wide."""
    if isinstance(array, int):
        return array
    if isinstance(array, (np.ndarray, np.generic)):
        return array.astype(np.int64)
    return array.long()


class Format(ShapeCastable):
    """A number format; immutable, compared by value, named by ``str()``.

    A level is the integer that the arithmetic sees; of floats (`ieee.Float`), which are no
    integers, it is the rank of the value: its order, and nothing to add.

    Attributes
    ----------
    width : int
        Bits of a code.
    min_level, max_level : int
        The smallest and the largest level.
    names, pattern : str
        Of the class: its names, as an error lists them, and the regular expression that they match.
    """

    names: ClassVar[str]
    pattern: ClassVar[str]
    width: int
    min_level: int
    max_level: int

    @classmethod
    @abstractmethod
    def from_name(cls, match: re.Match[str]) -> Self:
        """Return the format whose name matched ``pattern``."""

    # --- codes and levels ----------------------------------------------------------------------

    @abstractmethod
    def to_level(self, code: Integers) -> Integers:
        """Map codes to levels (``int``, NumPy or torch; any shape)."""

    @abstractmethod
    def _encode(self, level: Integers) -> Integers:
        """Map levels that are known to be held to codes."""

    @abstractmethod
    def neighbours(self, x: Reals) -> tuple[Reals, Reals]:
        """Return the adjacent levels around each ``x``, ``lower <= x <= upper``, as floats."""

    def holds(self, level: Integers) -> Integers:
        """Tell, element by element, which integers are levels of this format."""
        level = integers(level)  # torch compares int8 with 255 as if 255 were -1
        return (level >= self.min_level) & (level <= self.max_level)

    def to_code(self, level: Integers) -> Integers:
        """Map levels to codes; raises `FormatError` for an integer that is not a level."""
        held = self.holds(level)
        if not (held if isinstance(held, int) else bool(held.all())):
            raise FormatError(f"{self} holds {self._describe_levels()}; got {self._worst(level)}")
        return self._encode(level)

    def _describe_levels(self) -> str:
        return f"the integers {self.min_level} to {self.max_level}"

    def _worst(self, level: Integers) -> int:
        """Return the offending integer of ``level`` that an error names."""
        if isinstance(level, int):
            return level
        return int(level[~self.holds(level)].reshape(-1)[0])

    @property
    def zero_level(self) -> int:
        """The level of code 0, which padding carries: 0, except for `Bipolar`, where it is -1."""
        return self.to_level(0)

    @property
    def activations(self) -> str:
        """Name of the activations that go with weights of this format: integers as wide."""
        return f"uint{self.width}"

    # --- values --------------------------------------------------------------------------------

    def quantize(
        self, value: Any, scale: Any = 1.0, *, rounding: str = "nearest", generator: Any = None
    ) -> Any:
        """Return the integer levels nearest to ``value / scale``, clamped to the format's range.

        Parameters
        ----------
        value : float, numpy.ndarray or torch.Tensor
            Real numbers of any shape.
        scale : float or array
            The value of level 1; broadcast against ``value``.
        rounding : str
            ``nearest`` (halves up) or ``stochastic`` (up with probability of the fractional
            distance).
        generator : numpy.random.Generator or torch.Generator
            Source of chance for ``stochastic``; seeded by the caller, so results repeat.

        Raises
        ------
        FormatError
            For an unknown rounding, or stochastic rounding without a generator.
        """
        if isinstance(value, (int, float)):
            return int(
                self.quantize(
                    np.asarray(value, np.float64), scale, rounding=rounding, generator=generator
                )
            )
        xp = namespace(value)
        x = xp.clip(value / scale, float(self.min_level), float(self.max_level))
        lower, upper = self.neighbours(x)
        fraction = (x - lower) / (upper - lower)
        if rounding == "nearest":
            threshold: Any = 0.5
        elif rounding == "stochastic" and generator is not None:
            threshold = _uniform(x, generator)
        else:
            raise FormatError(
                f"rounding is 'nearest', or 'stochastic' with a generator; got {rounding!r}"
                + (" without a generator" if rounding == "stochastic" else "")
            )
        rounded = xp.where(fraction >= threshold, upper, lower)
        # clamped again as integers: 2**31 - 1 is no float32
        return xp.clip(integers(rounded), self.min_level, self.max_level)

    def dequantize(self, level: Any, scale: Any = 1.0) -> Any:
        """Return the values ``scale * level``."""
        return level * scale

    # --- Amaranth shape ------------------------------------------------------------------------

    @property
    def level_shape(self) -> Shape:
        """The Amaranth shape that holds every level."""
        return Shape.cast(range(self.min_level, self.max_level + 1))

    def as_shape(self) -> Shape:
        """Codes travel as plain bits."""
        return unsigned(self.width)

    def const(self, init: float | None) -> Const:
        """Return the code of level ``init`` as a constant; ``None`` is code 0."""
        return Const(0 if init is None else self.to_code(int(init)), self.width)

    def from_bits(self, raw: int) -> int:
        """Return the level of a code read in simulation."""
        return self.to_level(raw & ((1 << self.width) - 1))

    def __call__(self, target: ValueLike) -> "Code":
        return Code(self, Value.cast(target))

    @abstractmethod
    def level_of(self, code: Value) -> Value:
        """Return gates that turn a code into its level, of shape `level_shape`."""

    def code_of(self, level: Value) -> Value:
        """Return gates that turn a level that is held into its code; wider values are extended.

        Raises
        ------
        FormatError
            For formats of weights alone, which nothing encodes.
        """
        raise FormatError(f"no gates encode {self}: activations are bipolar, intN, uintN or floats")


def _uniform(x: Any, generator: Any) -> Any:
    """Uniform numbers in (0, 1], so that an exact level never moves."""
    if isinstance(generator, np.random.Generator):
        return 1.0 - generator.random(x.shape)
    return 1.0 - sys.modules["torch"].rand(x.shape, generator=generator)


class Code(ValueCastable):
    """A code in a circuit that remembers its format; ``.level`` is what the arithmetic uses."""

    def __init__(self, fmt: Format, value: Value):
        self._format, self._value = fmt, value

    def shape(self) -> Format:
        """Return the format."""
        return self._format

    def as_value(self) -> Value:
        """Return the plain bits."""
        return self._value

    @property
    def level(self) -> Value:
        """The level, as gates."""
        return self._format.level_of(self._value)

    def eq(self, other: ValueLike | float):
        """Assign another code, or a level (a value, of floats) known at build time."""
        known = isinstance(other, (int, float))
        return self._value.eq(self._format.const(other) if known else other)
