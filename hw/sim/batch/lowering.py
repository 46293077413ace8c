"""Lowers RTLIL to single gates, full adders, registers and memories: one Yosys script, kept."""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from ...errors import ToolError
from ...tools.programs import find, run

__all__ = ["FAMILIES", "FORMS", "cache_folder", "lower"]

_FOLDER = Path(__file__).parent
FORMS = {
    "rtlil": ("read_rtlil top.netlist",),
    # without Yosys's black boxes of the cells, which have no contents
    "json": ("read_json top.netlist", "delete =A:blackbox =A:whitebox"),
    "verilog": ("read_verilog top.netlist",),
}
"""How Yosys reads each form of a design."""
FAMILIES = ("ecp5", "gowin", "ice40")
"""Families whose cells have models: Yosys's own, and in ``cells`` what it has none of."""
# No ABC, and no clean-up of gates but equal registers: they are simplified as they are read
# (`gates.Gates`), which is quicker. `memory_collect` without `memory` adds no ROMs and merges no
# ports. What is read without a clock is small.
SCRIPT = """\
read_verilog -lib gates.v
hierarchy -check -top top
proc -norom
flatten -noscopeinfo
{undriven}
opt_expr
opt_clean
memory_dff
memory_collect
memory_map t:$mem_v2 r:RD_CLK_ENABLE=1'0 %i
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
# A reset is never given: without its port it is 0, as are signals of RTL that nothing drives. That
# comes before unused registers go, of which names with initial values stay. What nothing drives in
# a netlist of a family's cells stays so, and is refused where it is read.
_UNDRIVEN = """\
delete top/i:rst
setundef -undriven -zero
"""


def _script(form: str, family: str) -> str:
    models = (
        f"read_verilog -overwrite -defer +/{family}/cells_sim.v",
        f"read_verilog -overwrite -icells -defer common.v {family}.v",
    )
    script = SCRIPT.format(undriven=_UNDRIVEN if form == "rtlil" else "")
    return "\n".join([*FORMS[form], *(models if family else ()), script])


def cache_folder() -> Path:
    """Return the folder in the user's cache where simulators are kept."""
    return Path(os.environ.get("NARROWGAUGE_CACHE") or user_cache_dir("narrowgauge")) / "sim"


def lower(text: str, form: str = "rtlil", family: str = "") -> dict[str, Any]:
    """Return the module ``top`` of a design as gates, in Yosys's JSON; kept in the cache.

    Parameters
    ----------
    text : str
        The design.
    form : str
        One of `FORMS`.
    family : str
        Whose cells it has, one of `FAMILIES`; none where it is RTL.

    Raises
    ------
    ToolError
        Without Yosys, or where it fails; for another family.
    """
    if family and family not in FAMILIES:
        raise ToolError(f"netlists of {family} are not simulated; {', '.join(FAMILIES)} are")
    yosys, script = find("yosys"), _script(form, family)
    names = ["gates.v", "techmap.v", *(("common.v", f"{family}.v") if family else ())]
    files = {}
    for name in names:
        path = _FOLDER / "cells" / name
        files[name] = path.read_text(encoding="utf-8")
    recipe = [text, script, *files.values(), yosys.version]
    digest = hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:32]
    folder = cache_folder()
    kept = folder / f"{digest}.json"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            work = Path(name)
            for file, contents in {"top.netlist": text, "lower.ys": script, **files}.items():
                (work / file).write_text(contents, encoding="utf-8")
            run(yosys, ["-q", "-s", "lower.ys"], work)
            shutil.move(work / "top.json", kept)
    return json.loads(kept.read_text(encoding="utf-8"))["modules"]["top"]
