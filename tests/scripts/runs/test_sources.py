"""What a change of a file can influence is computed again, and nothing else is."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from narrowgauge.hw.synth.measure import measure
from narrowgauge.hw.tools import sources
from narrowgauge.hw.tools.store import Store
from narrowgauge.model.training.recipe import Recipe
from narrowgauge.scripts.runs import kept, loading, pipeline
from narrowgauge.scripts.sweeps.accelerators import Accelerated
from narrowgauge.scripts.sweeps.given import Given
from narrowgauge.scripts.sweeps.macs import Array, Mac
from narrowgauge.scripts.sweeps.trained import TrainedSource
from narrowgauge.scripts.terminal.progress import Reporter

from ..conftest import tiny_network, with_about, write_images

ROOT = Path(__file__).parents[3]
FOLDERS = ("hw", "model", "scripts", "boards", "docs")

RESULTS = {
    "trained": pipeline.training_sources,
    "checked": lambda: sources.source_digest(kept.check_levels),
    "mac": lambda: sources.source_digest(Mac),
    "array": lambda: sources.source_digest(Array),
    "accelerator": lambda: sources.source_digest(Accelerated, Given),
    "trained accelerator": lambda: sources.source_digest(Accelerated, TrainedSource),
    "tools": lambda: sources.source_digest(measure),
}
ACCELERATORS = {"accelerator", "trained accelerator"}
DESIGNS = {"mac", "array", *ACCELERATORS}

EDITS = {  # a file, and the results that it can influence
    "hw/accelerator/outputs/drain.py": {"checked", *ACCELERATORS},
    "hw/mac/dot.py": {"checked", *DESIGNS},
    "hw/array/systolic.py": {"checked", *DESIGNS},
    "hw/sim/harness.cc": {"checked", *ACCELERATORS},
    "hw/sim/batch/evaluate.cc": {"checked", *ACCELERATORS},
    "hw/sim/batch/streams.cc": {"checked", *ACCELERATORS},
    "hw/sim/batch/cells/techmap.v": {"checked", *ACCELERATORS},
    "hw/synth/flow.py": {*DESIGNS, "tools"},
    "hw/synth/placement.py": {*ACCELERATORS},
    "hw/numbers/arithmetic.py": {"trained", "checked", *DESIGNS},
    "hw/program/patch.py": {"trained", "checked", *ACCELERATORS},
    "model/layers/rounding.py": {"trained", "trained accelerator"},
    "model/training/schedule.py": {"trained", "trained accelerator"},
    "model/integers/accumulate.py": {"trained", "checked", *ACCELERATORS},
    "scripts/sweeps/macs.py": {"mac", "array"},
    "scripts/sweeps/given.py": {"accelerator"},
    "scripts/sweeps/trained.py": {"trained accelerator"},
    "scripts/sweeps/plans/macs.toml": set(),
    "scripts/sweeps/bench.py": set(),
    "scripts/reporting/tables.py": set(),
    "scripts/rows/row.py": DESIGNS,
    "scripts/terminal/options.py": set(),
    "boards/gateware/uart.py": set(),
    "docs/update.py": set(),
    "docs/array.md": set(),
    "hw/__init__.py": set(),  # a face
}


def digests(root, monkeypatch):
    monkeypatch.setattr(sources, "PACKAGE", root)
    sources._kept.cache_clear()
    return {name: function() for name, function in RESULTS.items()}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the tree."""
    root = tmp_path_factory.mktemp("tree")
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "*.network", "results", "*.png")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    return root


def test_a_copy_has_the_same_digests(copy, monkeypatch):
    before = digests(ROOT, monkeypatch)
    assert digests(copy, monkeypatch) == before
    assert len({*before.values()}) == len(before) - 1  # a MAC's and an array's are one


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_what_it_can_influence(copy, monkeypatch, name):
    path = copy / name
    original = path.read_bytes()
    before = digests(copy, monkeypatch)
    path.write_bytes(original + b"\n")
    after = digests(copy, monkeypatch)
    path.write_bytes(original)
    assert {each for each in RESULTS if before[each] != after[each]} == EDITS[name]


def trained(dataset="digits"):
    return TrainedSource(Recipe(dataset=dataset, widths=(4,), epochs=1), "int4", "uint4")


def test_a_network_that_a_plan_trains_is_under_what_its_training_depends_on():
    parts = trained().parts()
    assert parts == pipeline.training_parts(trained().recipe)
    assert parts["sources"] == pipeline.training_sources()
    assert parts["torch"] == version("torch")


def point(source):
    """A plan's point of that network, of which one image is simulated."""
    sizes = {"rows": 1, "columns": 1, "lanes": 1, "hop": 1, "chains": 1, "contexts": 1, "batch": 1}
    grid = {"slice": None, "accumulator": None, "overflow": None, "multiplier": "logic"}
    asked = {"target": "up5k", "seeds": 0, "images": 1, "source": source}
    chosen: dict[str, Any] = {**sizes, **grid, **asked}
    return Accelerated(**chosen)


def test_a_plan_s_row_is_under_the_classes_that_make_it():
    assert point(trained()).made_by() == (Accelerated, TrainedSource)
    assert Mac.made_by(object.__new__(Mac)) == (Mac,)


def test_other_images_in_a_folder_are_another_training_and_another_row(tmp_path, monkeypatch):
    found, folders = [], []
    for shade in (0, 0, 1):
        name = write_images(tmp_path / "images", shade)
        row = point(Given(with_about(tiny_network(), dataset=name), of_zoo=False)).parts()
        trainer = pipeline.Trainer(trained(name).recipe, Store(tmp_path / "x"), Reporter())
        folders.append(trainer._folder)
        found.append([row["data"], trained(name).parts()["images"], trainer._images])
    assert found[0] == found[1]
    assert all(before != after for before, after in zip(found[1], found[2], strict=True))
    assert folders[0] == folders[1] != folders[2]
    assert loading.images_digest("digits") == ""


def test_threads_can_ask_at_the_same_time():
    """Two syntax trees at once are a SystemError of Python 3.11."""
    sources._kept.cache_clear()
    sources._read.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: RESULTS["checked"](), range(16)))
    assert len({*found}) == 1


@pytest.fixture
def package(tmp_path):
    """A small package, and a function that says what a module of it reaches."""
    for name, text in {
        "a/__init__.py": "",
        "a/one.py": "from .two import f",
        "a/two.py": "def f():\n    from ..b import three",
        "a/one.cc": "int x;",
        "a/cells/one.v": "module one;",
        "a/cells/ice40/two.v": "module two;",
        "a/deeper/__init__.py": "",
        "a/deeper/other.cc": "int y;",
        "a/__pycache__/one.pyc": "",
        "a/plan.toml": "",
        "a/zoo.network": "",
        "b/__init__.py": "",
        "b/three.py": "if TYPE_CHECKING:\n    from .four import T\nfrom ..c import g",
        "b/four.py": "import nothing",
        "c/__init__.py": "from .five import g",
        "c/five.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def found(*modules):
        sources._read.cache_clear()
        return [path.relative_to(tmp_path).as_posix() for path in reached(modules)]

    def reached(modules):
        return sources.reached(modules, tmp_path)

    return found


def test_imports_are_followed_wherever_they_stand(package):
    assert package("a.one") == [
        *("a/cells/ice40/two.v", "a/cells/one.v", "a/one.cc", "a/one.py", "a/two.py"),
        *("b/three.py", "c/__init__.py", "c/five.py"),
    ]
    assert package("b.four") == ["b/four.py"]
    assert package("b.four", "c.five") == ["b/four.py", "c/five.py"]


def test_all_that_is_no_python_below_hw_sim_decides_a_simulation():
    found = sources.reached(["scripts.runs.checked"], ROOT)
    written = [path for kind in ("*.cc", "*.v") for path in (ROOT / "hw" / "sim").rglob(kind)]
    assert len(written) > 5
    assert set(written) <= set(found)


def test_a_module_that_is_not_there_is_refused(package):
    with pytest.raises(FileNotFoundError, match=r"has no module a\.nothing"):
        package("a.nothing")


def test_what_is_not_of_the_package_is_refused():
    with pytest.raises(ValueError, match="no modules of this package: functools"):
        sources.source_digest(measure, cache)


def test_no_module_is_imported_by_a_name_that_is_made():
    """Or it would be missed; these import what is of others, or decide nothing."""
    texts = {path: path.read_text() for name in FOLDERS for path in (ROOT / name).rglob("*.py")}
    found = {path.relative_to(ROOT).as_posix() for path in texts if "import_module" in texts[path]}
    assert found == {
        "boards/catalogue/entries.py",
        "boards/proof/icebox_blocks.py",
        "hw/lazy.py",
        "model/lowering/own_module.py",
        "scripts/cli.py",
        "scripts/studies/__main__.py",
    }
