"""What the package's own sources say, as a digest: part of the key of every result they decide."""

import hashlib
from functools import cache
from pathlib import Path

__all__ = ["TRAINING", "source_digest"]

TRAINING = (
    *("model/data", "model/layers", "model/lowering", "model/training", "model/exact"),
    *("model/integers", "hw/numbers", "hw/network", "hw/program", "hw/geometry.py"),
)
"""Sources that decide what a trained network is: no gate is among them."""

PACKAGE = Path(__file__).parents[2]
SUFFIXES = (".py", ".cc", ".v")


@cache
def source_digest(*names: str) -> str:
    """Return a digest of all sources in some folders of the package, and in those below them.

    Parameters
    ----------
    names : str
        Folders, as ``hw/sim``, or single files.

    Raises
    ------
    FileNotFoundError
        For a name that has no source: a key without it would never change.
    """
    digest = hashlib.sha256()
    for name in names:
        place = PACKAGE / name
        paths = [place] if place.is_file() else place.rglob("*.*")
        found = [path for path in sorted(paths) if path.suffix in SUFFIXES]
        if not found:
            raise FileNotFoundError(f"{place} has no sources")
        for path in found:
            own = path.relative_to(PACKAGE).as_posix()
            digest.update(own.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
