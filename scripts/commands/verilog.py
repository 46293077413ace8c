"""``narrowgauge verilog``: the accelerator for other people's designs."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..terminal import options
from ..terminal.progress import Reporter

if TYPE_CHECKING:
    from amaranth.lib.data import StructLayout

__all__ = ["VerilogOptions", "command"]


@dataclass(frozen=True, kw_only=True)
class VerilogOptions(options.AcceleratorOptions):
    """Options of the command."""

    network: Path
    name: str
    trace: bool
    output: Path


@click.command(
    "verilog",
    epilog="""\b
Examples:
  narrowgauge verilog digits.safetensors -o digits.v
  narrowgauge verilog digits.safetensors --rows 4 --columns 4 --name classifier -o classifier.v""",
)
@options.network_file
@options.geometry
@options.target
@click.option("--name", default="narrowgauge", show_default=True, help="Name of the top module.")
@click.option("--trace", is_flag=True, help="Add a trace port.")
@options.output_file("Verilog file to write.")
@options.gathered(VerilogOptions)
def command(given: VerilogOptions) -> int:
    """Write a network's accelerator, its weights included, as one Verilog file.

    The network is a network file, or one of the zoo by its name.

    Ports: clk, rst; i_payload, i_valid, i_ready take elements, o_payload, o_valid, o_ready give
    levels and class, an element moving where valid and ready are both high. What the fields of
    the payloads mean is printed. Equal modules are written once.
    """
    from ...hw.accelerator.traced import Traced
    from ...hw.errors import NarrowgaugeError
    from ...hw.files import write_atomically
    from ...hw.tools.verilog import convert
    from ..runs.loading import load_network

    name, output = given.name, given.output
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise NarrowgaugeError(f"--name is a Verilog name such as classifier, not {name!r}")
    program = given.program(load_network(given.network, given.geometry.lanes))
    accelerator = given.accelerator(program)
    with Reporter() as reporter, reporter.step("write Verilog"):
        text = convert(Traced(accelerator) if given.trace else accelerator, name=name)
    write_atomically(output, text)
    payload, result = accelerator.i.payload.shape(), accelerator.o.payload.shape()
    print(f"{output}: module {name}, {len(text.splitlines())} lines")
    for port, layout, meanings in (("i", payload, _INPUT), ("o", result, _OUTPUT)):
        print(f"{port}_payload: {_fields(layout)}")
        for field, meaning in meanings.items():
            if getattr(layout[field], "width", 0):
                print(f"  {field}: {meaning}")
    if program.batch > 1:
        print(
            f"{program.batch} images are computed together; one whose last element has `last` does "
            "not wait for others, and has the array for itself"
        )
    if accelerator.loads_weights:
        print("weights_payload: a word of weights; all of them, after every reset, before images")
    return 0


_INPUT = {
    "code": "the next element of an image, row by row, channels last, in the code of its format",
    "last": "1 with the last element of the last image, before the stream pauses: it closes the "
    "batch. Not at the end of every image, which costs as many cycles as a whole batch each time",
}
_OUTPUT = {
    "level": "the next level of the output, in the code of its format",
    "label": "the class, with the last level of an output: the first of the highest levels",
    "last": "1 with the last level of every image, or of each of its outputs",
}


def _fields(layout: "StructLayout") -> str:
    """Describe where the fields of a payload lie."""
    parts = []
    for name, field in layout:
        if not field.width:
            continue
        high = field.offset + field.width - 1
        parts.append(f"{name} [{high}:{field.offset}]")
    return ", ".join(parts)
