"""Shapes of operators: windows with TFLite's padding, sizes of images."""

from dataclasses import replace

from ....hw.errors import NetworkError
from ....hw.network.window import Size, Window
from .graph import TfliteOperation, refuse

__all__ = ["kernel_of", "pads_of", "size_of", "window_of"]


def size_of(operation: TfliteOperation, shape: tuple[int, ...]) -> Size:
    """Return the size of an image of ``shape``, batch first and channels last."""
    if len(shape) != 4 or shape[0] != 1:
        refuse(operation, f"reads or gives {_text(shape)}, not one image of 1xHxWxC")
    return Size(*shape[1:])


def kernel_of(operation: TfliteOperation, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of what a kernel of ``shape`` covers, with its dilation."""
    high, wide = shape
    down = operation.number("dilation_h_factor")
    across = operation.number("dilation_w_factor")
    if min(down, across) < 1:
        refuse(operation, f"dilations of {down} and {across} are not positive")
    return (high - 1) * down + 1, (wide - 1) * across + 1


def window_of(operation: TfliteOperation, size: Size, kernel: tuple[int, int]) -> Window:
    """Return the window of a convolution or a pool over an image of ``size``.

    With SAME padding there are as many positions as strides fit, and the odd row or column lies
    below or on the right.
    """
    stride = operation.number("stride_h"), operation.number("stride_w")
    if min(*stride, *kernel) < 1:
        refuse(operation, f"a kernel of {_text(kernel)} and strides {_text(stride)} are no window")
    around = [(0, 0), (0, 0)]
    if operation.options["padding"] == "SAME":
        around = []
        for length, step, taps in zip((size.height, size.width), stride, kernel, strict=True):
            total = max((-(-length // step) - 1) * step + taps - length, 0)
            around.append((total // 2, total - total // 2))
    elif operation.options["padding"] != "VALID":
        refuse(operation, f"a padding of {operation.options['padding']} is not known")
    (top, bottom), (left, right) = around
    try:
        window = Window(kernel, stride, (top, left, bottom, right))
        window.positions(size)
    except NetworkError as error:
        refuse(operation, str(error))
    return window


def pads_of(window: Window, padding: tuple[int, int, int, int]) -> Window | None:
    """Return a window with more padding; None where it would lie beside the image altogether."""
    both = tuple(sum(each) for each in zip(window.padding, padding, strict=True))
    try:
        return replace(window, padding=both)
    except NetworkError:
        return None


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
