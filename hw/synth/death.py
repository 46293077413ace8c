"""Finds out what killed Yosys, in its log, because what it prints last may be lost.

In WebAssembly, Yosys's standard output does not come back after ABC had it (0.70): an assertion
that fails later ends it without a word. Its log is a file of its own, and has everything.
"""

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..tools.store import default_path

__all__ = ["Death", "keep"]

_PASS = re.compile(r"^\d+(?:\.\d+)*\. Executing (.+?)(?: pass| backend| frontend)?(?: \(.*)?\.?$")
_MODULE = re.compile(r"(?:module|netlist of module) [`']?\\?([^\s`']+)'")
_ABC9 = re.compile(r"ABC9|ABC_OPS|XAIGER|AIGER|\bABC\b")
_KEPT = ("design.il", "map.ys", "yosys.log")


@dataclass(frozen=True)
class Death:
    """Yosys's last pass, and its error.

    Attributes
    ----------
    reason : str
        Its error line, or what its caller saw.
    step : str
        The pass, in capitals as Yosys names it; empty where it had not begun one.
    module : str
        The module that was named last in a pass of ABC9; empty elsewhere.
    """

    reason: str
    step: str = ""
    module: str = ""

    @classmethod
    def read(cls, log: Path, reason: str) -> "Death":
        """Return what a log says; ``reason`` is for one that says nothing."""
        try:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        step = module = ""
        for line in lines:
            if match := _PASS.match(line):
                step = match[1]
            elif match := _MODULE.search(line):
                module = match[1]
        errors = [line for line in lines if line.startswith("ERROR:")]
        said = f"yosys failed: {errors[-1]}" if errors else reason
        return cls(said, step, module if _ABC9.search(step) else "")

    @property
    def of_abc9(self) -> bool:
        """Whether it was in ABC9, or in what prepares its input and takes its output."""
        return bool(_ABC9.search(self.step))

    def __str__(self) -> str:
        module = f" on module {self.module}" if self.module else ""
        return f"{self.reason}, in pass {self.step}{module}" if self.step else self.reason


def keep(folder: Path) -> str:
    """Copy what a failed mapping read and wrote beside the result store; say where it is."""
    files = [folder / name for name in _KEPT if (folder / name).exists()]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files[:2])).hexdigest()
    kept = default_path().parent / "failed" / digest[:16]
    try:
        kept.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copyfile(path, kept / path.name)
    except OSError as error:
        return f"its script could not be kept ({error})"
    return f"script, design and log are in {kept}"
