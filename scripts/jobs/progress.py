"""Tells of jobs that are done, and of the time that is left, on standard error."""

import sys
import time
from collections.abc import Callable, Sequence

from ..sweeps.progress_bar import remaining
from .job import About, Job

__all__ = ["progress", "say"]

PAUSE = 2.0  # seconds between two lines of progress


def progress(jobs: Sequence[Job]) -> Callable[[Job, About, int], None]:
    """Return what tells of finished jobs, not too often, and how much time is left."""
    total, began = sum(job.seconds for job in jobs), time.perf_counter()
    done, last = [0.0], [0.0]

    def told(job: Job, about: About, left: int) -> None:
        done[0] += job.seconds
        now = time.perf_counter()
        if now - last[0] < PAUSE and left:
            return
        last[0] = now
        seconds = remaining(now - began, done[0], total - done[0]) or 0.0
        hour, rest = divmod(round(seconds), 3600)
        say(f"{job.text}: {about.seconds:.1f} s; {left} left, {hour}:{rest // 60:02} hours")

    return told


def say(text: str) -> None:
    """Print a line."""
    print(f"narrowgauge: {text}", file=sys.stderr, flush=True)
