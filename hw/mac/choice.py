"""Which multiply-accumulate computes with a pair of formats."""

from ..numbers.arithmetic import Accumulator
from ..numbers.ieee import Float
from ..numbers.operands import Operands
from .base import MAC, DotMAC
from .dot import dot_product
from .ieee import FloatMAC

__all__ = ["mac"]


def mac(
    operands: Operands,
    lanes: int,
    accumulator: Accumulator | Float,
    *,
    doubling: bool = False,
    dsp: bool = False,
    cumulative: bool = False,
    fabric: str | None = None,
) -> MAC:
    """Return the multiply-accumulate for these formats.

    Raises
    ------
    GeometryError
        When there is none for the pair of formats, or for the accumulator; floats accumulate in a
        `Float`, and everything else in an `Accumulator`.
    """
    match operands.weight, operands.activation, accumulator:
        case (Float(), _, _) | (_, Float(), _) | (_, _, Float()):
            return FloatMAC(operands, lanes, accumulator, doubling=doubling, dsp=dsp)
    assert isinstance(accumulator, Accumulator)
    dot = dot_product(operands, lanes, dsp=dsp, fabric=fabric)
    return DotMAC(dot, accumulator, doubling=doubling, cumulative=cumulative, fabric=fabric)
