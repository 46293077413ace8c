"""The house is in order: packages, imports, names, examples, sizes."""

import ast
import doctest
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)
FOLDERS: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
SOURCES = sorted(path for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py"))
LONGEST = 400


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["narrowgauge", *(part for part in parts if part != "__init__")])


MODULES = [module_name(path) for path in SOURCES]


def test_every_package_is_in_the_wheel():
    found = {module_name(path) for path in SOURCES if path.name == "__init__.py"}
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(found)
    assert {name for name in found if name.count(".") == 1} == set(FOLDERS)
    assert all(name == f"narrowgauge.{folder}" for name, folder in FOLDERS.items())
    for path in SOURCES:
        assert (path.parent / "__init__.py").exists(), path


def test_every_package_is_typed():
    for folder in FOLDERS.values():
        assert (ROOT / folder / "py.typed").exists()


@pytest.mark.parametrize("package", ["narrowgauge.hw", "narrowgauge.boards"])
def test_hardware_needs_no_torch(package):
    names = [name for name in MODULES if name == package or name.startswith(f"{package}.")]
    lines = [f"import {', '.join(names)}", "import sys", "print('torch' in sys.modules)"]
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    """Examples in docstrings are true; ``__all__`` is sorted, and names what is there."""
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
    names = getattr(module, "__all__", None)
    if names is not None:
        assert names == sorted(names, key=natural)
        assert len(names) == len(set(names))
        missing = [name for name in names if not hasattr(module, name)]
        assert not missing


def natural(name):
    """Constants first, and resnet8 before resnet18."""
    return not name.isupper(), [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_source(path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST
    tree = ast.parse(text)
    if not tree.body:
        return
    assert ast.get_docstring(tree), "a module says what it is for"
    public = {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }
    module = importlib.import_module(module_name(path))
    if path.name != "__init__.py":
        assert public <= set(module.__all__), "a public name is in __all__, or begins with _"


def test_every_dependency_says_why():
    project = PROJECT["project"]
    for requirements in (project["dependencies"], *project["optional-dependencies"].values()):
        for requirement in requirements:
            if not requirement.startswith("narrowgauge["):
                assert re.search(rf'"{re.escape(requirement)}"[],]+ +# \w', TEXT), requirement


def test_packages_import_relatively():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots = {str(node.module).partition(".")[0]}
            else:
                continue
            assert not roots & {"narrowgauge", *FOLDERS.values()}, path
