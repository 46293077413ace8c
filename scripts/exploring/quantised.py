"""Versions of a float network: quantised at one width, or at one for each layer; all are kept.

What is chosen is chosen with training images: some calibrate, others validate. Test images are for
what is reported of the points that are left.
"""

import copy
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import torch

from ...hw.errors import DataError
from ...hw.network.file import from_bytes, to_bytes
from ...hw.network.layers import Layer, Weighted
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Fixed, parse
from ...hw.program.bounds import accumulator_bits, exact_bound
from ...hw.program.mapping import map_network
from ...hw.tools.store import Store
from ...model.data import load as load_dataset
from ...model.integers.export import export_model
from ...model.layers.blocks import Model
from ...model.post_training.images import NetworkImages
from ...model.post_training.method import PostTraining
from ...model.post_training.quantization import quantize, quantize_model
from ...model.post_training.sensitivity import sensitivities
from ..runs.sources import source_digest
from .request import weight_format

__all__ = ["Quantiser", "SharedFormats", "Versions", "numbers_of", "split"]

BATCH = 256  # images at once
LOSSES = "sensitivities"  # in what is kept of a version


@dataclass(frozen=True)
class SharedFormats:
    """Formats that all layers share: of hidden activations, and of the images."""

    activation: str
    input: str

    def __str__(self) -> str:
        return self.activation


def split(data: str, calibration: int, validation: int) -> tuple[NetworkImages, NetworkImages]:
    """Return images to choose with, and images to report of.

    Both calibrate on the same training images. The test images of the first are others of the
    training images, and those of the second the test images of the data set.

    Raises
    ------
    DataError
        For data without training images, or with too few; for too few that are asked for.
    """
    load_dataset(data).check_trainable()
    both = NetworkImages.load(data, calibration, validation)
    if both.held_out or both.calibration_labels is None:
        raise DataError(f"{data} has no training images with classes, by which widths are chosen")
    chosen = np.zeros(calibration + validation, bool)
    chosen[np.linspace(0, len(chosen) - 1, calibration).round().astype(int)] = True
    report = replace(
        both,
        calibration=both.calibration[chosen],
        calibration_labels=both.calibration_labels[chosen],
    )
    choose = replace(
        report, test=both.calibration[~chosen], test_labels=both.calibration_labels[~chosen]
    )
    return choose, report


def numbers_of(
    activations: tuple[str, ...], input: str | None, images: NetworkImages
) -> list[SharedFormats]:
    """Return the formats to try: pixels get no wider than what behind them makes the array."""
    found = []
    for name in activations:
        fmt, own = parse(name), images.default
        pixels = str(own)
        if isinstance(fmt, Fixed) and isinstance(own, Fixed) and not own.signed:
            bits = fmt.width - fmt.signed
            if 1 < bits < own.width and images.pixels is not None:
                pixels = str(Fixed(bits, signed=False))
        found.append(SharedFormats(name, input or pixels))
    return list(dict.fromkeys(found))


@dataclass(frozen=True, eq=False)
class Versions:
    """A network at each width, the same in all its layers.

    Attributes
    ----------
    numbers : SharedFormats
    groups : tuple of str
        Layers with weights, each of which gets a width of its own.
    widths : tuple of int
        Those that it may get.
    networks : mapping of int to Network
        The integers, by width.
    losses : float array of shape (groups, widths)
        Divergence of the outputs where this group alone has this width.
    """

    numbers: SharedFormats
    groups: tuple[str, ...]
    widths: tuple[int, ...]
    networks: Mapping[int, Network]
    losses: np.ndarray

    def layers(self, width: int) -> list[Weighted]:
        """Return the layers of the groups at a width."""
        return [each for each in self.networks[width] if isinstance(each, Weighted)]

    @property
    def bits(self) -> np.ndarray:
        """Bits of weights, of shape (groups, widths)."""
        sizes = [layer.weights.size for layer in self.layers(self.widths[0])]
        return np.outer(sizes, self.widths).astype(float)

    def accumulators(self, lanes: int) -> np.ndarray:
        """Return the bits of the accumulator that each needs, of shape (groups, widths)."""
        found = np.zeros(self.losses.shape)
        for column, width in enumerate(self.widths):
            mapped = {each.layer.name: each for each in map_network(self.networks[width], lanes)}
            for row, name in enumerate(self.groups):
                found[row, column] = exact_bound(mapped[name]).partial.bits
        return found

    def mixed(self, widths: Mapping[str, int], lanes: int) -> Network:
        """Return a network with the layers of several versions: right in shape, not in values."""
        base = self.networks[self.widths[-1]]
        layers: list[Layer] = []
        for index, layer in enumerate(base):
            own = self.networks[widths[layer.name]] if layer.name in widths else base
            layers.append(own.layers[index])
        network = replace(base, layers=tuple(layers))
        return network.with_accumulator(Accumulator(accumulator_bits(network, lanes)))


class Quantiser:
    """Quantise a float network as asked for; keep all that it finds.

    Parameters
    ----------
    exact : Model
        In float.
    choose, report : NetworkImages
        As `split` gives them.
    store : Store
    """

    def __init__(self, exact: Model, choose: NetworkImages, report: NetworkImages, store: Store):
        self.exact, self.choose, self.report, self.store = exact, choose, report, store
        self._digest = _digest_of(exact)
        self.groups = tuple(node.name for node, _ in exact.weighted())

    def method(self, numbers: SharedFormats, widths: Mapping[str, int]) -> PostTraining:
        """Return how a network with these widths is quantised."""
        return PostTraining(
            weight=weight_format(max(widths.values())),
            activation=numbers.activation,
            input=numbers.input,
            layers=[(name, weight_format(width)) for name, width in widths.items()],
            weight_range="output",
        )

    def versions(self, numbers: SharedFormats, widths: Iterable[int]) -> Versions:
        """Return the network at each width, the same in all layers."""
        networks, losses = {}, []
        for width in widths:
            networks[width] = self._version(numbers, width)
            found = networks[width].about[LOSSES]
            losses.append([found[name] for name in self.groups])
        return Versions(numbers, self.groups, tuple(networks), networks, np.array(losses).T)

    def _version(self, numbers: SharedFormats, width: int) -> Network:
        method = self.method(numbers, dict.fromkeys(self.groups, width))

        def compute() -> bytes:
            exact = copy.deepcopy(self.exact)
            model, _, _ = quantize_model(exact, self.choose, method)
            network, _ = export_model(model, name=weight_format(width), lanes=1)
            found = sensitivities(exact, model, self.choose.values(self.choose.calibration))
            return to_bytes(replace(network, about={**network.about, LOSSES: found}))

        parts = self._parts(method, source_digest(quantize_model, export_model, sensitivities))
        return from_bytes(self.store.compute("version", parts, compute), origin="the store")

    def accuracy_float(self) -> float:
        """Return the accuracy of the float network on validation images."""
        parts = {"model": self._digest, "images": self._images, "torch": version("torch")}
        return self.store.compute("validated float", parts, lambda: self._share(self.exact, None))

    def accuracy(self, numbers: SharedFormats, widths: Mapping[str, int]) -> float:
        """Return the accuracy on validation images."""
        method = self.method(numbers, widths)

        def compute() -> float:
            model, fmt, scale = quantize_model(copy.deepcopy(self.exact), self.choose, method)
            return self._share(model, lambda part: self.choose.quantised(part, fmt, scale))

        parts = self._parts(method, source_digest(quantize_model))
        return self.store.compute("validated", parts, compute)

    def network(
        self,
        numbers: SharedFormats,
        widths: Mapping[str, int],
        lanes: int,
        name: str,
        command: str,
    ) -> Network:
        """Return the integers, with the accuracy on test images, and the command in their card."""
        method = self.method(numbers, widths)

        def compute() -> bytes:
            exact = copy.deepcopy(self.exact)
            found = quantize(
                exact, self.report, method, name=name, lanes=lanes, figures=False
            ).network
            formats = {weight_format(width) for width in widths.values()}
            weight = "mixed" if len(formats) > 1 else formats.pop()
            return to_bytes(replace(found, about={**found.about, "weight": weight}))

        parts = self._parts(method, source_digest(quantize))
        parts |= {"lanes": lanes, "name": name, "test": _bytes(self.report.test)}
        kept = from_bytes(self.store.compute("explored", parts, compute), origin="the store")
        return replace(kept, about={**kept.about, "command": command})

    @torch.no_grad()
    def _share(self, model: Model, read: Callable[[np.ndarray], torch.Tensor] | None) -> float:
        """Return the share of validation images that a model labels right."""
        images, labels, right = self.choose.test, self.choose.test_labels, 0
        assert labels is not None
        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            values = self.choose.values(part) if read is None else read(part)
            found = model(values).argmax(dim=1).numpy()
            right += int((found == labels[start : start + BATCH]).sum())
        return right / len(images)

    @property
    def _images(self) -> list[bytes]:
        return [_bytes(self.choose.calibration), _bytes(self.choose.test)]

    def _parts(self, method: PostTraining, sources: str) -> dict[str, object]:
        return {
            "model": self._digest,
            "method": method.plain(),
            "images": self._images,
            "torch": version("torch"),
            "sources": sources,
        }


def _bytes(array: np.ndarray) -> bytes:
    return hashlib.sha256(array.tobytes()).digest()


def _digest_of(model: Model) -> str:
    """Return the digest of a float network: its steps and its weights."""
    digest = hashlib.sha256(f"{model.nodes} {list(model.steps)}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
