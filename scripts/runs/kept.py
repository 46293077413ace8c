"""Checks of accelerators on test images, kept in the result store."""

from collections.abc import Callable

from ...hw.accelerator.top import Accelerator
from ...hw.network.file import to_bytes
from ...hw.tools.sources import source_digest
from ...hw.tools.store import Store
from ...model.data import Dataset
from .checked import Checked, check_levels
from .loading import input_levels

__all__ = ["check"]


def check(
    accelerator: Accelerator,
    dataset: Dataset,
    store: Store,
    *,
    engine: str = "auto",
    images: slice = slice(None),
    note: Callable[[str], None] = lambda text: None,
) -> Checked:
    """Run test images through hardware and reference and compare them."""
    program = accelerator.program
    network, geometry = program.network, program.geometry
    levels = input_levels(network, dataset, images)
    labels = dataset.test_labels[images]
    parts = {
        "network": to_bytes(network),
        "geometry": [str(geometry), geometry.hop, geometry.chains, geometry.slice],
        "groups": [program.contexts, program.batch],
        "implementation": repr(accelerator.implementation),
        "images": levels.tobytes(),
        "labels": labels.tobytes(),
        "engine": engine,
        "fields": list(Checked.__annotations__),
        "sources": source_digest(check_levels),
    }

    def compute() -> dict[str, object]:
        return vars(check_levels(accelerator, labels, levels, engine, note))

    return Checked(**store.compute("checked", parts, compute))
