"""Cut a window out of a VCD file."""

from pathlib import Path

from ..files import written
from .run import CycleWindow

__all__ = ["cut_window"]


def cut_window(whole: Path, window: CycleWindow, *, ticks_per_cycle: int) -> None:
    """Write the changes of ``whole`` inside ``window`` to its path, after the state at its start.

    Parameters
    ----------
    whole : Path
        A VCD file from cycle 0.
    window : CycleWindow
        Cycles, and the file to write.
    ticks_per_cycle : int
        Time units of ``whole`` in a cycle.
    """
    start, stop = window.start * ticks_per_cycle, window.stop * ticks_per_cycle
    state: dict[bytes, bytes] = {}
    begun = False
    with whole.open("rb") as source, written(window.path) as target:
        for line in source:
            target.write(line)
            if line.startswith(b"$enddefinitions"):
                break
        now = 0
        for line in source:
            if line.startswith(b"#"):
                now = int(line[1:])
                if now >= stop:
                    break
                if now >= start and not begun:
                    target.write(b"#%d\n$dumpvars\n%b$end\n" % (now, b"".join(state.values())))
                    begun = True
                elif begun:
                    target.write(line)
            elif begun:
                target.write(line)
            elif not line.startswith(b"$"):
                state[_identifier(line)] = line


def _identifier(change: bytes) -> bytes:
    """Return the short name of the variable that a line changes."""
    return change.split()[1] if change[:1] in b"brs" else change[1:].strip()
