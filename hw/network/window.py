"""Sizes of tensors, and the windows that slide over them."""

from dataclasses import dataclass
from typing import NamedTuple

from ..errors import NetworkError

__all__ = ["Size", "Window"]


class Size(NamedTuple):
    """Height, width and channels of a tensor; a vector is 1 x 1 x its length."""

    height: int
    width: int
    channels: int

    @property
    def elements(self) -> int:
        """Elements of one image."""
        return self.height * self.width * self.channels

    @property
    def positions(self) -> int:
        """Pixels: elements of one channel."""
        return self.height * self.width

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"


@dataclass(frozen=True)
class Window:
    """A window that slides over an image.

    Parameters
    ----------
    kernel, stride : tuple of int
        Height and width; rows and columns from one position to the next.
    padding : tuple of int
        Rows and columns outside the image: top, left, bottom, right.

    Raises
    ------
    NetworkError
        For other numbers of numbers, ones that are too small, or padding as large as the kernel.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        for name, count, least in (("kernel", 2, 1), ("stride", 2, 1), ("padding", 4, 0)):
            given = tuple(int(each) for each in getattr(self, name))
            object.__setattr__(self, name, given)
            if len(given) != count or min(given) < least:
                raise NetworkError(f"{name} is {count} numbers of at least {least}, not {given}")
        (height, width), (top, left, bottom, right) = self.kernel, self.padding
        if max(top, bottom) >= height or max(left, right) >= width:
            raise NetworkError(f"padding {self.padding} is not smaller than kernel {self.kernel}")

    @property
    def taps(self) -> int:
        """Pixels of the kernel."""
        return self.kernel[0] * self.kernel[1]

    def inside(self, size: Size) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return how many rows, and columns, of the image each window has, as `positions` raises.

        The first has one for each row of positions, the second one for each column.
        """
        found = []
        for axis, count in enumerate(self.positions(size)):
            begins = [place * self.stride[axis] - self.padding[axis] for place in range(count)]
            ends = [min(begin + self.kernel[axis], size[axis]) for begin in begins]
            found.append(tuple(e - max(b, 0) for b, e in zip(begins, ends, strict=True)))
        return found[0], found[1]

    def positions(self, size: Size) -> tuple[int, int]:
        """Return height and width of the output over an input of ``size``.

        Raises
        ------
        NetworkError
            When the kernel is larger than the padded input.
        """
        top, left, bottom, right = self.padding
        room = (size.height + top + bottom, size.width + left + right)
        if room[0] < self.kernel[0] or room[1] < self.kernel[1]:
            raise NetworkError(
                f"a kernel of {self.kernel[0]}x{self.kernel[1]} does not fit into {size} "
                f"with padding {self.padding}"
            )
        return (
            (room[0] - self.kernel[0]) // self.stride[0] + 1,
            (room[1] - self.kernel[1]) // self.stride[1] + 1,
        )
