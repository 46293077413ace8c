"""Loading a bitstream into a board, with openFPGALoader or the board's own programmer."""

import json
import os
import shutil
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...hw.errors import NarrowgaugeError, ToolError
from ...hw.tools import programs as tools
from ..catalogue.entries import Board
from .board_flow import suffix

__all__ = ["FlashWarning", "flash", "programmers"]

_TIMEOUT = 300.0  # seconds: a flash memory takes some


class FlashWarning(UserWarning):
    """A bitstream of which nothing says what it holds; a programmer that did not start."""


def programmers(board: Board) -> list[tuple[tools.Tool, tuple[str, ...]]]:
    """Return the board's programmers that are there, with their arguments, the best first.

    The variable with a programmer's upper-cased name (``OPENFPGALOADER``) may hold its path.

    Raises
    ------
    ToolError
        Where none of them is there; where such a variable holds no program.
    """
    found = [
        (tools.find(name), tuple(arguments))
        for name, *arguments in board.programmers
        if os.environ.get(name.upper().replace("-", "_")) or shutil.which(name)
    ]
    if not found:
        names = " or ".join(name for name, *_ in board.programmers)
        raise ToolError(f"nothing to program {board.name} with: install {names}")
    return found


def flash(board: Board, path: Path) -> str:
    """Load a bitstream; return what the programmer said.

    A programmer that does not start is passed over for the next, with a `FlashWarning`; one that
    starts and fails is not, as it may have begun. A `FlashWarning` also tells where no provenance
    is beside the bitstream, so that nothing can be compared with it.

    Raises
    ------
    NarrowgaugeError
        For a file that is not there, is empty, or is no bitstream of the board's family; where the
        provenance beside it names another board, or another content.
    ToolError
        Where no programmer is there, or it fails; with its words.
    """
    _check(board, path)
    *first, (last, arguments) = programmers(board)
    for tool, given in first:
        try:
            return _run(tool, given, path)
        except ToolError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            warnings.warn(f"{error}; trying the next programmer", FlashWarning, stacklevel=2)
    return _run(last, arguments, path)


def _run(tool: tools.Tool, arguments: tuple[str, ...], path: Path) -> str:
    given = [each.replace("{file}", str(path.resolve())) for each in arguments]
    return tools.run(tool, given, path.resolve().parent, timeout=_TIMEOUT)


def _check(board: Board, path: Path) -> None:
    """Refuse a file that is not a whole bitstream of the board."""
    if not path.is_file():
        raise NarrowgaugeError(f"{path}: no such file; `narrowgauge build` makes one")
    if path.suffix != f".{suffix(board)}":
        raise NarrowgaugeError(
            f"{path}: bitstreams of {board.name} end in .{suffix(board)}; this is for another board"
        )
    content = path.read_bytes()
    if not content:
        raise NarrowgaugeError(f"{path} is empty; build it again")
    made = _provenance(path)
    if made is None:
        warnings.warn(
            f"{path}: no file {path.with_suffix('.json').name} beside it says what it is; it may "
            "be damaged, or for another board",
            FlashWarning,
            stacklevel=3,
        )
    elif made["board"] != board.name:
        raise NarrowgaugeError(f"{path} was built for {made['board']}, not for {board.name}")
    elif made["sha256"] != sha256(content).hexdigest():
        raise NarrowgaugeError(
            f"{path} is not what {path.with_suffix('.json').name} describes: it was damaged or "
            "replaced; build it again"
        )


def _provenance(path: Path) -> dict[str, Any] | None:
    """Return what the file beside a bitstream says, if there is such a file."""
    beside = path.with_suffix(".json")
    try:
        made = json.loads(beside.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        made = None
    if not (isinstance(made, dict) and {"board", "sha256"} <= made.keys()):
        raise NarrowgaugeError(
            f"{beside} does not say what {path.name} is: it was damaged or replaced; build it "
            "again, or remove that file"
        )
    return made
