"""Keys of a plan: the values that each takes, and its default."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...hw.errors import NarrowgaugeError
from ...hw.geometry import SLICES
from ...hw.mac.scalable.kinds import KINDS
from ...hw.numbers.arithmetic import OVERFLOWS
from ...hw.numbers.formats import default_activation, parse
from ...hw.synth.build import MULTIPLIERS
from ...hw.synth.targets import target

__all__ = ["KEYS", "MEASURES", "REQUIRED", "Key", "settings"]

MEASURES = ("mac", "array", "network", "scalable")
REQUIRED = object()
"""Stands for the default of a key that has none."""


@dataclass(frozen=True)
class Key:
    """A key of a plan.

    Attributes
    ----------
    takes : str
        What is allowed, for errors.
    convert : callable
        Returns the value as the points take it; raises `NarrowgaugeError` for what is not allowed,
        without the key's name.
    default : object
        The value where the key is left out, or `REQUIRED`.
    many : bool
        Whether it may be a list of values, of which each is combined with all others.
    """

    takes: str
    convert: Callable[[Any], Any]
    default: Any = REQUIRED
    many: bool = True


def _number(low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise NarrowgaugeError(f"{value!r} is no whole number")
        if not low <= value <= high:
            raise NarrowgaugeError(f"it is {low} to {high}, not {value}")
        return value

    return convert


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise NarrowgaugeError(f"{value!r} is no positive number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise NarrowgaugeError(f"{value!r} is no text")
    return value.strip()


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NarrowgaugeError(f"{value!r} is neither true nor false")
    return value


def _choice(*allowed: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if value not in allowed:
            raise NarrowgaugeError(f"it is {' or '.join(allowed)}, not {value!r}")
        return value

    return convert


def _slice(value: Any) -> int | None:
    """Return the bits of a slice, None of whole weights."""
    if value == "whole":
        return None
    if isinstance(value, bool) or value not in SLICES:
        raise NarrowgaugeError(f"{value!r} is no slice that an array multiplies")
    return value


def _formats(value: Any) -> tuple[str, str]:
    """Return the names of the formats in ``WEIGHT`` or ``WEIGHT/ACTIVATION``."""
    weight, _, activation = _text(value).partition("/")
    found = parse(weight)
    return weight, str(parse(activation) if activation else default_activation(found))


def _target(value: Any) -> str:
    return target(_text(value)).name


def _widths(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        raise NarrowgaugeError(f"{value!r} is no list of whole numbers")
    return tuple(map(_number(1, 1 << 20), value))


_MULTIPLIER = Key("logic or block", _choice(*MULTIPLIERS), "logic")
_LANES = Key("products a cycle, 1 to 1024", _number(1, 1024), default=1)
_SHARED = {
    "target": Key("the name of a target", _target),
    "seeds": Key(
        "how many placements, 0 to 100; 0 maps and packs only", _number(0, 100), 3, many=False
    ),
}
_OVERFLOW = "wrap or saturate", _choice(*OVERFLOWS)
_MAC = _SHARED | {
    "overflow": Key(*_OVERFLOW, "wrap"),
    "formats": Key('"WEIGHT" or "WEIGHT/ACTIVATION"', _formats),
    "accumulator": Key("bits, 2 to 48", _number(2, 48)),
    "multiplier": _MULTIPLIER,
    "lanes": _LANES,
}
_GEOMETRY = {
    "rows": Key("rows of the array, 1 to 64", _number(1, 64), 2),
    "columns": Key("columns of the array, 1 to 256", _number(1, 256), 2),
    "lanes": Key("products a step in each element, 1 to 1024", _number(1, 1024), 4),
    "hop": Key("pipeline distance in elements, 1 to 256", _number(1, 256), 8),
    "chains": Key("chains by which partial sums leave, 1 to 64", _number(1, 64), 1),
    "slice": Key('bits of a weight a step: 1, 2 or 4, or "whole"', _slice, None),
}
_NETWORK = (
    _SHARED
    | _GEOMETRY
    | {
        "network": Key("a network of the zoo, a network file, or one to train", _text),
        "formats": Key('"WEIGHT" or "WEIGHT/ACTIVATION", to train', _formats, None),
        "overflow": Key(*_OVERFLOW, None),
        "accumulator": Key("bits, 2 to 48", _number(2, 48), None),
        "multiplier": _MULTIPLIER,
        "contexts": Key("groups of images in flight, 1 or 2", _number(1, 2), 2, many=False),
        "batch": Key("images of a group", _number(1, 64), None, many=False),
        "images": Key("test images to simulate, 0 for none", _number(0, 1 << 30), 0, many=False),
        "energy": Key("true or false: what an image takes", _flag, False, many=False),
        "dataset": Key("a data set, to train", _text, None, many=False),
        "widths": Key("widths of the hidden layers of mlp, to train", _widths, None, many=False),
        "width": Key("a factor of all channels, to train", _share, None, many=False),
        "first": Key('"W/A" of the first layer, to train', _text, None, many=False),
        "last": Key('"W/A" of the last layer, to train', _text, None, many=False),
        "epochs": Key("epochs, to train", _number(1, 1 << 20), None, many=False),
        "seed": Key("the seed of the training", _number(0, 1 << 31), None, many=False),
    }
)
KEYS: Mapping[str, Mapping[str, Key]] = {
    "mac": _MAC,
    "array": _MAC | _GEOMETRY,
    "network": _NETWORK,
    "scalable": _SHARED
    | {
        "element": Key(", ".join(KINDS), _choice(*KINDS)),
        "slice": Key("bits of a weight in a slice: 1, 2, 4, or 8 of whole weights", _number(1, 8)),
        "accumulator": Key("bits, 2 to 48", _number(2, 48)),
        "work": Key("products of two bits a cycle: 64, 128, 256 or 512", _number(64, 512), 128),
    },
}
"""The keys of a part of a plan, by what it measures."""


def settings(table: Mapping[str, Any]) -> tuple[str, dict[str, list[Any]]]:
    """Return what a part of a plan measures, and the values of every key, defaults included.

    Raises
    ------
    NarrowgaugeError
        For a key that is unknown, missing, or has a value that it cannot have; the text begins
        with the key's name.
    """
    if "measure" not in table:
        raise NarrowgaugeError(f"measure is missing: it is {', '.join(MEASURES)}")
    measure = table["measure"]
    if measure not in MEASURES:
        raise NarrowgaugeError(f"measure: it is {', '.join(MEASURES)}, not {measure!r}")
    keys = KEYS[measure]
    for name in table:
        if name != "measure" and name not in keys:
            raise NarrowgaugeError(_unknown(name, measure))
    return measure, {name: _values(name, key, table) for name, key in keys.items()}


def _unknown(name: str, measure: str) -> str:
    near = difflib.get_close_matches(name, KEYS[measure], 1)
    hint = f" (is it {near[0]}?)" if near else ""
    return (
        f"{name}: there is no such key{hint}; a plan that measures {measure} has measure, "
        f"{', '.join(KEYS[measure])}"
    )


def _values(name: str, key: Key, table: Mapping[str, Any]) -> list[Any]:
    if name not in table:
        if key.default is REQUIRED:
            raise NarrowgaugeError(f"{name} is missing: {key.takes}")
        return [key.default]
    given = table[name]
    values = given if key.many and isinstance(given, list) else [given]
    if not values:
        raise NarrowgaugeError(f"{name}: the list is empty; it has {key.takes}")
    try:
        return list(dict.fromkeys(map(key.convert, values)))
    except NarrowgaugeError as error:
        raise NarrowgaugeError(f"{name}: {error} ({key.takes})") from error
