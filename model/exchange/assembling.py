"""Makes a network of solved layers, whatever file they came from."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from ...hw.network.layers import Layer
from ...hw.network.network import Network
from ...hw.network.window import Size
from ...hw.numbers.arithmetic import Accumulator
from ...hw.program.bounds import accumulator_bits
from ..exact.solving import Solution, build
from ..exact.unsolved import UnsolvedLayer
from .report import ImportedLayer, imported_layers

__all__ = ["assemble"]

WIDEST = Accumulator(48)  # until the sums are known


def assemble(
    name: str,
    layers: Sequence[Layer | UnsolvedLayer],
    solutions: dict[str, Solution],
    *,
    input_size: Size,
    about: dict[str, object],
    lanes: int,
    ends: Sequence[str] = (),
) -> tuple[Network, tuple[ImportedLayer, ...]]:
    """Return the network, whose accumulator is the narrowest that no sum leaves, and a report.

    Parameters
    ----------
    name : str
    layers : sequence
        In order; integers of those that are not solved are in ``solutions``.
    solutions : dict
        By the layers' names.
    input_size : Size
        Height, width and channels of an image.
    about : dict
        Of the network; the report joins it, as ``fold``.
    lanes : int
        Of the array that the accumulator is sized for.
    ends : sequence of str
        The layers that come out, where there are several.
    """
    network = Network(
        name=name,
        layers=tuple(build(layers, solutions)),
        accumulator=WIDEST,
        about=about,
        input_size=input_size,
        output_layers=tuple(ends),
    )
    network = network.with_accumulator(Accumulator(accumulator_bits(network, lanes)))
    report = imported_layers(network, lanes, solutions)
    return replace(network, about={**about, "fold": [asdict(each) for each in report]}), report
