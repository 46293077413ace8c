"""``narrowgauge doctor``: what is there, and how to get what is missing."""

import importlib.metadata
import json
import os
import platform
import subprocess
import warnings
from typing import Any

import click

from ...hw.errors import NarrowgaugeError, ToolWarning
from ..terminal.progress import Reporter, standard_output

__all__ = ["command"]

TOOLS = ("yosys", "nextpnr-ice40", "nextpnr-ecp5", "nextpnr-himbaechel-gowin")
OPTIONAL_TOOLS = ("nextpnr-himbaechel-gowin",)
LIBRARIES = ("amaranth", "torch", "numpy", "safetensors", "scikit-learn", "matplotlib")
EXTRAS = {
    **dict.fromkeys(("qonnx", "onnx", "onnxruntime"), "qonnx"),
    "brevitas": "brevitas",
    "tflite": "tflite",
}


@click.command(
    "doctor",
    epilog="""\b
Examples:
  narrowgauge doctor
  narrowgauge doctor --json""",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
def command(as_json: bool) -> int:
    """Show tools, libraries, versions, where results are kept, and how to get what is missing.

    Exits with 1 when something that `narrowgauge run` needs is missing.
    """
    found: dict[str, dict[str, Any]] = {
        "narrowgauge": {"version": importlib.metadata.version("narrowgauge")}
    }
    found["python"] = {"version": platform.python_version()}
    with Reporter() as reporter:
        for name in TOOLS:
            with reporter.step(f"start {name}"):  # the first call may compile it
                found[name] = _tool(name)
    found["C++ compiler"] = _compiler()
    for name in LIBRARIES:
        found[name] = _library(name)
    for name, extra in EXTRAS.items():
        found[name] = _library(name)
        if "missing" in found[name]:
            advice = f"pip install 'narrowgauge[{extra}]'"
            found[name] = {"missing": f"optional: {advice}", "optional": True}
    found["result store"] = _store()
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        _print(found)
    return int(any("missing" in item and not item.get("optional") for item in found.values()))


def _tool(name: str) -> dict[str, Any]:
    from ...hw.tools.programs import find
    from ...hw.tools.tested import compare, tested

    try:
        tool = find(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ToolWarning)  # they stand in the table
            version = tool.version
        found = {"version": version, "command": " ".join(tool.command)}
        known = tested(name)
        if known and compare(version, known.newest) > 0:
            found["remark"] = f"newer than {known.newest}, the newest that is tested"
        return found | ({"remark": tool.instead_of} if tool.instead_of else {})
    except NarrowgaugeError as error:
        missing = {"missing": str(error)}
        return missing | {"optional": True} if name in OPTIONAL_TOOLS else missing


def _compiler() -> dict[str, Any]:
    from ...hw.sim.compiler import find_compiler

    try:
        compiler = find_compiler()
        answer = subprocess.run([*compiler, "--version"], capture_output=True, text=True).stdout
        return {"version": answer.splitlines()[0], "command": " ".join(compiler)}
    except (NarrowgaugeError, OSError, IndexError) as error:
        return {
            "missing": f"{error}; until then simulations use Amaranth's engine, which is slow",
            "optional": True,
        }


def _library(name: str) -> dict[str, Any]:
    try:
        return {"version": importlib.metadata.version(name)}
    except importlib.metadata.PackageNotFoundError:
        return {"missing": f"{name} is not installed: run `pip install {name}`"}


def _store() -> dict[str, Any]:
    from ...hw.tools.store import Store

    store = Store()
    try:
        counts = store.count()
    except NarrowgaugeError as error:
        return {"missing": str(error)}
    results = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "empty"
    size = os.path.getsize(store.path) / 1e6 if store.path.exists() else 0.0
    return {"version": results, "command": f"{store.path} ({size:.1f} MB)"}


def _print(found: dict[str, dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for name, item in found.items():
        if "missing" in item:
            table.add_row(name, "[red]missing", escape(item["missing"]))
        else:
            version, command = escape(item["version"]), escape(item.get("command", ""))
            table.add_row(name, f"[green]{version}", command)
            if "remark" in item:
                table.add_row("", "", f"[yellow]{escape(item['remark'])}")
    standard_output().print(table)
