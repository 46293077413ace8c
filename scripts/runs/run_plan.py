"""Plan of ``narrowgauge run``: its request, and what its jobs share."""

from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path

from ...hw.errors import NetworkError
from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.program.layout import Program
from ...hw.synth.targets import Target
from ...hw.synth.targets import target as find_target
from ...hw.tools import programs as tools
from ...hw.tools.store import Store
from ...model.data import load as load_dataset
from ...model.lowering.topologies import NETWORKS
from ...model.training.recipe import Recipe
from ...model.zoo import networks as zoo
from ..rows.row import ResultRow
from ..terminal.options import seed_range
from ..terminal.progress import Reporter
from .energised import check_measured
from .loading import load_images, load_network
from .pipeline import Trainer

__all__ = ["TRAINING", "RunPlan", "Training"]

TRAINING = ("dataset", "widths", "width", "first", "last", "epochs", "seed")


@dataclass(frozen=True)
class Training:
    """Settings of training; the fields are those of `Recipe`."""

    dataset: str = "digits"
    network: str = "mlp"
    widths: tuple[int, ...] = (64, 32)
    width: float = 1.0
    first: str | None = None
    last: str | None = None
    epochs: int | None = None
    seed: int = 0

    def recipe(self) -> Recipe:
        """Return what all versions of the network share."""
        return Recipe(**vars(self))


@dataclass
class RunPlan:
    """Request of a run; checked before anything is computed.

    Attributes
    ----------
    network : str
        A topology, which is trained as ``training`` says; or a network file, or a network of the
        zoo, which is `given`.

    Raises
    ------
    NarrowgaugeError
        For an option that cannot be, with what is allowed.
    """

    network: str
    training: Training
    accumulator: int | None
    overflow: str | None
    geometry: Geometry
    contexts: int
    batch: int | None
    fit: bool
    route: bool
    energy: bool
    target: str
    seeds: int
    images: int | None
    engine: str
    multiplier: str = "logic"
    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        self.device: Target = find_target(self.target)
        self.seed_numbers = seed_range(self.seeds)
        if self.energy:
            check_measured(self.device)
        self.given = None if self.network in NETWORKS else self._given()
        if self.given is None:
            self.recipe = self.training.recipe()
            self.data = load_dataset(self.training.dataset)
        else:
            self.data = load_images(self.given, self.network)
        router = self.device.family.router
        self.programs = ["yosys", router] if self.route and router else ["yosys"]
        for name in self.programs:
            tools.find(name)
        if self.accumulator is not None:
            Accumulator(self.accumulator)  # refuses what there is none of
        self.accuracy_float: float | None = None
        self._warming: Future | None = None

    def _given(self) -> Network:
        path = Path(self.network)
        if not path.exists() and self.network not in zoo.names():
            raise NetworkError(
                f"no network {self.network!r}: --network is one to train ({', '.join(NETWORKS)}), "
                f"a network file, or one of the zoo ({', '.join(zoo.names()) or 'none'})"
            )
        return load_network(path, self.geometry.lanes)

    @property
    def test_images(self) -> slice:
        """The test images that are simulated."""
        return slice(self.images)

    @property
    def title(self) -> str:
        """Title of the table."""
        count = len(self.data.test_images[self.test_images])
        where = f"{self.target}, {count} test images"
        if self.given is not None:
            return f"{self.given.name} on {self.data.name}, {where}"
        name = self.network
        if name == "mlp":
            widths = (self.data.inputs, *self.recipe.widths, self.data.classes)
            name = "-".join(map(str, widths))
        return f"{name} on {self.recipe.dataset}, {where}"

    def program(self, network: Network, geometry: Geometry) -> Program:
        """Return the program of a network on an array."""
        return Program(network, geometry, contexts=self.contexts, batch=self.batch)

    def warm(self, executor: Executor, reporter: Reporter) -> None:
        """Start the tools once, in the background: their first call may compile them."""

        def start() -> None:
            with reporter.step(f"start {' and '.join(self.programs)}"):
                tools.warm(self.programs)

        self._warming = executor.submit(start)

    def tools_ready(self) -> None:
        """Wait for `warm`; raises `ToolError` when a tool is missing."""
        if self._warming:
            self._warming.result()

    def start(self, reporter: Reporter) -> None:
        """Train the float network, from which the others start, unless a network is given."""
        if self.given is None:
            self.trainer = Trainer(self.recipe, self.store, reporter)
            self.accuracy_float = self.trainer.accuracy_float()

    def float_row(self) -> ResultRow | None:
        """Return the row of the float network, once there is one."""
        if self.accuracy_float is None:
            return None
        recipe = self.recipe
        widths = map(str, recipe.widths) if self.network == "mlp" else ()
        names = [recipe.dataset, *([] if self.network == "mlp" else [self.network])]
        names += [f"x{recipe.width:g}"] if recipe.width != 1 else []
        return ResultRow(
            weight="float",
            activation="float",
            network="-".join([*names, "float", *widths]),
            dataset=recipe.dataset,
            images=len(self.data.test_images),
            accuracy_float=self.accuracy_float,
        )
