"""The paper's search: formats of each layer that fill an accumulator, by each bound of sums."""

from collections.abc import Mapping
from typing import Any

from ....hw.errors import NetworkError
from ....hw.network.file import to_bytes
from ....model.fitting.options import AccumulatorFit
from ....model.fitting.search import fit_accumulator
from ....model.post_training.images import NetworkImages
from .measured import measure_network
from .subjects import SUBJECTS, held_out

__all__ = ["measure_fitted"]

CALIBRATION = 200


def measure_fitted(
    content: bytes, name: str, given: Mapping[str, Any], counts: list[int]
) -> dict[str, Any]:
    """Return what `fit_accumulator` gives after training, on exactly that register.

    Parameters
    ----------
    given : mapping
        ``bits``, ``bound``, ``seed``, and ``validation``: held-out images on which it chooses.
    counts : list of int
        As in `measure_network`.

    Returns
    -------
    mapping
        The columns of `measure_network`, and ``tried`` pairs of a ``grid``; of what fits with no
        pair, ``refused`` and no answers.
    """
    subject = SUBJECTS[name]
    options = AccumulatorFit(
        bits=given["bits"],
        bound=given["bound"],
        validation=given["validation"],
        lanes=subject.lanes,
    )
    dataset = held_out(subject.dataset)
    images = NetworkImages.of_dataset(dataset, CALIBRATION + given["validation"])
    exact = subject.exact(content, given["seed"])
    try:
        found = fit_accumulator(exact, images, options, name=name)
    except NetworkError as error:
        return {"refused": str(error), "right": [0], "images": 1}
    network = to_bytes(found.quantised.network)
    return measure_network(network, name, given["bits"], "wrap", counts) | {
        "tried": found.tried,
        "grid": found.grid,
        "pairs": {each.layer: [each.activation, each.weight] for each in found.layers},
        "validation_float": found.exact,
        "validation_fitted": found.fitted,
        "uniform": None if found.uniform is None else list(found.uniform),
        "validation_uniform": found.uniform_share,
    }
