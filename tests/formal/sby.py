"""Running SymbiYosys on a design with properties."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrowgauge.hw.tools.programs import find
from narrowgauge.hw.tools.rtlil import convert

__all__ = ["SOLVER", "Outcome", "check"]

SOLVER = "yices"
"""What answers. Z3 took four times as long where both were tried."""
PATIENCE = 1200  # seconds until a check that does not end is an error

FREE = {
    "window": "setattr -unset init w:*",
    "any": "setattr -unset init w:gates.* w:$flatten*",
}
"""By mode: what frees the beginning."""

# A ROM made of a case would be a memory, whose contents are lost where the beginning is free.
SCRIPT = """\
[options]
mode {mode}
depth {depth}
{options}
[engines]
smtbmc {solver}
[script]
read_rtlil design.il
hierarchy -top top
proc -norom
flatten
{script}
prep -top top -nordff
[files]
design.il
"""


@dataclass(frozen=True)
class Outcome:
    """What SymbiYosys found.

    Attributes
    ----------
    status : str
        ``PASS``, ``FAIL`` where it has a counterexample, or ``UNKNOWN`` where a proof by induction
        does not go through.
    log : str
        What it printed.
    """

    status: str
    log: str


def check(spec: Any, folder: Path, *, mode: str, depth: int) -> Outcome:
    """Check the assertions of a top level under its assumptions.

    Parameters
    ----------
    spec : amaranth.hdl.Elaboratable
        Without ports. Its clock domain is made by `convert`, which gives it a port: one that is
        made inside has a clock that never ticks, and then everything holds.
    folder : Path
        For files.
    mode : str
        ``bmc``: all assertions hold in ``depth`` cycles from reset. ``prove``: they hold for ever,
        by induction over ``depth`` cycles. ``window``: they hold in the last of ``depth`` cycles
        that begin in any state whatever, reachable or not. ``any``: all hold in ``depth`` cycles in
        which the submodule ``gates`` begins in any state, and what is around it as always.
    depth : int
        Cycles.
    """
    text = convert(spec)
    assert re.search(r"wire .*input \d+ +\\clk\b", text), "without a clock everything holds"
    (folder / "design.il").write_text(text, encoding="utf-8")
    window = mode == "window"
    config = SCRIPT.format(
        mode="bmc" if mode in FREE else mode,
        depth=depth,
        options=f"skip {depth - 1}" if window and depth > 1 else "",
        solver=SOLVER,
        script=FREE.get(mode, ""),
    )
    (folder / "proof.sby").write_text(config, encoding="utf-8")
    return _run(folder)


def _run(folder: Path) -> Outcome:
    command = [*find("sby").command, "-f", "-j", "2"]
    for option in ("yosys", "smtbmc", "witness"):
        name = option if option == "yosys" else f"yosys-{option}"
        command += [f"--{option}", shlex.join(find(name).command)]
    # the solver lies beside the interpreter of an environment that need not be activated
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if shutil.which("yices-smt2", path=path) is None:
        raise RuntimeError(
            "there is no yices-smt2: pip install 'narrowgauge[formal]', or build Yices"
        )
    process = subprocess.Popen(
        [*command, "proof.sby"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    try:
        log, _ = process.communicate(timeout=PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    found = re.search(r"DONE \((\w+), rc=\d+\)", log)
    if found is None or found[1] not in ("PASS", "FAIL", "UNKNOWN"):
        raise RuntimeError(f"SymbiYosys did not finish:\n{log}")
    return Outcome(found[1], log)
