"""What `synthesize --estimate` is fitted to, and how far off it is; run by hand.

``studies estimator [--measure 150] [--targets up5k,xc7] [--store FILE] [--recount]`` fits weights
of gates to accelerators that were mapped and packed, prints the errors of estimates by fits that
had not seen the design, and writes the weights to ``hw/synth/estimate.json``. With ``--measure``
the first random accelerators (`estimator_designs`) are mapped before, as far as they are not there.
The rows of ``studies mapped``, elements of ``macs.json`` and routed accelerators of other studies
join them, with ``--store`` those of a store as well. Rows are kept in
``docs/results/estimator.json`` with their gates, each as soon as it is there; ``--recount`` counts
the gates of all again.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeAlias

import numpy as np

from ...hw.accelerator.top import Accelerator
from ...hw.errors import GeometryError, NarrowgaugeError
from ...hw.files import write_atomically
from ...hw.geometry import Geometry
from ...hw.program.layout import Program
from ...hw.synth.build import accelerator_for, infers_blocks
from ...hw.synth.counting import count_accelerator, count_element
from ...hw.synth.estimate import PATH, ClockModel, FamilyModel
from ...hw.synth.flow import pack, synthesize
from ...hw.synth.gates import Counts
from ...hw.synth.report import RESOURCES, parse
from ...hw.synth.shell import Shell
from ...hw.synth.targets import Target, target
from ...hw.tools.rtlil import convert, forget_contents, free_collisions
from ...hw.tools.store import Store
from ..rows.row import geometry_columns
from ..sweeps.macs import Mac
from .engine_speeds import default_network
from .estimator_designs import SampledDesign, design, designs
from .estimator_fit import clock_model, family_model, held_out
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["ELEMENT", "FAMILIES", "OUTPUT", "kept", "main"]

OUTPUT = output("estimator")
NAMES = "design", "target"
TARGETS = {"ecp5-25k": 1, "up5k": 1, "gw1n-9": 3, "xc7": 3}
"""Devices, and every how many designs are mapped for each."""
FAMILIES = ("ice40", "ecp5", "gowin", "xc7")
ELEMENT, ROUTED_KIND = "element", "routed"
TARGETS_ROUTED = ("up5k", "hx8k", "ecp5-25k", "ecp5-45k", "ecp5-85k", "gw1n-9")
LEAST = 20  # accelerators of a family, to fit its weights to
ROUTED = "results", "peaks", "tflite_models", "studies/tostado2019"
MEASURED = tuple(name for name in RESOURCES if name != "io")


def kept() -> list[Row]:
    """Return the rows that are kept."""
    return RowFile(OUTPUT, NAMES, beside={}).rows()


def main(arguments: Sequence[str]) -> int:
    """Measure what is asked for, fit, and print the errors; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("--measure", type=int, default=0, help="random accelerators")
    options.add_argument("--targets", default=",".join(TARGETS))
    options.add_argument("--store", type=Path, help="whose routed accelerators are kept")
    options.add_argument("--recount", action="store_true")
    given = options.parse_args(arguments)
    tools = "yosys", "nextpnr-ice40", "amaranth", "narrowgauge"
    record = RowFile(given.output, NAMES, beside=provenance(command("estimator"), *tools))
    known = set(map(_key, record.rows()))
    for made, on in _sampled(given.measure, given.targets.split(",")):
        if (made.text, on.name) not in known:
            row = _measured(made, on)
            record.keep([row])
            print(on.name, made.text, row.get("lut", row.get("failure")), flush=True)
    if given.store:
        record.keep(list(_routed_rows(Store(given.store))))
    _count(record, again=given.recount)
    _fit(record)
    return 0


def _sampled(number: int, names: Sequence[str]) -> Iterator[tuple[SampledDesign, Target]]:
    for index, made in enumerate(designs(number)):
        for name in names:
            if index % TARGETS[name] == 0:
                # a third of the designs for iCE40 are for a device without DSP blocks
                without = name == "up5k" and made.without_blocks
                yield made, target("hx8k" if without else name)


def _accelerator(made: SampledDesign, on: Target) -> tuple[Accelerator, str]:
    """Return the accelerator and its multiplier: blocks only where there are some."""
    try:
        return accelerator_for(made.program, on, multiplier=made.multiplier), made.multiplier
    except GeometryError:
        return accelerator_for(made.program, on), "logic"


def _measured(made: SampledDesign, on: Target) -> Row:
    """Map and pack a design; resources beyond those of the device are counted as well."""
    accelerator, multiplier = _accelerator(made, on)
    shell = Shell(accelerator)
    text = forget_contents(free_collisions(convert(shell, platform=on)))
    row: Row = {"design": made.text, "number": made.number, "target": on.name}
    row |= {"kind": made.kind, "formats": " ".join(made.formats), "multiplier": multiplier}
    row |= geometry_columns(made.geometry) | made.options
    began = time.perf_counter()
    try:
        netlist = synthesize(text, on, dsp=infers_blocks(accelerator))
        packed = pack(netlist, on) if on.family.router else None
        found = parse(packed, netlist.cells, on.family)
    except NarrowgaugeError as error:
        return row | {"failure": str(error)}
    lone = shell.ff - shell.lut if on.family.lone_ff_takes_lut else 0
    own = {"lut": shell.lut + lone, "lut4": shell.lut, "ff": shell.ff}
    figures = {name: getattr(found, name) for name in MEASURED}
    row |= {n: value - own.get(n, 0) for n, value in figures.items() if value is not None}
    row |= {"remark": netlist.remark} if netlist.remark else {}
    return row | {"seconds": round(time.perf_counter() - began, 1)}


# --- gates ---------------------------------------------------------------------------------------


def _count(record: RowFile, *, again: bool) -> None:
    """Count the gates of rows that have none, or of all; those of other studies join them."""
    counted = {_key(row) for row in record.rows() if "counts" in row}
    wanted = (*_sampled_rows(record), *_mapped_rows(), *_element_rows())
    for row, make in wanted:
        if again or _key(row) not in counted:
            record.keep([row | {"counts": {name: n for name, n in make().items() if n}}])


def _key(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in NAMES)


Uncounted: TypeAlias = Iterator[tuple[Row, Callable[[], Counts]]]


def _sampled_rows(record: RowFile) -> Uncounted:
    for row in record.rows():
        if "number" in row and "lut" in row:
            program, on = design(row["number"]).program, target(row["target"])
            yield row, partial(_accelerator_counts, program, on, row["multiplier"])


def _mapped_rows() -> Uncounted:
    for row in _read("mapped"):
        if "lut" in row:
            geometry = Geometry(row["rows"], row["columns"], row["lanes"], chains=row["chains"])
            program = Program(default_network(row["weight"]), geometry)
            about = {"design": f"default {row['weight']} {geometry}, {geometry.chains} chains"}
            about |= {"target": row["target"], "kind": "mlp", "formats": row["weight"]}
            about |= {"multiplier": "logic", **geometry_columns(geometry)}
            found = {name: row[name] for name in MEASURED if name in row}
            on = target(row["target"])
            yield about | found, partial(_accelerator_counts, program, on, "logic")


def _accelerator_counts(program: Program, on: Target, multiplier: str) -> Counts:
    return count_accelerator(accelerator_for(program, on, multiplier=multiplier), on)


def _element_rows() -> Uncounted:
    for row in _read("macs"):
        is_float = "overflow" not in row
        same = row["target"] == "hx8k"  # of the cells of up5k
        if "lut" in row and not (is_float or same) and row["multiplier"] == "logic":
            names = "weight", "activation", "overflow", "lanes", "multiplier", "target"
            values = {name: row[name] for name in names}
            mac = Mac(**values, accumulator=row["accumulator_bits"], seeds=0)
            about = {"design": f"{mac.text}, alone", "target": row["target"], "kind": ELEMENT}
            found = {name: row[name] for name in MEASURED if name in row}
            yield about | found, partial(_element_counts, mac)


def _element_counts(mac: Mac) -> Counts:
    """Count a multiply-accumulate in a shell, without what the shell takes."""
    shell = mac.shell()
    found = count_element(shell, mac.device)
    found.subtract({"element lut": shell.lut, "element ff": shell.ff, "element ff_lone": shell.ff})
    return found


def _read(name: str) -> list[Row]:
    return json.loads(output(name).read_text(encoding="utf-8"))


# --- the fit -------------------------------------------------------------------------------------


def _fit(record: RowFile) -> None:
    """Fit every family that has rows, print its errors, and write the weights."""
    every = record.rows()
    rows = [row for row in every if "counts" in row and "remark" not in row]
    routed = [row for row in every if row["kind"] == ROUTED_KIND]
    models: dict[str, FamilyModel] = {}
    fits: list[tuple[str, list[Row], list[Row]]] = []
    for family in FAMILIES:
        own = [row for row in rows if target(row["target"]).family.name == family]
        elements = [row for row in own if row["kind"] == ELEMENT]
        accelerators = [row for row in own if row["kind"] != ELEMENT]
        if len(accelerators) >= LEAST:
            fits.append((family, accelerators, elements))
            models[family] = family_model(family, accelerators, elements, _clock(family, routed))
            print(_described(family, models[family]))
    luts = np.concatenate([held_out(*each).errors("lut") for each in fits])
    every_design = {
        "designs": len(luts),
        "median": round(float(np.median(np.abs(luts))), 4),
        "error": round(float(np.quantile(np.abs(luts), 0.95)), 4),
    }
    print(f"all: {every_design}")
    about = record.beside or {}
    content = json.dumps({**about, "all": every_design, "families": models}, indent=1)
    write_atomically(PATH, f"{content}\n".encode())


def _described(family: str, model: FamilyModel) -> str:
    clock = model["clock"]
    speed = f"; clock {100 * clock['error']:.0f} % ({clock['designs']} routed)" if clock else ""
    return (
        f"{family}: {model['designs']} designs, each by a fit without it: LUT "
        f"{100 * model['lut_median']:.1f} % median, {100 * model['lut_error']:.1f} % of 95 in 100; "
        f"registers {100 * model['ff_error']:.1f} %; block RAMs equal for "
        f"{100 * model['bram_equal']:.0f} %{speed}"
    )


def _clock(family: str, routed: Sequence[Row]) -> ClockModel | None:
    """Return the model of the clock: of accelerators in the store, and those of other studies."""
    found = list(routed)
    for name in ROUTED:
        content = _read(name)
        rows = content if isinstance(content, list) else content["rows"]
        found += [row for row in rows if row.get("fmax_mhz") and row.get("bram")]
    own = [row for row in found if target(row["target"]).family.name == family]
    # once each, in the store and in a study: the shell is left out in the latter only
    return clock_model(
        list({(row["bram"], round(row["fmax_mhz"], 3)): row for row in own}.values())
    )


def _routed_rows(store: Store) -> Iterator[Row]:
    """Yield the routed accelerators of a store: what has memories, and once for all placements."""
    clocks: dict[tuple[str, int, int], list[float]] = {}
    for key in store.keys("routed"):
        report = store.get(key)
        cells = report["utilization"]
        for on in map(target, TARGETS_ROUTED):
            lut = cells.get(on.family.packed["lut"])
            if lut and lut["available"] == on.budget["lut"] and report["fmax"]:
                used = on.family.count_packed({name: each["used"] for name, each in cells.items()})
                speed = min(each["achieved"] for each in report["fmax"].values())
                if used["bram"]:
                    clocks.setdefault((on.name, used["lut"], used["bram"]), []).append(speed)
    for (name, lut, bram), speeds in clocks.items():
        about: Row = {"design": f"routed, {lut} LUT, {bram} block RAMs", "target": name}
        found = {"lut": lut, "bram": bram, "fmax_mhz": round(median(speeds), 2)}
        yield about | {"kind": ROUTED_KIND} | found | {"placements": len(speeds)}
