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

from ..hw import tools

__all__ = ["Terminated", "watch"]

_GRACE = 1.2  # seconds to remove temporary folders, write results, and say so


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


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _end(reading: int) -> None:
    """Wait for a signal, and end the process."""
    while (number := os.read(reading, 1)[0]) not in (signal.SIGINT, signal.SIGTERM):
        pass
    tools.interrupt()
    time.sleep(_GRACE)
    os._exit(128 + number)
