"""Float networks to explore, and what training them further at chosen widths needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from ...hw.errors import NetworkError
from ...hw.network.network import Network
from ...hw.program.ordering import sorted_by_width
from ...hw.tools.store import Store
from ...model.data import load as load_dataset
from ...model.integers.export import export
from ...model.layers.blocks import Model
from ...model.post_training.images import NetworkImages
from ...model.post_training.sources import is_trained_first, read
from ...model.training.checkpoint import Checkpoint
from ...model.training.recipe import Recipe
from ...model.training.train import Trained, train
from ..runs.pipeline import Trainer
from ..terminal.progress import Reporter, time_left
from .candidates import Candidate
from .groups import channel_widths, common, widest
from .request import weight_format

__all__ = ["FloatStart", "data_of", "float_network", "train_on"]


@dataclass(frozen=True, eq=False)
class FloatStart:
    """A float network.

    Attributes
    ----------
    module : Module
        The network.
    trained : Trained or None
        How it was trained, where it was trained by a recipe.
    """

    module: nn.Module
    trained: Trained | None


def data_of(network: str, data: str | None) -> str:
    """Return the data set: the one that is asked for, or that of a checkpoint.

    Raises
    ------
    NetworkError
        Where nothing says which.
    """
    recipe = _recipe(Path(network))
    if data is None and recipe is None:
        raise NetworkError(f"{network} does not say which images it is for; name them with --data")
    return data or recipe.dataset if recipe else str(data)


def float_network(
    network: str, images: NetworkImages, store: Store, reporter: Reporter
) -> FloatStart:
    """Return the float network, trained now where it is the name of one; raises as `read`."""
    if is_trained_first(network):
        recipe = Recipe(dataset=images.name, network=network)
        trained = Trainer(recipe, store, reporter).trained_float()
        return FloatStart(trained.model, trained)
    with reporter.step("load the network"):
        module = read(network, images)
    recipe = _recipe(Path(network))
    if recipe is None or not isinstance(module, Model):
        return FloatStart(module, None)
    state = Checkpoint(Path(network).parent, Path(network).stem).load() or {}
    trained = Trained(
        recipe=recipe,
        model=module,
        accuracy=state["accuracy"],
        accuracy_float=state["accuracy"],
        history=(),
        seconds=state["seconds"],
        input=recipe.input_format(load_dataset(recipe.dataset)),
        device=state["device"],
    )
    return FloatStart(module, trained)


def _recipe(path: Path) -> Recipe | None:
    """Return the recipe of a checkpoint; `read` says what is wrong with another one."""
    if path.suffix != ".checkpoint":
        return None
    state = Checkpoint(path.parent, path.stem).load() or {}
    try:
        return Recipe(**state["recipe"])
    except (TypeError, KeyError):
        return None


def train_on(
    start: Trained, candidate: Candidate, epochs: int, name: str, store: Store, reporter: Reporter
) -> Network:
    """Return a candidate's network, trained at its widths from the float one."""
    widths = candidate.widths
    recipe = replace(
        start.recipe,
        weight=weight_format(max(map(widest, widths.values()))),
        activation=candidate.numbers.activation,
        input=candidate.numbers.input,
        layers=[(layer, weight_format(widest(width))) for layer, width in widths.items()],
        channels=channel_widths(widths),
        epochs=epochs,
    )
    with reporter.step(f"train {name}") as step:
        folder = store.path.parent / "checkpoints"
        trained = train(recipe, _shown(step.note), start=start, checkpoints=folder)
        network, _ = export(trained, lanes=candidate.shape.geometry.lanes, name=name)
    network = sorted_by_width(network)
    return replace(network, about={**network.about, "weight": common(widths)})


def _shown(note: Callable[[str], None]) -> Callable[[int, int, float, float, float], None]:
    def show(epoch: int, epochs: int, loss: float, share: float, left: float) -> None:
        note(f"epoch {epoch} of {epochs}, {100 * share:.1f} %, {time_left(left)}")

    return show
