"""Programs that are run, the text they read, and the store of what they gave."""

from typing import TYPE_CHECKING

from ..lazy import face

if TYPE_CHECKING:
    from .programs import (
        STOP,
        Tool,
        call,
        check_interrupt,
        find,
        interrupt,
        run,
        stop_running,
        warm,
    )
    from .rtlil import convert, forget_contents, free_collisions, keep_shared, share_modules
    from .store import Store, StoreWarning, default_path, key

__all__ = [
    "STOP",
    "Store",
    "StoreWarning",
    "Tool",
    "call",
    "check_interrupt",
    "convert",
    "default_path",
    "find",
    "forget_contents",
    "free_collisions",
    "interrupt",
    "keep_shared",
    "key",
    "run",
    "share_modules",
    "stop_running",
    "warm",
]

__getattr__, __dir__ = face(__name__)
