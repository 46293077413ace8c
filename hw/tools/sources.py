"""Digests of the sources that decide a result: part of the key under which it is stored.

What a function can do is written in its module and in those that this one imports, however far.
They are found in the import statements, so there is no list to maintain: a changed file changes the
digests of what can come to run it, and no others.
"""

import ast
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

__all__ = ["digest_of", "reached", "source_digest"]

PACKAGE = Path(__file__).parents[2]
_ONE_AT_A_TIME = threading.Lock()  # Python 3.11 cannot make two syntax trees at once
NO_SOURCES = (".py", ".network", ".toml")  # modules, networks, plans
PREFIX = __name__.removesuffix("hw.tools.sources")


def source_digest(*used: Callable[..., object]) -> str:
    """Return the digest of everything that functions or classes of this package can come to run.

    Raises
    ------
    ValueError
        For one of another package: a key would not change with it.
    """
    names = {each.__module__ for each in used}
    foreign = sorted(name for name in names if not name.startswith(PREFIX))
    if foreign:
        raise ValueError(f"no modules of this package: {', '.join(foreign)}")
    with _ONE_AT_A_TIME:
        return _kept(tuple(sorted(name.removeprefix(PREFIX) for name in names)), PACKAGE)


@cache
def _kept(modules: tuple[str, ...], root: Path) -> str:
    return digest_of(modules, root)


def digest_of(modules: Iterable[str], root: Path) -> str:
    """Return the digest of modules below ``root``, ``hw.mac.dot`` for example, and what they reach.

    Raises
    ------
    FileNotFoundError
        For a module that is not there.
    """
    digest = hashlib.sha256()
    for path in reached(modules, root):
        name = path.relative_to(root).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def reached(modules: Iterable[str], root: Path) -> list[Path]:
    """Return the files of modules, and of all that they import, in the order of their paths.

    An import counts wherever it stands, but for those that only type checkers follow. Files beside
    a module that are no Python, such as the C++ that it compiles, are sources of it, and so are
    those of folders beside it that hold no Python; but for networks and plans, whose content is in
    keys by itself. The ``__init__`` above a module is a face and decides nothing, unless something
    is imported from it.
    """
    found: set[Path] = set()
    seen: set[str] = set()
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            imported, files = _read(name, root)
            pending += imported
            found.update(files)
    return sorted(found)


@cache
def _read(name: str, root: Path) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Return the modules that a module imports, and its own files: itself and what is beside it."""
    path = _path(name, root)
    if path is None:
        raise FileNotFoundError(f"{root} has no module {name}")
    parts = name.split(".")
    package = parts if path.name == "__init__.py" else parts[:-1]
    imported: set[str] = set()
    for node in _statements(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            base = [*above, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                imported.add(whole if _path(whole, root) else ".".join(base))
    return tuple(sorted(imported)), (path, *_beside(path.parent))


@cache
def _beside(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder that are no Python, and those of its folders without Python."""
    found: list[Path] = []
    for each in folder.iterdir():
        if each.name.startswith((".", "__")):
            continue
        if each.is_file() and each.suffix not in NO_SOURCES:
            found.append(each)
        elif each.is_dir() and not any(each.rglob("*.py")):
            found += _beside(each)
    return tuple(found)


def _path(name: str, root: Path) -> Path | None:
    place = root.joinpath(*name.split("."))
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those that only type checkers read."""
    for child in ast.iter_child_nodes(node):
        typing = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not typing:
            yield child
            yield from _statements(child)
