"""The simulator of routed designs: its settled values are those of Amaranth's simulator."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from narrowgauge.hw.energy.delays import read_delays
from narrowgauge.hw.energy.events import EventSimulator
from narrowgauge.hw.energy.glitches import find_glitches
from narrowgauge.hw.energy.routed import RoutedPin, read_routed
from narrowgauge.hw.energy.wires import net_wires
from narrowgauge.hw.errors import EngineRefusal

from .routing import as_json, placed

CYCLES = 300
WIDTHS = (16, 8, 4, 2)  # of a memory of a block each


class Everything(wiring.Component):
    """Memories of all widths, a product in a block and one in LUTs, enables, resets, carries."""

    i: Signal
    o: Signal

    def __init__(self):
        super().__init__({"i": In(12), "o": Out(16)})

    def elaborate(self, platform):
        m = Module()
        count, kept, product = Signal(12, init=5), Signal(12, init=0x5A3), Signal(24)
        found = [Signal(width) for width in WIDTHS]
        m.d.sync += [count.eq(count + self.i), product.eq(self.i * kept)]
        with m.If(self.i[0]):
            m.d.sync += kept.eq(kept ^ (count << 1))
        for data, width in zip(found, WIDTHS, strict=True):
            depth = 4096 // width
            init = [(7 * index + 3) % (1 << width) for index in range(depth)]
            m.submodules[f"memory{width}"] = memory = Memory(shape=width, depth=depth, init=init)
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [
                read.addr.eq(count ^ (kept << 4)),
                read.en.eq(self.i[1]),
                data.eq(read.data),
            ]
            m.d.comb += [write.addr.eq(kept), write.data.eq(count), write.en.eq(self.i[2])]
        small = (count[:4] * kept[:4]) ^ product[16:]
        m.d.comb += self.o.eq(found[0] ^ Cat(found[1:]) ^ product ^ (small << 5) ^ (count < kept))
        return m


@cache
def everything():
    return Everything()


@cache
def routed():
    design, delays = placed(everything(), dsp=True)
    return read_routed(as_json(design), read_delays(delays))


@cache
def stimuli():
    values = np.random.default_rng(1).integers(0, 1 << 12, CYCLES)
    return np.where(np.arange(CYCLES) % 3, values, values & ~2)


@cache
def expected():
    component, seen = Everything(), []

    async def bench(ctx):
        for value in stimuli():
            ctx.set(component.i, int(value))
            await ctx.delay(0)
            seen.append(ctx.get(component.o))
            await ctx.tick()

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def levels(design, *, inertial=True):
    simulator = EventSimulator(design, inertial=inertial)
    bits = [[int(value) >> _index(name) & 1 for name in simulator.inputs] for value in stimuli()]
    watched = [design.outputs[f"o[{bit}]"] for bit in range(16)]
    found = simulator.run(np.array(bits), watch=watched).astype(int)
    return (found << np.arange(16)).sum(axis=1).tolist(), simulator.toggles()


def _index(name):
    return int(name[2:-1]) if name.startswith("i[") else 12  # the reset, which is never given


def test_settled_values_are_those_of_amaranth_with_both_kinds_of_delay():
    found, toggles = levels(routed())
    assert found == expected()
    free, more = levels(routed(), inertial=False)
    assert free == expected()
    assert (toggles.settled == more.settled).all()
    assert (toggles.settled <= toggles.total).all()
    assert toggles.total.sum() < more.total.sum()  # pulses that cells swallow
    assert len(routed().memories) == len(WIDTHS)
    assert len(routed().blocks) == 1


@pytest.mark.parametrize("part", ["gates", "registers", "memories", "blocks"])
def test_a_fault_in_any_part_is_seen(part):
    design = routed()
    parts, shown = list(getattr(design, part)), [design.outputs[f"o[{bit}]"] for bit in (0, 15)]
    index = max(range(len(parts)), key=lambda i: parts[i][0] in shown)
    first = parts[index]
    fault = {
        "gates": lambda: first._replace(table=first.table ^ 0xFFFF),
        "registers": lambda: first._replace(enable=0),
        "memories": lambda: first._replace(words=first.words[1:] + first.words[:1]),
        "blocks": lambda: first._replace(pins=(RoutedPin(1), *first.pins[1:])),
    }
    parts[index] = fault[part]()
    broken = replace(design, **{part: parts})
    assert levels(broken)[0] != expected()


def test_settled_toggles_do_not_depend_on_delays():
    design = routed()
    registers = [register._replace(delay=0) for register in design.registers]
    gates = [
        gate._replace(pins=tuple(RoutedPin(pin.node) for pin in gate.pins)) for gate in design.gates
    ]
    still = replace(design, gates=gates, registers=registers)
    found, toggles = levels(still)
    assert found == expected()
    assert (toggles.settled == levels(design)[1].settled).all()
    assert toggles.latest < levels(design)[1].latest


def test_glitches_are_what_does_not_last():
    _, toggles = levels(routed())
    wires = net_wires(placed(everything(), dsp=True)[0])
    glitches = find_glitches(routed(), toggles, wires)
    assert 1.1 < glitches.factor < glitches.toggles
    assert glitches.classes["register"][0] == glitches.classes["register"][1]
    assert {"carry", "lut 1", "lut 2"} < set(glitches.classes)
    lasting = find_glitches(routed(), replace(toggles, total=toggles.settled), wires)
    assert lasting.factor == lasting.toggles == 1


def test_what_has_no_model_is_refused_by_name():
    design, delays = placed(everything(), dsp=True)
    known, whole = read_delays(delays), as_json(design)
    (module,) = whole["modules"].values()
    name, cell = next((n, c) for n, c in module["cells"].items() if c["type"] == "ICESTORM_RAM")
    for change, match in (
        ({"type": "ICESTORM_SPRAM"}, rf"ICESTORM_SPRAM {name}: there is a model of"),
        ({"parameters": {**cell["parameters"], "NEG_CLK_R": "1"}}, rf"{name}: clocks of falling"),
    ):
        module["cells"][name] = {**cell, **change}
        with pytest.raises(EngineRefusal, match=match):
            read_routed(whole, known)
    module["cells"][name] = cell
    pin = next(pin for pin in known.wires if pin[0].endswith("_LC") and pin[1] == "I3")
    lacking = replace(known, wires={key: ps for key, ps in known.wires.items() if key != pin})
    with pytest.raises(EngineRefusal, match=f"no delay of the wire to {pin[1]}"):
        read_routed(whole, lacking)
    with pytest.raises(EngineRefusal, match="line 2 of the SDF file is '\\(SPEED"):
        read_delays("(DELAYFILE\n(SPEED 1)\n")
