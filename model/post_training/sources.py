"""Float networks: of a Python function, of an ONNX file, of a checkpoint."""

from pathlib import Path

import torch
from torch import Tensor, nn

from ...hw.errors import NetworkError
from ..data import load
from ..exchange.extra import require
from ..layers.blocks import Model
from ..lowering.own_module import is_own_module, own_module
from ..lowering.topologies import NETWORKS
from ..training.checkpoint import Checkpoint
from ..training.recipe import Recipe
from ..training.train import untrained
from .images import NetworkImages

__all__ = ["KINDS", "is_trained_first", "normalised", "read"]

KINDS = (
    "a float network is PACKAGE.MODULE:FUNCTION, which gives a torch module, an .onnx file, a "
    ".checkpoint that a float training left, or for narrowgauge quantize the name of one that is "
    f"trained first: {', '.join(NETWORKS)}"
)


def is_trained_first(source: str) -> bool:
    """Tell whether ``source`` is the name of a network that has to be trained."""
    return source in NETWORKS


def read(source: str, images: NetworkImages) -> nn.Module:
    """Return the float network that ``source`` names.

    Parameters
    ----------
    source : str
        ``package.module:name``, see `own_module`; or the path of an ONNX file, or of a checkpoint.
    images : NetworkImages
        What it reads.

    Raises
    ------
    NetworkError
        For what is none of these, or cannot be read; the text says why.
    """
    path = Path(source)
    if path.suffix in (".onnx", ".checkpoint") and not path.exists():
        raise NetworkError(f"cannot read {path}: there is no such file")
    if path.suffix == ".onnx":
        require()
        from .onnx_file import read_onnx

        return read_onnx(path, images.shape)
    if path.suffix == ".checkpoint":
        return _of_checkpoint(path)
    if is_own_module(source):
        return _of_python(source, images)
    raise NetworkError(f"{source}: {KINDS}")


def _of_checkpoint(path: Path) -> nn.Module:
    """Return the float model of a finished training."""
    if not path.exists():
        raise NetworkError(f"{path}: no such file; {KINDS}")
    state = Checkpoint(path.parent, path.stem).load()
    if state is None:
        raise NetworkError(f"{path}: not a checkpoint of narrowgauge, or damaged")
    if not state.get("finished"):
        raise NetworkError(f"{path}: the training has not finished; repeat its command first")
    try:
        recipe = Recipe(**state["recipe"])
    except (TypeError, KeyError) as error:
        raise NetworkError(f"{path}: not a checkpoint of this version ({error})") from error
    if not recipe.is_float:
        raise NetworkError(
            f"{path}: of a network with weights {recipe.weight}; a float one is quantised"
        )
    model = untrained(recipe, load(recipe.dataset))
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        line = str(error).strip().splitlines()[0]
        raise NetworkError(f"{path}: its weights are of another network ({line})") from error
    return model.eval()


def _of_python(source: str, images: NetworkImages) -> nn.Module:
    """Return what a name of a Python module gives."""
    labels = images.test_labels
    classes = images.pixels.classes if images.pixels is not None else 0
    if not classes and labels is not None:
        classes = int(labels.max()) + 1
    return own_module(source, images.image_shape, classes)


class _Normalised(nn.Module):
    """A network behind the normalisation of its images.

    Parameters
    ----------
    network : Module
        What reads them.
    mean, deviation : Tensor of shape (channels,)
        Taken off the images, and what they are divided by then.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, deviation: Tensor):
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1))
        self.register_buffer("deviation", deviation.reshape(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map images of shape (images, channels, height, width)."""
        return self.network((x - self.mean) / self.deviation)


def normalised(
    network: nn.Module,
    mean: tuple[float, ...] | None,
    deviation: tuple[float, ...] | None,
    channels: int,
) -> nn.Module:
    """Return a network that normalises its images first; None does nothing.

    Raises
    ------
    NetworkError
        For more or fewer numbers than channels, or a network that was lowered already.
    """
    if mean is None and deviation is None:
        return network
    if isinstance(network, Model):
        raise NetworkError("a checkpoint of narrowgauge reads pixels as they are, 0 to 1")
    for name, given in (("mean", mean), ("deviation", deviation)):
        if given is not None and len(given) not in (1, channels):
            raise NetworkError(f"{name} is one number, or {channels}: one a channel")
    one = [torch.tensor(given or (neutral,)) for given, neutral in ((mean, 0.0), (deviation, 1.0))]
    return _Normalised(network, *(each.expand(channels).clone() for each in one))
