"""A bitstream of one network for every board; run by hand, for ten minutes.

``studies bitstreams NETWORK [--boards A,B]`` builds them as ``narrowgauge
build`` does by default, and keeps a row for each board in ``docs/results/bitstreams.json``, with
the clock that the routed design meets, what it uses, and the command that made it. ``narrowgauge
boards`` says of these boards that their bitstream was built.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ...boards.build.bitstream import build
from ...boards.catalogue.entries import BOARDS, board
from ...hw.errors import NarrowgaugeError
from ...hw.files import write_atomically
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ..commands.boards import RECORDS
from ..runs.loading import load_network
from .record import RowFile, command, output, parser, provenance

__all__ = ["main", "record"]

OUTPUT = output("bitstreams")
GEOMETRY = Geometry(2, 2, 4)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("network")
    options.add_argument("--boards", default=",".join(BOARDS))
    options.add_argument("--records", type=Path, default=RECORDS)
    given = options.parse_args(arguments)
    status = 0
    for name in given.boards.split(","):
        started = time.perf_counter()
        try:
            program = Program(load_network(Path(given.network), GEOMETRY.lanes), GEOMETRY)
            built = build(program, board(name))
        except NarrowgaugeError as error:
            print(f"bitstreams: {name}: {error}", file=sys.stderr)
            status = 1
            continue
        row = built.provenance() | {"seconds": round(time.perf_counter() - started, 1)}
        row |= provenance(command("bitstreams", given.network, "--boards", name))
        RowFile(given.output, ("board",), lambda row: list(BOARDS).index(row["board"])).keep([row])
        record(name, given.records)
        print(f"{name}: {row['frequency_mhz']} MHz of {row['fmax_mhz']} met, {row['seconds']} s")
    return status


def record(board: str, path: Path) -> None:
    """Note that a board's bitstream was built."""
    found = json.loads(path.read_text(encoding="utf-8"))
    built = {*found["bitstream built"], board}
    found["bitstream built"] = [name for name in BOARDS if name in built]
    write_atomically(path, (json.dumps(found, indent=1) + "\n").encode())
