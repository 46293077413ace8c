"""Quantises a float network: ranges, weights, offsets, integers, and figures of all that."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...hw.errors import DataError, NetworkError
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Fixed, Format
from ..exchange.preparation import KEY
from ..integers.export import FoldReport, export_model
from ..integers.guarantee import prove_sums
from ..integers.reference import evaluate
from ..layers.blocks import Formats, Model
from ..layers.norm import round_norms
from ..layers.quantize import ActivationQuantizer
from ..layers.steps import Head
from ..lowering.lower import lower
from .correction import correct_offsets
from .equalization import equalize, fold_norms
from .figures import LayerFigures, measure
from .images import NetworkImages
from .learned import learn_rounding
from .limited_rounding import round_limited
from .method import PostTraining
from .progress import Course, Progress, Say
from .ranges import choose_scale, sampled
from .search import search_scales
from .weight_search import search_weight_scales
from .weights import FINITE, check_numbers, choose_weight_scales, round_weights

__all__ = [
    "Quantised",
    "Shares",
    "finished",
    "lowered",
    "quantize",
    "quantize_model",
    "unrounded_model",
]

BATCH = 64  # images at once
SEARCHED, RANGED, LEARNED, ROUNDED = 30.0, 1.0, 5e4, 1e4  # work of the searches: see `_work`
LIMITED = 1024  # images, at most, in whose inputs rounding for an accumulator measures
KEPT = 256  # images on which offsets are corrected and figures taken: all values are in memory


@dataclass(frozen=True)
class Shares:
    """Shares of the test images that are labelled right.

    Attributes
    ----------
    exact, integer : float
        By the float network, and by the integers.
    exact_others, integer_others : float
        The same of the images that are not of the calibration.
    same : float
        Share of all test images that both label alike.
    images, others : int
        How many there are.
    """

    exact: float
    integer: float
    exact_others: float
    integer_others: float
    same: float
    images: int
    others: int


@dataclass(frozen=True, eq=False)
class Quantised:
    """A network that was quantised.

    Attributes
    ----------
    network : Network
        Its integers.
    model : Model
        The torch model that they equal.
    layers : tuple of LayerFigures
        What its layers lose.
    folds : tuple of FoldReport
        What folding took.
    shares : Shares or None
        How accurate it is; None where the images have no labels.
    """

    network: Network
    model: Model
    layers: tuple[LayerFigures, ...]
    folds: tuple[FoldReport, ...]
    shares: Shares | None


def quantize(
    network: nn.Module,
    images: NetworkImages,
    method: PostTraining | None = None,
    *,
    name: str = "network",
    lanes: int = 4,
    figures: bool = True,
    progress: Progress | None = None,
    about: Mapping[str, object] | None = None,
    accumulator: Accumulator | None = None,
) -> Quantised:
    """Turn a float network into integers, without training.

    Parameters
    ----------
    network : Module
        A torch module as `lower` takes them, or a float `Model`; it stays as it is.
    images : NetworkImages
        What it is calibrated on and tested with.
    method : PostTraining, optional
        How; int8 weights by default.
    name : str
        What the network is called.
    lanes : int
        Lanes of the array, which decide how much padding the accumulator must hold.
    figures : bool
        Measure what every layer loses, which takes about as long as everything else.
    progress : callable, optional
        Told what is done now, and the seconds that are left, None while they are unknown.
    about : mapping, optional
        More of the network's origin, plain data.
    accumulator : Accumulator, optional
        Register of the sums; None takes that of ``method``, or else the narrowest that cannot
        overflow, wrapping.

    Raises
    ------
    DataError
        For images that the network does not take, or of which no range follows.
    NetworkError
        For a module that hardware does not run, weights that are no numbers, formats that a layer
        cannot have, or an accumulator that a layer cannot keep to, with the bits that would do.
    FormatError
        For an input format that the images cannot have.
    """
    method = method or PostTraining()
    network = lowered(network, images)
    exact = copy.deepcopy(network)
    course = Course(progress, _work(exact, images, method, figures=figures))
    model, fmt, scale = quantize_model(exact, images, method, course)
    layers = ()
    if figures:
        layers = _figures(exact, model, images, fmt, scale, course.part("measure the layers"))
    found = finished(
        network,
        model,
        images,
        method,
        name=name,
        lanes=lanes,
        about=about,
        accumulator=accumulator or method.accumulator,
        course=course,
    )
    return replace(found, layers=layers)


def finished(
    exact: Model,
    model: Model,
    images: NetworkImages,
    method: PostTraining,
    *,
    name: str,
    lanes: int,
    about: Mapping[str, object] | None,
    accumulator: Accumulator | None,
    course: Course | None = None,
) -> Quantised:
    """Return the integers of a quantised model, and how accurate they are; without figures.

    Parameters
    ----------
    exact, model : Model
        In float, and quantised.
    images, method, name, lanes, about, accumulator
        As in `quantize`, which raises the same; of ``method``, what was done.
    course : Course, optional
        Has the parts ``solve for integers`` and ``evaluate the integers``.
    """
    course = course or Course(None, _work(exact, images, method, figures=False))
    fmt, scale = model.input_format, model.input_scale
    assert fmt is not None
    course.part("solve for integers")
    integers, folds = export_model(model, name=name, lanes=lanes, accumulator=accumulator)
    if method.accumulator is not None:
        prove_sums(integers, lanes)
    course.part("evaluate the integers")
    shares = _shares(exact, integers, images, fmt, scale, lanes)
    origin = _about(images, method, shares, len(images.calibration)) | dict(about or {})
    if model.remarks:
        origin["remarks"] = list(model.remarks)
    preparation = images.preparation(fmt, scale)
    if preparation is not None:
        origin[KEY] = preparation.plain()
    return Quantised(replace(integers, about=origin), model, (), folds, shares)


def lowered(network: nn.Module, images: NetworkImages) -> Model:
    """Return the float model of a module; raises as `quantize`."""
    if isinstance(network, Model):
        if network.input_format is not None:
            raise NetworkError("the network is quantised already; a float one is quantised")
        if network.image_shape != images.image_shape:
            raise DataError(
                f"the network reads images of {_by(network.image_shape)}, those of {images.name} "
                f"have {_by(images.image_shape)}"
            )
        model = copy.deepcopy(network)
    else:
        for part, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                kind = "not a number" if bool(tensor.isnan().any()) else "infinite"
                raise NetworkError(f"{part} of the network holds what is {kind}; {FINITE}")
        model = lower(network, images.image_shape)
    model.eval()
    for node, step in model.weighted():
        check_numbers(node.name, step)
    return model


@torch.no_grad()
def quantize_model(
    exact: Model, images: NetworkImages, method: PostTraining, course: Course | None = None
) -> tuple[Model, Format, float]:
    """Return the quantised version of a float model, the format of its input and that one's scale.

    Norms of the float model are folded, and its channels equalised, where `method` says so. Raises
    as `quantize`.
    """
    model = unrounded_model(exact, images, method, course)
    round_norms(model, method.multiplier_bits)
    assert model.input_format is not None
    return model, model.input_format, model.input_scale


@torch.no_grad()
def unrounded_model(
    exact: Model, images: NetworkImages, method: PostTraining, course: Course | None = None
) -> Model:
    """Return the quantised version of a float model with norms as they are, fit to be trained on.

    Otherwise as `quantize_model`.
    """
    course = course or Course(None, _work(exact, images, method, figures=False))
    if method.equalize or method.norms == "folded":
        fold_norms(exact)
    if method.equalize:
        equalize(exact)
    samples = _samples(exact, images, course.part("calibrate"))
    fmt = method.input_format or images.default
    known = images.scale(fmt)
    scale = choose_scale("the input", samples.pop(""), fmt, method)
    scale = scale if known is None else known
    model = copy.deepcopy(exact)
    _merge_last_norm(exact)
    formats = _formats(model, method)
    if method.scales == "tensor":
        for _, step in model.weighted():
            step.per_channel = False
    model.quantize(formats, fmt, scale)
    for node, step in model.items():
        quantizer = step.activation
        if isinstance(quantizer, ActivationQuantizer) and quantizer.log2_scale is not None:
            chosen = choose_scale(f"layer {node.name}", samples[node.name], step.output, method)
            bounded = min(chosen, quantizer.largest)
            quantizer.log2_scale.fill_(torch.tensor(bounded).log2())
    model.eval()
    few, _ = images.some(KEPT)
    read = images.values(few), images.quantised(few, fmt, scale)
    _quantise_weights(exact, model, read, method, course)
    if method.accumulator_bits is not None:
        more, _ = images.some(LIMITED)
        round_limited(
            exact,
            model,
            images.values(more),
            images.quantised(more, fmt, scale),
            method.accumulator_bits,
            correct=method.bias_correction,
            say=course.part("round for the accumulator"),
        )
    if method.bias_correction:
        correct_offsets(exact, model, *read, course.part("correct offsets"))
    return model


def _quantise_weights(
    exact: Model,
    model: Model,
    read: tuple[Tensor, Tensor],
    method: PostTraining,
    course: Course,
) -> None:
    """Choose the scales of weights and round them; activations that depend on that are between."""
    generator = torch.Generator().manual_seed(method.seed)
    for _, step in model.weighted():
        choose_weight_scales(step, method)
    if method.weight_range == "output":
        search_weight_scales(exact, model, *read, method, course.part("search scales"))
    for _, step in model.weighted():
        round_weights(step, method, generator)
    if method.activation_range == "loss":
        search_scales(exact, model, *read, course.part("search ranges"))
    if method.rounding == "learned":
        learn_rounding(exact, model, *read, generator, course.part("learn the rounding"))


def _work(
    exact: Model, images: NetworkImages, method: PostTraining, *, figures: bool
) -> dict[str, float]:
    """Return the parts of a quantisation and the work of each, about as passes of images."""
    few, layers = min(KEPT, len(images.calibration)), len(exact.nodes)
    parts = {"calibrate": 2.0 * len(images.calibration)}
    if method.weight_range == "output":
        parts["search scales"] = SEARCHED * few
    if method.activation_range == "loss":
        parts["search ranges"] = RANGED * few * layers
    if method.rounding == "learned":
        parts["learn the rounding"] = LEARNED
    if method.accumulator_bits is not None:
        parts["round for the accumulator"] = ROUNDED
    if method.bias_correction:
        parts["correct offsets"] = 2.0 * few
    if figures:
        parts["measure the layers"] = 1.0 * few * layers
    parts |= {"solve for integers": 1.0 * few, "evaluate the integers": 4.0 * len(images.test)}
    return parts


def _formats(model: Model, method: PostTraining) -> dict[str, Formats]:
    """Return formats of all steps: behind a ReLU, the levels of signed ones from 0 on."""
    names = [node.name for node in model.nodes]
    formats = method.formats(names, model.channels())
    for node, step in model.items():
        activation = formats[node.name].activation
        if isinstance(activation, Fixed) and activation.signed and step.relu:
            activation = Fixed(activation.width - 1, signed=False)
        formats[node.name] = formats[node.name]._replace(activation=activation)
    return formats


def _figures(
    exact: Model, model: Model, images: NetworkImages, fmt: Format, scale: float, say: Say
) -> tuple[LayerFigures, ...]:
    """Return what every layer loses on images of the calibration."""
    few, labels = images.some(KEPT)
    return measure(
        exact,
        model,
        images.values(few),
        images.quantised(few, fmt, scale),
        None if labels is None else torch.from_numpy(labels),
        say,
    )


def _merge_last_norm(exact: Model) -> None:
    """Fold a norm behind the last layer in float, too, so that weights can be compared."""
    last = exact.steps[-1]
    if isinstance(last, Head):
        last.fold()


def _samples(exact: Model, images: NetworkImages, say: Say) -> dict[str, Tensor]:
    """Return values that the input, called "", and every step give."""
    found: dict[str, list[Tensor]] = {}
    count = len(images.calibration)
    share = max(1, (1 << 18) * BATCH // max(count, BATCH))
    for start in range(0, count, BATCH):
        say("calibrate", start / count)
        batch = images.values(images.calibration[start : start + BATCH])
        found.setdefault("", []).append(sampled(batch, share))
        for name, values in exact.run(batch, keep=True).items():
            found.setdefault(name, []).append(sampled(values, share))
    return {name: sampled(torch.cat(parts)) for name, parts in found.items()}


def _shares(
    exact: Model,
    integers: Network,
    images: NetworkImages,
    fmt: Format,
    scale: float,
    lanes: int,
) -> Shares | None:
    if images.test_labels is None:
        return None
    labels = torch.from_numpy(images.test_labels)
    with torch.no_grad():
        parts = [
            exact(images.values(images.test[start : start + BATCH])).argmax(dim=1)
            for start in range(0, len(labels), BATCH)
        ]
    before = torch.cat(parts)
    after = evaluate(integers, images.levels(images.test, fmt, scale), lanes).labels
    one, two = before == labels, after == labels
    others = slice(images.held_out, None)

    def share(right: Tensor) -> float:
        return float(right.double().mean())

    return Shares(
        share(one),
        share(two),
        share(one[others]),
        share(two[others]),
        share(before == after),
        len(labels),
        len(labels) - images.held_out,
    )


def _about(
    images: NetworkImages, method: PostTraining, shares: Shares | None, count: int
) -> dict[str, object]:
    """Return the network's origin as plain JSON data."""
    about: dict[str, object] = {
        "dataset": images.name,
        "weight": method.weight,
        "activation": str(method.common.activation),
        "post_training": method.plain()
        | {"calibration": count, "calibrated_on_test_images": images.held_out},
    }
    if shares is not None:
        about |= {"accuracy_float": shares.exact, "accuracy_reference": shares.integer}
        if images.held_out:
            about |= {
                "accuracy_float_others": shares.exact_others,
                "accuracy_reference_others": shares.integer_others,
            }
    return about


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
