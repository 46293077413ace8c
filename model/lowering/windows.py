"""Windows of convolutions and pools in the one form of steps: two dimensions, sizes as numbers.

One dimension is two of which the first is 1; ``padding="same"`` is rows and columns; an adaptive
pool is one of the sizes that it works out.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

from torch import nn

from ...hw.errors import NetworkError
from ...hw.network.window import Window
from ..layers.steps import NO_PADDING, Sides
from .calls import Refuse

__all__ = ["PoolWindow", "as_convolution", "as_pool", "check_window", "shown", "sides_of"]

Pair = tuple[int, int]


class PoolWindow(NamedTuple):
    """Height and width of the window of a pool.

    Attributes
    ----------
    kernel, stride, padding : tuple of int
        As torch has them.
    beyond : tuple of int
        Rows and columns of padding that there are below and on the right, besides.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    beyond: Pair = (0, 0)

    @property
    def sides(self) -> Sides:
        """Rows and columns outside of the image."""
        (top, left), (more, further) = self.padding, self.beyond
        return top, left, top + more, left + further


def as_convolution(op: nn.Conv1d | nn.Conv2d, refuse: Refuse) -> tuple[nn.Conv2d, Sides]:
    """Return a convolution of two dimensions, and what it pads, which its own padding may not say.

    The parameters of one of one dimension are copied.
    """
    if op.padding_mode != "zeros":
        refuse(f"pads with {op.padding_mode}, not with zeros: use padding_mode='zeros'")
    kernel, stride, dilation = (
        _sizes(each, 1, op) for each in (op.kernel_size, op.stride, op.dilation)
    )
    padding = op.padding
    if padding == "same":
        room = [(size - 1) * apart for size, apart in zip(kernel, dilation, strict=True)]
        (top, left), (bottom, right) = (
            [each // 2 for each in room],
            [-(-each // 2) for each in room],
        )
        sides = (top, left, bottom, right)
    elif padding == "valid":
        sides = NO_PADDING
    else:
        rows, columns = _sizes(cast("Sequence[int]", padding), 0, op)
        sides = (rows, columns, rows, columns)
    check_window(op, sides, refuse)
    if isinstance(op, nn.Conv2d):
        return op, sides
    made = cast(
        nn.Conv2d,
        nn.utils.skip_init(  # chance belongs to who trains
            nn.Conv2d, op.in_channels, op.out_channels, kernel, stride, 0, dilation, op.groups
        ),
    )
    made.weight = nn.Parameter(op.weight.detach().unsqueeze(2).clone())
    made.bias = op.bias
    return made, sides


def check_window(op: nn.Conv1d | nn.Conv2d, sides: Sides, refuse: Refuse) -> None:
    """Refuse a convolution whose window, zeros of a dilated kernel included, hardware has not."""
    kernel, stride, dilation = (
        _sizes(each, 1, op) for each in (op.kernel_size, op.stride, op.dilation)
    )
    rows, columns = ((size - 1) * apart + 1 for size, apart in zip(kernel, dilation, strict=True))
    _check((rows, columns), stride, sides, refuse)


def as_pool(layer: nn.Module, image: Pair, refuse: Refuse) -> PoolWindow | None:
    """Return the window of a pool over an image, or None where it changes nothing.

    Parameters
    ----------
    layer : Module
        A max or average pool, adaptive or not, of one or two dimensions.
    image : tuple of int
        Height and width of what it reads.
    refuse : callable
        Called for what no window does.
    """
    output = getattr(layer, "output_size", None)
    if output is not None:
        return _adaptive(layer, output, image, refuse)
    kernel = _sizes(layer.kernel_size, 1, layer)  # type: ignore[arg-type]
    pool = PoolWindow(
        kernel,
        _sizes(layer.stride, 1, layer) if layer.stride is not None else kernel,  # type: ignore[arg-type]
        _sizes(layer.padding, 0, layer),  # type: ignore[arg-type]
    )
    dilation = getattr(layer, "dilation", 1)
    if _sizes(dilation, 1, layer) != (1, 1):
        refuse("has a dilation, which pools of hardware have not")
    if layer.ceil_mode:
        pool = pool._replace(beyond=_beyond(pool, image))
    if any(pool.beyond) and "Avg" in type(layer).__name__:
        refuse(
            "has ceil_mode where its windows do not divide the image, so that one leaves it and "
            "has another divisor: pad the image, or take another kernel or stride"
        )
    if getattr(layer, "divisor_override", None) not in (None, pool.kernel[0] * pool.kernel[1]):
        refuse("has divisor_override, which is not the size of its window")
    if not getattr(layer, "count_include_pad", True) and any(pool.padding):
        refuse(
            "does not count padding, so that windows at the edge have another divisor: use "
            "count_include_pad=True"
        )
    _check(pool.kernel, pool.stride, pool.sides, refuse)
    return pool


def sides_of(padding: int | Sequence[int], dimensions: int, refuse: Refuse) -> Sides:
    """Return what a padding in torch's order, the last dimension first, pads."""
    given = (padding,) * 2 * dimensions if isinstance(padding, int) else tuple(padding)
    left, right, top, bottom, *more = (*given, *[0] * (4 - len(given)))
    if any(more) or min(given) < 0:
        refuse("pads other than rows and columns, or takes them away")
    return top, left, bottom, right


def _adaptive(
    layer: nn.Module, output: int | Sequence[int | None], image: Pair, refuse: Refuse
) -> PoolWindow | None:
    """Return the window of a pool that gives a number of positions."""
    wanted = [output] * 2 if isinstance(output, int) else list(output)
    if _is_line(layer):
        wanted = [1, wanted[-1]]
    elif len(wanted) == 1:
        wanted *= 2
    found = [size if given is None else given for given, size in zip(wanted, image, strict=True)]
    if any(size % count for size, count in zip(image, found, strict=True)):
        refuse(
            f"gives {shown(found)} positions of {shown(image)}, with windows of several sizes: "
            "give a number that divides them, such as 1"
        )
    rows, columns = (size // count for size, count in zip(image, found, strict=True))
    return None if (rows, columns) == (1, 1) else PoolWindow((rows, columns), (rows, columns))


def _beyond(pool: PoolWindow, image: Pair) -> Pair:
    """Return the rows and columns by which the last windows of ``ceil_mode`` leave the padding."""
    found = []
    for size, kernel, step, pad in zip(image, pool.kernel, pool.stride, pool.padding, strict=True):
        room = size + 2 * pad - kernel
        more = -room % step
        # a window that would begin behind the image is left out
        found.append(more if room + more < size + pad else 0)
    return found[0], found[1]


def _is_line(layer: nn.Module) -> bool:
    """Tell whether a layer has one dimension."""
    return type(layer).__name__.endswith("1d")


def _sizes(size: int | Sequence[int], other: int, layer: nn.Module) -> Pair:
    """Return height and width of a torch size; ``other`` is the height that a line has."""
    given = (size,) if isinstance(size, int) else tuple(size)
    if _is_line(layer):
        return other, given[0]
    return (given[0], given[-1])


def shown(sizes: Sequence[int]) -> str:
    """Return sizes as errors show them, ``8x8x3``."""
    return "x".join(map(str, sizes))


def _check(kernel: Pair, stride: Pair, padding: Sides, refuse: Refuse) -> None:
    """Refuse a window that a `hw.network.window.Window` cannot be."""
    try:
        Window(kernel, stride, padding)
    except NetworkError as error:
        refuse(f"has a window that hardware does not run ({error})")
