"""Networks that commands take by the path of a network file, or by a name in the zoo."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from ...hw.errors import DataError, GeometryError, NetworkError
from ...hw.network import file as network_file
from ...hw.network.network import INPUT, Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.float_sum import FloatSum
from ...hw.numbers.formats import Float, Format
from ...hw.program.bounds import accumulator_bits
from ...model.data import Dataset, is_file, load
from ...model.exchange.preparation import Preparation
from ...model.zoo import networks as zoo
from .arrays import read_images, read_levels
from .scores import targets_of

__all__ = [
    "check_overflow",
    "images_digest",
    "input_levels",
    "load_images",
    "load_inputs",
    "load_network",
    "set_accumulator",
]


def load_network(path: Path, lanes: int) -> Network:
    """Return the network in the file ``path``, or else the one of that name in the zoo.

    A file keeps its accumulator. A network of the zoo gets the narrowest that cannot overflow on an
    array of ``lanes`` lanes.

    Raises
    ------
    NetworkError
        Where there is neither, and for a damaged file.
    """
    name = str(path)
    if path.exists():
        return network_file.load(path)
    if name in zoo.names():
        network = zoo.load(name)
        return network.with_accumulator(Accumulator(accumulator_bits(network, lanes)))
    raise NetworkError(
        f"{name}: no such file, and no network of the zoo, which has "
        f"{', '.join(zoo.names()) or 'none'}"
    )


def load_images(network: Network, origin: Path | str) -> Dataset:
    """Return the data set that the network's card names.

    Raises
    ------
    DataError
        Where it is missing, or has images of another size; the text names ``origin``.
    """
    card, preparation = _card(network), Preparation.from_about(network.about)
    if preparation is not None and is_file(card):  # its images are no pixels
        raise DataError(
            f"{origin} was imported with the file {card}, which check, simulate, verify and infer "
            "read; here a data set is needed: import it with --data and the name of one"
        )
    dataset = load(card)
    if preparation is not None:
        try:
            preparation.images(dataset.values(dataset.test_images[:1]))
        except DataError as error:
            raise DataError(f"{origin}: {error}; name a data set with --data") from error
        return dataset
    size = tuple(network.sizes[INPUT])
    if size not in (dataset.image_shape, (1, 1, dataset.inputs)):
        raise DataError(
            f"{origin} takes {network.inputs} inputs ({network.sizes[INPUT]}), but an image of "
            f"{dataset.name} has {dataset.inputs} ({'x'.join(map(str, dataset.image_shape))}): it "
            "needs another data set, which its header can name"
        )
    return dataset


def _card(network: Network) -> str:
    """Return the data set that a network's card names."""
    return str(network.about.get("dataset", "digits"))


def load_inputs(
    network: Network, origin: Path, data: str | None, count: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return input levels of test images, and their labels where they have some.

    Where a network gives values and no classes, labels are values: a file can have them.

    Parameters
    ----------
    network : Network
        What reads them.
    origin : Path
        Where it came from, for errors.
    data : str, optional
        A data set, or a file: of images as the model reads them where the network was imported, of
        input levels where it was not. None is the data set that the network's card names, which is
        a file where an imported one was imported with that.
    count : int, optional
        How many.

    Raises
    ------
    DataError
        Where they are missing, or of another size.
    """
    preparation = Preparation.from_about(network.about)
    if data is None and preparation is not None and is_file(_card(network)):
        data = _card(network)
    if data is not None and is_file(data):
        if preparation is None:
            levels, labels = read_levels(Path(data), network.inputs, count, targets_of(network))
            return levels.reshape(-1, *network.sizes[INPUT]), labels
        shape = preparation.shape
        images, labels = read_images(Path(data), shape, count, targets_of(network))
        return preparation.levels(images), labels
    if data is not None:
        network = replace(network, about={**network.about, "dataset": data})
    dataset = load_images(network, origin)
    labels = dataset.test_labels[:count] if network.classes else None
    return input_levels(network, dataset, slice(count)), labels


def input_levels(network: Network, dataset: Dataset, images: slice = slice(None)) -> np.ndarray:
    """Return test images as levels, in the shape that the network reads."""
    preparation = Preparation.from_about(network.about)
    if preparation is not None:
        pixels = dataset.values(dataset.test_images[images])
        return preparation.levels(preparation.images(pixels))
    levels = dataset.levels(dataset.test_images[images], network.input)
    return levels.reshape(-1, *network.sizes[INPUT])


def images_digest(name: str | None) -> str:
    """Return the digest of a folder's images; it is empty where a data set's name says all.

    Raises
    ------
    DataError
        As `load`.
    """
    if name is None or not name.startswith("folder:"):
        return ""
    found, digest = load(name), sha256()
    for each in (found.train_images, found.train_labels, found.test_images, found.test_labels):
        digest.update(f"{each.shape}".encode() + each.tobytes())
    return digest.hexdigest()


def check_overflow(activation: Format, overflow: str | None) -> None:
    """Refuse a mode of overflow for sums of floats.

    Raises
    ------
    GeometryError
        With both.
    """
    if isinstance(activation, Float) and overflow is not None:
        raise GeometryError(
            f"{activation} activations are summed in floats, of which nothing {overflow}s: beyond "
            "the largest number there is infinity; leave out the overflow"
        )


def set_accumulator(network: Network, bits: int | None, overflow: str | None) -> Network:
    """Return ``network`` on another accumulator; what is None stays as the network has it.

    Raises
    ------
    GeometryError
        For a width or overflow mode that does not exist, and for those of floats.
    """
    own = network.accumulator
    if isinstance(own, FloatSum):
        check_overflow(network.input, overflow)
        if bits not in (None, own.width):
            raise GeometryError(
                f"network {network.name} sums in {own}, not in {bits} bits, for which it has to be "
                "trained or quantised anew: leave out the accumulator"
            )
        return network
    width = own.width if bits is None else bits
    return network.with_accumulator(Accumulator(width, overflow or own.overflow))
