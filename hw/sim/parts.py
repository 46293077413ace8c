"""CXXRTL's evaluation of a design, cut into parts that a compiler copes with.

CXXRTL writes one function for everything. Compilers take more than proportionally longer for longer
functions: three times as long for the 2,400 logic cells of a small accelerator, twice as long for
the RTL of 4x4 int8 elements with 8 lanes, whose simulation is a tenth slower in parts
(``python -m narrowgauge.scripts.studies compile_time``). Large arrays are not compiled at all
otherwise.
"""

import re
from collections.abc import Iterator

from ..errors import ToolError

__all__ = ["in_parts"]

_BEGIN = "bool p_top::eval(performer *performer) {\n"
_CLASS = "struct p_top : public module {\n"
_LOCAL = re.compile(r"\t(value<\d+>) (\w+)(;| = )")
_INDEX = re.compile(r"\tauto (\w+) = ")
_OWN = ("bool converged = true;", "return converged;")
_EDGE = "posedge_p_clk"
STATEMENTS = 200


def in_parts(design: str) -> str:
    """Return C++ of CXXRTL with an ``eval`` that calls a function for each 200 statements.

    Local variables become members. Every evaluation is one with a rising edge of ``clk``, as the
    harness has it, so nothing asks whether it is.

    Raises
    ------
    ToolError
        For a design that has to be evaluated more than once, or has registers with another clock.
    """
    before, found, rest = design.partition(_BEGIN)
    body, end, after = rest.partition("\n}\n")
    if not found or "bool converged = true;" not in body:
        raise ToolError("the design has a combinational loop, which cannot be simulated")
    if set(re.findall(r"\b((?:pos|neg)edge_\w+)", body)) - {_EDGE}:
        raise ToolError("the design has registers with another clock, which are not simulated")
    members, statements = [], []
    for statement in _statements(body):
        if match := _LOCAL.match(statement):
            members.append(f"\t{match[1]} {match[2]};")
            statement = "" if match[3] == ";" else "\t" + statement[match.start(2) :]
        statements.append(statement.replace(f"if ({_EDGE}) {{", "{"))
    parts = [
        "\n".join(statements[start : start + STATEMENTS])
        for start in range(0, len(statements), STATEMENTS)
    ]
    members += [f"\tvoid part_{index}();" for index in range(len(parts))]
    functions = [
        f"__attribute__((noinline)) void p_top::part_{index}() {{\n{part}\n}}"
        for index, part in enumerate(parts)
    ]
    calls = [f"\tpart_{index}();" for index in range(len(parts))]
    before = before.replace(_CLASS, "\n".join([_CLASS, *members, ""]), 1)
    text = "\n".join([*functions, _BEGIN, *calls, "\treturn true;"])
    return before + text + end + after


def _statements(body: str) -> Iterator[str]:
    """Yield the statements of a function's body, without comments.

    The index of a memory that is read without a clock stays together with what uses it.
    """
    lines: list[str] = []
    depth = 0
    index = ""
    for line in body.split("\n"):
        bare = line.strip()
        if not bare or bare.startswith("//") or bare in _OWN or bare.startswith(f"bool {_EDGE} "):
            continue
        if not depth and lines and not (index and index in line):
            yield "\n".join(lines)
            lines, index = [], ""
        lines.append(line)
        depth += line.count("{") - line.count("}")
        if match := _INDEX.match(line):
            index = match[1]
    if lines:
        yield "\n".join(lines)
