"""Faults in the batch engine itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from narrowgauge.hw.sim.batch import native


@contextmanager
def planted(right: str, wrong: str) -> Iterator[None]:
    """Let the evaluator be another, compiled quickly, as long as it lasts."""
    true, options = native.source, native.OPTIONS
    assert 1 in [true(kind).count(right) for kind in ("streams", "board", "campaign")]
    native.source = lambda kind: true(kind).replace(right, wrong)
    native.OPTIONS = ("-O0", *native.OPTIONS[2:])
    native.library.cache_clear()
    try:
        yield
    finally:
        native.source, native.OPTIONS = true, options
        native.library.cache_clear()
