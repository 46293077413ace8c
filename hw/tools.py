"""The external tools: which are there, which version, and running one."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .errors import ToolError

__all__ = ["Tool", "find", "run", "warm"]

# What reaches a tool of the caller's environment: where programs and their caches are. Options
# that hide in other variables would change results without changing their key in the store.
_ENVIRONMENT = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "YOWASP_CACHE_DIR"),
    *("SYSTEMROOT", "USERPROFILE", "LOCALAPPDATA", "TEMP", "TMP", "PATHEXT"),
)
_VERSION = re.compile(r"(?:Yosys|nextpnr-|\b)(\d+(?:\.\d+)+\S*?)(?=[\s)]|$)")


@dataclass(frozen=True)
class Tool:
    """An external program.

    Attributes
    ----------
    name : str
        What the program is called in its own project: ``yosys``, ``nextpnr-ice40``.
    command : tuple of str
        What starts it.
    source : str
        Where it was found: ``environment``, ``native`` or ``yowasp``.
    """

    name: str
    command: tuple[str, ...]
    source: str

    @property
    def version(self) -> str:
        """Version and source, such as ``0.70 (yowasp)``; asked of the tool once a process.

        Raises `ToolError` where the tool does not start.
        """
        return f"{_ask_version(self)} ({self.source})"


def find(name: str) -> Tool:
    """Return the tool called ``name``.

    The variable with its upper-cased name (``NEXTPNR_ICE40``) comes first and may hold arguments;
    then a native program on the ``PATH``; then the one that YoWASP's package installs.

    Raises
    ------
    ToolError
        Where there is none; the text says how to get it.
    """
    variable = name.upper().replace("-", "_")
    if os.environ.get(variable):
        command = tuple(shlex.split(os.environ[variable], posix=os.name != "nt"))
        if shutil.which(command[0]) is None:
            raise ToolError(
                f"{variable} is {command[0]!r}, which is no program; correct or unset it"
            )
        return Tool(name, command, "environment")
    native = shutil.which(name)
    if native:
        return Tool(name, (native,), "native")
    # Scripts of an environment that is not activated are beside its interpreter, not on the PATH.
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    packaged = shutil.which(f"yowasp-{name}", path=beside)
    if packaged:
        return Tool(name, (packaged,), "yowasp")
    raise ToolError(
        f"{name} was not found: run `pip install yowasp-{name}`, put a native {name} on the PATH, "
        f"or set {variable}"
    )


def run(tool: Tool, arguments: Sequence[str], folder: Path, *, timeout: float | None = None) -> str:
    """Run ``tool`` in ``folder`` and return what it printed.

    File names in ``arguments`` must be relative to ``folder``: YoWASP's tools see a temporary
    folder of their own as ``/tmp``, and would not find an absolute name there.

    Parameters
    ----------
    timeout : float, optional
        Seconds.

    Raises
    ------
    ToolError
        Where the tool does not start, does not end in time, or fails; with its error lines.
    """
    try:
        done = subprocess.run(
            [*tool.command, *arguments],
            cwd=folder,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{tool.name} did not end within {timeout:g} s") from error
    except OSError as error:
        raise ToolError(f"{tool.name} did not start: {error}") from error
    if done.returncode:
        raise ToolError(f"{tool.name} failed: {_complaint(done.stdout, done.returncode)}")
    return done.stdout


def warm(names: Iterable[str]) -> list[Tool]:
    """Find tools and start each once, at the same time; return them.

    YoWASP compiles a tool at its first call, which takes up to a minute and one core each.
    """
    tools = [find(name) for name in names]
    with ThreadPoolExecutor(max_workers=max(len(tools), 1)) as pool:
        list(pool.map(_ask_version, tools))
    return tools


def _complaint(output: str, status: int) -> str:
    """Return what a failed tool says is wrong: its error lines, or its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(?i)(\S+:\d+: )?(error|fatal)\b", line)]
    return "; ".join(errors[:3] or lines[-1:]) or f"exit status {status}, without a word"


@lru_cache
def _ask_version(tool: Tool) -> str:
    # "Yosys 0.70 (git sha1 28ba3cb92, ...)"; "... Place and Route (Version nextpnr-0.11.1)"
    text = run(tool, ["-V"], Path.cwd(), timeout=600)
    lines = [line for line in text.splitlines() if "Yosys" in line or "Version" in line]
    match = _VERSION.search(lines[-1]) if lines else None
    if match is None:
        raise ToolError(f"{tool.name} does not tell its version: {text.strip()[:80]!r}")
    return match[1]
