"""Designs that tests of energy place and route: once a run, and kept in the store."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from amaranth.lib import wiring

from narrowgauge.hw.synth import flow
from narrowgauge.hw.synth.targets import target
from narrowgauge.hw.tools.rtlil import convert

UP5K = target("up5k")


@cache
def placed(component: wiring.Component, *, dsp: bool = False) -> tuple[str, str]:
    """Return what nextpnr writes of a design: JSON, and SDF."""
    netlist = flow.synthesize(convert(component, platform=UP5K), UP5K, dsp=dsp)
    with TemporaryDirectory() as name:
        options = ["--seed", "1", "--timing-allow-fail", "--write", "w.json", "--sdf", "w.sdf"]
        flow.run_router(netlist, UP5K, options, Path(name), 120)
        return Path(name, "w.json").read_text(), Path(name, "w.sdf").read_text()


def as_json(text: str) -> dict:
    return json.loads(text)
