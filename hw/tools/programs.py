"""The external tools: which are there, which version, and running one."""

import contextlib
import ctypes
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, lru_cache
from math import ceil
from pathlib import Path

from ..errors import ToolError, ToolFailure, ToolMissing, ToolTimeout, ToolWarning
from .tested import compare, tested

try:
    import resource
except ImportError:  # there is none on Windows
    resource = None

__all__ = [
    "STOP",
    "Tool",
    "call",
    "check_interrupt",
    "find",
    "interrupt",
    "run",
    "stop_running",
    "warm",
]

STOP = ctypes.c_uint32(0)
"""Not 0 once the process is to end: what runs outside of Python looks at it."""


# What reaches a tool of the caller's environment: where programs and their caches are. Options
# that hide in other variables would change results without changing their key in the store.
_ENVIRONMENT = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "YOWASP_CACHE_DIR"),
    *("SYSTEMROOT", "USERPROFILE", "LOCALAPPDATA", "TEMP", "TMP", "PATHEXT"),
)
# Programs whose package is not installed with narrowgauge: the extra that installs it.
_EXTRAS = {"nextpnr-himbaechel-gowin": "gowin", "gowin_pack": "gowin"}
# A native program that does what several of YoWASP's do.
_NATIVE = {"nextpnr-himbaechel-gowin": "nextpnr-himbaechel"}
# Tools that tell no version, and come with another: they are taken from where that one is.
_COMES_WITH = {
    **{f"ice{name}": "nextpnr-ice40" for name in ("pack", "unpack", "pll", "bram", "multi")},
    **{f"ecp{name}": "nextpnr-ecp5" for name in ("pack", "unpack", "pll", "bram", "multi")},
    **{name: "yosys" for name in ("sby", "yosys-smtbmc", "yosys-witness")},
}
# The exit status of a tool that reached its limit of processor time, and of a shell around one.
_XCPU = getattr(signal, "SIGXCPU", 24)
_TOO_LONG = (-_XCPU, 128 + _XCPU)
_PATIENCE = 10  # times the limit of processor time, until a tool is stopped that waits
_running: "set[subprocess.Popen[str]]" = set()
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
        Where it was found: ``environment``, ``native``, ``yowasp``, or ``python`` for a script of
        another package.
    instead_of : str
        What was found first and passed over, and why.
    """

    name: str
    command: tuple[str, ...]
    source: str
    instead_of: str = field(default="", compare=False)

    @property
    def version(self) -> str:
        """Version and source, such as ``0.70 (yowasp)``; asked of the tool once a process.

        Warns, once, where another was passed over, and where this one is newer than those tested.

        Raises `ToolError` where the tool does not start.
        """
        number = _ask_version(self)
        text, known = f"{number} ({self.source})", tested(self.name)
        if self.instead_of:
            _say(f"{self.instead_of}; {self.name} {text} is used")
        if known and compare(number, known.newest) > 0:
            _say(f"{self.name} {text} is newer than {known.newest}, the newest that is tested")
        return text


@cache
def _say(text: str) -> None:
    warnings.warn(text, ToolWarning, stacklevel=3)


def find(name: str) -> Tool:
    """Return the tool called ``name``.

    The variable with its upper-cased name (``NEXTPNR_ICE40``) comes first and may hold arguments;
    then a native program on the ``PATH``, unless it is older than what is tested (`tested`); then
    the one that YoWASP's package installs. A packer is taken from where its router is.

    Raises
    ------
    ToolMissing
        Where there is none, or only one that is too old; the text says how to get it.
    ToolError
        Where the variable names no program, or one that is too old.
    """
    variable = name.upper().replace("-", "_")
    if os.environ.get(variable):
        return _forced(name, variable)
    # Scripts of an environment that is not activated are beside its interpreter, not on the PATH.
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join([beside, os.environ.get("PATH", "")])
    ways = {
        "native": shutil.which(name) or shutil.which(_NATIVE.get(name, name)),
        "yowasp": shutil.which(f"yowasp-{name}", path=path),
        "python": shutil.which(name, path=beside),
    }
    order = ["native", "yowasp", "python"]
    if name in _EXTRAS and name not in _NATIVE:
        order.reverse()  # its version is that of the package
    elif name in _COMES_WITH and find(_COMES_WITH[name]).source != "native":
        order = ["yowasp", "native", "python"]
    passed = ""
    for source in order:
        if program := ways[source]:
            tool = Tool(name, (program,), source, passed)
            passed = "" if source == "yowasp" else _unfit(tool)
            if not passed:
                return tool
    package = f"'narrowgauge[{_EXTRAS[name]}]'" if name in _EXTRAS else f"yowasp-{name}"
    raise ToolMissing(
        f"{passed or f'{name} was not found'}: run `pip install {package}`, put a native "
        f"{_NATIVE.get(name, name)} on the PATH, or set {variable}"
    )


def _forced(name: str, variable: str) -> Tool:
    """Return the tool that a variable names; raises `ToolError` where it cannot be used."""
    tool = Tool(name, _command(variable, os.environ[variable]), "environment")
    known = tested(name)
    if known and compare(number := _ask_version(tool), known.oldest) < 0:
        raise ToolError(
            f"{variable} is {os.environ[variable]!r}, {name} {number}, which is older than "
            f"{known.oldest}, the oldest that is tested; unset it, or name a newer one"
        )
    return tool


@lru_cache
def _unfit(tool: Tool) -> str:
    """Return why a native tool is not used; empty for one that is."""
    known = tested(tool.name)
    if known is None:
        return ""
    where = f"at {tool.command[0]} is passed over"
    try:
        number = _ask_version(tool)
        families = run(tool, ["--list-uarch"], Path.cwd()) if tool.name in _NATIVE else "gowin"
    except ToolError as error:
        return f"{tool.name} {where}: {error}"
    if compare(number, known.oldest) < 0:
        return (
            f"{tool.name} {number} {where}, being older than {known.oldest}, the oldest that is "
            "tested"
        )
    return "" if "gowin" in families else f"{tool.name} {number} {where}, having no Gowin devices"


def _command(variable: str, text: str) -> tuple[str, ...]:
    """Return the command in the variable ``variable``; raises `ToolError` where it is none."""
    try:
        command = tuple(shlex.split(text, posix=os.name != "nt"))
    except ValueError as error:  # a quotation that does not end
        raise ToolError(
            f"{variable} is {text!r}, which is no command ({error}); correct or unset it"
        ) from error
    program = command[0] if command else text
    if shutil.which(program) is None:
        raise ToolError(f"{variable} is {program!r}, which is no program; correct or unset it")
    return command


def run(tool: Tool, arguments: Sequence[str], folder: Path, *, timeout: float | None = None) -> str:
    """Run ``tool`` in ``folder`` and return what it printed.

    File names in ``arguments`` must be relative to ``folder``: YoWASP's tools see a temporary
    folder of their own as ``/tmp``, and would not find an absolute name there.

    Parameters
    ----------
    timeout : float, optional
        Seconds of processor time, so that a busy machine does not make a tool fail that ends on
        an idle one; of time where the system cannot tell (only Linux can). After ten times as
        long the tool is stopped in any case.

    Raises
    ------
    ToolTimeout
        Where the tool did not end in time. All of its processes are stopped.
    ToolFailure
        Where the tool refuses what it was given; with its error lines.
    ToolError
        Where the tool does not start, or is ended by a signal: accidents of the machine.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    try:
        status, output = call([*tool.command, *arguments], folder, environment, timeout=timeout)
    except OSError as error:
        raise ToolError(f"{tool.name} did not start: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise ToolTimeout(f"{tool.name} did not end within {error.timeout:g} s") from error
    if status in _TOO_LONG:
        raise ToolTimeout(f"{tool.name} did not end within {timeout:g} s of processor time")
    if ended_by := _signal(status):
        raise ToolError(f"{tool.name} was ended by {ended_by}")
    if status:
        raise ToolFailure(f"{tool.name} failed: {_complaint(output, status)}")
    return output


def call(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    timeout: float | None = None,
) -> tuple[int, str]:
    """Run any command and return its exit status and what it printed.

    It is stopped with all that it started when this process is interrupted.

    Raises
    ------
    OSError
        Where it does not start.
    subprocess.TimeoutExpired
        Where it did not end in time, as `run` counts it.
    KeyboardInterrupt
        After `interrupt`, in every thread.
    """
    check_interrupt()
    with _start(command, folder, environment) as process:
        limited = timeout is not None and _limit(process, timeout)
        patience = _PATIENCE * timeout if timeout and limited else timeout
        _running.add(process)
        try:
            check_interrupt()  # which may have come before the process was among those to stop
            output, _ = process.communicate(timeout=patience)
        finally:
            _running.discard(process)
            _stop(process)
    check_interrupt()
    return process.returncode, output


def stop_running() -> None:
    """Stop every tool that a thread of this process waits for."""
    for process in list(_running):
        _stop(process)


def interrupt() -> None:
    """Stop what runs, and let nothing begin any more: the process is about to end."""
    STOP.value = 1
    stop_running()


def check_interrupt() -> None:
    """Raise `KeyboardInterrupt` after `interrupt`, in whatever thread."""
    if STOP.value:
        raise KeyboardInterrupt


def _start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None
) -> "subprocess.Popen[str]":
    """Start a command as a group of processes, so that what it starts can be stopped with it."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        process_group=0 if os.name == "posix" else None,
    )


def _limit(process: "subprocess.Popen[str]", seconds: float) -> bool:
    """Limit the processor time of a process, and tell whether that was possible.

    The system sees to it, also when this process is killed: no router goes round in circles alone.
    """
    if resource is None or not hasattr(resource, "prlimit"):
        return False
    with contextlib.suppress(ProcessLookupError):  # it has ended already
        whole = ceil(seconds)
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (whole, whole + 10))
    return True


def _stop(process: "subprocess.Popen[str]") -> None:
    """Kill a process and all that it started; nothing happens where it has ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()


def warm(names: Iterable[str]) -> list[Tool]:
    """Find tools and start each once, at the same time; return them.

    YoWASP compiles a tool at its first call, which takes up to a minute and one core each.
    """
    tools = [find(name) for name in names]
    with ThreadPoolExecutor(max_workers=max(len(tools), 1)) as pool:
        list(pool.map(_ask_version, tools))
    return tools


def _signal(status: int) -> str | None:
    """Return which signal ended a tool, or a shell around it; None where it ended by itself."""
    try:
        name = signal.Signals(-status if status < 0 else status - 128).name
    except ValueError:
        return None
    return f"{name}, as when memory runs out" if name == "SIGKILL" else name


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
