"""The network that a torch module would become, with the weights that it has now."""

import torch
from torch import nn

from ...hw.network.network import Network
from ...hw.numbers.formats import parse
from ...model.data import input_scale
from ...model.integers.export import export
from ...model.lowering.lower import lower
from ...model.training.recipe import Recipe
from ...model.training.train import Trained

__all__ = ["outline"]

IMAGES = 8  # random ones, from which the scales of activations are taken


def outline(
    module: nn.Module,
    image_shape: tuple[int, int, int],
    *,
    weight: str,
    activation: str | None,
    input: str,
    lanes: int,
) -> tuple[Network, tuple[str, ...]]:
    """Return a network of a module that is not trained, and what is left out of it.

    Parameters
    ----------
    module : Module
        As `lower` takes it.
    image_shape : tuple of int
        Height, width and channels.
    weight, activation, input : str
        Formats, as a recipe has them.
    lanes : int
        Of the array.

    Raises
    ------
    FormatError, NetworkError
        For formats that do not exist, and what hardware does not run.
    """
    recipe = Recipe(weight=weight, activation=activation)
    fmt, model = parse(input), lower(module, image_shape).eval()
    height, width, channels = image_shape
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(IMAGES, channels, height, width, generator=generator)
    names = [node.name for node, _ in model.items()]
    formats = recipe.formats(names, model.channels())
    samples = model.calibrate(images)
    model.quantize(formats, fmt, input_scale(fmt), scale=recipe.scale)
    model.fit_scales(samples)
    trained = Trained(recipe, model, 0.0, None, (), 0.0, fmt, "cpu")
    network, _ = export(trained, lanes=lanes, name=type(module).__name__)
    return network, tuple(model.remarks)
