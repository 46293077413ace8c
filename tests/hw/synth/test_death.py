"""A Yosys that dies in ABC9, or anywhere."""

import shlex
import sys
from pathlib import Path

import pytest

from narrowgauge.hw.errors import ToolFailure
from narrowgauge.hw.synth.death import Death
from narrowgauge.hw.synth.flow import synthesize
from narrowgauge.hw.synth.measure import measure
from narrowgauge.hw.synth.shell import Shell
from narrowgauge.hw.synth.targets import target
from narrowgauge.hw.tools import programs as tools
from narrowgauge.hw.tools.rtlil import convert
from narrowgauge.hw.tools.store import Store

from .designs import AlikeSums

LOG = """
2.1. Executing TECHMAP pass (map to technology primitives).
2.46.7. Executing ABC9_EXE pass (technology mapping using ABC9).
Extracted 9 AND gates and 0 wires from module `top.pe_0_0' to a netlist network.
"""
DYING = """
import pathlib, subprocess, sys
script = pathlib.Path("map.ys")
if script.exists() and ({always} or "map_luts" not in script.read_text()):
    pathlib.Path("yosys.log").write_text({log!r})
    raise SystemExit(1)
raise SystemExit(subprocess.run([*{command}, *sys.argv[1:]]).returncode)
"""


@pytest.fixture
def dying(tmp_path, monkeypatch):
    """Let Yosys die in ABC9, once or always."""
    command = tools.find("yosys").command
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(tmp_path / "cache"))

    def plant(always):
        path = tmp_path / "yosys.py"
        path.write_text(DYING.format(always=always, log=LOG, command=command))
        monkeypatch.setenv("YOSYS", shlex.join([sys.executable, str(path)]))

    return plant


@pytest.mark.parametrize("name", ["up5k", "ecp5-25k", "gw1n-9", "xc7"])
def test_what_abc9_dies_of_is_mapped_with_abc(dying, tmp_path, name):
    dying(always=False)
    found = measure(Shell(AlikeSums(3)), name, seeds=[], store=Store(tmp_path / "results.sqlite"))
    assert found.remark == (
        "mapped with ABC, because ABC9 failed: yosys failed: exit status 1, without a word, in "
        "pass ABC9_EXE on module top.pe_0_0"
    )
    assert found.row()["remark"] == found.remark
    assert found.ff


def test_what_cannot_be_mapped_at_all_is_kept(dying, tmp_path):
    dying(always=True)
    with pytest.raises(ToolFailure, match=r"pass ABC9_EXE on module top\.pe_0_0; script") as raised:
        synthesize(convert(Shell(AlikeSums(3))), target("up5k"))
    kept = Path(str(raised.value).rpartition(" ")[2])
    assert kept.is_relative_to(tmp_path)
    assert {path.name for path in kept.iterdir()} == {"design.il", "map.ys", "yosys.log"}
    assert "abc -dress" in (kept / "map.ys").read_text()


def test_a_log_tells_more_than_the_tool(tmp_path):
    log = tmp_path / "yosys.log"
    log.write_text(LOG + "2.47. Executing OPT_CLEAN pass (remove unused cells).\nERROR: Assert!\n")
    death = Death.read(log, "yosys failed: exit status 1, without a word")
    assert str(death) == "yosys failed: ERROR: Assert!, in pass OPT_CLEAN"
    assert not death.of_abc9  # another way of mapping LUTs would not help
    assert str(Death.read(tmp_path / "none", "it was ended")) == "it was ended"
