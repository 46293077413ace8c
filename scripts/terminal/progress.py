"""Progress with elapsed time, on standard error, so that standard output stays clean."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["ReportedStep", "Reporter", "UntoldStep", "standard_output", "time_left", "untold"]


def standard_output() -> Console:
    """Return a console that is as wide as the terminal; elsewhere, wide enough for everything."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    return console


def time_left(seconds: float) -> str:
    """Return minutes and seconds that are left."""
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f} left"


class Reporter:
    """Show what is going on: a live list on a terminal, a line per finished step elsewhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._live = self.console.is_terminal
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self.console,
        )
        self._lock = threading.Lock()

    def __enter__(self) -> "Reporter":
        if self._live:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._progress.stop()

    @contextmanager
    def step(self, title: str) -> Iterator["ReportedStep"]:
        """Show a step while it runs; from any thread."""
        step = ReportedStep(self, title)
        try:
            yield step
        except BaseException as error:
            step.finish("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        step.finish()


class UntoldStep:
    """One step of work of which nothing is shown."""

    def note(self, text: str) -> None:
        """Say nothing."""


@contextmanager
def untold(title: str) -> Iterator[UntoldStep]:
    """Show nothing of a step, where others show what is going on."""
    yield UntoldStep()


class ReportedStep:
    """One step of work; ``note`` says how far it is."""

    def __init__(self, reporter: Reporter, title: str):
        self._reporter, self._title, self._note = reporter, title, ""
        self._started = time.perf_counter()
        with reporter._lock:
            self._task = reporter._progress.add_task(title, total=1, note="")

    def note(self, text: str) -> None:
        """Say how far the step is, or what it found."""
        self._note = text
        self._reporter._progress.update(self._task, note=text)

    def finish(self, outcome: str = "") -> None:
        """End the step."""
        seconds = time.perf_counter() - self._started
        note = " ".join(filter(None, [self._note, outcome]))
        self._reporter._progress.update(self._task, completed=1, note=note)
        if not self._reporter._live:
            with self._reporter._lock:
                print(
                    f"{self._title}: {seconds:.1f} s {note}".rstrip(), file=sys.stderr, flush=True
                )
