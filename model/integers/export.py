"""Export: a trained torch model becomes the `hw.network.network.Network` that hardware runs."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from ...hw.errors import NetworkError
from ...hw.network.layers import Layer, Requantised, Size, Weighted
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator, bits_for
from ...hw.numbers.default_sum import default_sum
from ...hw.numbers.float_sum import FloatSum
from ...hw.numbers.formats import Float
from ...hw.program.bounds import accumulator_bits
from ..exact.solving import build, solve_together
from ..exact.unsolved import UnsolvedLayer
from ..layers.blocks import Model
from ..layers.steps import Block
from ..layers.unweighted import MaxPoolStep, UpsampleStep
from ..training.recipe import Recipe, default_activation
from ..training.train import Trained
from .export_layers import enlarged, hidden_layer, last_layer, max_pool
from .float_layers import float_layer
from .guarantee import prove_sums

__all__ = ["FoldReport", "export", "export_model"]

Drafted = TypeVar("Drafted", UnsolvedLayer, Layer)


@dataclass(frozen=True)
class FoldReport:
    """Figures of a folded layer: widths, shift, levels compared.

    Attributes
    ----------
    layer : str
        Its name.
    channels : int
        Channels folded and compared.
    shift : int
        Rounding shift.
    multiplier_bits, bias_bits : int
        Width of the widest multiplier (unsigned) and bias (two's complement).
    levels_compared : int
        Accumulator levels, over all channels, at which integers and the layer's function were
        compared; 0 for the last layer, which has no function to compare.
    """

    layer: str
    channels: int
    shift: int
    multiplier_bits: int
    bias_bits: int
    levels_compared: int


def export(
    trained: Trained,
    *,
    lanes: int,
    accumulator: Accumulator | FloatSum | None = None,
    name: str | None = None,
) -> tuple[Network, tuple[FoldReport, ...]]:
    """Turn a trained model into a network of integers, and say what that took.

    All hidden layers get one shift, so that the hardware needs no barrel shifter; with a bipolar
    output they need none. The last layer has multiplier 1, shift 0 and a format that holds all its
    sums: its levels are the logits.

    A network with float activations stays one of floats: its parameters are rounded, nothing is
    folded, and its logits have the format of the sums.

    Parameters
    ----------
    trained : Trained
        A quantised network.
    lanes : int
        Lanes of the array, which decide how much padding the accumulator must hold.
    accumulator : Accumulator or FloatSum, optional
        Register of the dot products; None takes the one that the network was trained for if all of
        it was, else the narrowest that cannot overflow, wrapping, or of floats `default_sum`. The
        integers do not depend on it.
    name : str, optional
        Name of the network; None makes one from data set, network and formats.

    Raises
    ------
    NetworkError
        For a network without formats; when no shift is exact, with the layer and the channel; of a
        network that was trained for an accumulator, for the first channel whose integers overflow
        it.
    """
    if trained.recipe.is_float:
        raise NetworkError("a float network has no integers; train it with a weight format")
    name = name or _name(trained.recipe)
    constraint = trained.recipe.constraint
    if accumulator is None and constraint is not None and trained.recipe.ends == "constrained":
        accumulator = Accumulator(constraint.bits)
    network, reports = export_model(trained.model, name=name, lanes=lanes, accumulator=accumulator)
    about = _about(trained, reports, name)
    if constraint is not None:
        about["constraint"] = _proven(network, trained.recipe, lanes)
    return replace(network, about=about), reports


def _proven(network: Network, recipe: Recipe, lanes: int) -> dict[str, object]:
    """Prove that all layers that were trained for an accumulator fit it; return what was found.

    Raises
    ------
    NetworkError
        For the first channel that does not.
    """
    assert recipe.constraint is not None
    weighted = [layer for layer in network if isinstance(layer, Weighted)]
    names = recipe.constrained([layer.name for layer in weighted])
    free = {layer.name for layer in network} - set(names) if recipe.ends == "free" else set()
    needed = prove_sums(network, lanes, bits=recipe.constraint.bits, free=free)
    return {
        **recipe.constraint._asdict(),
        "free": [layer.name for layer in weighted if layer.name not in names],
        "sum_bits": {name: int(bits.max()) for name, bits in needed.items()},
        "norms": {
            layer.name: int(abs(layer.weights.reshape(layer.channels, -1)).sum(axis=1).max())
            for layer in weighted
        },
        "sparsity": {layer.name: layer.sparsity for layer in weighted},
    }


def export_model(
    model: Model, *, name: str, lanes: int, accumulator: Accumulator | FloatSum | None = None
) -> tuple[Network, tuple[FoldReport, ...]]:
    """Turn a quantised model, however it became one, into a network without an origin.

    Parameters and errors are those of `export`.
    """
    if isinstance(model.input_format, Float):
        return _export_floats(model, name, accumulator), ()
    with torch.no_grad():
        layers, compared = _layers(model)
    reports = tuple(
        _report(layer, compared.get(layer.name, 0))
        for layer in layers
        if isinstance(layer, Requantised)
    )
    network = Network(
        name=name,
        layers=tuple(layers),
        accumulator=accumulator or Accumulator(48),
        input_size=Size(*model.image_shape),
    )
    if accumulator is None:
        network = network.with_accumulator(Accumulator(accumulator_bits(network, lanes)))
    return network, reports


def _export_floats(model: Model, name: str, register: Accumulator | FloatSum | None) -> Network:
    """Return the network of a model with float activations."""
    if register is None:
        assert isinstance(model.input_format, Float)
        weights = [step.weight_format or model.input_format for _, step in model.weighted()]
        register = default_sum(weights[0], model.input_format)
    if not isinstance(register, FloatSum):
        raise NetworkError(
            f"network {name}: floats are summed in floats, not in {register.width} bits"
        )
    sums = partial(float_layer, register=register)
    with torch.no_grad():
        layers = _draft(model, sums, partial(sums, last=True))
    return Network(
        name=name,
        layers=tuple(layers),
        accumulator=register,
        input_size=Size(*model.image_shape),
    )


def _layers(model: Model) -> tuple[list[Layer], dict[str, int]]:
    """Return all layers, and how many accumulator levels of each were compared."""
    found = _draft(model, hidden_layer, last_layer)
    solutions = solve_together([each for each in found if isinstance(each, UnsolvedLayer)])
    return build(found, solutions), {name: each.compared for name, each in solutions.items()}


def _draft(
    model: Model, hidden_layer: Callable[..., Drafted], last_layer: Callable[..., Drafted]
) -> list[Drafted | Layer]:
    """Return what becomes of all steps; ``hidden_layer`` and ``last_layer`` turn those that sum."""
    *hidden, (last, last_step) = model.items()
    pooled = {
        node.name: step.pool_name
        for node, step in hidden
        if isinstance(step, Block) and step.pool is not None
    }
    found: list[Drafted | Layer] = []
    for node, step in hidden:
        sources = tuple(pooled.get(source, source) for source in node.sources)
        if isinstance(step, MaxPoolStep):
            found.append(max_pool(node.name, step.pool, step.output, sources))
            continue
        if isinstance(step, UpsampleStep):
            found += enlarged(node.name, step.factors, step.output, sources[0], node.shape)
            continue
        found.append(hidden_layer(model, node, step, sources))
        if isinstance(step, Block) and step.pool is not None:
            found.append(max_pool(step.pool_name, step.pool, step.output, (node.name,)))
    sources = tuple(pooled.get(source, source) for source in last.sources)
    return [*found, last_layer(model, last, last_step, sources)]


def _name(recipe: Recipe) -> str:
    """Return the name that tells a network from those of other recipes in the same study."""
    dataset = recipe.dataset_name
    parts = [dataset] if recipe.network == "mlp" else [dataset, recipe.network]
    if recipe.width != 1:
        parts.append(f"x{recipe.width:g}")
    parts.append(str(recipe.weight_format) + ("-mixed" if recipe.channels else ""))
    assert recipe.weight_format is not None
    if recipe.activation_format != default_activation(recipe.weight_format):
        parts.append(str(recipe.activation_format))
    if recipe.constraint is not None:
        parts.append(f"{recipe.constrain}-{recipe.accumulator_bits}")
    if recipe.network == "mlp":
        parts += map(str, recipe.widths)
    return "-".join(parts)


def _report(layer: Requantised, compared: int) -> FoldReport:
    low, high = int(layer.bias.min()), int(layer.bias.max())
    return FoldReport(
        layer=layer.name,
        channels=len(layer.bias),
        shift=layer.shift,
        multiplier_bits=int(np.max(layer.multiplier)).bit_length(),
        bias_bits=bits_for(min(low, 0), max(high, 0)),
        levels_compared=compared,
    )


def _about(trained: Trained, reports: Sequence[FoldReport], name: str) -> dict[str, object]:
    """Return the network's origin as plain JSON data."""
    recipe = trained.recipe
    about: dict[str, object] = {
        "dataset": recipe.dataset,
        "network": recipe.network,
        "weight": str(recipe.weight_format),
        "activation": str(recipe.activation_format),
        "first": recipe.first,
        "last": recipe.last,
        "command": f"{recipe.command()} -o {name}.safetensors",
        "seed": recipe.seed,
        "epochs": recipe.schedule.epochs,
        "seconds": round(trained.seconds, 1),
        "device": trained.device,
        "recipe": recipe.plain(),
        "accuracy_trained": trained.accuracy,
        "fold": [asdict(report) for report in reports],
    }
    if trained.model.remarks:
        about["remarks"] = list(trained.model.remarks)
    if trained.accuracy_float is not None:
        about["accuracy_float"] = trained.accuracy_float
    return about
