"""RTLIL as text: modules, and their lines as tokens."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..errors import ToolError

__all__ = ["Module", "parse", "render"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\\$]\S+|[^\s"]+')


@dataclass
class Module:
    """One module: its lines as tokens, and the names of its ports."""

    name: str
    lines: list[list[str]]
    attributes: list[list[str]] = field(default_factory=list)

    def cells(self) -> Iterator[list[str]]:
        """Yield the lines that begin a cell."""
        return (line for line in self.lines if line[0] == "cell")

    def wire_bits(self) -> int:
        """Return the width of all wires together: a rough size."""
        wires = (line for line in self.lines if line[0] == "wire")
        return sum(
            int(line[line.index("width") + 1]) if "width" in line[:-1] else 1 for line in wires
        )

    def outputs(self) -> set[str]:
        """Return the names of the output ports."""
        return {line[-1] for line in self.lines if line[0] == "wire" and "output" in line[:-1]}


def parse(text: str) -> tuple[list[list[str]], list[Module]]:
    """Split into the lines outside of modules, and modules with the attributes before them.

    Raises
    ------
    ToolError
        For text that is not RTLIL, or ends inside a module.
    """
    preamble: list[list[str]] = []
    attributes: list[list[str]] = []
    modules: list[Module] = []
    depth = 0
    for raw in text.splitlines():
        tokens = _TOKEN.findall(raw)
        if not tokens or tokens[0].startswith("#"):
            continue
        if depth:
            modules[-1].lines.append(tokens)
            depth += {"cell": 1, "process": 1, "switch": 1, "end": -1}.get(tokens[0], 0)
        elif tokens[0] == "module" and len(tokens) == 2:
            modules.append(Module(tokens[1], [tokens], attributes))
            attributes, depth = [], 1
        elif tokens[0] == "attribute":
            attributes.append(tokens)
        elif tokens[0] == "autoidx":
            preamble.append(tokens)
        else:
            raise ToolError(f"not RTLIL text: a module was expected, not {raw.strip()[:60]!r}")
    if depth or not modules:
        raise ToolError("not RTLIL text: " + ("it ends inside a module" if depth else "no module"))
    return preamble, modules


def render(preamble: list[list[str]], modules: Iterable[Module]) -> str:
    """Return the text of what `parse` returned."""
    lines = list(preamble)
    for module in modules:
        lines += module.attributes + module.lines
    return "\n".join(" ".join(tokens) for tokens in lines) + "\n"
