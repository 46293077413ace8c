"""A small design with everything that accelerators use, from RTL to the bitstream and back."""

import base64
import json
from functools import cache
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from narrowgauge.boards.build.board_flow import route
from narrowgauge.boards.catalogue.entries import board
from narrowgauge.boards.catalogue.pll import highest
from narrowgauge.boards.gateware.board_top import RESET_CYCLES, Top
from narrowgauge.boards.gateware.uart import UartReceiver, UartTransmitter
from narrowgauge.boards.proof.netlist_run import PinSimulation
from narrowgauge.boards.proof.recovery import find_icebox, recover
from narrowgauge.boards.proof.routed import plain
from narrowgauge.hw.errors import ToolError
from narrowgauge.hw.synth.flow import synthesize
from narrowgauge.hw.tools import rtlil

ICEBREAKER = board("icebreaker")
DIVISOR = 8
TABLE = [(37 * index + 11) % 65536 for index in range(256)]


class Lookup(wiring.Component):
    """Answer a byte with the high byte of its square plus that of an entry of a table."""

    rx: Signal
    tx: Signal

    def __init__(self):
        high: Any = {"init": 1}  # which the stubs do not know
        super().__init__({"rx": In(1, **high), "tx": Out(1, **high)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(DIVISOR)
        m.submodules.transmitter = transmitter = UartTransmitter(DIVISOR)
        m.submodules.table = table = Memory(shape=16, depth=256, init=TABLE)
        read = table.read_port()
        byte, product = Signal(8), Signal(16)
        steps = Signal(4)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            read.addr.eq(byte),
            transmitter.i.valid.eq(steps[3]),
            transmitter.i.payload.eq(product[8:] + read.data[8:]),
        ]
        m.d.sync += [steps.eq(steps << 1), product.eq(byte * byte)]
        with m.If(receiver.o.valid):
            m.d.sync += [byte.eq(receiver.o.payload), steps.eq(1)]
        with m.Elif(steps[3] & ~transmitter.i.ready):
            m.d.sync += steps.eq(steps)
        return m


def answer(byte):
    return ((byte * byte >> 8) + (TABLE[byte] >> 8)) & 0xFF


def simulate(text, form, family="ice40", bytes_sent=(0, 1, 7, 130, 255)):
    """Bytes that come, and what tells traces of tx apart."""
    with PinSimulation(text, form, family, divisor=DIVISOR) as simulation:
        simulation.wait(RESET_CYCLES + 16)
        sent = [[bytes([each])] for each in bytes_sent]
        found = [simulation.exchange(each, 1, limit=1000)[0][0] for each in sent]
        return found, (simulation.cycles, simulation.digest)


WANTED = [answer(byte) for byte in (0, 1, 7, 130, 255)]
CELLS = {
    "icebreaker": ("SB_MAC16", "SB_RAM40_4K", "SB_PLL40_PAD"),
    "ulx3s_25f": ("MULT18X18D", "DP16KD", "EHXPLLL"),
    "tang_nano_9k": ("MULT9X9", "SPX9", "rPLL"),
}


@cache
def design(name):
    """The mapped netlist on a board, and the trace of the RTL."""
    found = board(name)
    clock = highest(found.pll, found.clock_frequency, 24e6)
    text = rtlil.convert(Top(found, Lookup(), clock), platform=found.target)
    answers, trace = simulate(text, "rtlil", found.target.family.name)
    assert answers == WANTED
    return synthesize(text, found.target, dsp=True), trace


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_the_mapped_netlist_drives_the_pin_as_the_rtl_does(name):
    netlist, trace = design(name)
    for cell in CELLS[name]:
        assert netlist.cells[cell] == 1
    assert simulate(netlist.text, "json", board(name).target.family.name) == (WANTED, trace)


@pytest.mark.slow
def test_so_does_the_netlist_that_the_bitstream_holds():
    try:
        find_icebox()
    except ToolError as error:
        pytest.skip(str(error))
    netlist, trace = design("icebreaker")
    content = base64.b64decode(route(netlist, ICEBREAKER, 24e6, 1)["content"])
    assert simulate(recover(content, ICEBREAKER), "verilog") == (WANTED, trace)


@pytest.mark.slow
def test_so_does_the_netlist_that_was_routed():
    netlist, trace = design("ulx3s_25f")
    routed = route(netlist, board("ulx3s_25f"), 24e6, 1)["routed"]
    assert simulate(plain(routed), "json", "ecp5") == (WANTED, trace)


@pytest.mark.slow
def test_a_fault_in_a_memory_is_seen():
    netlist = json.loads(design("icebreaker")[0].text)
    (top,) = [each for each in netlist["modules"].values() if "top" in each["attributes"]]
    (ram,) = [cell for cell in top["cells"].values() if cell["type"] == "SB_RAM40_4K"]
    contents = ram["parameters"]["INIT_0"]
    ram["parameters"]["INIT_0"] = contents.translate(str.maketrans("01", "10"))
    found, _ = simulate(json.dumps(netlist), "json", bytes_sent=(0, 1))
    assert found != [answer(0), answer(1)]


def test_what_cannot_be_recovered_is_said(monkeypatch):
    with pytest.raises(ToolError, match="ulx3s_25f: bitstreams of ecp5 are not turned back"):
        recover(b"", board("ulx3s_25f"))
    monkeypatch.setenv("ICEBOX_VLOG", "none-such")
    with pytest.raises(ToolError, match=r"install IceStorm .*fpga-icestorm"):
        recover(b"", ICEBREAKER)
