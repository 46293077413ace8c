"""The elements of the accelerator's input and output streams."""

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2

from ..numbers.formats import Format

__all__ = ["element_layout", "result_layout"]


def element_layout(code: Format) -> data.StructLayout:
    """Return the layout of an input element: its code, and whether it is the last.

    ``last``, on the last element of an image, closes a batch that is not full, so that a stream may
    end after any number of images.
    """
    return data.StructLayout({"code": code, "last": 1})


def result_layout(level: Format, classes: int) -> data.StructLayout:
    """Return the layout of an output element.

    ``level`` is the next level of an output: position by position, each in the order of its
    channels. With the last one of an output of an image ``last`` is set, and ``label`` is the
    class: the first of at most ``classes`` channels with the highest level, 0 for values. Without
    classes it has no bits.
    """
    return data.StructLayout(
        {
            "level": level,
            "label": unsigned(ceil_log2(max(classes, 1))),
            "last": 1,
        }
    )
