"""Chooses formats layer by layer so that sums fill an accumulator, and lose the least.

De Bruin, Zivkovic and Corporaal, "Quantization of deep neural networks for accumulator-constrained
processors" (2020): of each layer only the *maximal* pairs are tried, those of which neither the
activations nor the weights could have a bit more; layers are decided one after the other, the first
ones first, while those that follow are still wide.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...hw.errors import DataError, NetworkError
from ...hw.network.network import INPUT, Network
from ...hw.program.bounds import SumBound
from ..integers.export import export_model
from ..integers.partial_sums import network_bounds
from ..integers.reference import evaluate
from ..layers.blocks import Model
from ..post_training.images import NetworkImages
from ..post_training.method import PostTraining
from ..post_training.progress import Progress
from ..post_training.quantization import (
    Quantised,
    finished,
    lowered,
    quantize_model,
    unrounded_model,
)
from .candidates import FEWEST_WEIGHT_BITS, WIDE, Candidates, WidthPair, maximal, of_models
from .options import AccumulatorFit
from .tuning import Tuning, fine_tune, training_images

__all__ = ["FittedLayer", "FittedNetwork", "Score", "fit_accumulator", "too_wide"]

BATCH = 64  # images at once


@dataclass(frozen=True, kw_only=True)
class FittedLayer:
    """What became of a layer.

    Attributes
    ----------
    layer : str
        Its name.
    activation, weight : int
        Bits of what it reads, and of its weights.
    tried, fitting, grid : int
        Pairs that were tried on images, that fit, and that there are.
    """

    layer: str
    activation: int
    weight: int
    tried: int
    fitting: int
    grid: int


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A network whose sums fit.

    Attributes
    ----------
    quantised : Quantised
        Its integers, and how accurate they are on test images.
    layers : tuple of FittedLayer
        What became of its layers with weights.
    bounds : mapping of str to mapping
        All bounds of every layer that runs on the array.
    exact, fitted : float
        Shares of the validation images that the float network, and this one, label right.
    searched : float
        The share of what the search alone gives.
    tuned : float or None
        That after fine-tuning, where there was any.
    is_tuned : bool
        Whether this is the fine-tuned network: where it is better, and its sums fit.
    uniform : WidthPair or None, and uniform_share : float or None
        Of the pairs that fit in every layer the best one in all of them, and its share: what the
        search has to beat. None where none fits everywhere.
    """

    quantised: Quantised
    layers: tuple[FittedLayer, ...]
    bounds: Mapping[str, Mapping[str, SumBound]]
    exact: float
    fitted: float
    searched: float
    tuned: float | None
    is_tuned: bool
    uniform: WidthPair | None
    uniform_share: float | None

    @property
    def tried(self) -> int:
        """Pairs that were tried on images."""
        return sum(each.tried for each in self.layers)

    @property
    def grid(self) -> int:
        """Pairs that there are."""
        return sum(each.grid for each in self.layers)


def fit_accumulator(
    network: nn.Module,
    images: NetworkImages,
    options: AccumulatorFit,
    *,
    name: str = "network",
    progress: Progress | None = None,
    about: Mapping[str, object] | None = None,
) -> FittedNetwork:
    """Quantise a float network so that the sums of every layer fit an accumulator.

    Parameters
    ----------
    network : Module
        A torch module as `lower` takes them, or a float `Model`; it stays as it is.
    images : NetworkImages
        ``options.validation`` of the images to calibrate on, evenly spread, decide; ranges come
        from the others. Test images decide nothing. Fine-tuning takes all other training images.
    options : AccumulatorFit
        What has to fit.
    name : str
        What the network is called.
    progress : callable, optional
        Told what is done now.
    about : mapping, optional
        More of the network's origin, plain data.

    Raises
    ------
    DataError
        For images without labels, or without training images to choose on, or to fine-tune on.
    NetworkError
        For an accumulator that a layer fits with no pair, or whose fit loses more than is allowed.
    """
    search = _Search(lowered(network, images), images, options, progress)
    tuning = search.training_images() if options.fine_tune else None
    decided, layers = search.decide()
    while search.refuse_what_does_not_fit(decided):  # what calibration foretold was too little
        decided, layers = search.decide()
    uniform, uniform_share = search.uniform()
    searched, tuned = search.scored(decided), None
    model, fitted = search.model(decided), searched
    if tuning is not None:
        model, fitted, tuned = search.better(model, search.fine_tuned(decided, tuning), searched)
    search.refuse_loss(fitted.right)
    search.say("the integers")
    quantised = finished(
        search.exact,
        model,
        search.calibration,
        search.method(decided),
        name=name,
        lanes=options.lanes,
        about={"accumulator_fit": asdict(options), **dict(about or {})},
        accumulator=options.accumulator,
    )
    bounds = search.bounds(quantised.network, model.input_scale)
    too_wide(quantised.network, bounds, options)
    return FittedNetwork(
        quantised=quantised,
        layers=layers,
        bounds=bounds,
        exact=search.exact_share,
        fitted=fitted.right,
        searched=searched.right,
        tuned=None if tuned is None else tuned.right,
        is_tuned=fitted is tuned,
        uniform=uniform,
        uniform_share=uniform_share,
    )


def too_wide(
    network: Network, bounds: Mapping[str, Mapping[str, SumBound]], options: AccumulatorFit
) -> None:
    """Raise `NetworkError` where a layer's sums do not fit, with the layer and the least bits."""
    needed = {
        name: each[options.bound].needed(options.overflow).bits for name, each in bounds.items()
    }
    widest = max(needed, key=needed.__getitem__)
    if needed[widest] > options.bits:
        raise NetworkError(
            f"layer {widest} of {network.name}: its sums take {needed[widest]} bits by the bound "
            f"{options.bound}, and the accumulator has {options.bits}; {needed[widest]} would do"
        )


class Score(NamedTuple):
    """The share of the validation images that is right, and the negative cross entropy.

    The latter tells equal ones apart.
    """

    right: float
    likelihood: float


Decided: TypeAlias = dict[str, WidthPair]
Read: TypeAlias = Callable[[np.ndarray], Tensor]


class _Search:
    """The search, and what it has tried."""

    def __init__(
        self,
        exact: Model,
        images: NetworkImages,
        options: AccumulatorFit,
        progress: Progress | None,
    ):
        self.exact, self.options, self._progress = exact, options, progress
        self.calibration, self._validation = _split(images, options.validation)
        self._labels = torch.from_numpy(self._labels_of(self._validation))
        self._tried: dict[tuple[tuple[str, WidthPair], ...], Score] = {}
        self.exact_share = self._score(exact, self._validation.values).right
        self._candidates = self._find()
        self._forbidden: set[tuple[str, WidthPair]] = set()
        self._bits = {each.name: each.bits(options) for each in self._candidates}

    @staticmethod
    def _labels_of(images: NetworkImages) -> np.ndarray:
        if images.calibration_labels is None or images.held_out:
            raise DataError(
                f"{images.name} has no training images with labels: formats are chosen on such, "
                "and never on the images that accuracy is told of"
            )
        return images.calibration_labels

    def say(self, text: str) -> None:
        """Tell what is done now."""
        if self._progress is not None:
            self._progress(text, None)

    def _find(self) -> list[Candidates]:
        """Return which pairs there are of each layer."""
        models: dict[int, Model] = {}
        for bits in range(FEWEST_WEIGHT_BITS, WIDE + 1):
            self.say(f"weights of {bits} bits")
            method = PostTraining(
                weight=f"int{bits}", activation=f"uint{WIDE}", input=self._input()
            )
            models[bits] = self._quantised(method)
        levels: dict[str, np.ndarray] = {}
        if self.options.bound == "calibrated":
            levels = self._levels(models[WIDE])
        return of_models(models, levels, self.options)

    def _input(self, bits: int = WIDE) -> str:
        """Return the format of the images with so many bits."""
        signed = self.calibration.default.min_level < 0
        return f"{'' if signed else 'u'}int{bits}"

    def _quantised(self, method: PostTraining) -> Model:
        return quantize_model(copy.deepcopy(self.exact), self.calibration, method)[0]

    @torch.no_grad()
    def _levels(self, model: Model) -> dict[str, np.ndarray]:
        """Return what layers read on the images of the calibration, where all are wide."""
        network, _ = export_model(model, name="wide", lanes=self.options.lanes)
        images = self.calibration
        read = images.levels(images.calibration, network.input, model.input_scale)
        traced = evaluate(network, read, self.options.lanes, trace=True)
        tensors = {INPUT: torch.from_numpy(read).reshape(-1, *network.sizes[INPUT])}
        for each in traced.layers:
            tensors[each.name] = each.levels.reshape(-1, *network.sizes[each.name])
        names = {layer.name: network.sources(layer)[0] for layer in network}
        return {node.name: tensors[names[node.name]].numpy() for node, _ in model.weighted()}

    def method(self, decided: Decided) -> PostTraining:
        """Return the method that gives layers such pairs, and `WIDE` bits to all others."""
        steps = dict((node.name, step) for node, step in self.exact.items())
        weights = {
            each.name: decided[each.name].weight
            for each in self._candidates
            if each.name in decided
        }
        reads = {
            each.source: decided[each.name].activation
            for each in self._candidates
            if each.name in decided
        }
        layers = []
        for name, step in steps.items():
            parts = [f"int{weights[name]}" if name in weights else ""]
            if name in reads:
                parts.append(f"{'u' if step.relu else ''}int{reads[name]}")
            if name in weights or name in reads:
                layers.append((name, "/".join(parts)))
        return PostTraining(
            weight=f"int{WIDE}",
            activation=f"uint{WIDE}",
            input=self._input(reads.get(INPUT, WIDE)),
            layers=layers,
        )

    def decide(self) -> tuple[Decided, tuple[FittedLayer, ...]]:
        """Return the pair of each layer, one after the other."""
        decided: Decided = {}
        rows = []
        for each in self._candidates:
            self._refuse_too_few_bits()
            fitting = self._fitting(each, decided)
            choices = maximal(fitting)
            if len(choices) > 1:
                self.say(f"{len(choices)} pairs of {each.name}")
            scores = (
                {pair: self.scored(decided | {each.name: pair}) for pair in choices}
                if len(choices) > 1
                else {}
            )
            best = max(choices, key=lambda pair: scores.get(pair, Score(0.0, 0.0)))
            decided[each.name] = best
            rows.append(
                FittedLayer(
                    layer=each.name,
                    activation=best.activation,
                    weight=best.weight,
                    tried=len(scores),
                    fitting=len(fitting),
                    grid=len(each.grid),
                )
            )
        return decided, tuple(rows)

    def _fitting(self, each: Candidates, decided: Decided) -> list[WidthPair]:
        """Return the pairs of a layer that fit, and read what layers before have decided."""
        known = [
            decided[other.name].activation
            for other in self._candidates
            if other.name in decided and other.source == each.source
        ]
        bits = self._bits[each.name]
        fitting = [
            pair
            for pair, needed in bits.items()
            if needed <= self.options.bits
            and (each.name, pair) not in self._forbidden
            and all(pair.activation == activation for activation in known)
        ]
        if not fitting:
            raise NetworkError(
                f"layer {each.name}: reads {each.source} like a layer before, which took "
                f"{known[0] if known else 0} bits of it; with these no weights fit "
                f"{self.options.bits}-bit sums"
            )
        return fitting

    def _refuse_too_few_bits(self) -> None:
        """Raise `NetworkError` where a layer fits with no pair, with the least bits that do."""
        least = {
            name: min(
                needed for pair, needed in bits.items() if (name, pair) not in self._forbidden
            )
            for name, bits in self._bits.items()
        }
        widest = max(least, key=least.__getitem__)
        if least[widest] > self.options.bits:
            raise NetworkError(
                f"layer {widest}: no pair of widths fits {self.options.bits}-bit sums by the bound "
                f"{self.options.bound}; {least[widest]} bits is the least that would do"
            )

    def refuse_what_does_not_fit(self, decided: Decided) -> bool:
        """Forbid the pairs whose sums were wider than foretold; return whether there were any."""
        if self.options.bound != "calibrated":
            return False
        model = self.model(decided)
        network, _ = export_model(
            model,
            name="fitted",
            lanes=self.options.lanes,
            accumulator=self.options.accumulator,
        )
        bounds = self.bounds(network, model.input_scale)
        found = {
            (name, pair)
            for name, pair in decided.items()
            if bounds[name]["calibrated"].needed(self.options.overflow).bits > self.options.bits
        }
        self._forbidden |= found
        return bool(found)

    def bounds(self, network: Network, scale: float) -> dict[str, dict[str, SumBound]]:
        """Return all bounds of a network's layers, the calibrated ones on the calibration."""
        images = self.calibration
        levels = images.levels(images.calibration, network.input, scale)
        return network_bounds(network, self.options.lanes, levels)

    def uniform(self) -> tuple[WidthPair | None, float | None]:
        """Return the best pair that fits in every layer, in all of them, and its share."""
        everywhere = [
            pair
            for pair in self._candidates[0].grid
            if all(bits.get(pair, 99) <= self.options.bits for bits in self._bits.values())
        ]
        shares = {
            pair: self.scored({each.name: pair for each in self._candidates})
            for pair in maximal(everywhere)
        }
        if not shares:
            return None, None
        best = max(shares, key=shares.__getitem__)
        return best, shares[best].right

    def scored(self, decided: Decided) -> Score:
        """Return how good such pairs are on the validation images."""
        key = tuple(sorted(decided.items()))
        if key not in self._tried:
            self._tried[key] = self.score(self.model(decided))
        return self._tried[key]

    def model(self, decided: Decided) -> Model:
        """Return the network quantised with such pairs."""
        return self._quantised(self.method(decided))

    def score(self, model: Model) -> Score:
        """Return how good a quantised model is on the validation images."""
        return self._score(model, partial(self._levelled, model))

    def training_images(self) -> Tuning:
        """Return what fine-tuning trains on; raises `DataError`."""
        return training_images(self._validation, self._validation.calibration)

    def fine_tuned(self, decided: Decided, tuning: Tuning) -> Model:
        """Return the network with such pairs, trained on."""
        method = self.method(decided)
        model = unrounded_model(copy.deepcopy(self.exact), self.calibration, method)
        return fine_tune(
            copy.deepcopy(self.exact),
            model,
            tuning,
            self.options,
            method.multiplier_bits,
            self._progress,
        )

    def better(self, model: Model, tuned: Model, searched: Score) -> tuple[Model, Score, Score]:
        """Return the better one of two models whose sums fit, its score, and that of the second."""
        score = self.score(tuned)
        if score > searched and self.fits(tuned):
            return tuned, score, score
        return model, searched, score

    def fits(self, model: Model) -> bool:
        """Tell whether the sums of a quantised model fit, by its integers."""
        options = self.options
        network, _ = export_model(
            model, name="fitted", lanes=options.lanes, accumulator=options.accumulator
        )
        try:
            too_wide(network, self.bounds(network, model.input_scale), options)
        except NetworkError:
            return False
        return True

    def refuse_loss(self, share: float) -> None:
        """Raise `NetworkError` where more is lost than is allowed."""
        options = self.options
        lost, allowed = 100 * (self.exact_share - share), options.accuracy_drop
        if allowed is not None and lost > allowed:
            raise NetworkError(
                f"{options.bits}-bit sums lose {lost:.2f} points of {options.validation} "
                f"validation images, and {allowed:g} are allowed: take more bits, another bound, "
                "or allow more"
            )

    def _levelled(self, model: Model, images: np.ndarray) -> Tensor:
        """Return what a quantised model reads."""
        assert model.input_format is not None
        return self._validation.quantised(images, model.input_format, model.input_scale)

    @torch.no_grad()
    def _score(self, model: Model, read: Read) -> Score:
        images = self._validation.calibration
        parts = [
            model(read(images[start : start + BATCH])) for start in range(0, len(images), BATCH)
        ]
        logits = torch.cat(parts)
        right = float((logits.argmax(dim=1) == self._labels).double().mean())
        return Score(right, -float(functional.cross_entropy(logits, self._labels)))


def _split(images: NetworkImages, count: int) -> tuple[NetworkImages, NetworkImages]:
    """Return images to calibrate on, and others to validate on."""
    total = len(images.calibration)
    if count >= total:
        raise DataError(f"{total} images are too few to validate on {count} of them")
    chosen = np.zeros(total, bool)
    chosen[np.linspace(0, total - 1, count).round().astype(int)] = True
    labels = images.calibration_labels
    calibration, validation = (
        replace(
            images,
            calibration=images.calibration[which],
            calibration_labels=None if labels is None else labels[which],
        )
        for which in (~chosen, chosen)
    )
    return calibration, validation
