"""Columns of a result row that a check gives: what it compared, and how the array was used.

They are apart from `checked`, so that no wording of a column repeats a simulation.
"""

from collections.abc import Sequence

from ...hw.network.network import Network
from ...hw.program.footprint import footprint
from ...hw.program.layout import Program
from ...model.zoo import networks as zoo
from ..rows.row import Compared, LayerRow, Sized
from .checked import Checked

__all__ = ["layer_use", "row_parts", "total_macs", "used"]


def row_parts(checked: Checked, program: Program) -> tuple[Compared, Sized]:
    """Return the columns of a check."""
    cycles = checked.cycles / checked.images
    compared = Compared(
        images=checked.images,
        accuracy_reference=checked.accuracy_reference,
        accuracy_hardware=checked.accuracy_hardware,
        mismatches=checked.mismatches,
        overflows=checked.overflows,
    )
    found = footprint(program)
    sized = Sized(
        activation_bits=found.activation_bits,
        weight_traffic=found.weight_traffic,
        activation_traffic=found.activation_traffic,
        cycles_per_image=cycles,
        utilisation=used(program, total_macs(program.network), cycles),
        layers=layer_use(program, checked.layer_cycles, checked.images),
    )
    return compared, sized


def total_macs(network: Network) -> int:
    """Return the multiply-accumulates of an image."""
    return sum(network.macs(layer) for layer in network)


def used(program: Program, macs: int, cycles: float) -> float:
    """Return the share of the array's products in ``cycles`` that are those of the network."""
    return macs / (program.geometry.macs * cycles) if cycles else 0.0


def layer_use(program: Program, layer_cycles: Sequence[int], images: int) -> tuple[LayerRow, ...]:
    """Return what each layer is, with its cycles an image and its utilisation."""
    return tuple(
        LayerRow(
            **row,
            cycles_per_image=cycles / images,
            utilisation=used(program, row["macs"], cycles / images),
        )
        for row, cycles in zip(zoo.layer_rows(program.network), layer_cycles, strict=True)
    )
