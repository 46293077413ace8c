"""RTLIL text: from an Amaranth design, and with every distinct module written once.

Amaranth writes one module per *instance*, and Yosys maps each of them. `share_modules` finds the
modules that are the same circuit and keeps one, so a 64-element array costs one synthesis of its
element instead of 64.
"""

import gc
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue] (not in the stubs)

from ..gates.attributes import MAP_ALONE
from .rtlil_names import unambiguous
from .rtlil_text import Module, parse, render

__all__ = [
    "convert",
    "forget_contents",
    "free_collisions",
    "keep_shared",
    "share_modules",
    "uncollected",
]

_NUMBERS = re.compile(r"(\$\d+)+$")
_WORTHWHILE = 64  # bits of wires: a smaller module gains more from its surroundings than it costs
_FEW = 4  # copies: elements at edges and corners differ, and what they share is not cut out of them
_DIRECTIONS = ("input", "output", "inout")
# These attributes say where a line came from; all others (init, keep, ram_style) are behaviour.
_PROVENANCE = (r"\src", r"\generator", r"\hdlname")


def convert(component: Any, *, name: str = "top", share: bool = True, platform: Any = None) -> str:
    """Return the RTLIL text of ``component`` without source locations, `unambiguous`.

    Parameters
    ----------
    component : amaranth.hdl.Elaboratable
        A `wiring.Component` (its members become ports), or a top level without ports.
    name : str
        The top module.
    share : bool
        Write each distinct module once (`share_modules`).
    platform : object, optional
        What components are elaborated with; with any, vendors' blocks
        (`mac.dsp_cells`) are their cells.
    """
    with uncollected():
        text = rtlil.convert(component, name=name, platform=platform, emit_src=False)
    return unambiguous(share_modules(text) if share else text)


@contextmanager
def uncollected() -> Iterator[None]:
    """Make many small objects without looking for those that are gone: half of the time, else."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def share_modules(text: str) -> str:
    r"""Keep the first of all modules that are the same circuit, and let every cell use it.

    Two modules are the same when their bodies are, after: leaving out names of modules, source
    attributes, the order of ports and whether a wire is also an output; renumbering Amaranth's
    ``$N`` names in order of appearance; and sharing what they instantiate, from the leaves up.
    A constant, a parameter, a memory's contents or an initial value that differs keeps two
    modules apart. The module that stays has every output that any of them has; a cell that does
    not connect one leaves it open, and what drives only that is swept after flattening.

    Parameters
    ----------
    text : str
        RTLIL as Amaranth or Yosys (``write_rtlil``) writes it.

    Returns
    -------
    str
        RTLIL of the same circuit; the text itself where nothing is shared.

    Raises
    ------
    ToolError
        For text that is not RTLIL.
    """
    preamble, modules = parse(text)
    by_name = {module.name: module for module in modules}
    keeper: dict[str, Module] = {}  # canonical body -> the module that stays
    renamed: dict[str, tuple[str, dict[str, str]]] = {}  # module -> its keeper, port -> port
    names: dict[str, dict[str, str]] = {}  # module -> actual name -> canonical name
    for module in _leaves_first(modules, by_name):
        _rewrite_cells(module, renamed)
        body, names[module.name] = _canonical(module)
        first = keeper.setdefault(body, module)
        if first is not module:
            actual = {short: long for long, short in names[first.name].items()}
            ports = {long: actual[short] for long, short in names[module.name].items()}
            _add_outputs(first, {ports[name] for name in module.outputs()})
            renamed[module.name] = first.name, ports
    if not renamed:
        return text
    return render(preamble, [module for module in modules if module.name not in renamed])


def keep_shared(text: str) -> str:
    r"""Mark modules that are worth mapping once with ``\keep_hierarchy``, and return the text.

    Marked is a module that would otherwise be mapped more than four times, and that has at least
    64 bits of wires with all that it contains. Yosys maps it once, with what is inside of it
    flattened into it, and optimises everything else across modules. Marked too is a module with a
    wire that has the attribute `MAP_ALONE`.
    """
    preamble, modules = parse(text)
    by_name = {module.name: module for module in modules}
    order = _leaves_first(modules, by_name)
    children = {
        module.name: Counter(line[1] for line in module.cells() if line[1] in by_name)
        for module in modules
    }
    size: dict[str, int] = {}  # bits of wires, with all that is inside
    for module in order:
        inside = (size[child] * times for child, times in children[module.name].items())
        size[module.name] = module.wire_bits() + sum(inside)
    copies = Counter(set(by_name).difference(*children.values()))  # the tops, once each
    for module in reversed(order):
        number = copies[module.name]
        if _maps_alone(module) or (number > _FEW and size[module.name] >= _WORTHWHILE):
            module.attributes.append(["attribute", r"\keep_hierarchy", "1"])
            number = 1
        for child, times in children[module.name].items():
            copies[child] += number * times
    return render(preamble, modules)


def _maps_alone(module: Module) -> bool:
    return any(line[:2] == ["attribute", "\\" + MAP_ALONE] for line in module.lines)


def free_collisions(text: str) -> str:
    r"""Free the result of reads that meet a write, in memories with the attribute ``no_rw_check``.

    Amaranth promises the old word where a read and a write meet at one address. Block RAM with two
    ports does not, and Yosys adds registers and comparators that make up for it. A memory whose
    user never looks at such a word says so with ``\no_rw_check``.
    """
    lines = text.splitlines(keepends=True)
    free: set[str] = set()  # memories of the current module that carry the attribute
    marked = chosen = False
    for index, line in enumerate(lines):
        words = line.split()
        if not words:
            continue
        if words[0] == "module":
            free.clear()
        elif words[0] == "attribute":
            marked = marked or words[1] == r"\no_rw_check"
            continue
        elif words[0] == "memory" and marked:
            free.add(words[-1])
        elif words[0] == "cell":
            chosen = False
        elif words[:2] == ["parameter", r"\MEMID"]:
            chosen = words[2].strip('"').replace(r"\\", "\\") in free
        elif words[:2] == ["parameter", r"\COLLISION_X_MASK"] and chosen:
            lines[index] = line.replace("0", "1") if words[2] == "1'0" else line
        marked = False
    return "".join(lines)


def forget_contents(text: str) -> str:
    r"""Take the contents from memories with the attribute ``\ram_style "huge"``: RAM without them.

    Amaranth gives every memory contents, zeros where nothing else was said, and synthesis would
    look for a RAM that can begin with them.
    """
    lines = text.splitlines(keepends=True)
    huge: set[str] = set()  # memories of the current module that carry the attribute
    marked, start, forget = False, 0, False
    kept: list[str] = []
    for line in lines:
        words = line.split()
        if words[:1] == ["module"]:
            huge.clear()
        elif words[:1] == ["memory"] and marked:
            huge.add(words[-1])
        elif words[:2] == ["cell", "$meminit_v2"]:
            start, forget = len(kept), False
        elif words[:2] == ["parameter", r"\MEMID"]:
            forget = words[2].strip('"').replace(r"\\", "\\") in huge
        kept.append(line)
        if words[:1] == ["attribute"]:
            marked = marked or words[1:] == [r"\ram_style", '"huge"']
        elif words:
            marked = False
        if words == ["end"] and start:
            kept = kept[:start] if forget else kept
            start = 0
    return "".join(kept)


# --- comparing ---------------------------------------------------------------------------------


def _leaves_first(modules: list[Module], by_name: dict[str, Module]) -> list[Module]:
    """Order modules so that each comes after all that it instantiates."""
    order: dict[str, Module] = {}

    def visit(module: Module) -> None:
        if module.name in order:
            return
        for line in module.cells():
            if line[1] in by_name and line[1] != module.name:
                visit(by_name[line[1]])
        order[module.name] = module

    for module in modules:
        visit(module)
    return list(order.values())


def _rewrite_cells(module: Module, renamed: dict[str, tuple[str, dict[str, str]]]) -> None:
    """Point cells of modules that went away to the ones that stay, in place."""
    ports: dict[str, str] | None = None
    for line in module.lines:
        if line[0] == "cell":
            target = renamed.get(line[1])
            ports = None
            if target is not None:
                line[1], ports = target
        elif line[0] == "end":
            ports = None
        elif ports is not None and line[0] == "connect":
            line[1] = ports.get(line[1], line[1])


def _canonical(module: Module) -> tuple[str, dict[str, str]]:
    """Return a text that equals another module's where the circuits do, and its renaming."""
    names: dict[str, str] = {}
    wires, body, attributes = [], [], []
    for line in module.lines[1:-1]:
        if line[0] == "attribute":
            if line[1] not in _PROVENANCE:
                attributes.append(line)
        elif line[0] == "wire":
            wires.append((attributes, line))
            attributes = []
        else:
            body += attributes + [line]
            attributes = []
    # Numbers are given in the order of the statements, which follows the circuit; the order of
    # wires follows the place where a module is used.
    text = list(_shorten_body(names, body))
    declared = [_declare(names, attributes, line) for attributes, line in wires]
    kept = [" ".join(line) for line in module.attributes if line[1] not in _PROVENANCE]
    return "\n".join(kept + sorted(declared) + text), names


def _shorten_body(names: dict[str, str], body: list[list[str]]) -> Iterator[str]:
    """Yield statements with renumbered names; what belongs to another module stays as it is."""
    in_cell = False
    for line in body:
        fixed = 0
        if line[0] == "cell":
            in_cell, fixed = True, 2  # the type
        elif line[0] == "end":
            in_cell = False
        elif line[0] == "connect" and in_cell:
            fixed = 2  # the port
        elif line[0] in ("attribute", "parameter", "memory"):
            fixed = len(line)  # memories are also named in string parameters
        yield " ".join(line[:fixed] + [_shorten(names, token) for token in line[fixed:]])


def _declare(names: dict[str, str], attributes: list[list[str]], line: list[str]) -> str:
    """Return a wire's declaration without its port number, and without being an output."""
    options = line[1:-1]
    for direction in _DIRECTIONS:
        if direction in options:
            at = options.index(direction)
            options[at : at + 2] = [] if direction == "output" else [direction]
    shown = [" ".join(attribute) for attribute in attributes]
    return " ".join(["wire", *options, _shorten(names, line[-1]), *sorted(shown)])


def _shorten(names: dict[str, str], token: str) -> str:
    r"""Return ``token`` with Amaranth's numbers replaced by the order of its first appearance.

    A signal that only passes through a module has two: ``\port$448$0``.
    """
    if token[0] not in "\\$":
        return token
    if token not in names:
        base = _NUMBERS.sub("", token)
        names[token] = f"{base}${len(names)}" if base != token else token
    return names[token]


def _add_outputs(module: Module, outputs: set[str]) -> None:
    """Make wires of ``module`` output ports, in place."""
    wires = [line for line in module.lines if line[0] == "wire"]
    used = [int(line[at]) for line in wires if (at := _port_number_at(line))]
    number = max(used, default=0) + 1
    for line in wires:
        if line[-1] in outputs and not _port_number_at(line):
            line[-1:-1] = ["output", str(number)]
            number += 1


def _port_number_at(line: list[str]) -> int:
    """Return the position of a wire's port number, 0 where it is no port."""
    return next((line.index(word) + 1 for word in _DIRECTIONS if word in line[:-1]), 0)
