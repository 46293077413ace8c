"""Jobs of ``narrowgauge run``, one a network: train it or take it, build, check, route."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ...hw.accelerator.top import Accelerator
from ...hw.errors import NarrowgaugeError
from ...hw.files import file_name, write_atomically
from ...hw.network.file import to_bytes
from ...hw.network.layers import Weighted
from ...hw.network.network import Network
from ...hw.numbers.formats import parse
from ...hw.program.layout import Program
from ...hw.synth.build import accelerator_for, cost
from ...hw.synth.estimate import estimate, has_estimates
from ...hw.synth.fit import largest_geometry
from ...hw.synth.placement import check_memories
from ...model.training.train import check_recipe
from ..rows.columns import Part
from ..rows.row import Ended, Hardware, ResultRow, geometry_columns
from ..terminal.progress import Reporter
from .energised import energised
from .kept import check
from .loading import check_overflow, input_levels, set_accumulator
from .row_parts import row_parts
from .run_plan import RunPlan

__all__ = ["FormatJob", "GivenJob", "NetworkJob", "all_rows", "make_jobs"]


class NetworkJob:
    """One network of a plan.

    Attributes
    ----------
    text : str
        What it is called in progress and errors.
    row : ResultRow or None
        What is known so far; None before it is prepared.
    failure : str or None
        Why it ended early.
    """

    def __init__(self, plan: RunPlan, text: str):
        self.plan, self.text = plan, text
        self.row: ResultRow | None = None
        self.failure: str | None = None
        self.network: Network | None = None

    def prepare(self, output: Path, reporter: Reporter) -> None:
        """Get the network, and write its file into ``output``."""
        raise NotImplementedError

    def measure(self, reporter: Reporter) -> None:
        """Map; simulate test images and compare; place and route; all of them fill the row."""
        try:
            self.plan.tools_ready()
            accelerator = self._build(reporter)
            if self.plan.route:
                self._map(accelerator, reporter)
            self._simulate(accelerator, reporter)
            if self.plan.route:
                self._route(accelerator, reporter)
            if self.plan.energy:
                self._charge(accelerator, reporter)
        except NarrowgaugeError as error:
            self.fail(error)

    def _take(self, network: Network, output: Path, accuracy_float: float | None) -> None:
        """Put the network on the accumulator that was asked for, write it, and begin the row."""
        self.network = network
        path = output / f"{file_name(network.name)}.safetensors"
        write_atomically(path, to_bytes(network))
        self._know(
            accumulator_bits=network.accumulator.width,
            overflow=network.accumulator.overflow,
            network=network.name,
            parameter_bits=network.parameter_bits,
            accuracy_float=accuracy_float,
        )

    def _know(self, *parts: Part, **columns: object) -> None:
        """Put what was found into the row."""
        assert self.row is not None
        for part in (*parts, columns):
            self.row |= part

    def _build(self, reporter: Reporter) -> Accelerator:
        plan, geometry = self.plan, self.plan.geometry
        assert self.network is not None
        if plan.fit:
            with reporter.step(f"fit {self.text} to {plan.target}") as step:
                geometry = largest_geometry(
                    self.network,
                    plan.device,
                    self._cells,
                    hop=geometry.hop,
                    contexts=plan.contexts,
                    batch=plan.batch,
                    chains=geometry.chains,
                    slice=geometry.slice,
                    predict=self._predict if self._has_estimate(self.network) else None,
                )
                step.note(str(geometry))
        self._know(**geometry_columns(geometry))
        program = plan.program(self.network, geometry)
        self._know(multiplier=plan.multiplier, contexts=program.contexts, batch=program.batch)
        if plan.route:
            check_memories(program, plan.device)  # before anything that may take long
        return accelerator_for(program, plan.device, multiplier=plan.multiplier)

    def _cells(self, program: Program) -> int:
        """Return the logic cells of an accelerator; raises `FitError` where it does not fit."""
        plan = self.plan
        return cost(accelerator_for(program, plan.device), plan.device, plan.store).lut or 0

    def _has_estimate(self, network: Network) -> bool:
        return has_estimates(self.plan.device) and not network.is_float

    def _predict(self, program: Program) -> float:
        """Return the logic cells that an accelerator should take."""
        return estimate(program, self.plan.device).lut

    def _map(self, accelerator: Accelerator, reporter: Reporter) -> None:
        """Map and pack: what cannot be is found before a simulation that may take long."""
        with reporter.step(f"map {self.text}") as step:
            measured = cost(accelerator, self.plan.device, self.plan.store)
            step.note("; ".join(filter(None, [f"{measured.lut} LUT", measured.remark])))

    def _simulate(self, accelerator: Accelerator, reporter: Reporter) -> None:
        plan = self.plan
        with reporter.step(f"simulate {self.text}") as step:
            checked = check(
                accelerator,
                plan.data,
                plan.store,
                engine=plan.engine,
                images=plan.test_images,
                note=step.note,
            )
            step.note(f"{checked.images} images, {checked.mismatches} mismatches")
        self._know(*row_parts(checked, accelerator.program))
        if checked.first:
            raise NarrowgaugeError(checked.first)

    def _route(self, accelerator: Accelerator, reporter: Reporter) -> None:
        plan = self.plan
        routing = "place and route" if plan.device.family.router else "map"
        with reporter.step(f"{routing} {self.text}") as step:
            measured = cost(accelerator, plan.device, plan.store, plan.seed_numbers)
            speed = f"{measured.fmax_mhz:.1f} MHz" if measured.fmax_mhz else "not routed"
            step.note(f"{measured.lut} LUT, {speed}")
        parts = Hardware.of_measurement(measured), Ended.of_measurement(measured)
        self._know(*parts, seeds=measured.seeds)
        assert self.row is not None
        self.row = self.row.with_rate()

    def _charge(self, accelerator: Accelerator, reporter: Reporter) -> None:
        """Find the energy of an image, from the test images, on the first of the placements."""
        plan = self.plan
        levels = input_levels(accelerator.program.network, plan.data, plan.test_images)
        (seed, *_) = plan.seed_numbers
        asked = {"seed": seed, "reporter": reporter, "text": self.text}
        known = energised(accelerator, plan.device, levels, plan.store, **asked)
        self._know(known)

    def fail(self, error: NarrowgaugeError) -> None:
        """End early: the row has the error."""
        self.failure = f"{self.text}: {error}"
        self._know(Ended.of_error(error))


class FormatJob(NetworkJob):
    """A network to train, at one format: ``WEIGHT`` or ``WEIGHT/ACTIVATION``.

    Raises
    ------
    FormatError, NetworkError
        For a format that does not exist or cannot be used, or a network that cannot be trained.
    """

    def __init__(self, plan: RunPlan, text: str):
        super().__init__(plan, text)
        weight, slash, activation = text.partition("/")
        self.weight, self.activation = weight, activation if slash else None
        for name in (weight, activation) if slash else (weight,):
            parse(name)
        recipe = replace(plan.recipe, weight=weight, activation=self.activation)
        check_recipe(recipe)
        check_overflow(recipe.activation_format, plan.overflow)
        self._names = str(recipe.weight_format), str(recipe.activation_format)

    def prepare(self, output: Path, reporter: Reporter) -> None:
        """Train, export, and write the network file into ``output``."""
        plan, lanes = self.plan, self.plan.geometry.lanes
        self.row = _began(plan, *self._names, plan.recipe.dataset)
        try:
            network = plan.trainer.network(
                self.weight, self.activation, lanes, bits=plan.accumulator
            )
            network = set_accumulator(network, plan.accumulator, plan.overflow)
        except NarrowgaugeError as error:
            self.fail(error)
            return
        self._take(network, output, plan.accuracy_float)


class GivenJob(NetworkJob):
    """A network that is there: of a file, or of the zoo."""

    def __init__(self, plan: RunPlan):
        assert plan.given is not None
        super().__init__(plan, plan.given.name)
        self.given = plan.given

    def prepare(self, output: Path, reporter: Reporter) -> None:
        """Take the network, and write its file into ``output``."""
        plan, network = self.plan, self.given
        weights = [layer.weight for layer in network if isinstance(layer, Weighted)]
        weight = network.about.get("weight", str(weights[0]) if weights else "none")
        activation = network.about.get("activation", str(network.layers[-1].input))
        self.row = _began(plan, weight, activation, plan.data.name)
        network = set_accumulator(network, plan.accumulator, plan.overflow)
        self._take(network, output, network.about.get("accuracy_float"))


def _began(plan: RunPlan, weight: str, activation: str, dataset: str) -> ResultRow:
    return ResultRow(
        weight=weight, activation=activation, dataset=dataset, target=plan.target, routed=False
    )


def make_jobs(plan: RunPlan, formats: str) -> list[NetworkJob]:
    """Return the plan's jobs: the given network's, or one a format, between commas."""
    if plan.given is not None:
        return [GivenJob(plan)]
    return [FormatJob(plan, text) for text in dict.fromkeys(map(str.strip, formats.split(",")))]


def all_rows(plan: RunPlan, jobs: Iterable[NetworkJob]) -> list[ResultRow]:
    """Return the result rows so far: float first, then one a job."""
    first = plan.float_row()
    return [*([first] if first else []), *(job.row for job in jobs if job.row)]
