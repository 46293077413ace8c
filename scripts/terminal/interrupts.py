"""Ctrl-C and SIGTERM: the process ends within two seconds, whatever it is at.

Python tells only its main thread, and that only between two of its own instructions. A thread that
the signal itself wakes stops tools and simulations, gives everything a moment to tidy up, and then
ends the process, though threads or a long call may still be at work. What was measured is in the
store already.
"""

import os
import signal
import threading
import time
from functools import cache
from types import FrameType

from ...hw.tools import programs as tools

__all__ = ["Terminated", "leave", "watch"]

_GRACE = 1.0  # seconds to remove temporary folders, write results, and say so
_seen = threading.Event()


class Terminated(KeyboardInterrupt):
    """An interrupt that came as SIGTERM."""


@cache
def watch() -> None:
    """Watch from now on; nothing happens where a thread or system cannot."""
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=_end, args=(reading,), name="interrupts", daemon=True).start()


def leave(status: int) -> None:
    """End the process after a signal, once other threads have tidied up; else do nothing.

    An orderly end of Python would wait for them, and take its time for large libraries.
    """
    if not _seen.wait(0.1):
        return
    deadline = time.monotonic() + _GRACE / 2
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
    os._exit(status)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _end(reading: int) -> None:
    """Wait for a signal, and end the process."""
    while (number := os.read(reading, 1)[0]) not in (signal.SIGINT, signal.SIGTERM):
        pass
    _seen.set()
    tools.interrupt()
    time.sleep(_GRACE)
    os._exit(128 + number)
