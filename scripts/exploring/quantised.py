"""Versions of a float network: quantised at one width, or at chosen ones; all are kept.

What is chosen is chosen with training images: some calibrate, others validate. Test images are for
what is reported of the points that are left.
"""

import copy
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version

import numpy as np
import torch

from ...hw.errors import DataError, NetworkError
from ...hw.network.file import from_bytes, to_bytes
from ...hw.network.layers import Layer, Weighted
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Fixed, parse
from ...hw.program.bounds import accumulator_bits, exact_bound
from ...hw.program.mapping import map_network
from ...hw.program.ordering import free_orders, sorted_by_width
from ...hw.tools.sources import source_digest
from ...hw.tools.store import Store
from ...model.data import load as load_dataset
from ...model.integers.export import export_model
from ...model.layers.blocks import Model
from ...model.post_training.images import NetworkImages
from ...model.post_training.method import PostTraining
from ...model.post_training.quantization import quantize, quantize_model
from ...model.post_training.sensitivity import channel_sensitivities, sensitivities
from .groups import Groups, Widths, channel_widths, common, cut, orders_of, whole, widest
from .request import MIXABLE, weight_format

__all__ = ["Quantiser", "SharedFormats", "Versions", "numbers_of", "split"]

BATCH = 256  # images at once
LOSSES, CHANNELS = "sensitivities", "channels"  # in what is kept of a version
SETS = 8  # of channels of a layer, whose sensitivities are measured


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
    names : tuple of str
        Layers with weights.
    widths : tuple of int
        Those that weights may have.
    networks : mapping of int to Network
        The integers, by width.
    losses : float array of shape (layers, widths)
        Divergence of the outputs where this layer alone has this width.
    channels : mapping of str to float array of shape (channels, widths)
        What each channel has of that, of layers whose channels have widths of their own.
    orders : mapping of str to integer array of shape (channels,)
        The order of these, those first that lose most.
    """

    numbers: SharedFormats
    names: tuple[str, ...]
    widths: tuple[int, ...]
    networks: Mapping[int, Network]
    losses: np.ndarray
    channels: Mapping[str, np.ndarray] = field(default_factory=dict)
    orders: Mapping[str, np.ndarray] = field(default_factory=dict)

    def layers(self, width: int) -> list[Weighted]:
        """Return the layers with weights at a width."""
        return [each for each in self.networks[width] if isinstance(each, Weighted)]

    @property
    def bits(self) -> np.ndarray:
        """Bits of weights, of shape (layers, widths)."""
        sizes = [layer.weights.size for layer in self.layers(self.widths[0])]
        return np.outer(sizes, self.widths).astype(float)

    def groups_on(self, columns: int | None) -> tuple[Groups, ...]:
        """Return the groups of each layer on an array with so many columns; None for whole ones."""
        counts = [layer.channels for layer in self.layers(self.widths[0])]
        return tuple(
            whole(count, self.widths)
            if columns is None or name not in self.orders
            else cut(self.orders[name], self.widths, columns)
            for name, count in zip(self.names, counts, strict=True)
        )

    def group_losses(self, groups: Sequence[Groups]) -> list[np.ndarray]:
        """Return what the groups of each layer lose alone, of shape (groups, widths)."""
        return [
            np.array([each.sum(axis=0) for each in own.split(self.channels[name])])
            if len(own.channels) > 1
            else losses[None]
            for name, own, losses in zip(self.names, groups, self.losses, strict=True)
        ]

    def accumulators(self, lanes: int) -> list[np.ndarray]:
        """Return the bits of the accumulator that channels need, by layer: (channels, widths)."""
        found = []
        for width in self.widths:
            mapped = {each.layer.name: each for each in map_network(self.networks[width], lanes)}
            found.append([exact_bound(mapped[name]).partial.channel_bits for name in self.names])
        return [np.array(each, float).T for each in zip(*found, strict=True)]

    def mixed(self, widths: Widths, lanes: int) -> Network:
        """Return a network with layers and channels of several versions, sorted by width.

        It is right in shape, not in values.
        """
        base = self.networks[self.widths[-1]]
        layers = [
            self._layer(index, widths[layer.name]) if layer.name in widths else layer
            for index, layer in enumerate(base)
        ]
        network = sorted_by_width(replace(base, layers=tuple(layers)))
        return network.with_accumulator(Accumulator(accumulator_bits(network, lanes)))

    def _layer(self, index: int, width: int | tuple[int, ...]) -> Layer:
        """Return a layer at a width, or with channels of several."""
        layer = self.networks[widest(width)].layers[index]
        if isinstance(width, int) or not isinstance(layer, Weighted):
            return layer
        others = {each: self.networks[each].layers[index] for each in width}
        weights = [
            other.weights[channel]
            for channel, each in enumerate(width)
            if isinstance(other := others[each], Weighted)
        ]
        return replace(layer, weights=np.array(weights), widths=width)


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
        self.names = tuple(node.name for node, _ in exact.weighted())

    def method(self, numbers: SharedFormats, widths: Widths) -> PostTraining:
        """Return how a network with these widths is quantised."""
        return PostTraining(
            weight=weight_format(max(map(widest, widths.values()))),
            activation=numbers.activation,
            input=numbers.input,
            layers=[(name, weight_format(widest(width))) for name, width in widths.items()],
            channels=channel_widths(widths),
            weight_range="output",
        )

    def versions(
        self, numbers: SharedFormats, widths: Iterable[int], *, by_channel: bool = False
    ) -> Versions:
        """Return the network at each width, the same in all layers.

        Raises
        ------
        NetworkError
            For channels that are to have widths of their own where no layer's can.
        """
        networks, losses, lost = {}, [], []
        for width in widths:
            networks[width] = self._version(numbers, width, by_channel)
            found = networks[width].about[LOSSES]
            losses.append([found[name] for name in self.names])
            lost.append(networks[width].about.get(CHANNELS, {}))
        found = Versions(numbers, self.names, tuple(networks), networks, np.array(losses).T)
        return _by_channel(found, lost) if by_channel else found

    def _version(self, numbers: SharedFormats, width: int, by_channel: bool) -> Network:
        method = self.method(numbers, dict.fromkeys(self.names, width))

        def compute() -> bytes:
            exact = copy.deepcopy(self.exact)
            model, _, _ = quantize_model(exact, self.choose, method)
            network, _ = export_model(model, name=weight_format(width), lanes=1)
            images = self.choose.values(self.choose.calibration)
            found: dict[str, object] = {LOSSES: sensitivities(exact, model, images)}
            if by_channel:
                names = free_orders(network) if width >= MIXABLE else ()
                found[CHANNELS] = channel_sensitivities(exact, model, images, names, SETS)
            return to_bytes(replace(network, about={**network.about, **found}))

        parts = self._parts(method, source_digest(quantize_model, export_model, sensitivities))
        if by_channel:
            parts |= {"sets": SETS, "ordering": source_digest(free_orders)}
        return from_bytes(self.store.compute("version", parts, compute), origin="the store")

    def accuracy_float(self) -> float:
        """Return the accuracy of the float network on validation images."""
        parts = {"model": self._digest, "images": self._images, "torch": version("torch")}
        return self.store.compute("validated float", parts, lambda: self._share(self.exact, None))

    def accuracy(self, numbers: SharedFormats, widths: Widths) -> float:
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
        widths: Widths,
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
            network = sorted_by_width(found)
            return to_bytes(replace(network, about={**found.about, "weight": common(widths)}))

        parts = self._parts(method, source_digest(quantize, sorted_by_width))
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


def _by_channel(versions: Versions, lost: Sequence[Mapping[str, Sequence[float]]]) -> Versions:
    """Return versions with what channels lose, which comes to what their layers do.

    Parameters
    ----------
    lost : sequence of mapping
        What the channels of each layer lose at each width; nothing of one that is not mixed.
    """
    free = free_orders(versions.networks[versions.widths[-1]])
    if not free:
        raise NetworkError(
            "no layer's channels can have widths of their own: those of the last layer and of "
            "convolutions with groups have one, and so have those that such layers or moves of "
            "parts of pixels read; take --per layer"
        )
    channels = {}
    for name, losses in zip(versions.names, versions.losses, strict=True):
        if name in free:
            count = len(lost[-1][name])
            own = np.array([each.get(name) or np.ones(count) for each in lost]).T
            own[:, own.sum(axis=0) == 0] = 1
            channels[name] = own / own.sum(axis=0) * losses
    return replace(versions, channels=channels, orders=orders_of(free, channels))


def _bytes(array: np.ndarray) -> bytes:
    return hashlib.sha256(array.tobytes()).digest()


def _digest_of(model: Model) -> str:
    """Return the digest of a float network: its steps and its weights."""
    digest = hashlib.sha256(f"{model.nodes} {list(model.steps)}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
