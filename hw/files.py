"""Files that are whole or not there."""

import os
import re
import tempfile
from pathlib import Path

__all__ = ["file_name", "write_atomically"]

_LONGEST = 200  # characters of a file's name; systems allow 255 with what is put around them


def file_name(text: str) -> str:
    """Return ``text`` as the name of a file of a folder: it leads nowhere else, and is not empty.

    What is not a letter or a digit of ASCII, or one of ``_ . + -``, becomes a hyphen.
    """
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip(".-")[:_LONGEST] or "unnamed"


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds either the old or the new content, never a part.

    Missing folders are made. Raises `OSError`, and leaves no temporary file, when writing fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
