"""Names in RTLIL that other tools misread, replaced by ones that they do not."""

import re
from collections.abc import Callable

from .rtlil_text import parse, render

__all__ = ["single_underscores", "unambiguous"]

_BRACKETS = [(r"\]?\[", "_"), (r"\]", "")]


def unambiguous(text: str) -> str:
    r"""Return RTLIL in which no wire is called like a bit of another: ``\w_3``, not ``\w[3]``.

    Amaranth names the elements of arrays so. Yosys hands names to ABC9 in which the wire ``\w[3]``
    and bit 3 of the wire ``\w`` are one, and takes both for the same signal: at best an assertion
    fails, at worst the netlist is wrong without a word (Yosys 0.60 to 0.70). Memories keep their
    names, which stand in parameters too.
    """
    return _renamed(text, lambda name: name.endswith("]"), _BRACKETS)


def single_underscores(text: str) -> str:
    """Return RTLIL without two underscores in a row in any name: Verilator would rename those.

    What is inside makes way for the ports of the top, which are called as one expects.
    """
    tops = _top_ports(text)
    wanted = {re.sub("_{2,}", "_", port) for port in tops} - tops
    text = _renamed(text, wanted.__contains__, [("$", "_inside")])
    return _renamed(text, lambda name: "__" in name, [(r"_{2,}", "_")])


def _top_ports(text: str) -> set[str]:
    """Return the ports of all modules that no other instantiates."""
    _, modules = parse(text)
    used = {line[1] for module in modules for line in module.cells()}
    return {
        line[-1]
        for module in modules
        if module.name not in used
        for line in module.lines
        if line[0] == "wire" and {"input", "output", "inout"} & set(line[1:-1])
    }


def _renamed(text: str, wrong: Callable[[str], bool], plain: list[tuple[str, str]]) -> str:
    """Return the text with other names for all that are wrong, but for memories.

    A name gets the same one in every module, so that ports stay what they are.
    """
    preamble, modules = parse(text)
    names = [_names(module.lines) for module in modules]
    memories = {line[-1] for module in modules for line in module.lines if line[0] == "memory"}
    better: dict[str, str] = {}
    for name in sorted(filter(wrong, set().union(*names) - memories)):
        found = name
        for pattern, replacement in plain:
            found = re.sub(pattern, replacement, found)
        here = [each for each in names if name in each]
        number, first = 2, found
        while any(found in each for each in here):
            found, number = f"{first}_{number}", number + 1
        better[name] = found
        for each in here:
            each.add(found)
    if not better:
        return text
    for module in modules:
        module.lines[1:] = [[better.get(word, word) for word in line] for line in module.lines[1:]]
    return render(preamble, modules)


def _names(lines: list[list[str]]) -> set[str]:
    """Return the names of a module's wires, memories and cells, and not those of cells' ports."""
    found: set[str] = set()
    in_cell = False
    for line in lines[1:]:
        if line[0] == "cell":
            in_cell = True
        elif line[0] == "end":
            in_cell = False
        fixed = {"cell": 2, "connect": 2 if in_cell else 1}.get(line[0], 1)
        if line[0] not in ("attribute", "parameter"):
            found.update(word for word in line[fixed:] if word[0] in "\\$")
    return found
