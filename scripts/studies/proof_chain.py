"""Chains of proof, with many images; run by hand, for minutes to half an hour each.

``studies proof_chain BOARD NETWORK [--images 450] [OPTION...]`` runs
``narrowgauge verify``, keeps what it says in ``docs/results/proofs.json``, with the command, and
the board as simulated in ``scripts/commands/boards.json`` where every link holds. Options are
those of ``verify``: with a fast ``--baud`` large images take fewer cycles. ``--keep FILE`` takes
what ``narrowgauge verify --json`` has written to a file instead of running it anew.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ...hw.files import write_atomically
from ..commands.boards import RECORDS
from .record import RowFile, output, provenance

__all__ = ["main", "record"]

OUTPUT = output("proofs")
PROGRAM = (sys.executable, "-c", "from ..cli import main; main()")


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("board")
    parser.add_argument("network")
    parser.add_argument("--images", type=int, default=450)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--records", type=Path, default=RECORDS)
    given, options = parser.parse_known_args(arguments)
    words = ["verify", given.board, given.network, "--images", str(given.images), *options]
    if given.keep:
        text = given.keep.read_text(encoding="utf-8")
    else:
        done = subprocess.run([*PROGRAM, *words, "--json"], stdout=subprocess.PIPE, text=True)
        text = done.stdout
        if not text:
            return done.returncode
    row = json.loads(text) | provenance(shlex.join(["narrowgauge", *words]))
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
