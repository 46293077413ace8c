"""Choice of the device's resources that an accelerator is built of."""

from dataclasses import dataclass

from ..errors import GeometryError
from ..mac.fabric import ANY, Fabric

__all__ = ["Implementation"]

PLACES = ("weights", "activations")


@dataclass(frozen=True)
class Implementation:
    """Device resources that an accelerator is built of; results are the same with any.

    Parameters
    ----------
    fabric : Fabric
        Structures of its logic cells, and the DSP blocks that the array may use.
    requantize_dsp : bool
        Multiply in DSP blocks in the requantisers.
    single_port : collection of str
        Which of ``weights`` and ``activations`` lie in RAM with a single port and no contents.

    Raises
    ------
    GeometryError
        For another memory.
    """

    fabric: Fabric = ANY
    requantize_dsp: bool = False
    single_port: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "single_port", tuple(sorted(set(self.single_port))))
        for name in self.single_port:
            if name not in PLACES:
                raise GeometryError(
                    f"single_port is for {' and '.join(PLACES)}, not for {name}, which has no RAM "
                    "of its own"
                )

    @property
    def blocks_accumulate(self) -> bool:
        """Whether the array's partial sums are in DSP blocks, which synthesis must not touch."""
        blocks = self.fabric.blocks
        return blocks.used and blocks.accumulate
