"""Progress of a sweep: what runs, how many rows are done, and the time that is left."""

import sys
import threading
import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from ..rows.row import ResultRow
from .points import Point

__all__ = ["Progress", "remaining"]

SHOWN = 8  # designs in work that are listed


def remaining(seconds: float, finished: float, left: float) -> float | None:
    """Return the seconds that ``left`` units of work should take, None before one is finished."""
    return seconds / finished * left if finished else None


def _work(point: Point) -> int:
    """Return how long a row takes, in rough units: mapping and packing are two routings."""
    return 2 + point.seeds


class Progress:
    """Show a bar on a terminal; elsewhere, print a line for every row, all on standard error."""

    def __init__(self, points: tuple[Point, ...]) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._lock = threading.Lock()
        self._started: dict[Point, float] = {}
        self._done = self._worked = 0
        self._total = len(points)
        self._left = sum(map(_work, points))
        self._begun = time.perf_counter()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            auto_refresh=False,
        )
        self._task = self._bar.add_task("rows", total=self._total, left="")
        live = self.console.is_terminal
        self._live = Live(console=self.console, get_renderable=self._render) if live else None

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def begin(self, stored: list[Point], failed: list[Point]) -> None:
        """Begin; these points have a row already, from the store or because they cannot be run."""
        with self._lock:
            self._begun = time.perf_counter()
            self._left -= sum(map(_work, [*stored, *failed]))
            self._done = len(stored) + len(failed)
            self._bar.update(self._task, completed=self._done)
        if stored:
            text = f"{len(stored)} of {self._total} rows are in the store"
            self.console.print(text, markup=False, soft_wrap=True)

    def start(self, point: Point) -> None:
        """Show that a row is in work."""
        with self._lock:
            self._started[point] = time.perf_counter()

    def end(self, point: Point, row: ResultRow) -> None:
        """Show that a row is done."""
        with self._lock:
            seconds = time.perf_counter() - self._started.pop(point)
            self._done += 1
            self._worked += _work(point)
            self._left -= _work(point)
            left = self._text_left()
            self._bar.update(self._task, completed=self._done, left=left)
            if self._live is None:
                print(
                    f"{point.text} on {point.target}: {seconds:.1f} s {_outcome(row)}; "
                    f"{self._done} of {self._total}{left and ', '}{left}",
                    file=sys.stderr,
                    flush=True,
                )

    def _text_left(self) -> str:
        seconds = remaining(time.perf_counter() - self._begun, self._worked, self._left)
        if not seconds:
            return ""
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}:{rest:02} left"

    def _render(self) -> Group:
        with self._lock:
            now = time.perf_counter()
            lines = [
                Text(f"  {point.text} on {point.target}: {now - since:.0f} s", style="dim")
                for point, since in list(self._started.items())[:SHOWN]
            ]
            return Group(*lines, self._bar.get_renderable())


def _outcome(row: ResultRow) -> str:
    cells = row.lut4 if row.lut is None else row.lut
    if cells is None:
        return f"failed: {row.failed}"
    return f"{cells} LUT" + (f", {row.fmax_mhz:.1f} MHz" if row.fmax_mhz else "")
