"""The formats that an array multiplies."""

from dataclasses import dataclass

from .format import Format

__all__ = ["Operands"]


@dataclass(frozen=True)
class Operands:
    """The formats that the array multiplies; activations are stored in theirs."""

    weight: Format
    activation: Format
