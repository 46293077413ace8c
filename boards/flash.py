"""Loading a bitstream into a board, with openFPGALoader or the board's own programmer."""

import json
import os
import shutil
from pathlib import Path

from ..hw import tools
from ..hw.errors import NarrowgaugeError, ToolError
from .bitstream import suffix
from .board import Board

__all__ = ["command", "flash"]

_TIMEOUT = 300.0  # seconds: a flash memory takes some


def command(board: Board, path: Path) -> tuple[str, ...]:
    """Return the command that loads a file, of the first programmer of the board that is there.

    The variable with a programmer's upper-cased name (``OPENFPGALOADER``) may hold its path.

    Raises
    ------
    ToolError
        Where none of them is there.
    """
    for name, *arguments in board.programmers:
        found = shutil.which(os.environ.get(name.upper().replace("-", "_"), name))
        if found:
            file = str(path.resolve())
            return (found, *(argument.replace("{file}", file) for argument in arguments))
    names = " or ".join(name for name, *_ in board.programmers)
    raise ToolError(f"nothing to program {board.name} with: install {names}")


def flash(board: Board, path: Path) -> str:
    """Load a bitstream; return what the programmer said.

    Raises
    ------
    NarrowgaugeError
        For a file that is not there, is no bitstream of the board's family, or was built for
        another board, as the provenance beside it says.
    ToolError
        Where no programmer is there, or it fails; with its words.
    """
    if not path.is_file():
        raise NarrowgaugeError(f"{path}: no such file; `narrowgauge build` makes one")
    if path.suffix != f".{suffix(board)}":
        raise NarrowgaugeError(
            f"{path}: bitstreams of {board.name} end in .{suffix(board)}; this is for another board"
        )
    built_for = _built_for(path)
    if built_for not in (None, board.name):
        raise NarrowgaugeError(f"{path} was built for {built_for}, not for {board.name}")
    program, *arguments = command(board, path)
    name = Path(program).name
    tool = tools.Tool(name, (program,), "native")
    return tools.run(tool, arguments, path.resolve().parent, timeout=_TIMEOUT)


def _built_for(path: Path) -> str | None:
    """Return the board that the file beside a bitstream names, if there is such a file."""
    try:
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["board"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
