"""Fitting to an accumulator: formats of every layer whose sums fit a register of given width.

`fit_accumulator` chooses them for a float network and gives what `post_training` gives;
`AccumulatorFit` has the options. `settled` checks a network whose formats are settled.
"""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .decided import settled
    from .options import AccumulatorFit
    from .search import fit_accumulator

__all__ = ["AccumulatorFit", "fit_accumulator", "settled"]

__getattr__, __dir__ = face(__name__)
