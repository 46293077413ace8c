"""Faces of packages: what a user imports from a package, loaded when it is used.

A package's ``__init__`` lists in an ``if TYPE_CHECKING:`` block where its names come from, so that
type checkers know them; `face` makes them attributes of the package. Importing one module of a
package thus loads none of the others. Inside the packages everything is imported from modules.
"""

import ast
import inspect
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

__all__ = ["face", "homes"]


@cache
def homes(package: str) -> dict[str, tuple[str, str]]:
    """Return the module of each name that a package shows, and what it is called there.

    Raises
    ------
    SyntaxError
        For anything but imports from modules in the block.
    """
    found: dict[str, tuple[str, str]] = {}
    for node in ast.parse(inspect.getsource(sys.modules[package])).body:
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            continue
        for each in node.body:
            if not isinstance(each, ast.ImportFrom) or each.level != 1 or not each.module:
                raise SyntaxError(
                    f"the face of {package} imports from its modules, line {each.lineno}"
                )
            for alias in each.names:
                found[alias.asname or alias.name] = f"{package}.{each.module}", alias.name
    return found


def face(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package."""

    def get(name: str) -> Any:
        # an import system asks for many names; only public ones are looked for
        if not name.startswith("_") and name in homes(package):
            module, original = homes(package)[name]
            value = getattr(import_module(module), original)
            setattr(sys.modules[package], name, value)
            return value
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes(package)})

    return get, names
