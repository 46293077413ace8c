"""Checkpoints: where a training stands after every epoch, so that a killed one goes on."""

import io
import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from ...hw.errors import NarrowgaugeError
from ...hw.files import write_atomically

__all__ = ["Checkpoint", "State"]

VERSION = 1
State = dict[str, Any]
"""Plain tensors, numbers and texts, by name."""
MARK = b"narrowgauge checkpoint "
"""What a file begins with; the SHA-256 of the rest follows, of which torch checks nothing."""


class Checkpoint:
    """One training's file; plain tensors, numbers and texts.

    Parameters
    ----------
    folder : Path or None
        Where it is kept; None keeps nothing.
    digest : str
        Names the training; see `Recipe.digest`.
    code : str
        What trains: what other code has saved is not loaded. With "" anything is.
    """

    def __init__(self, folder: Path | None, digest: str, code: str = ""):
        self.code = code
        self.path = None if folder is None else Path(folder) / f"{digest}.checkpoint"

    def load(self) -> State | None:
        """Return what was saved last, or None if nothing was, or nothing that can be read."""
        if self.path is None or not self.path.exists():
            return None
        try:
            content = self.path.read_bytes()
            body = content[len(MARK) + 32 :]
            if content != _sealed(body):
                return None
            state = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            return None  # a checkpoint only saves time
        if not isinstance(state, dict) or state.get("version") != VERSION:
            return None
        return state if self.code in ("", state.get("code")) else None

    def save(self, **state: object) -> None:
        """Replace what was saved, whole or not at all."""
        if self.path is None:
            return
        buffer = io.BytesIO()
        torch.save({"version": VERSION, "code": self.code, **state}, buffer)
        try:
            write_atomically(self.path, _sealed(buffer.getvalue()))
        except OSError as error:
            raise NarrowgaugeError(
                f"cannot write to {self.path.parent} ({error.strerror}); "
                "name another folder with --checkpoints"
            ) from error


def _sealed(body: bytes) -> bytes:
    """Return the content of a file: a mark, a digest, and the body."""
    return MARK + sha256(body).digest() + body
