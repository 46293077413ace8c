"""Compiles a design to a shared library: Yosys and CXXRTL, a C++ harness, a compiler, a cache."""

import hashlib
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..files import cache_folder, write_atomically
from ..tools.programs import find, run
from .compiler import compile_library, cxxrtl_headers, find_compiler
from .parts import in_parts

__all__ = ["LibraryWarning", "build_library"]

SOURCES = tuple(
    Path(__file__).with_name(name) for name in ("library.py", "compiler.py", "parts.py")
)
"""What decides, with the design and the tools, what is compiled."""


class LibraryWarning(UserWarning):
    """A compiled design that was damaged."""


def _unconditional_commits(design: str) -> str:
    """Let every register take its next value without asking whether it changed.

    The harness steps once a cycle and needs no answer; the comparisons, which no branch predictor
    foresees, would take a quarter of the time.
    """
    registers = set(re.findall(r"\twire<\d+> (\w+)", design))

    def unconditional(match: re.Match) -> str:
        name = match[1]
        return f"{name}.curr = {name}.next;" if name in registers else match[0]

    return re.sub(r"if \((\w+)\.commit\(observer\)\) changed = true;", unconditional, design)


def build_library(
    files: Mapping[str, str],
    commands: Sequence[str],
    harness: str,
    *,
    optimise: str = "-O2",
    before: Callable[[], None] = lambda: None,
) -> Path:
    """Return the library of a design, from the user's cache or newly compiled.

    It is kept under a name made from everything that decides what it is, so that the same design
    compiles once.

    Parameters
    ----------
    files : mapping of str to str
        What Yosys reads, by name.
    commands : sequence of str
        For Yosys, from the files to ``top.cc``.
    harness : str
        C++ that follows the design, its definitions first.
    optimise : str
        The compiler's option.
    before : callable
        Called before anything is compiled; what it raises goes on.

    Raises
    ------
    ToolError
        Without Yosys or a C++ compiler, or where one of them fails.
    """
    yosys, compiler = find("yosys"), find_compiler()
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    named = [part for pair in files.items() for part in pair]
    recipe = [*named, *commands, harness, *texts, optimise, yosys.version, *compiler]
    digest = hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:32]
    folder = cache_folder() / "sim"
    for library in folder.glob(f"{digest}-*.so"):
        if library.name == _name(digest, library.read_bytes()):
            return library
        warnings.warn(f"{library} is damaged, and compiled again", LibraryWarning, stacklevel=2)
        library.unlink(missing_ok=True)
    before()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        for file, text in files.items():
            (work / file).write_text(text, encoding="utf-8")
        (work / "simulate.ys").write_text("\n".join([*commands, ""]), encoding="utf-8")
        run(yosys, ["-q", "-s", "simulate.ys"], work)
        source, compiled = work / "simulator.cc", work / "simulator.so"
        design = in_parts(_unconditional_commits((work / "top.cc").read_text(encoding="utf-8")))
        source.write_text(design + harness, encoding="utf-8")
        compile_library(compiler, source, compiled, cxxrtl_headers(yosys), optimise=optimise)
        content = compiled.read_bytes()
        library = folder / _name(digest, content)
        write_atomically(library, content)
    return library


def _name(digest: str, content: bytes) -> str:
    """Return the name of a library: what it was made from, and what it holds."""
    return f"{digest}-{hashlib.sha256(content).hexdigest()[:32]}.so"
