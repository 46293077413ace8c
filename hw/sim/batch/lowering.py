"""From RTLIL to single gates, full adders, registers and memories: one Yosys script, kept."""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from ...tools.programs import find, run

__all__ = ["cache_folder", "lower"]

BLACK_BOX = Path(__file__).with_name("adders.v")
TECHMAP = Path(__file__).with_name("techmap.v")
# No ABC, and no clean-up of gates but equal registers: they are simplified as they are read
# (`gates.Gates`), which is quicker. `memory_collect` without `memory` adds no ROMs and merges no
# ports. A reset is never given: without its port it is 0.
SCRIPT = """\
read_rtlil top.il
read_verilog -lib adders.v
hierarchy -top top
proc -norom
flatten -noscopeinfo
opt_expr
opt_clean
memory_collect
delete top/rst
setundef -undriven -zero
opt_expr
opt_merge
opt_clean
opt_muxtree
opt_dff -nosdff
opt_expr
opt_clean
alumacc
maccmap
techmap -map techmap.v
techmap
simplemap
dfflegalize -cell $_DFF_P_ 01 -cell $_DFFE_PP_ 01
opt_merge
write_json top.json
"""


def cache_folder() -> Path:
    """Return the folder in the user's cache where simulators are kept."""
    return Path(os.environ.get("NARROWGAUGE_CACHE") or user_cache_dir("narrowgauge")) / "sim"


def lower(text: str) -> dict[str, Any]:
    """Return the module ``top`` of RTLIL text as gates, in Yosys's JSON; kept in the cache.

    Raises
    ------
    ToolError
        Without Yosys, or where it fails.
    """
    yosys = find("yosys")
    files = {path.name: path.read_text(encoding="utf-8") for path in (BLACK_BOX, TECHMAP)}
    recipe = [text, SCRIPT, *files.values(), yosys.version]
    digest = hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:32]
    folder = cache_folder()
    kept = folder / f"{digest}.json"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            work = Path(name)
            for file, contents in {"top.il": text, "lower.ys": SCRIPT, **files}.items():
                (work / file).write_text(contents, encoding="utf-8")
            run(yosys, ["-q", "-s", "lower.ys"], work)
            shutil.move(work / "top.json", kept)
    return json.loads(kept.read_text(encoding="utf-8"))["modules"]["top"]
