"""Compare the gates of many designs with a record of them; run by hand, before and after a change.

``python -m tests.replay --write FILE`` writes, for every design of `designs`, a digest of its RTLIL
without source locations and, with ``--cells``, the cells that Yosys maps it to.
``python -m tests.replay --compare FILE`` builds them anew, names each one whose digest or cells
differ, and fails where any does; ``--cells`` maps those whose RTLIL differs, and the difference of
each kind of cell is printed. FILE is ``tests/replay/designs.json`` unless given. ``--only TEXT``
takes the designs whose name has this text. Mapped cells are kept in the store, so a repeated run
maps what has changed.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from narrowgauge.hw.synth.flow import synthesis_scripts, synthesize
from narrowgauge.hw.tools import programs as tools
from narrowgauge.hw.tools import rtlil
from narrowgauge.hw.tools.store import Store

from .designs import DESIGNS, Design

RECORD = Path(__file__).with_name("designs.json")


def digest(text: str) -> str:
    """Return the digest of RTLIL that `hw.tools.rtlil.convert` wrote."""
    return sha256(text.encode()).hexdigest()[:32]


def cells(text: str, design: Design, dsp: bool, store: Store) -> dict[str, int]:
    """Return how many of each cell a design is mapped to."""
    text = rtlil.forget_contents(rtlil.free_collisions(text))
    script = "\n".join(synthesis_scripts(design.on, dsp=dsp))
    parts = {"rtlil": text, "script": script, "yosys": tools.find("yosys").version}

    def run() -> dict[str, int]:
        return dict(sorted(synthesize(text, design.on, dsp=dsp).cells.items()))

    return store.compute("cells", parts, run)


def replay(
    designs: Iterable[Design], *, known: dict[str, Any], mapped: bool, everything: bool
) -> dict[str, dict[str, Any]]:
    """Return an entry a design: its ``digest``, and its ``cells`` where it is mapped.

    With ``mapped`` every design is, or without ``everything`` those that ``known`` has with another
    digest.
    """
    store = Store()
    found: dict[str, dict[str, Any]] = {}
    pending = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for design in designs:
            text, dsp = design.make()
            entry = found[design.name] = {"digest": digest(text)}
            before = known.get(design.name, {})
            if mapped and (everything or before.get("digest") != entry["digest"]):
                pending[design.name] = pool.submit(cells, text, design, dsp, store)
            elif before.get("digest") == entry["digest"] and "cells" in before:
                entry["cells"] = before["cells"]
        for name, future in pending.items():
            found[name]["cells"] = future.result()
            print(f"mapped {name}: {sum(found[name]['cells'].values())} cells", flush=True)
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return a line for each design that is not the same in two records."""
    lines = [f"{name}: is new" for name in after if name not in before]
    lines += [f"{name}: is gone" for name in before if name not in after]
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        if old["digest"] != new["digest"]:
            lines.append(f"{name}: its RTLIL differs{_counts(old.get('cells'), new.get('cells'))}")
        elif "cells" in old and "cells" in new and old["cells"] != new["cells"]:
            lines.append(f"{name}: its cells differ{_counts(old['cells'], new['cells'])}")
    return sorted(lines)


def _counts(old: dict[str, int] | None, new: dict[str, int] | None) -> str:
    if old is None or new is None:
        return ""
    if old == new:
        return ", its cells do not"
    kinds = sorted(kind for kind in old.keys() | new.keys() if old.get(kind) != new.get(kind))
    changes = [f"{kind} {old.get(kind, 0)} -> {new.get(kind, 0)}" for kind in kinds]
    return f"; {', '.join(changes)}"


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, nargs="?", const=RECORD, metavar="FILE")
    action.add_argument("--compare", type=Path, nargs="?", const=RECORD, metavar="FILE")
    parser.add_argument("--cells", action="store_true", help="map designs, too")
    parser.add_argument("--only", default="", metavar="TEXT", help="designs whose name has TEXT")
    options = parser.parse_args()
    chosen = [design for design in DESIGNS if options.only in design.name]
    path = options.write or options.compare
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known = {name: entry for name, entry in record.items() if options.only in name}
    if options.compare and not known:
        print(f"{path} has no such designs", file=sys.stderr)
        return 2
    writes = options.write is not None
    found = replay(chosen, known=known, mapped=options.cells, everything=writes)
    if writes:
        kept = {name: each for name, each in record.items() if name not in known}
        path.write_text(json.dumps(kept | found, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {len(found)} designs to {path}")
        return 0
    lines = differences(known, found)
    print("\n".join([*lines, f"{len(found)} designs, {len(lines)} differ"]))
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
