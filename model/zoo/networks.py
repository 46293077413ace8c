"""The zoo: trained networks that come with the package, each one network file.

The file's ``about`` is the network's card: what it was trained with and on, for how long, and how
accurate it is. Nothing here needs torch.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...hw.errors import NetworkError
from ...hw.network import file as network_file
from ...hw.network.layers import Layer, Weighted
from ...hw.network.network import Network

__all__ = [
    "CARD",
    "SUFFIX",
    "Entry",
    "entries",
    "entry",
    "folder",
    "formats",
    "layer_rows",
    "load",
    "names",
]

SUFFIX = ".network"
CARD = (
    *("dataset", "network", "weight", "activation", "accuracy_float", "accuracy_reference"),
    *("command", "seed", "epochs", "seconds", "device"),
)
"""What the ``about`` of a network of the zoo has at least."""


def folder() -> Path:
    """Return the folder of the zoo's files."""
    return Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """One network of the zoo, in short.

    Attributes
    ----------
    name : str
        What it is called wherever a network file is taken.
    dataset, network : str
        What it was trained on, and its shape.
    weight, activation : str
        Formats of most layers.
    accuracy_float, accuracy_integer : float
        Shares of all test images that the float network, and the integers, label right.
    parameters, parameter_bits : int
        Weights, and the bits that they take.
    command : str
        What trained it.
    """

    name: str
    dataset: str
    network: str
    weight: str
    activation: str
    accuracy_float: float
    accuracy_integer: float
    parameters: int
    parameter_bits: int
    command: str

    def plain(self) -> dict[str, object]:
        """Return it as plain JSON data."""
        return asdict(self)


def names() -> list[str]:
    """Return the names of all networks, sorted."""
    return sorted(path.name.removesuffix(SUFFIX) for path in folder().glob(f"*{SUFFIX}"))


def load(name: str) -> Network:
    """Return the network called ``name``.

    Raises
    ------
    NetworkError
        For a name that is not in the zoo; the text lists those that are.
    """
    known = names()
    if name not in known:
        raise NetworkError(
            f"no network {name!r} in the zoo, which has {', '.join(known) or 'none'}"
        )
    network = network_file.load(folder() / f"{name}{SUFFIX}")
    if network.name != name:
        raise NetworkError(f"{name}{SUFFIX} of the zoo holds a network called {network.name}")
    return network


def entry(network: Network) -> Entry:
    """Return a network in short.

    Raises
    ------
    NetworkError
        Where its card lacks something; the text names it.
    """
    about = network.about
    missing = [name for name in CARD if name not in about]
    if missing:
        raise NetworkError(f"the card of network {network.name} lacks {', '.join(missing)}")
    return Entry(
        name=network.name,
        dataset=about["dataset"],
        network=about["network"],
        weight=about["weight"],
        activation=about["activation"],
        accuracy_float=about["accuracy_float"],
        accuracy_integer=about["accuracy_reference"],
        parameters=network.parameters,
        parameter_bits=network.parameter_bits,
        command=about["command"],
    )


def entries() -> list[Entry]:
    """Return all networks in short, sorted by name."""
    return [entry(load(name)) for name in names()]


def formats(network: Network, what: str) -> str:
    """Return the format of most layers, and those of the first and the last that differ.

    Parameters
    ----------
    network : Network
        With a card.
    what : str
        ``weight``, or ``activation``: of the levels that layers with weights read.
    """
    common = str(network.about[what])
    layers = [layer for layer in network if isinstance(layer, Weighted)]
    if what == "activation":
        layers = layers[1:]  # the first reads the image
    named = {"first": layers[:1], "last": layers[-1:]}
    found = {
        end: str(layer.weight if what == "weight" else layer.input)
        for end, each in named.items()
        for layer in each
    }
    others = [f"{end} {fmt}" for end, fmt in found.items() if fmt != common]
    return f"{common} ({', '.join(others)})" if others else common


def layer_rows(network: Network) -> list[dict[str, Any]]:
    """Return every layer as plain data: kind, formats, output size, weights and what they take."""
    return [_layer_row(network, layer) for layer in network]


def _layer_row(network: Network, layer: Layer) -> dict[str, Any]:
    weights = layer if isinstance(layer, Weighted) else None
    return {
        "layer": layer.name,
        "kind": layer.kind,
        "weight": str(weights.weight) if weights else None,
        "input": str(layer.input),
        "output": str(layer.output),
        "size": str(network.sizes[layer.name]),
        "weights": weights.weights.size if weights else 0,
        "weight_bits": layer.weight_bits,
        "macs": network.macs(layer),
    }
