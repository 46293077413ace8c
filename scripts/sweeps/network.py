"""Points that are accelerators of networks."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from ...hw.accelerator.top import Accelerator
from ...hw.errors import GeometryError
from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.program.layout import Program
from ...hw.program.mapping import accumulator_bits
from ...hw.synth.build import accelerator_for, infers_blocks
from ...hw.synth.placement import check_memories
from ...hw.synth.shell import Shell
from ...hw.tools import rtlil
from ...hw.tools.store import Store
from ..runs.kept import check
from ..runs.networks import load_images, set_accumulator
from .points import BUILDING, GEOMETRY, Built, Point, check_blocks, shape

__all__ = ["Accelerated", "NetworkSource"]


class NetworkSource:
    """A network of a plan."""

    def parts(self) -> dict[str, Any]:
        """Return what decides the network; see `store.key`."""
        raise NotImplementedError

    def get(self, lanes: int, store: Store) -> Network:
        """Return the network, for an array of ``lanes`` lanes."""
        raise NotImplementedError

    def ready(self, lanes: int) -> Network | None:
        """Return the network where it is there already, None where it is trained first."""
        return None

    def row(self) -> dict[str, Any]:
        """Return the columns of a row that are known before it is there."""
        raise NotImplementedError


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
        return {"kind": "Accelerated"} | self.source.parts() | own

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
