"""Write ``constraints.txt``: the version of everything that is installed for narrowgauge here.

::

    python .ci/lock.py          # after the tests passed in this environment
    pip install -c constraints.txt -e '.[dev]'
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
HEAD = """\
# The versions that the tests were last run with, on Linux and Python 3.11: any of them can be left
# out. Ranges are those of pyproject.toml; this file is written by `python .ci/lock.py`.
"""


def wanted() -> list[Requirement]:
    """Return what narrowgauge asks for, with all of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(text) for group in groups for text in group]
    return [each for each in found if each.name != "narrowgauge"]


def installed(requirements: list[Requirement]) -> dict[str, str]:
    """Return the versions of requirements and of all that they ask for, by name."""
    versions: dict[str, str] = {}
    pending = [(each, extra) for each in requirements for extra in ("", *each.extras)]
    seen: set[tuple[str, str]] = set()
    while pending:
        each, extra = pending.pop()
        name = canonicalize_name(each.name)
        if (name, extra) in seen or (each.marker and not each.marker.evaluate({"extra": extra})):
            continue
        seen.add((name, extra))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # of another system
        versions[name] = Version(found.version).public  # not what it was built for
        for text in found.requires or ():
            further = Requirement(text)
            if further.marker and not further.marker.evaluate({"extra": extra}):
                continue
            further.marker = None
            pending += [(further, more) for more in ("", *further.extras)]
    return versions


def main() -> None:
    """Write the file."""
    lines = [f"{name}=={version}" for name, version in sorted(installed(wanted()).items())]
    text = HEAD + "\n".join(lines) + "\n"
    assert not re.search(r"https?:|@", text)
    (ROOT / "constraints.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
