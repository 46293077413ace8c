"""The house is in order: packages, arrows between them, faces, names, examples."""

import ast
import doctest
import importlib
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)
FOLDERS: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
SOURCES = sorted(path for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py"))
LONGEST_CHAIN = 20
MOST_FILES = 18
ENTRIES = ("scripts.commands", "scripts.studies")  # a file for each one, however many there are

ARROWS = {  # what each folder may import, beside its own modules and the files right in hw
    "hw": "",
    "hw.accelerator": "hw.array hw.gates hw.mac hw.numbers hw.program",
    "hw.array": "hw.gates hw.mac hw.numbers",
    "hw.energy": "hw.accelerator hw.mac hw.sim hw.synth hw.tools",
    "hw.gates": "hw.numbers",
    "hw.mac": "hw.gates hw.numbers",
    "hw.network": "hw.numbers",
    "hw.numbers": "",
    "hw.program": "hw.network hw.numbers",
    "hw.sim": "hw.accelerator hw.network hw.tools",
    "hw.synth": "hw.accelerator hw.gates hw.mac hw.network hw.program hw.tools",
    "hw.tools": "hw.gates",
    "model.data": "hw.numbers",
    "model.exact": "hw.network hw.numbers",
    "model.exchange": "hw.network hw.numbers hw.program model.exact model.integers",
    "model.fitting": (
        "hw.network hw.numbers hw.program model.data model.exact model.integers model.layers "
        "model.post_training model.training"
    ),
    "model.integers": "hw.network hw.numbers hw.program model.exact model.layers model.training",
    "model.layers": "hw.network hw.numbers",
    "model.lowering": "hw.network model.layers",
    "model.post_training": (
        "hw.network hw.numbers model.data model.exchange model.integers model.layers "
        "model.lowering model.training"
    ),
    "model.training": "hw.numbers hw.tools model.data model.layers model.lowering",
    "model.zoo": "hw.network hw.numbers hw.program model.data model.integers",
    "boards.build": (
        "boards.catalogue boards.gateware boards.protocol hw.accelerator hw.network "
        "hw.program hw.synth hw.tools"
    ),
    "boards.catalogue": "hw.synth",
    "boards.gateware": (
        "boards.catalogue boards.protocol hw.accelerator hw.gates hw.numbers hw.program"
    ),
    "boards.host": "boards.gateware boards.protocol hw.network",
    "boards.proof": (
        "boards.build boards.catalogue boards.gateware boards.protocol hw.accelerator "
        "hw.sim hw.tools"
    ),
    "boards.protocol": "hw.network hw.numbers hw.program",
    "scripts": "scripts.terminal",
    "scripts.commands": (
        "boards.build boards.catalogue boards.gateware boards.host boards.proof "
        "boards.protocol hw.accelerator hw.energy hw.network hw.numbers hw.program hw.sim hw.synth "
        "hw.tools model.data model.exchange model.fitting model.integers model.post_training "
        "model.training model.zoo scripts.exploring scripts.jobs scripts.papers scripts.pricing "
        "scripts.reporting scripts.rows scripts.runs scripts.sweeps scripts.terminal"
    ),
    "scripts.exploring": (
        "hw.network hw.numbers hw.program hw.synth hw.tools model.data model.integers model.layers "
        "model.post_training model.training scripts.reporting scripts.rows scripts.runs "
        "scripts.terminal"
    ),
    "scripts.jobs": "hw.tools scripts.runs scripts.sweeps",
    "scripts.papers": (
        "hw.accelerator hw.network hw.numbers hw.program hw.synth hw.tools model.data "
        "model.exchange model.fitting model.integers model.layers model.lowering "
        "model.post_training model.training scripts.exploring scripts.jobs scripts.pricing "
        "scripts.runs scripts.terminal"
    ),
    "scripts.pricing": (
        "hw.accelerator hw.network hw.numbers hw.program hw.synth hw.tools model.data "
        "model.integers model.layers model.lowering model.training scripts.jobs scripts.sweeps"
    ),
    "scripts.reporting": "hw.numbers hw.synth scripts.rows",
    "scripts.rows": "hw.synth",
    "scripts.runs": (
        "hw.accelerator hw.energy hw.network hw.numbers hw.program hw.sim hw.synth hw.tools "
        "model.data model.exchange model.integers model.lowering model.training model.zoo "
        "scripts.rows scripts.terminal"
    ),
    "scripts.studies": (
        "boards.build boards.catalogue boards.host boards.proof hw.accelerator hw.array "
        "hw.energy hw.gates hw.mac hw.network hw.numbers hw.program hw.sim hw.synth hw.tools "
        "model.data model.exchange model.fitting model.integers model.post_training "
        "model.training model.zoo "
        "scripts.commands scripts.rows scripts.runs scripts.sweeps scripts.terminal"
    ),
    "scripts.sweeps": (
        "hw.accelerator hw.array hw.mac hw.network hw.numbers hw.program hw.synth "
        "hw.tools model.data model.lowering model.training model.zoo scripts.reporting "
        "scripts.rows scripts.runs scripts.terminal"
    ),
    "scripts.terminal": (
        "hw.accelerator hw.network hw.numbers hw.program hw.sim hw.synth hw.tools"
    ),
}
"""The arrows between folders; docs/architecture.md draws them."""


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["narrowgauge", *(part for part in parts if part != "__init__")])


MODULES = [module_name(path) for path in SOURCES]
PATHS = dict(zip(MODULES, SOURCES, strict=True))
PACKAGES = {name for name, path in PATHS.items() if path.name == "__init__.py"}


@cache
def tree_of(path):
    return ast.parse(path.read_text())


def imports_of(name, path, modules):
    """Modules that a module imports relatively, wherever in it, but for type checkers in faces."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        parts = package[: len(package) - node.level + 1]
        base = ".".join([*parts, *(node.module.split(".") if node.module else [])])
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            yield node.lineno, whole if whole in modules else base


def graph():
    return {
        name: {found for _, found in imports_of(name, path, PATHS) if found != name}
        for name, path in PATHS.items()
        if name not in PACKAGES
    }


def longest_chain(arrows):
    """The longest way along ``arrows``; raises where it would not end."""
    chains = {}

    def chain(name, above):
        assert name not in above, f"a circle: {' > '.join([*above, name])}"
        if name not in chains:
            found = (chain(each, (*above, name)) for each in sorted(arrows.get(name, ())))
            chains[name] = [name, *max(found, key=len, default=[])]
        return chains[name]

    return max((chain(name, ()) for name in sorted(arrows)), key=len)


def folder_of(name):
    """``hw.mac`` for ``narrowgauge.hw.mac.dot``; ``hw`` for ``narrowgauge.hw.errors``."""
    parts = name.split(".")[1:]
    return ".".join(parts[: 2 if name in PACKAGES else min(2, len(parts) - 1)])


def foreign(arrows, allowed):
    """Arrows between folders that ``allowed`` has not."""
    wrong = []
    for name, found in arrows.items():
        own = folder_of(name)
        for each in found:
            to = folder_of(each)
            if to not in {own, "hw", *allowed[own].split()}:
                wrong.append(f"{name} imports {each}")
    return sorted(wrong)


def test_every_package_is_in_the_wheel():
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(PACKAGES)
    assert {name for name in PACKAGES if name.count(".") == 1} == set(FOLDERS)
    assert all(name == f"narrowgauge.{folder}" for name, folder in FOLDERS.items())
    for path in SOURCES:
        assert (path.parent / "__init__.py").exists(), path


def test_what_is_no_module_is_in_the_wheel():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*"):
            if path.is_dir() or path.suffix in (".py", ".pyc") or path.name == "py.typed":
                continue
            owners = [
                name for name in PACKAGES if (ROOT / "/".join(name.split(".")[1:])) in path.parents
            ]
            assert any(
                path.relative_to(ROOT / "/".join(name.split(".")[1:])).match(pattern)
                for name in owners
                for pattern in data.get(name, ())
            ), path


def test_every_package_is_typed():
    for folder in FOLDERS.values():
        assert (ROOT / folder / "py.typed").exists()


def test_arrows_between_folders():
    assert not foreign(graph(), ARROWS)
    used = defaultdict(set)
    for name, found in graph().items():
        used[folder_of(name)] |= {folder_of(each) for each in found}
    for folder, allowed in ARROWS.items():
        assert set(allowed.split()) <= used[folder], f"{folder} has an arrow that nothing uses"
    folders = {folder: set(allowed.split()) for folder, allowed in ARROWS.items()}
    longest_chain(folders)  # no circle


def test_the_arrows_are_drawn():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(hw/\w+)` \|([^|]*)\|$", text, re.MULTILINE)
    drawn = {name.replace("/", "."): re.findall(r"`(\S+)`", cell) for name, cell in rows}
    assert drawn == {
        folder: [each.replace(".", "/") for each in allowed.split()]
        for folder, allowed in ARROWS.items()
        if folder.startswith("hw.")
    }


def test_a_wrong_arrow_is_found():
    arrows = graph()
    arrows["narrowgauge.hw.numbers.format"] |= {"narrowgauge.hw.network.window"}
    assert foreign(arrows, ARROWS) == [
        "narrowgauge.hw.numbers.format imports narrowgauge.hw.network.window"
    ]


def test_chains_are_short_and_end():
    arrows = graph()
    hardware = {name: found for name, found in arrows.items() if name.startswith("narrowgauge.hw.")}
    chain = longest_chain(hardware)
    assert len(chain) <= LONGEST_CHAIN, " > ".join(chain)
    longest_chain(arrows)
    arrows["narrowgauge.hw.errors"] = {"narrowgauge.hw.mac.dot"}
    with pytest.raises(AssertionError, match="a circle"):
        longest_chain(arrows)


def reached(arrows, start):
    """All folders or modules that arrows lead to, from one on."""
    found, left = set(), [start]
    while left:
        new = set(arrows.get(left.pop(), ())) - found
        found |= new
        left += new
    return found


def test_wings_do_not_know_each_other():
    folders = {folder: allowed.split() for folder, allowed in ARROWS.items()}
    assert reached(folders, "hw.array") == {"hw.numbers", "hw.gates", "hw.mac"}
    assert reached(folders, "hw.program") == {"hw.numbers", "hw.network"}


@pytest.mark.parametrize(("room", "other"), [("inputs", "outputs"), ("outputs", "inputs")])
def test_rooms_of_the_accelerator_do_not_know_each_other(room, other):
    arrows, home = graph(), "narrowgauge.hw.accelerator"
    inside = [name for name in arrows if name.startswith(f"{home}.{room}.")]
    assert inside
    for name in inside:
        known = reached(arrows, name)
        assert not {each for each in known if each.startswith(f"{home}.{other}.")}, name


def test_few_files_of_the_accelerator_know_programs():
    home, program = "narrowgauge.hw.accelerator", "narrowgauge.hw.program."
    knowing = {
        name
        for name, found in graph().items()
        if name.startswith(f"{home}.") and any(each.startswith(program) for each in found)
    }
    assert knowing == {f"{home}.{name}" for name in ("configure", "top", "traced")}


def test_modules_import_from_modules():
    """A face is for users: inside, it would hide what a module needs."""
    shown = {package: set(face_of(package)) for package in PACKAGES}
    for name, path in PATHS.items():
        if name in PACKAGES:
            continue
        for line, found in imports_of(name, path, PATHS):
            assert found not in PACKAGES or not shown[found], f"{path}:{line} imports from a face"


@pytest.mark.parametrize(
    ("name", "unknown"),
    [
        ("hw", "torch"),
        ("boards", "torch"),
        ("hw.program", "narrowgauge.hw.gates narrowgauge.hw.mac narrowgauge.hw.array"),
        ("hw.mac", "narrowgauge.hw.network narrowgauge.hw.program"),
        ("hw.numbers", "narrowgauge.hw.gates narrowgauge.hw.mac narrowgauge.hw.network"),
    ],
)
def test_what_is_loaded_with_a_package(name, unknown):
    """Whatever the statements say: a fresh interpreter has not loaded it."""
    own = [each for each in MODULES if f"{each}.".startswith(f"narrowgauge.{name}.")]
    lines = [f"import {', '.join(own)}", "import sys", "print(*sys.modules)"]
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    loaded = done.stdout.split()
    assert own[-1] in loaded, done.stderr
    for each in unknown.split():
        inside = [found for found in loaded if f"{found}.".startswith(f"{each}.")]
        assert not inside, (name, inside)


def face_of(package):
    """Names in the ``TYPE_CHECKING`` block of an ``__init__``."""
    return [
        alias.asname or alias.name
        for node in tree_of(PATHS[package]).body
        if isinstance(node, ast.If)
        for each in node.body
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    ]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_face(package):
    module = importlib.import_module(package)
    names = face_of(package)
    if names:
        assert sorted(names) == sorted(module.__all__)
    for name in getattr(module, "__all__", []):
        assert f"{package}.{name}" not in PATHS, "it would hide the module of this name"
        value = getattr(module, name)
        if isinstance(value, type):
            assert value.__module__.startswith(package)
        assert name in dir(module)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing


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
    tree = tree_of(path)
    if not tree.body:
        return
    assert ast.get_docstring(tree), "a module says what it is for"
    if path.name != "__init__.py":
        module = importlib.import_module(module_name(path))
        assert set(public(tree)) <= set(module.__all__), (
            "a public name is in __all__, or begins with _"
        )


def public(tree):
    kinds = ast.ClassDef | ast.FunctionDef
    return [n.name for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]


def test_no_two_public_classes_have_one_name():
    homes = defaultdict(list)
    for name, path in PATHS.items():
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name)
    assert not {name: found for name, found in homes.items() if len(found) > 1}


def test_folders_are_of_one_subject():
    """A folder with more files has more than one; the few files right in a top have none."""
    counts = defaultdict(int)
    for name, path in PATHS.items():
        if name not in PACKAGES:
            counts[".".join(path.relative_to(ROOT).parts[:-1])] += 1
    rooms = {folder: count for folder, count in counts.items() if folder not in ENTRIES}
    assert max(rooms.values()) <= MOST_FILES, rooms
    assert {folder: count for folder, count in counts.items() if "." not in folder} == {
        "hw": 4,  # errors, files, geometry, lazy
        "scripts": 1,  # cli
    }


def test_every_dependency_says_why():
    project = PROJECT["project"]
    for requirements in (project["dependencies"], *project["optional-dependencies"].values()):
        for requirement in requirements:
            if not requirement.startswith("narrowgauge["):
                assert re.search(rf'"{re.escape(requirement)}"[],]+ +# \w', TEXT), requirement


def test_packages_import_relatively():
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                roots = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots = {str(node.module).partition(".")[0]}
            else:
                continue
            assert not roots & {"narrowgauge", *FOLDERS.values()}, path
