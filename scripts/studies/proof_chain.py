"""Chains of proof, with many images; run by hand, for minutes to half an hour each.

``studies proof_chain BOARD NETWORK [--images 450] [OPTION...]`` runs
``narrowgauge verify``, keeps what it says in ``docs/results/proofs.json``, with the command, and
the board as simulated in ``scripts/commands/boards.json`` where every link holds. Options are
those of ``verify``: with a fast ``--baud`` large images take fewer cycles. ``--keep FILE`` takes
what ``narrowgauge verify --json`` has written to a file, with the options that are given here,
instead of running it anew.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ...hw.files import write_atomically
from ..commands.boards import RECORDS
from .record import RowFile, output, parser, provenance

__all__ = ["main", "record"]

OUTPUT = output("proofs")
IMAGES = 450
PROGRAM = (sys.executable, "-c", "from narrowgauge.scripts.cli import main; main()")


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("board")
    options.add_argument("network")
    options.add_argument("--images", type=int, help="[default: 450]")
    options.add_argument("--keep", type=Path, metavar="FILE")
    options.add_argument("--records", type=Path, default=RECORDS)
    given, others = options.parse_known_args(arguments)
    if given.keep and given.images:
        options.error("--images is what the file of --keep says")
    words = ["verify", given.board, given.network, "--images", str(given.images or IMAGES), *others]
    if given.keep:
        row = json.loads(given.keep.read_text(encoding="utf-8"))
        words[4] = str(row["links"][0]["images"])
    else:
        done = subprocess.run([*PROGRAM, *words, "--json"], stdout=subprocess.PIPE, text=True)
        if not done.stdout:
            return done.returncode
        row = json.loads(done.stdout)
    words[2] = Path(given.network).name  # the command tells of no machine
    row |= provenance(shlex.join(["narrowgauge", *words]))
    RowFile(given.output, ("command",)).keep([row])
    if row["proven"]:
        record(row["bitstream"]["board"], given.records)
    for link in row["links"]:
        print(f"{link['name']}: {link['images']} images, {link['mismatches']} mismatches")
    return 0 if row["proven"] else 1


def record(board: str, path: Path) -> None:
    """Note that a board's bitstream was simulated."""
    found = json.loads(path.read_text(encoding="utf-8"))
    found["simulated"] = [*dict.fromkeys([*found["simulated"], board])]
    write_atomically(path, (json.dumps(found, indent=1) + "\n").encode())
