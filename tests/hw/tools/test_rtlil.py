import re

import pytest
from amaranth.lib.wiring import In, Out

from narrowgauge.hw.array.systolic import SystolicArray
from narrowgauge.hw.errors import ToolError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.numbers.operands import Operands
from narrowgauge.hw.tools import programs as tools
from narrowgauge.hw.tools.rtlil import convert, forget_contents, keep_shared, share_modules

from ..fabrics import FABRICS
from ..synth.designs import Array, Several, Table

EQUIVALENCE = """
read_rtlil gold.il
proc; memory; flatten; opt_clean -purge; rename -top gold; design -stash gold
read_rtlil gate.il
proc; memory; flatten; opt_clean -purge; rename -top gate; design -stash gate
design -copy-from gold -as gold gold
design -copy-from gate -as gate gate
equiv_make gold gate equiv
hierarchy -top equiv
equiv_simple -undef
equiv_induct -undef
equiv_status -assert
"""


def modules(text):
    return re.findall(r"^module (\S+)$", text, re.MULTILINE)


def prove_equal(folder, gold, gate):
    (folder / "gold.il").write_text(gold)
    (folder / "gate.il").write_text(gate)
    (folder / "equal.ys").write_text(EQUIVALENCE)
    tools.run(tools.find("yosys"), ["-q", "-s", "equal.ys"], folder, timeout=120)


def test_equal_elements_become_one_module():
    assert len(modules(convert(Array(3, 3), share=False))) == 10
    assert modules(convert(Array(3, 3))) == [r"\top", r"\top.element_0_0"]


def test_a_constant_keeps_modules_apart():
    assert len(modules(convert(Array(3, 3, offsets={(1, 1): 3})))) == 3


def test_edges_share_with_the_middle_and_outputs_are_added_with_fresh_numbers():
    lines = convert(Array(2, 2)).splitlines()
    element = lines[lines.index(r"module \top.element_0_0") :]
    ports = [line for line in element if re.search(r" (input|output) \d+ ", line)]
    numbers = re.findall(r"put (\d+)", "\n".join(ports))
    assert len(set(numbers)) == len(numbers) == 9


@pytest.mark.parametrize(("last", "tables"), [(3, 1), (4, 2)])
def test_contents_of_memories_are_compared(last, tables):
    members = {"at": In(2), "write": In(16), "on": In(1), "o": Out(16).array(2)}
    design = Several(Table([0, 1, 2, 3]), Table([0, 1, 2, last]), **members)
    shared = [name for name in modules(convert(design)) if ".part" in name]
    assert len([name for name in shared if "memory" not in name]) == tables


def test_sharing_twice_changes_nothing():
    text = convert(Array(2, 3))
    assert share_modules(text) == text


def test_numbers_in_names_do_not_hide_a_difference():
    body = "module \\{name}\n wire width 4 input 1 \\a\n wire width 4 output 2 \\y$1\n{body}end\n"
    cells = "  cell \\leaf${kind} \\x\n    connect \\a \\a\n  end\n connect \\y$1 \\a\n"
    text = body.format(name="one", body=cells.format(kind=1))
    text += body.format(name="two", body=cells.format(kind=2))
    text += "attribute \\top 1\nmodule \\top\ncell \\one \\u\nend\ncell \\two \\v\nend\nend\n"
    assert share_modules(text) == text
    assert len(modules(share_modules(text.replace("leaf$2", "leaf$1")))) == 2


def test_a_port_number_equal_to_a_width_does_not_hide_a_width():
    body = "module \\{}\n wire width {} input 8 \\a\nend\n"
    text = body.format("one", 8) + body.format("two", 9)
    assert share_modules(text) == text
    assert len(modules(share_modules(body.format("one", 8) + body.format("two", 8)))) == 1


def test_ports_are_renamed_where_numbers_differ():
    body = "module \\{name}\nwire input 1 \\a\nwire output 2 \\y${n}\nconnect \\y${n} \\a\nend\n"
    top = "module \\top\nwire \\p\nwire \\q\ncell \\one \\u\nconnect \\y$3 \\p\nend\n"
    top += "cell \\two \\v\nconnect \\y$7 \\q\nend\nend\n"
    shared = share_modules(body.format(name="one", n=3) + body.format(name="two", n=7) + top)
    assert modules(shared) == [r"\one", r"\top"]
    assert r"connect \y$3 \q" in shared


def test_shared_design_is_equal_to_the_original(tmp_path):
    design = Array(2, 2, width=2, offsets={(1, 0): 1})
    prove_equal(tmp_path, convert(design, share=False), convert(design))


def test_planted_difference_is_found(tmp_path):
    design, other = (Array(2, 2, width=2, offsets={(1, 0): k}) for k in (1, 2))
    with pytest.raises(ToolError, match=r"(?i)unproven"):
        prove_equal(tmp_path, convert(design, share=False), convert(other))


def kept(text):
    return re.findall(r"attribute \\keep_hierarchy 1\nmodule (\S+)", keep_shared(text))


def test_a_large_module_with_many_copies_is_kept():
    assert kept(convert(Array(3, 2, width=8))) == [r"\top.element_0_0"]
    assert kept(convert(Array(2, 2, width=8))) == []
    assert kept(convert(Array(3, 2, width=1))) == []


def test_what_is_inside_of_a_kept_module_is_not_kept_even_if_another_has_it_too():
    wires = "wire width 64 \\a\n"
    cell = "cell \\{} \\u{}\nend\n"
    text = "module \\leaf\n" + wires + "end\n"
    for name, constant in (("inner", 0), ("edge", 1)):
        text += f"module \\{name}\n{wires}connect \\a 64'{constant}\n"
        text += cell.format("leaf", 0) + "end\n"
    text += "module \\top\n" + "".join(cell.format("inner", n) for n in range(5))
    text += cell.format("edge", 9) + "end\n"
    assert kept(text) == [r"\inner"]


MEMORY = """module \\top
  {attribute}
  memory width 4 size 2 \\mem
  cell $meminit_v2 $1
    parameter \\MEMID "\\\\mem"
    connect \\DATA 8'00000000
  end
  cell $memrd_v2 $2
    parameter \\MEMID "\\\\mem"
  end
end
"""


def test_memories_without_contents_lose_them():
    text = MEMORY.format(attribute='attribute \\ram_style "huge"')
    assert "meminit" not in forget_contents(text)
    assert "memrd" in forget_contents(text)
    assert forget_contents(text).count("end") == 2


@pytest.mark.parametrize("attribute", ['attribute \\ram_style "block"', "attribute \\keep 1"])
def test_other_memories_keep_theirs(attribute):
    text = MEMORY.format(attribute=attribute)
    assert forget_contents(text) == text


@pytest.mark.parametrize("text", ["", "hello", "module \\top\n  cell $and \\x\nend\n"])
def test_other_text_is_refused(text):
    with pytest.raises(ToolError, match="not RTLIL text"):
        share_modules(text)


@pytest.mark.parametrize("fabric", ["any fabric", "ice40", "ecp5", "xc7"])
def test_the_elements_of_an_array_are_one_module(fabric):
    """Also those with parts that are mapped alone, through which numbered signals pass."""
    operands = Operands(parse("bipolar"), parse("bipolar"))
    array = SystolicArray(Geometry(2, 2, 16), operands, Accumulator(16), fabric=FABRICS[fabric])
    assert sum(name.endswith(".mac.dot") for name in modules(convert(array))) == 1
