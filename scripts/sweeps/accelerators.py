"""Points that are accelerators of networks."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from ...hw.accelerator.top import Accelerator
from ...hw.errors import GeometryError, NarrowgaugeError
from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.program.bounds import accumulator_bits
from ...hw.program.layout import Program
from ...hw.synth.build import accelerator_for, infers_blocks
from ...hw.synth.placement import check_memories
from ...hw.synth.shell import Shell
from ...hw.tools import rtlil
from ...hw.tools.store import Store
from ..rows.row import Energised, ResultRow, geometry_columns
from ..runs.energised import check_measured, energised
from ..runs.kept import check
from ..runs.loading import images_digest, input_levels, load_images, set_accumulator
from ..runs.row_parts import row_parts
from .points import BUILDING, GEOMETRY, Built, Point, check_blocks, measured, shape

__all__ = ["Accelerated", "NetworkSource"]


class NetworkSource:
    """A network of a plan."""

    def parts(self) -> dict[str, Any]:
        """Return what decides the network; see `store.key`."""
        raise NotImplementedError

    def get(self, lanes: int, store: Store, bits: int | None = None) -> Network:
        """Return the network, for an array of ``lanes`` lanes; floats summed in ``bits`` bits."""
        raise NotImplementedError

    def ready(self, lanes: int) -> Network | None:
        """Return the network where it is there already, None where it is trained first."""
        return None

    def row(self) -> ResultRow:
        """Return the row as far as it is known before the network is there."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Design:
    """An accelerator, and the columns that its network gives."""

    built: Built
    accelerator: Accelerator
    columns: Mapping[str, object]


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
    overflow : str or None
        What it does when a sum does not fit; None is what the network file says.
    multiplier : str
        ``logic`` or ``block``; see `synth.build.accelerator_for`.
    images : int
        Test images that are simulated and compared.
    energy : bool
        What one of them takes, too.
    """

    source: NetworkSource
    accumulator: int | None
    overflow: str | None
    multiplier: str
    rows: int
    columns: int
    lanes: int
    hop: int
    chains: int
    slice: int | None
    contexts: int
    batch: int | None
    images: int
    energy: bool = False

    @property
    def geometry(self) -> Geometry:
        """Rows, columns, lanes, hop, chains and slice."""
        return Geometry(*(getattr(self, name) for name in GEOMETRY))

    @property
    def text(self) -> str:
        """Name of the point."""
        bits = [] if self.accumulator is None else [f"{self.accumulator} bits"]
        bits += [] if self.overflow in (None, "wrap") else [self.overflow]
        blocks = ["blocks"] if self.multiplier == "block" else []
        return ", ".join([str(self.source), *bits, shape(vars(self)), *blocks])

    @property
    def group(self) -> Any:
        """Key that points of one design share."""
        return self  # what an accelerator is depends on the memories of its target

    def check(self) -> None:
        """Raise an error where there is no such design."""
        _ = self.geometry
        if self.batch is not None and not 1 <= self.batch <= self.rows:
            raise GeometryError(f"batch is 1 to the array's {self.rows} rows, not {self.batch}")
        if self.energy:
            check_measured(self.device)
        if self.energy and not (self.images and self.seeds):
            raise NarrowgaugeError(
                "energy is of images in an accelerator that is routed: it needs "
                "images and seeds of 1 and more"
            )
        network = self.source.ready(self.lanes)
        if network is not None:
            self._accelerator(self._program(network))

    def parts(self) -> dict[str, Any]:
        """Return what the result depends on."""
        own = {name: value for name, value in vars(self).items() if name != "source"}
        if not self.energy:
            del own["energy"]  # results of others stay what they are
        if self.images:
            own["data"] = images_digest(self.source.row().dataset)
        return {"kind": "Accelerated"} | self.source.parts() | own

    def made_by(self) -> tuple[type, ...]:
        """Return the classes whose code makes the result."""
        return type(self), type(self.source)

    def row(self) -> ResultRow:
        """Return the row as far as it is known before anything is measured."""
        return self.source.row() | {
            **geometry_columns(self.geometry),
            "overflow": self.overflow,
            "contexts": self.contexts,
            "target": self.target,
            "accumulator_bits": self.accumulator,
            "multiplier": self.multiplier,
            "routed": False,
        }

    def build(self, store: Store) -> _Design:
        """Return the design."""
        program = self._program(self.source.get(self.lanes, store, self.accumulator))
        check_memories(program, self.device)
        with BUILDING:
            accelerator = self._accelerator(program)
            shell = Shell(accelerator)
            text = rtlil.convert(shell, platform=self.device)
        built = Built(text, shell, dsp=infers_blocks(accelerator))
        return _Design(built, accelerator, _columns(program))

    def _program(self, network: Network) -> Program:
        network = set_accumulator(network, self.accumulator, self.overflow)
        return Program(network, self.geometry, contexts=self.contexts, batch=self.batch)

    def _accelerator(self, program: Program) -> Accelerator:
        if self.multiplier == "block":
            check_blocks(program.operands.weight, self.device)
        return accelerator_for(program, self.device, multiplier=self.multiplier)

    def measure(self, built: _Design, store: Store, executor: Executor) -> ResultRow:
        """Return the row with what is measured."""
        row = self.row() | built.columns
        if self.images:
            row = self._simulate(row, built.accelerator, store)
        if row.failure is None:
            found = built.built.measure(self.device, self.seeds, store, executor)
            row = measured(row, found)
        if self.energy and row.failure is None:
            row |= self._charge(built.accelerator, store)
        return row.with_rate()

    def _charge(self, accelerator: Accelerator, store: Store) -> Energised:
        network = accelerator.program.network
        images = load_images(network, network.name)
        levels = input_levels(network, images, slice(self.images))
        with BUILDING:
            asked = {"seed": 1, "text": str(self.source)}
            return energised(accelerator, self.device, levels, store, **asked)

    def _simulate(self, row: ResultRow, accelerator: Accelerator, store: Store) -> ResultRow:
        program = accelerator.program
        images = load_images(program.network, program.network.name)
        with BUILDING:  # the simulator elaborates the design, too
            checked = check(accelerator, images, store, engine="auto", images=slice(self.images))
        compared, sized = row_parts(checked, program)
        return row | compared | sized | {"failure": checked.first or None}


def _columns(program: Program) -> dict[str, object]:
    """Return what the network says of itself; accuracy only where it was taken with these sums."""
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
    if _is_exact(network, program.geometry.lanes) and "accuracy_reference" in about:
        row["accuracy_reference"] = about["accuracy_reference"]
    return row


def _is_exact(network: Network, lanes: int) -> bool:
    """Tell whether sums are those of the network's training: none of integers can overflow."""
    if network.is_float:
        return True
    return network.accumulator.width >= accumulator_bits(network, lanes)
