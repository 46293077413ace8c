"""Addresses of single codes in a memory of words.

An address is a word and a place in it, counted in units of codes that all steps are multiples of;
where everything is aligned to words, a unit is a word and no gate deals with places.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd

from amaranth.hdl import Cat, Mux, Value, ValueLike
from amaranth.utils import ceil_log2

__all__ = ["CodeAddress"]


@dataclass(frozen=True)
class CodeAddress:
    """The form of an address: the place in the word in the low bits, the word above.

    Parameters
    ----------
    words : int
        Words of the memory; addresses count modulo the next power of two.
    lanes : int
        Codes of a word.
    unit : int
        Codes of a unit; divides ``lanes``.
    """

    words: int
    lanes: int
    unit: int

    @classmethod
    def for_steps(cls, words: int, lanes: int, steps: Iterable[int]) -> "CodeAddress":
        """Return the form with the widest unit for ``steps``, in codes."""
        return cls(words, lanes, gcd(lanes, *steps))

    @property
    def parts(self) -> int:
        """Units of a word."""
        return self.lanes // self.unit

    @property
    def part_width(self) -> int:
        """Bits of the place in the word."""
        return ceil_log2(self.parts)

    @property
    def word_width(self) -> int:
        """Bits of the word."""
        return max(1, ceil_log2(self.words))

    @property
    def width(self) -> int:
        """Bits of an address."""
        return self.part_width + self.word_width

    def const(self, codes: int) -> int:
        """Return a distance in codes, which may be negative, as an address."""
        word, rest = divmod(codes, self.lanes)
        part, left = divmod(rest, self.unit)
        assert not left, f"{codes} codes are no multiple of {self.unit}"
        return (word % (1 << self.word_width)) << self.part_width | part

    def word(self, address: Value) -> Value:
        """Return the word of an address."""
        return address[self.part_width :]

    def part(self, address: Value) -> Value:
        """Return the place in the word, in units."""
        return address[: self.part_width]

    def advance(self, address: ValueLike, step: ValueLike) -> Value:
        """Return ``address`` moved on by ``step``."""
        address, step = Value.cast(address), Value.cast(step)
        if self.parts & (self.parts - 1) == 0:
            return (address + step)[: self.width]
        part = self.part(address) + self.part(step)
        carry = part >= self.parts
        word = self.word(address) + self.word(step) + carry
        return Cat(Mux(carry, part - self.parts, part)[: self.part_width], word[: self.word_width])
