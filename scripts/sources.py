"""What the package's own sources say, as a digest: part of the key of every result they decide."""

import hashlib
from functools import cache
from pathlib import Path

__all__ = ["folders", "source_digest"]

PACKAGE = Path(__file__).parents[1]


@cache
def source_digest(*folders: str) -> str:
    """Return a digest of the Python and C++ sources in ``folders`` of the package."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((PACKAGE / folder).glob("*.*")):
            if path.suffix in (".py", ".cc"):
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def folders(root: str) -> tuple[str, ...]:
    """Return the folder ``root`` of the package and those below it that have Python sources."""
    found = {path.parent for path in (PACKAGE / root).rglob("*.py")}
    return tuple(sorted(path.relative_to(PACKAGE).as_posix() for path in found))
