"""Components as plain Verilog."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from amaranth.lib import wiring

from .programs import find, run
from .rtlil import convert as to_rtlil
from .rtlil_names import single_underscores

__all__ = ["convert"]


def convert(component: wiring.Component, *, name: str, ignore: Sequence[str] = ()) -> str:
    """Return ``component`` as Verilog text, each distinct module once.

    Parameters
    ----------
    component : wiring.Component
        Its members become ports, ``a.b`` as ``a_b``.
    name : str
        The top module.
    ignore : sequence of str
        Output members that do not become ports; what drives only them at the top is left out.

    Raises
    ------
    ToolError
        Without Yosys.
    """
    removed = "; ".join(f"delete -port {name}/w:{member}" for member in ignore)
    script = f"read_rtlil in.il; hierarchy -top {name}; {removed}; opt_clean; proc; opt_clean"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "in.il").write_text(single_underscores(to_rtlil(component, name=name)))
        yosys = find("yosys")
        _ = yosys.version  # which says what was passed over
        run(yosys, ["-q", "-p", f"{script}; write_verilog -noattr out.v"], work)
        text = (work / "out.v").read_text()
    # escaped names with dots are legal, and a nuisance
    return re.sub(rf"\\({name}\.\S+) ", lambda match: match[1].replace(".", "_") + " ", text)
