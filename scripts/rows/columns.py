"""Columns of result rows: what each means, its unit, and what it can hold.

Who measures something describes its columns in a `Part`, a dataclass of fields made by `column`.
Files, documentation and the report's hovers are made from these descriptions.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from typing import Any, TypeAlias

__all__ = ["JSON", "Column", "ColumnError", "Kind", "Part", "column", "columns_of"]

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
"""A value in a file."""

SMALLEST, LARGEST = 1e-9, 1e12
"""Limits of what is no 0, in any unit: figures have room for it."""

_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


class ColumnError(ValueError):
    """A value that a column cannot hold.

    Attributes
    ----------
    name, wanted : str
        The column, and what it holds.
    """

    def __init__(self, name: str, wanted: str):
        super().__init__(f"{name} must be {wanted}")
        self.name, self.wanted = name, wanted


class Kind(Enum):
    """Type of a column's values."""

    TEXT = "text"
    COUNT = f"a positive integer, at most {LARGEST:.0e}"
    NUMBER = "a number"
    SHARE = "a share"
    CLOCK = "a frequency"
    LIST = "a list"
    NAMES = "names with versions"
    NUMBERS = "names with numbers"
    FLAG = "true or false"
    LAYERS = "a list of layers with all of their columns"

    def wanted(self, value: object) -> str | None:
        """Say what a value must be, if it is not; numbers of a file can be endless, or none."""
        match self:
            case Kind.COUNT:
                good = type(value) is int and 1 <= value <= LARGEST
            case Kind.NUMBER:  # subtracting a shell can leave less than nothing
                return _number(value, -LARGEST, LARGEST)
            case Kind.SHARE:
                return _number(value, 0, 1)
            case Kind.CLOCK:
                return _number(value, SMALLEST, LARGEST)
            case Kind.TEXT:
                good = isinstance(value, str)
            case Kind.LIST | Kind.LAYERS:
                good = isinstance(value, list)
            case Kind.NAMES:
                good = isinstance(value, dict)
            case Kind.NUMBERS:
                good = isinstance(value, dict) and all(
                    _number(each, -LARGEST, LARGEST) is None for each in value.values()
                )
            case Kind.FLAG:
                good = isinstance(value, bool)
        return None if good else self.value


def _number(value: object, least: float, most: float) -> str | None:
    if not (type(value) in (int, float) and least <= value <= most):  # type: ignore[operator]
        return f"a number from {least:g} to {most:g}; what was not measured is absent"
    if 0 < abs(float(value)) < SMALLEST:  # type: ignore[arg-type]
        return f"0, or no nearer to it than {SMALLEST:g}"
    return None


@dataclass(frozen=True)
class Column:
    """A column of a result row.

    Attributes
    ----------
    name : str
        In files; a unit that is no plain count is part of it.
    kind : Kind
        What it can hold.
    meaning : str
        What it is, in Markdown; links begin at ``docs/``.
    unit : str
        Of its number; empty where it has none.
    label : str
        What figures and tables call it.
    always : bool
        Whether a table of results has it even where no row does.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    label: str = ""
    always: bool = True

    @property
    def words(self) -> str:
        """The meaning and the unit, without marks and links."""
        text = _LINK.sub(r"\1", self.meaning).replace("`", "")
        return f"{text} ({self.unit})" if self.unit else text


def column(
    kind: Kind,
    meaning: str,
    *,
    unit: str = "",
    label: str = "",
    always: bool = True,
    required: bool = False,
) -> Any:  # as `dataclasses.field`, which stands for a default
    """Return a field of a `Part`, described as `Column` says.

    It is None until it is measured, but where it is ``required``.
    """
    described = {"kind": kind, "meaning": meaning, "unit": unit, "label": label, "always": always}
    return field(default=MISSING if required else None, metadata={"column": described})


@dataclass(frozen=True, kw_only=True)
class Part:
    """Columns that one step of the work gives; what was not measured is None."""

    def measured(self) -> dict[str, Any]:
        """Return what is not None, by column."""
        found = {name: getattr(self, name) for name in columns_of(type(self))}
        return {name: value for name, value in found.items() if value is not None}


def columns_of(part: type[Part]) -> dict[str, Column]:
    """Return the columns of a part by their names, in order."""
    return {
        each.name: Column(each.name, **each.metadata["column"])
        for each in fields(part)
        if "column" in each.metadata
    }
