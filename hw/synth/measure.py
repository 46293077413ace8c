"""One design on one target, measured: resources, and speed over several seeds."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib.metadata import version
from statistics import median, median_low
from typing import Any

from amaranth.lib import wiring

from ..errors import FitError
from ..tools import programs as tools
from ..tools import rtlil
from ..tools.rtlil_names import unambiguous
from ..tools.store import Store
from .flow import (
    Netlist,
    Routed,
    pack,
    place_and_route,
    place_and_write,
    synthesis_scripts,
    synthesize,
)
from .jobs import ToolJob, run_jobs
from .report import RESOURCES, Report, check_budget, check_fit, parse
from .shell import Shell
from .targets import Target, target

__all__ = ["SEEDS", "Measurement", "map_design", "measure", "route_design", "tool_versions"]

SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Measurement:
    """Resources that a design takes of a target, and its speed there.

    Resources mean what `report.Report` says; what was not measured is None.

    Attributes
    ----------
    target : str
        The target's name.
    lut, lut4, ff, carry, bram, spram, dsp, io : int or None
        Resources, without those of the shell.
    fmax_mhz, fmax_mhz_min, fmax_mhz_max : float or None
        Highest clock frequency in MHz, of the slowest clock: median and range over the seeds.
    seeds : tuple of int
        The seeds that were routed.
    critical_path : str
        The slowest path of the seed nearest to the median.
    routed : bool
        Whether anything was placed and routed; if not, resources are those after packing, or
        after mapping where the target has no router.
    failed : mapping of int to str
        Seeds that found no placement or routing, and why.
    shell : mapping of str to int
        What was subtracted for the `Shell` around the design; empty where there is none.
        Up to two logic cells that drive constants, one pair a design, stay in ``lut``.
    tools : mapping of str to str
        Versions of everything that had a part in it.
    remark : str
        What was done in another way than for other designs, and why; empty where nothing was.
    """

    target: str
    lut: int | None = None
    lut4: int | None = None
    ff: int | None = None
    carry: int | None = None
    bram: int | None = None
    spram: int | None = None
    dsp: int | None = None
    io: int | None = None
    fmax_mhz: float | None = None
    fmax_mhz_min: float | None = None
    fmax_mhz_max: float | None = None
    seeds: tuple[int, ...] = ()
    critical_path: str = ""
    routed: bool = False
    failed: dict[int, str] = field(default_factory=dict, hash=False)
    shell: dict[str, int] = field(default_factory=dict, hash=False)
    tools: dict[str, str] = field(default_factory=dict, hash=False)
    remark: str = ""

    def row(self) -> dict[str, Any]:
        """Return a row of a results file: what was not measured is absent."""
        return {
            name: value for name, value in asdict(self).items() if value not in (None, {}, (), "")
        }


def measure(
    design: wiring.Component | str,
    on: Target | str,
    *,
    seeds: Sequence[int] = SEEDS,
    dsp: bool = False,
    options: Sequence[str] = (),
    frequency: float | None = None,
    timeout: float | None = None,
    store: Store | None = None,
    executor: Executor | None = None,
    shell: Shell | None = None,
) -> Measurement:
    """Map, pack, place and route a design, and return what it costs.

    Parameters
    ----------
    design : wiring.Component or str
        A component, whose ports become pins; or RTLIL. Inside a `Shell`, any component fits
        on any package, and what the shell costs is subtracted.
    on : Target or str
        A target or its name.
    seeds : sequence of int
        A routing for each; with none, the design is only mapped and packed, which is quick.
    dsp, options, frequency, timeout
        As `flow.synthesize` and `flow.place_and_route` take them. A seed that was not routed in
        time has failed, and stays so until another ``timeout`` is given.
    store : Store, optional
        Where results are looked up and kept, each as soon as it is there; `Store()` by default.
    executor : concurrent.futures.Executor, optional
        What runs the jobs; by default as many local processes as there are cores.
    shell : Shell, optional
        Where the design is the RTLIL of a shell: that shell, whose cost is subtracted.

    Raises
    ------
    FitError
        With numbers, where the design needs more than the target has; with the tool's reason,
        where no seed was routed.
    ToolError
        For an unknown target, and where a tool is missing or fails.
    """
    chosen = target(on) if isinstance(on, str) else on
    text = _prepared(design, chosen)
    shell = design if isinstance(design, Shell) else shell
    own = _shell_cost(shell, chosen) if shell else {}
    with _bench(chosen, store, executor) as bench:
        netlist = bench.map(text, dsp, tuple(options))
        if chosen.family.router is None:
            found = parse(None, netlist.cells, chosen.family)
            check_budget(found, chosen)
            return _summary(bench, netlist, found, {}, {}, own)
        packed = bench.pack(netlist)
        check_fit(packed, chosen)
        found = parse(packed, netlist.cells, chosen.family)
        check_budget(found, chosen)
        routed, failed = bench.route(netlist, seeds, frequency, timeout)
    if failed and not routed:
        raise FitError("; ".join(failed.values()))
    reports = {
        seed: parse(routed[seed], netlist.cells, chosen.family) for seed in seeds if seed in routed
    }
    return _summary(bench, netlist, found, reports, failed, own)


def map_design(
    design: wiring.Component | str,
    on: Target,
    *,
    dsp: bool = False,
    options: Sequence[str] = (),
    store: Store | None = None,
    executor: Executor | None = None,
) -> Netlist:
    """Return the netlist of which `measure` tells the cost; it is in the store once for both."""
    with _bench(on, store, executor) as bench:
        return bench.map(_prepared(design, on), dsp, tuple(options))


def route_design(
    netlist: Netlist,
    on: Target,
    *,
    seed: int = 1,
    frequency: float | None = None,
    store: Store | None = None,
    executor: Executor | None = None,
) -> Routed:
    """Return a netlist as `measure` places and routes it with a seed, with all wires and delays.

    Raises
    ------
    FitError
        With numbers, where it needs more than the target has; with the tool's reason, where it was
        not routed.
    ToolError
        Where a tool is missing or fails.
    """
    with _bench(on, store, executor) as bench:
        check_fit(bench.pack(netlist), on)
        return bench.write(netlist, seed, frequency)


def _prepared(design: wiring.Component | str, on: Target) -> str:
    text = design if isinstance(design, str) else rtlil.convert(design, platform=on)
    return rtlil.forget_contents(rtlil.free_collisions(unambiguous(text)))


@contextmanager
def _bench(on: Target, store: Store | None, executor: Executor | None) -> "Iterator[_Bench]":
    with ExitStack() as stack:
        if executor is None:
            # The jobs are processes (the tools); a thread for each is enough to drive them.
            executor = ThreadPoolExecutor(max_workers=os.cpu_count())
            stack.callback(executor.shutdown, cancel_futures=True)
        yield _Bench(on, store or Store(), executor, tool_versions(on))


@dataclass(frozen=True)
class _Bench:
    """A target, and what runs and keeps the steps of a measurement."""

    target: Target
    store: Store
    executor: Executor
    versions: dict[str, str]

    def map(self, text: str, dsp: bool, options: tuple[str, ...]) -> Netlist:
        scripts = synthesis_scripts(self.target, dsp=dsp, options=options)
        parts = {"rtlil": text, "scripts": scripts, "yosys": self.versions["yosys"]}
        return Netlist(
            **self._single(ToolJob("mapped", parts, _map, (text, self.target, dsp, options)))
        )

    def pack(self, netlist: Netlist) -> dict[str, Any]:
        return self._single(ToolJob("packed", self._parts(netlist), pack, (netlist, self.target)))

    def route(
        self,
        netlist: Netlist,
        seeds: Sequence[int],
        frequency: float | None,
        timeout: float | None,
    ) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
        """Return the reports and the reasons of failure, by seed."""
        parts = self._parts(netlist) | {"frequency": frequency}
        parts |= {} if timeout is None else {"timeout": timeout}
        arguments = netlist, self.target
        jobs = {
            seed: ToolJob(
                "routed", parts | {"seed": seed}, _route, (*arguments, seed, frequency, timeout)
            )
            for seed in seeds
        }
        return run_jobs(jobs, self.store, self.executor)

    def write(self, netlist: Netlist, seed: int, frequency: float | None) -> Routed:
        parts = self._parts(netlist) | {"frequency": frequency, "seed": seed}
        job = ToolJob("written", parts, _write, (netlist, self.target, seed, frequency))
        return Routed(**self._single(job))

    def _single(self, job: ToolJob) -> Any:
        results, failures = run_jobs({job.kind: job}, self.store, self.executor)
        if failures:
            raise FitError(failures[job.kind])
        return results[job.kind]

    def _parts(self, netlist: Netlist) -> dict[str, Any]:
        device = [*self.target.device, *self.target.family.router_options]
        digest = sha256(netlist.text.encode()).hexdigest()
        return {"netlist": digest, "device": device, "nextpnr": self.versions["nextpnr"]}


def _map(text: str, on: Target, dsp: bool, options: tuple[str, ...]) -> dict[str, Any]:
    return asdict(synthesize(text, on, dsp=dsp, options=options))


def _route(
    netlist: Netlist, on: Target, seed: int, frequency: float | None, timeout: float | None
) -> dict[str, Any]:
    return place_and_route(netlist, on, seed=seed, frequency=frequency, timeout=timeout)


def _write(netlist: Netlist, on: Target, seed: int, frequency: float | None) -> dict[str, Any]:
    return asdict(place_and_write(netlist, on, seed=seed, frequency=frequency))


def tool_versions(on: Target) -> dict[str, str]:
    """Return the versions of everything that has a part in a result."""
    programs = {"yosys": "yosys"} | ({"nextpnr": on.family.router} if on.family.router else {})
    found = tools.warm(programs.values())
    return {
        **{name: tool.version for name, tool in zip(programs, found, strict=True)},
        "amaranth": version("amaranth"),
        "narrowgauge": version("narrowgauge"),
    }


def _shell_cost(shell: Shell, on: Target) -> dict[str, int]:
    """Return what the shell takes of each resource; tests measure empty shells."""
    lone = shell.ff - shell.lut if on.family.lone_ff_takes_lut else 0
    return {"lut": shell.lut + lone, "lut4": shell.lut, "ff": shell.ff}


def _summary(
    bench: _Bench,
    netlist: Netlist,
    found: Report,
    routed: dict[int, Report],
    failed: dict[int, str],
    shell: dict[str, int],
) -> Measurement:
    """Put resources, and the speeds of all seeds, together."""
    numbers: dict[str, Any] = {name: getattr(found, name) for name in RESOURCES}
    for name, own in shell.items():
        if numbers[name] is not None:
            numbers[name] -= own
    speeds = {seed: min(r.fmax_mhz.values()) for seed, r in routed.items() if r.fmax_mhz}
    if speeds:
        middle = median_low(speeds.values())
        nearest = next(seed for seed, speed in speeds.items() if speed == middle)
        numbers |= {
            "fmax_mhz": median(speeds.values()),
            "fmax_mhz_min": min(speeds.values()),
            "fmax_mhz_max": max(speeds.values()),
            "critical_path": routed[nearest].critical_path,
        }
    return Measurement(
        target=bench.target.name,
        seeds=tuple(routed),
        routed=bool(routed),
        failed=failed,
        shell=shell,
        tools=bench.versions,
        remark=netlist.remark,
        **numbers,
    )
