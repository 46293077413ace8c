"""Points that are accelerators of networks: of the zoo, of a file, or trained for the plan."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ...hw.accelerator.top import Accelerator
from ...hw.errors import GeometryError, NarrowgaugeError
from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.program.layout import Program
from ...hw.program.mapping import accumulator_bits
from ...hw.synth.build import accelerator_for, infers_blocks
from ...hw.synth.placement import check_memories
from ...hw.synth.shell import Shell
from ...hw.tools import rtlil
from ...hw.tools.store import Store
from ..runs.checked import check
from ..runs.networks import load_images
from ..runs.pipeline import set_accumulator
from ..runs.sources import source_digest
from .points import BUILDING, GEOMETRY, Built, Point, check_blocks, shape
from .source import TRAINING, NetworkSource, find_source

__all__ = ["Accelerated", "points"]


@dataclass(frozen=True)
class _Design:
    """An accelerator, and the columns that its network gives."""

    built: Built
    accelerator: Accelerator
    columns: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Accelerated(Point):
    """The accelerator of a network.

    Parameters
    ----------
    source : NetworkSource
        The network.
    accumulator : int or None
        Bits; None takes those of the network file or, where it does not say, the fewest that
        cannot overflow.
    multiplier : str
        ``logic`` or ``block``; see `synth.build.accelerator_for`.
    images : int
        Test images that are simulated and compared.
    """

    source: NetworkSource
    accumulator: int | None
    overflow: str
    multiplier: str
    rows: int
    columns: int
    lanes: int
    hop: int
    chains: int
    contexts: int
    batch: int | None
    images: int

    @property
    def geometry(self) -> Geometry:
        """Rows, columns, lanes, hop and chains."""
        return Geometry(*(getattr(self, name) for name in GEOMETRY))

    @property
    def text(self) -> str:
        """What the point is called."""
        bits = [] if self.accumulator is None else [f"{self.accumulator} bits"]
        bits += [] if self.overflow == "wrap" else [self.overflow]
        blocks = ["blocks"] if self.multiplier == "block" else []
        return ", ".join([str(self.source), *bits, shape(vars(self)), *blocks])

    @property
    def group(self) -> Any:
        """What points of one design have in common."""
        return self  # what an accelerator is depends on the memories of its target

    def check(self) -> None:
        """Raise an error where there is no such design."""
        _ = self.geometry
        if self.batch is not None and not 1 <= self.batch <= self.rows:
            raise GeometryError(f"batch is 1 to the array's {self.rows} rows, not {self.batch}")
        network = self.source.ready(self.lanes)
        if network is not None:
            self._accelerator(self._program(network))

    def parts(self) -> dict[str, Any]:
        """Return what the result depends on."""
        own = {name: value for name, value in vars(self).items() if name != "source"}
        sources = source_digest("model", "scripts")
        return {"kind": "Accelerated", "sources": sources} | self.source.parts() | own

    def row(self) -> dict[str, Any]:
        """Return the columns that are known before anything is measured."""
        sizes = {name: getattr(self, name) for name in GEOMETRY}
        given = {"overflow": self.overflow, "contexts": self.contexts, "target": self.target}
        given |= {} if self.accumulator is None else {"accumulator_bits": self.accumulator}
        given |= {"multiplier": self.multiplier, "routed": False}
        return self.source.row() | sizes | given

    def build(self, store: Store) -> _Design:
        """Return the design."""
        program = self._program(self.source.get(self.lanes, store))
        check_memories(program, self.device)
        with BUILDING:
            accelerator = self._accelerator(program)
            shell = Shell(accelerator, ignore=["trace"])
            text = rtlil.convert(shell, platform=self.device)
        built = Built(text, shell, dsp=infers_blocks(accelerator))
        return _Design(built, accelerator, _columns(program))

    def _program(self, network: Network) -> Program:
        if self.accumulator is not None or self.overflow != network.accumulator.overflow:
            bits = self.accumulator or network.accumulator.width
            network = set_accumulator(network, bits, self.overflow, self.lanes)
        return Program(network, self.geometry, contexts=self.contexts, batch=self.batch)

    def _accelerator(self, program: Program) -> Accelerator:
        if self.multiplier == "block":
            check_blocks(program.operands.weight, self.device)
        return accelerator_for(program, self.device, multiplier=self.multiplier)

    def measure(self, built: _Design, store: Store, executor: Executor) -> dict[str, Any]:
        """Return the columns that are measured."""
        row = dict(built.columns)
        if self.images:
            row |= self._simulate(built.accelerator, store)
        if "failure" not in row:
            row |= built.built.measure(self.device, self.seeds, store, executor)
        if "fmax_mhz" in row and "cycles_per_image" in row:
            row["images_per_second"] = 1e6 * row["fmax_mhz"] / row["cycles_per_image"]
        return row

    def _simulate(self, accelerator: Accelerator, store: Store) -> dict[str, Any]:
        program = accelerator.program
        images = load_images(program.network, program.network.name)
        with BUILDING:  # the simulator elaborates the design, too
            checked = check(accelerator, images, store, engine="auto", images=slice(self.images))
        row = checked.row(program)
        return row | ({"failure": checked.first} if checked.first else {})


def _columns(program: Program) -> dict[str, Any]:
    """Return what the network says of itself; accuracy only where its sums cannot overflow."""
    network, about = program.network, program.network.about
    row = {
        "network": network.name,
        "accumulator_bits": network.accumulator.width,
        "overflow": network.accumulator.overflow,
        "parameter_bits": network.parameter_bits,
        "batch": program.batch,
    }
    if "accuracy_float" in about:
        row["accuracy_float"] = about["accuracy_float"]
    exact = network.accumulator.width >= accumulator_bits(network, program.geometry.lanes)
    if exact and "accuracy_reference" in about:
        row["accuracy_reference"] = about["accuracy_reference"]
    return row


def points(values: Mapping[str, list[Any]], folder: Path) -> Iterator[Accelerated]:
    """Yield every combination of a part that measures networks.

    Raises
    ------
    NarrowgaugeError
        For a network that does not exist, and where it is trained and there are no formats for it,
        or it is given and there is something to train with; the text begins with the key.
    """
    training = {name: values[name][0] for name in TRAINING if values[name][0] is not None}
    formats = [each for each in values["formats"] if each is not None]
    rest = [name for name in values if name not in (*TRAINING, "formats", "network", "target")]
    for name in values["network"]:
        try:
            sources = find_source(name, formats, training, folder)
        except NarrowgaugeError as error:
            raise NarrowgaugeError(f"network: {error}") from error
        for source in sources:
            for chosen in product(*(values[key] for key in rest), values["target"]):
                own = dict(zip([*rest, "target"], chosen, strict=True))
                yield Accelerated(source=source, **own)
