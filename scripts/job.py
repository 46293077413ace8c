"""What ``narrowgauge run`` does for each format, and what the formats share."""

from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..hw import tools
from ..hw.accelerator import Accelerator
from ..hw.arithmetic import Accumulator
from ..hw.array import Geometry
from ..hw.errors import NarrowgaugeError
from ..hw.files import write_atomically
from ..hw.network import Network, to_bytes
from ..hw.number import parse
from ..hw.program import Program
from ..hw.synth.build import accelerator_for, cost
from ..hw.synth.fit import largest_geometry
from ..hw.synth.store import Store
from ..hw.synth.targets import Target
from ..hw.synth.targets import target as find_target
from ..model.data import load as load_dataset
from ..model.recipe import Recipe
from . import pipeline
from .options import seed_range
from .progress import Reporter

__all__ = ["FormatJob", "Plan"]


@dataclass
class Plan:
    """What was asked for; checked before anything is computed.

    Raises
    ------
    NarrowgaugeError
        For an option that cannot be, with what is allowed.
    """

    dataset: str
    widths: tuple[int, ...]
    accumulator: int | None
    overflow: str
    geometry: Geometry
    contexts: int
    fit: bool
    target: str
    seeds: int
    epochs: int | None
    seed: int
    engine: str
    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        self.data = load_dataset(self.dataset)
        self.device: Target = find_target(self.target)
        self.seed_numbers = seed_range(self.seeds)
        self.programs = ["yosys", str(self.device.family.router)]
        for name in self.programs:
            tools.find(name)
        if self.accumulator is not None:
            Accumulator(self.accumulator, self.overflow)
        extra: dict[str, Any] = {} if self.epochs is None else {"epochs": self.epochs}
        self.recipe = Recipe(dataset=self.dataset, widths=self.widths, seed=self.seed, **extra)
        self.accuracy_float: float | None = None
        self._warming: Future | None = None

    @property
    def title(self) -> str:
        """What the table shows."""
        shape = "-".join(map(str, (self.data.inputs, *self.widths, self.data.classes)))
        return f"{shape} on {self.dataset}, {self.target}, {len(self.data.test_images)} test images"

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
        """Train the float network, from which the others start."""
        self.trainer = pipeline.Trainer(self.recipe, self.store, reporter)
        self.accuracy_float = self.trainer.accuracy_float()

    def rows(self, jobs: list["FormatJob"]) -> list[dict[str, Any]]:
        """Return the result rows so far: float first, then one a format."""
        if self.accuracy_float is None:
            return []
        first = {
            "weight": "float",
            "activation": "float",
            "network": "-".join([self.dataset, "float", *map(str, self.widths)]),
            "dataset": self.dataset,
            "images": len(self.data.test_images),
            "accuracy_float": self.accuracy_float,
        }
        return [first, *(job.row for job in jobs if job.row)]


class FormatJob:
    """One format of a plan: ``WEIGHT`` or ``WEIGHT/ACTIVATION``.

    Attributes
    ----------
    row : dict
        What is known so far, in the columns of a result row.
    failure : str or None
        Why it ended early.

    Raises
    ------
    FormatError
        For a format that does not exist or cannot be used.
    """

    def __init__(self, plan: Plan, text: str):
        weight, _, activation = text.partition("/")
        self.plan, self.text = plan, text
        self.weight, self.activation = weight, activation or None
        for name in filter(None, (weight, activation)):
            parse(name)
        recipe = Recipe(weight=weight, activation=self.activation)
        self.row: dict[str, Any] = {}
        self._names = {"weight": weight, "activation": str(recipe.activation_format)}
        self.failure: str | None = None
        self.network: Network | None = None

    def train(self, output: Path, reporter: Reporter) -> None:
        """Train, export, and write the network file into ``output``."""
        plan = self.plan
        self.row = self._names | {"dataset": plan.dataset, "target": plan.target, "routed": False}
        try:
            network = plan.trainer.network(self.weight, self.activation, plan.geometry.lanes)
            network = pipeline.set_accumulator(
                network, plan.accumulator, plan.overflow, plan.geometry.lanes
            )
        except NarrowgaugeError as error:
            self._fail(error)
            return
        self.network = network
        write_atomically(output / f"{network.name}.safetensors", to_bytes(network))
        self.row |= {
            "weight": str(network.layers[0].weight),
            "activation": str(network.layers[-1].input),
            "accumulator_bits": network.accumulator.width,
            "overflow": network.accumulator.overflow,
            "network": network.name,
            "accuracy_float": plan.accuracy_float,
            "parameter_bits": network.parameter_bits,
        }

    def measure(self, reporter: Reporter) -> None:
        """Simulate all test images and compare; place and route; both fill the row."""
        try:
            self.plan.tools_ready()
            accelerator = self._build(reporter)
            self._simulate(accelerator, reporter)
            self._route(accelerator, reporter)
        except NarrowgaugeError as error:
            self._fail(error)

    def _build(self, reporter: Reporter) -> Accelerator:
        plan, geometry = self.plan, self.plan.geometry
        assert self.network is not None
        if plan.fit:
            with reporter.step(f"fit {self.text} to {plan.target}") as step:
                geometry = largest_geometry(
                    self.network, plan.device, plan.store, contexts=plan.contexts
                )
                step.note(str(geometry))
        self.row |= {"rows": geometry.rows, "columns": geometry.columns, "lanes": geometry.lanes}
        program = Program(self.network, geometry, contexts=plan.contexts)
        return accelerator_for(program, plan.device)

    def _simulate(self, accelerator: Accelerator, reporter: Reporter) -> None:
        plan = self.plan
        with reporter.step(f"simulate {self.text}") as step:
            checked = pipeline.check(accelerator, plan.data, plan.store, engine=plan.engine)
            step.note(f"{checked.images} images, {checked.mismatches} mismatches")
        self.row |= checked.row(accelerator)
        if checked.first:
            raise NarrowgaugeError(checked.first)

    def _route(self, accelerator: Accelerator, reporter: Reporter) -> None:
        plan = self.plan
        with reporter.step(f"place and route {self.text}") as step:
            measured = cost(accelerator, plan.device, plan.store, plan.seed_numbers)
            step.note(f"{measured.lut} LUT, {measured.fmax_mhz:.1f} MHz")
        wanted = ("lut", "ff", "carry", "bram", "spram", "dsp", "fmax_mhz", "fmax_mhz_min")
        columns = measured.row()
        for name in (*wanted, "fmax_mhz_max", "tools", "routed"):
            if name in columns:
                self.row[name] = columns[name]
        self.row["seeds"] = list(measured.seeds)
        if measured.fmax_mhz:
            self.row["images_per_second"] = 1e6 * measured.fmax_mhz / self.row["cycles_per_image"]

    def _fail(self, error: NarrowgaugeError) -> None:
        self.failure = f"{self.text}: {error}"
        self.row["failure"] = str(error)
