"""The table of streams between components, in the docs, against the components themselves."""

import re
from pathlib import Path

from amaranth.lib import stream

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program

from ..networks import random_convnet

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"


def listed(page):
    """Streams of the table: who gives and who takes them, and what each calls them."""
    section = page.split("## Streams inside")[1].split("\n## ")[0]
    ends = set()
    for row in re.findall(r"^\| (`.+?) \| (.+?) \| (.+?) \| .+ \|$", section, re.MULTILINE):
        names, givers, takers = (re.findall(r"\w+", cell) for cell in row)
        ends |= {(giver, names[0], "Out") for giver in givers}
        ends |= {(taker, names[-1], "In") for taker in takers}
    return ends


def test_the_page_lists_the_streams_inside():
    spec = (Size(4, 4, 2), ("max", Window((2, 2), (2, 2))), ("dense", 4))
    network = random_convnet(1, ("int4", "uint3", "uint4"), spec, Accumulator(16))
    accelerator = Accelerator(Program(network, Geometry(2, 2, 4)))
    outer = {("Loader", "i", "In"), ("Emitter", "o", "Out")}
    ends = {
        (type(part).__name__, name, member.flow.name)
        for part in vars(accelerator).values() if hasattr(part, "elaborate")
        for name, member in part.signature.members.items()
        if member.is_signature and isinstance(member.signature, stream.Signature)
    }  # fmt: skip
    assert outer < ends
    assert listed(PAGE.read_text(encoding="utf-8")) == ends - outer
