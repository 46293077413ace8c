"""The tensors that come out of a network."""

from dataclasses import dataclass

from ..numbers.format import Format
from .window import Size

__all__ = ["End"]


@dataclass(frozen=True)
class End:
    """A tensor that comes out of a network.

    Attributes
    ----------
    name : str
        The layer that gives it.
    format : Format
        Format of its levels.
    size : Size
        Its size.
    classes : int
        Classes of its label; 0 where it is values.
    start : int
        Its first level among those of an image.
    """

    name: str
    format: Format
    size: Size
    classes: int
    start: int

    @property
    def levels(self) -> slice:
        """Its levels among those of an image."""
        return slice(self.start, self.start + self.size.elements)
