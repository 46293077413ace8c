"""``python -m narrowgauge.scripts.studies NAME [OPTION...]``: run a study, or list all of them."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from ...hw.errors import NarrowgaugeError

__all__ = ["main", "studies"]


def studies() -> dict[str, str]:
    """Return the studies, and what each shows."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        text = ast.get_docstring(ast.parse(path.read_bytes())) or ""
        if "studies " + path.stem in text:
            found[path.stem] = text.splitlines()[0]
    return found


def main(arguments: Sequence[str]) -> int:
    """Run the study that is named first, with the arguments after it; return the exit status."""
    known = studies()
    if not arguments or arguments[0] not in known:
        if arguments and arguments[0] not in ("-h", "--help"):
            print(f"studies: there is no {arguments[0]}; there are:", file=sys.stderr)
        for name, text in known.items():
            print(f"{name:20} {text}")
        return 2 if arguments and arguments[0] not in ("-h", "--help") else 0
    sys.argv[0] = arguments[0]  # what its help calls it
    study = importlib.import_module(f".{arguments[0]}", __package__)
    try:
        return study.main(arguments[1:]) or 0
    except NarrowgaugeError as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
