"""Networks of a plan that are there: of a file or of the zoo."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ...hw.network.file import to_bytes
from ...hw.network.layers import Weighted
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.program.bounds import accumulator_bits
from ...hw.tools.store import Store
from ..rows.row import ResultRow
from .accelerators import NetworkSource

__all__ = ["Given"]


@dataclass(frozen=True, eq=False)
class Given(NetworkSource):
    """A trained network, of a file or of the zoo, of which the accumulator is left open."""

    network: Network
    of_zoo: bool

    def __str__(self) -> str:
        return self.network.name

    def parts(self) -> dict[str, Any]:
        """Return what the result depends on."""
        return {"network": sha256(to_bytes(self.network)).hexdigest(), "of_zoo": self.of_zoo}

    def get(self, lanes: int, store: Store, bits: int | None = None) -> Network:
        """Return the network."""
        return self.ready(lanes)

    def ready(self, lanes: int) -> Network:
        """Return the network."""
        if not self.of_zoo:
            return self.network
        bits = accumulator_bits(self.network, lanes)
        return self.network.with_accumulator(Accumulator(bits))

    def row(self) -> ResultRow:
        """Return the row as far as it is known before anything is measured."""
        about = self.network.about
        weights = [layer.weight for layer in self.network if isinstance(layer, Weighted)]
        return ResultRow(
            weight=about.get("weight", str(weights[0]) if weights else "none"),
            activation=about.get("activation", str(self.network.layers[-1].input)),
            overflow="wrap" if self.of_zoo else self.network.accumulator.overflow,
            network=self.network.name,
            dataset=about.get("dataset", "digits"),
        )
